"""Two engines' scores against a margin: what is the same, what is told apart, what is open, and what the command says."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from evals.decisions.parity import judge_engines
from evals.records import Choice, ChoiceScores, Sample
from evals.tasks import task as find_task
from zoo.cli import root
from zoo.errors import ZooError

ENGINES = ("transformers", "llama_cpp")


def picked(sample: Sample, right: bool) -> ChoiceScores:
    """An answer that takes the right choice, or another, by far."""
    favourite = sample.target if right else (sample.target + 1) % len(sample.choices)
    return scored(sample, [-1.0 if place == favourite else -50.0 for place in range(len(sample.choices))])


def scored(sample: Sample, logprobs: Sequence[float]) -> ChoiceScores:
    choices = tuple(Choice(logprob=logprob, tokens=1, greedy=False) for logprob in logprobs)
    return ChoiceScores(sample=sample.id, choices=choices)


def samples(name: str, number: int) -> list[Sample]:
    return list(find_task(name).samples())[:number]


@pytest.mark.parametrize(
    ("number", "wrong", "margin", "verdict"),
    [
        (200, (0, 0), 2.0, "EQUIVALENT"), (200, (0, 40), 2.0, "BETTER"), (200, (40, 0), 2.0, "WORSE"),
        (20, (0, 0), 2.0, "NOT RESOLVED"), (200, (0, 0), 0.5, "NOT RESOLVED"), (200, (0, 40), 40.0, "EQUIVALENT"),
    ],
)  # fmt: skip
def test_the_verdicts_on_an_accuracy(number: int, wrong: tuple[int, int], margin: float, verdict: str) -> None:
    asked = samples("arc_easy", number)
    first, second = (
        {sample.id: picked(sample, place >= misses) for place, sample in enumerate(asked)} for misses in wrong
    )
    judged = judge_engines(find_task("arc_easy"), asked, ENGINES, (first, second), margin)
    assert judged.verdict == verdict
    assert judged.difference.value == pytest.approx((wrong[1] - wrong[0]) / number)
    assert (judged.difference.n, judged.unscored, judged.equivalence.margin) == (number, 0, margin / 100)


def test_of_bits_per_byte_fewer_are_better_and_the_margin_is_in_bits() -> None:
    task, asked = find_task("humaneval_bpb"), samples("humaneval_bpb", 60)
    first = {sample.id: scored(sample, [-20.0 - place % 7]) for place, sample in enumerate(asked)}
    second = {sample.id: scored(sample, [-60.0 - place % 5]) for place, sample in enumerate(asked)}
    assert judge_engines(task, asked, ENGINES, (first, second), 0.01).verdict == "BETTER"
    assert judge_engines(task, asked, ENGINES, (second, first), 0.01).verdict == "WORSE"
    assert judge_engines(task, asked, ENGINES, (first, first), 0.01).verdict == "EQUIVALENT"
    assert judge_engines(task, asked, ENGINES, (first, second), 0.01).equivalence.margin == 0.01


def test_only_samples_that_both_scored_count() -> None:
    task, asked = find_task("arc_easy"), samples("arc_easy", 50)
    answers = {sample.id: picked(sample, True) for sample in asked}
    part = {sample.id: answers[sample.id] for sample in asked[:30]}
    judged = judge_engines(task, asked, ENGINES, (answers, part), 50.0)
    assert (judged.difference.n, judged.unscored) == (30, 20)
    with pytest.raises(ZooError, match="no sample of arc_easy was scored under both transformers and llama_cpp"):
        judge_engines(task, asked, ENGINES, (answers, {}), 50.0)


@pytest.mark.parametrize(
    ("misses", "margin", "code", "verdict", "told"),
    [
        (0, "5", 0, "EQUIVALENT", ""), (30, "5", 1, "BETTER", "the score depends on the engine"),
        (0, "0.1", 3, "NOT RESOLVED", "give more samples (--limit) or a wider --margin"),
    ],
)  # fmt: skip
def test_the_command_ends_with_the_verdict(
    misses: int, margin: str, code: int, verdict: str, told: str, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    class Named:
        def __init__(self, name: str) -> None:
            self.name = name

        def close(self) -> None:
            """Nothing is open."""

    def ask(engine: Named, _: Any, asked: Sequence[Sample]) -> dict[str, ChoiceScores]:
        skipped = 0 if engine.name == "transformers" else misses
        return {sample.id: picked(sample, place >= skipped) for place, sample in enumerate(asked)}

    monkeypatch.setattr("evals.engines.connect", lambda name, *_, **__: Named(name))
    monkeypatch.setattr("evals.checks.engine_check.ask_engine", ask)
    monkeypatch.setattr("evals.cli.check._folder", lambda _: tmp_path)
    command = ["eval", "check", "parity", "any", "--engine", ",".join(ENGINES), "--task", "arc_easy", "--limit", "100"]
    assert root.run([*command, "--margin", margin]) == code
    printed = capsys.readouterr()
    assert printed.out.startswith("arc_easy@") and "transformers - llama_cpp" in printed.out
    assert "n=100" in printed.out and printed.out.rstrip().endswith(verdict)
    assert told in printed.err and printed.err.count("\n") == (1 if told else 0)
    assert root.run([*command, "--margin", margin, "--json"]) == code
    (row,) = json.loads(capsys.readouterr().out)
    assert row["verdict"] == verdict
