"""Scores while training: the numbers of the evals themselves, with their interval, and no effect on the weights."""

import re
from typing import Any

import pytest

from training import metrics, online_eval
from training import run as running
from training.recipe import Evaluation, load, resolve_recipe
from zoo import settings
from zoo.errors import ZooError
from zoo.registry import open_registry

QUICK = ("training.steps=6", "schedule.warmup_steps=2", "validation.every_steps=0", "states.every_seconds=0.0")
TASKS = 'evaluation.tasks=["arc_easy", "mini_exercises", "humaneval_bpb@olmo-bpb-0"]'
SCORED = (*QUICK, "evaluation.every_steps=4", TASKS, "evaluation.samples=6")


def weights(name: str) -> bytes:
    with open_registry() as registry:
        return (registry.path(name) / "model.safetensors").read_bytes()


def test_scores_stand_in_the_curves_and_do_not_move_the_weights(registered_tokens: Any) -> None:
    registered_tokens("tiny-tokens")
    running.run("phi-1-small-tiny", SCORED, name="scored", say=lambda _: None)
    running.run("phi-1-small-tiny", QUICK, name="plain", say=lambda _: None)
    lines = running.metrics_of("scored")
    told = {line["step"]: line for line in lines if "eval_arc_easy" in line}
    assert sorted(told) == [4, 6]  # each fourth step, and the last
    for line in told.values():
        for task in ("arc_easy", "mini_exercises"):
            low, value, high = (line[f"eval_{task}{end}"] for end in ("_low", "", "_high"))
            assert 0 <= low <= value <= high <= 1
            assert line[f"eval_{task}_n"] == 6
        low, value, high = (line[f"eval_humaneval_bpb{end}"] for end in ("_low", "", "_high"))
        assert 1 < low <= value <= high  # bits of each byte by an untrained model
    assert weights("scored") == weights("plain")
    page = metrics.page("scored", lines)
    assert re.search(r"arc_easy, 6 samples; last \d+\.\d% \[", page)
    assert re.search(r"humaneval_bpb, 6 samples; last \d\.\d+ bits per byte ↓ \[", page)
    folder = next(settings.training_dir().glob("*/evals/*")).parent.parent
    assert not list(folder.glob(".eval-*"))
    assert len(list((folder / "evals").glob("*/results.jsonl"))) == 6


def test_a_task_that_is_not_there_is_told_before_training(registered_tokens: Any) -> None:
    registered_tokens("tiny-tokens")
    with pytest.raises(ZooError, match=r'no task "arc_esy" \(nearest: "arc_easy"\)'):
        running.run("phi-1-small-tiny", (*QUICK, "evaluation.every_steps=2", 'evaluation.tasks=["arc_esy"]'))
    assert not list(settings.training_dir().glob("*/metrics.jsonl"))


def test_a_suite_is_each_of_its_tasks_and_an_inactive_evaluation_moves_no_digest() -> None:
    names = [task.name for task in online_eval.tasks_of(Evaluation(every_steps=1, tasks=("suite:phi-1",), samples=2))]
    assert names == ["humaneval", "mbpp"]
    assert Evaluation().tasks == ("suite:small",)
    plain = load("phi-1-small-tiny")
    assert resolve_recipe(plain)["evaluation"] == {"every_steps": 0, "tasks": ["mini_exercises"], "samples": 40}
    active = load("phi-1-small-tiny", ("evaluation.every_steps=2",))
    assert resolve_recipe(active)["evaluation"]["tasks"] == ["suite:small"]


def test_a_part_is_fixed_and_named() -> None:
    (one,) = online_eval.tasks_of(Evaluation(every_steps=1, tasks=("arc_easy",), samples=12))
    (again,) = online_eval.tasks_of(Evaluation(every_steps=1, tasks=("arc_easy",), samples=12))
    assert [sample.id for sample in one.samples()] == [sample.id for sample in again.samples()]
    assert (one.size, len(list(one.samples()))) == (12, 12)
    assert one.protocol.endswith("-part-12")
