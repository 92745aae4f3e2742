"""`eval run --until-resolved`: blocks in a fixed random order, a stop when resolved, nothing published."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from evals.decisions import until
from evals.decisions.until import run_until_resolved
from evals.records import Choice, ChoiceRequest, ChoiceScores, Facts, Sample, Scored
from evals.run import RunOptions
from evals.subjects import Subject
from evals.task import Task
from zoo.cli.root import run as phizoo
from zoo.errors import ZooError

N = 400


class Chooser:
    """Picks the first choice of so many samples in a hundred, and the second of the others."""

    def __init__(self, share: int) -> None:
        self.facts = Facts(engine="choose", version="1", dtype="none", device="none", context_tokens=99)
        self.share, self.asked = share, []  # type: int, list[str]

    def choose(self, requests: Sequence[ChoiceRequest]) -> Iterator[ChoiceScores]:
        for request in requests:
            self.asked.append(request.sample)
            first = int(request.sample.partition("/")[2]) % 100 < self.share
            logprobs = (-1.0, -2.0) if first else (-2.0, -1.0)
            choices = tuple(Choice(logprob=logprob, tokens=1, greedy=False) for logprob in logprobs)
            yield ChoiceScores(sample=request.sample, choices=choices)

    def close(self) -> None:
        pass


def samples() -> Iterator[Sample]:
    for number in range(N):
        yield Sample(id=f"s/{number}", question=f"q{number}", target=0, choices=("a", "b"))


TASK = Task(
    name="arc_easy", version=1, kind="choices", about="", samples=samples, metrics=("acc",), protocol="made up",
    pairs=lambda sample: tuple((sample.question, f" {choice}") for choice in sample.choices),
    judge=lambda sample, read: Scored(metrics={"acc": float(read[0].logprob > read[1].logprob)}),
)  # fmt: skip


def resolve(monkeypatch: pytest.MonkeyPatch, folder: Path, shares: tuple[int, int], margin: float) -> tuple[Any, Any]:
    engines = {f"m{number}": Chooser(share) for number, share in enumerate(shares)}
    monkeypatch.setattr(until, "connect", lambda name, path, **options: engines[path.name])
    subjects = [Subject(digest=str(n) * 64, label=f"m{n}:1", path=Path(f"m{n}")) for n in range(2)]
    return run_until_resolved(subjects, TASK, RunOptions(), margin, folder), engines


def test_it_stops_when_the_two_are_told_apart(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    found, engines = resolve(monkeypatch, tmp_path, (95, 15), 0.02)
    assert found.look.verdict == "BETTER"
    assert found.asked == len(engines["m0"].asked) == len(engines["m1"].asked) < N / 2
    assert engines["m0"].asked == engines["m1"].asked != sorted(engines["m0"].asked)
    assert found.saved == pytest.approx(1 - found.asked / N)
    again, asked = resolve(monkeypatch, tmp_path, (95, 15), 0.02)  # it resumes: every block is there
    assert again == found
    assert asked["m0"].asked == []


def test_equal_models_are_equivalent_or_not_resolved(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    alike, _ = resolve(monkeypatch, tmp_path / "a", (50, 50), 0.1)
    assert alike.look.verdict == "EQUIVALENT"
    assert alike.asked < N
    still, _ = resolve(monkeypatch, tmp_path / "b", (52, 50), 0.001)
    assert still.look.verdict == "NOT RESOLVED"
    assert still.asked == N


def test_it_chooses_the_samples_itself(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(ZooError, match="chooses the samples itself"):
        run_until_resolved([], TASK, RunOptions(limit=3), 0.02, tmp_path)
    run = ["eval", "run", "a", "b", "--task", "arc_easy", "--until-resolved"]
    for words in (
        run,
        [*run, "--margin", "2", "--limit", "5"],
        ["eval", "run", "a", "--task", "arc_easy", "--margin", "1"],
    ):
        assert phizoo(words) == 2
    assert phizoo(["eval", "run", "a", "--task", "arc_easy", "--until-resolved", "--margin", "2"]) == 2
