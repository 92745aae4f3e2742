"""A run's task and commands from its header: the same fingerprint, and lines that run, also for a rescored cell."""

import json
import shlex
from pathlib import Path

import msgspec
import pytest

from evals.checks.engine_check import change_ending
from evals.protocol import protocol, sampled_task
from evals.records import Facts, Run
from evals.results.task_of_run import commands, rescored_task, run_options, task_of_run
from evals.subset import choose_samples
from evals.task import Task
from evals.tasks import every, task
from zoo.cli import root
from zoo.registry import open_registry


def header(of: Task, engine: str = "transformers", **identity: str) -> Run:
    record = protocol(of, list(of.samples()), of.metrics[0])
    facts = Facts(engine=engine, version="1", dtype="float32", device="cpu", context_tokens=128, identity=identity)
    return Run(
        id="f" * 64, checkpoint="c" * 64, checkpoint_label="tiny:1", task=of.name, protocol=msgspec.to_builtins(record),
        fingerprint=record.fingerprint, backend=facts, seed=3, draws=2, limit=None, samples=1, hardware={}, versions={},
        commit="",
    )  # fmt: skip


def changed() -> list[Task]:
    """Tasks in every form that a published or checked run may have."""
    sampled = sampled_task(task("humaneval@openai-quick"), 0.2, None)
    return [
        *(one for one in every() if one.name in ("humaneval", "arc_easy", "mini_exercises")),
        sampled,
        rescored_task(task("humaneval"), "evalplus"),
        rescored_task(sampled, "evalplus"),
        change_ending(task("mini_exercises"), "\n", "healed"),
    ]


@pytest.mark.parametrize("of", changed(), ids=lambda of: f"{of.name}@{of.protocol}")
def test_the_task_of_a_run_has_the_runs_fingerprint(of: Task) -> None:
    again = task_of_run(header(of))
    samples = choose_samples(list(of.samples()), 20)
    assert protocol(again, samples, of.metrics[0]).fingerprint == protocol(of, samples, of.metrics[0]).fingerprint
    assert again.metrics == of.metrics
    assert again.decoding == of.decoding


def test_the_commands_of_a_rescored_run_are_the_run_and_its_rescoring() -> None:
    of = rescored_task(sampled_task(task("humaneval@openai-quick"), 0.2, None), "evalplus")
    first, second = commands(header(of, rescored="ab" * 32))
    assert first == (
        "phizoo eval run cccccccccccccccc --task humaneval@openai-quick --engine transformers --dtype float32 "
        "--seed 3 --draws 2 --temperature 0.2 --top-p 0.95"
    )
    assert second == "phizoo eval rescore abababababab --protocol evalplus"
    (replay,) = commands(header(task("humaneval"), engine="replay"))
    assert "--engine replay --dtype float32 --generations ffffffffffff --seed" in replay


def test_the_options_that_ask_for_a_protocol() -> None:
    greedy = sampled_task(task("humaneval"), 0.0, None)
    samples = list(greedy.samples())
    assert run_options(protocol(greedy, samples, "pass@1")) == "--task humaneval@openai --temperature 0 --top-p 1"
    assert run_options(protocol(task("humaneval"), samples, "pass@1")) == "--task humaneval@openai"


def test_a_rescored_cell_prints_commands_that_run_and_is_reproduced(
    tiny_phi: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with open_registry() as registry:
        registry.add(tiny_phi, "tiny")
    lines = [{"task_id": one.id, "completion": "    return 1"} for one in task("humaneval@openai-quick").samples()]
    texts = tmp_path / "texts.jsonl"
    texts.write_text("".join(json.dumps(line) + "\n" for line in lines))
    asked = ["--task", "humaneval@openai-quick", "--temperature", "0.2"]
    made = ["eval", "run", "tiny", *asked, "--engine", "replay", "--generations", str(texts), "--json"]
    assert root.run(made) == 0
    run = json.loads(capsys.readouterr().out)[0]["run"]
    texts.unlink()  # the commands need the run's folder alone
    assert root.run(["eval", "rescore", run[:12], "--protocol", "evalplus", "--publish"]) == 0
    cell = "tiny/humaneval@openai-quick>evalplus t=0.2 p=0.95"
    capsys.readouterr()
    assert root.run(["eval", "reproduce", cell, "--dry-run"]) == 0
    shown = capsys.readouterr().out.splitlines()
    assert len(shown) == 2
    for line in shown:
        assert root.run(shlex.split(line)[1:]) == 0
    assert root.run(["eval", "reproduce", cell]) == 0
    assert "identical: all 40 samples" in capsys.readouterr().out
