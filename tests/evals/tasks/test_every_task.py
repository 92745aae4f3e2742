"""Every task under every protocol: what `evals.checks.task_lint` checks, the same checks as `phizoo eval lint TASK`."""

import json
import random
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import pytest

from evals.checks import task_lint
from evals.datasets.forms import MissingSetError
from evals.records import Choice, Sample, Scored
from evals.sandbox import Program, open_sandbox
from evals.scoring import likelihood
from evals.task import Task
from evals.tasks import every, protocols, task
from zoo.errors import ZooError

if TYPE_CHECKING:
    from evals.sandbox import Sandbox

ROOT = Path(__file__).resolve().parents[3]
SHARED = ROOT.parent / "shared" / "data" / "evals"
GOLDEN = json.loads((ROOT / "tests" / "golden" / "prompts.json").read_text())
SPECS = [f"{one.name}@{one.protocol}" for one in every()]
TEXT = [spec for spec in SPECS if task(spec).kind != "code"]
CODE = [spec for spec in SPECS if task(spec).kind == "code"]


@pytest.fixture
def _data(monkeypatch: pytest.MonkeyPatch) -> None:
    if SHARED.is_dir():
        monkeypatch.setenv("PHIZOO_DATA", str(SHARED))


@pytest.fixture(scope="module")
def sandbox() -> "Iterator[Sandbox]":
    with open_sandbox(workers=2) as opened:
        yield opened


def found(spec: str, sandbox: "Sandbox | None" = None) -> dict[str, task_lint.LintFinding]:
    """The findings of a task by check. Its data comes from `PHIZOO_DATA` or a package; without them it is skipped."""
    try:
        return {one.check: one for one in task_lint.lint(task(spec), GOLDEN[spec], sandbox)}
    except ZooError as error:
        if SHARED.is_dir() or not isinstance(error, MissingSetError):
            raise
        pytest.skip(f"the shared data folder is not beside the repository: {error}")


@pytest.mark.usefixtures("_data")
@pytest.mark.parametrize("spec", TEXT)
def test_a_task_holds(spec: str) -> None:
    findings = found(spec)
    assert len(findings) == (5 if task(spec).kind == "likelihood" else 6)
    assert [one for one in findings.values() if not one.ok] == []


@pytest.mark.usefixtures("_data")
@pytest.mark.parametrize("spec", CODE)
def test_a_code_task_holds(spec: str, sandbox: "Sandbox", monkeypatch: pytest.MonkeyPatch) -> None:
    if "plus" in spec:  # the reference runs on thousands of inputs
        monkeypatch.setattr(task_lint, "PROGRAMS", 2)
    findings = found(spec, sandbox)
    assert len(findings) == 7
    assert [one for one in findings.values() if not one.ok] == []


def test_every_field_that_a_listing_shows_is_filled() -> None:
    for one in every():
        assert one.data and one.split and one.licence and one.paper and one.about and one.size, one.name
        assert one.metrics, one.name
        assert (one.chance is None) is (one.kind == "likelihood"), one.name  # nothing can be guessed
        assert (one.pairs and one.judge) if one.by_logprob else one.gold, one.name
        assert bool(one.program) is (one.kind == "code"), one.name
        assert one.protocol in protocols(one.name)


def _made(**changes: object) -> Task:
    """A sound task of two choices, and what a test changes in it."""

    def samples() -> Iterator[Sample]:
        for number in range(40):
            question = f"Is the number {number} an even number, yes or no?"
            yield Sample(id=str(number), question=question, choices=("no", "yes"), target=(number + 1) % 2)

    def pairs(sample: Sample) -> tuple[tuple[str, str], ...]:
        return tuple((sample.question, f" {choice}") for choice in sample.choices)

    def judge(sample: Sample, read: tuple[Choice, ...]) -> Scored:
        best = max(range(2), key=lambda index: read[index].logprob)
        return Scored(metrics={"acc": float(best == sample.target)})

    sound = Task(
        name="even", version=1, kind="choices", about="even numbers", samples=samples, pairs=pairs, judge=judge,
        metrics=("acc",), size=40, chance=0.5,
    )  # fmt: skip
    return msgspec.structs.replace(sound, **changes)


def failing(made: Task, golden: dict[str, object] | None = None, sandbox: "Sandbox | None" = None) -> set[str]:
    return {one.check for one in task_lint.lint(made, golden, sandbox) if one.ok is False}


def test_a_sound_task_has_no_finding_against_it() -> None:
    made = _made()
    assert failing(made, task_lint.first_prompt(made, list(made.samples()))) == set()


def test_a_wrong_size_and_a_wrong_golden_prompt_are_found() -> None:
    assert failing(_made(size=41), {"first": "other", "sha256": ""}) == {"size", "golden prompt"}


def test_choices_that_are_reordered_by_the_right_one_are_found() -> None:
    def pairs(sample: Sample) -> tuple[tuple[str, str], ...]:
        order = [sample.target, 1 - sample.target]
        return tuple((sample.question, f" {sample.choices[index]}") for index in order)

    assert failing(_made(pairs=pairs)) == {"answer not in the prompt"}


def test_a_right_choice_that_always_stands_first_is_found() -> None:
    def samples() -> Iterator[Sample]:
        for number in range(40):
            question = f"Which is right for {number}? A. {number} B. none"
            yield Sample(id=str(number), question=question, choices=("A", "B"), target=0)

    assert failing(_made(samples=samples)) == {"constant predictors at chance"}


def test_a_wrong_judge_is_found() -> None:
    def judge(sample: Sample, read: tuple[Choice, ...]) -> Scored:
        return Scored(metrics={"acc": 1.0})

    assert failing(_made(judge=judge)) == {"gold scores 1, another choice 0"}


def test_shots_from_the_split_are_found() -> None:
    shown = list(_made().samples())[:3]

    def pairs(sample: Sample) -> tuple[tuple[str, str], ...]:
        before = "\n".join(shot.question for shot in shown)
        return tuple((f"{before}\n{sample.question}", f" {choice}") for choice in sample.choices)

    def prompt(sample: Sample) -> str:
        return pairs(sample)[0][0]

    assert failing(_made(pairs=pairs, prompt=prompt, shots=3)) == {"shots not from the split"}


def test_an_answer_that_is_empty_or_judged_by_other_bytes_is_found() -> None:
    def answers(text: str) -> Task:
        def samples() -> Iterator[Sample]:
            yield Sample(id="1", question="What comes after 1, and after that?", choices=(text,), target=0)

        return _made(
            kind="likelihood", samples=samples, size=1, judge=likelihood.judge, metrics=("bits_per_byte",), chance=None,
            pairs=lambda sample: ((sample.question, sample.choices[0]),),
        )  # fmt: skip

    check = "a likelier answer has fewer bits"
    assert failing(answers(" two é")) == set()
    assert failing(answers(" ")) == {check}
    assert failing(msgspec.structs.replace(answers(" 2"), pairs=lambda sample: ((sample.question, "2"),))) == {check}
    half = msgspec.structs.replace(
        answers(" 2"), judge=lambda sample, read: Scored(metrics={"bits_per_byte": -read[0].logprob})
    )
    assert failing(half) == {check}


def _written(**changes: object) -> Task:
    def samples() -> Iterator[Sample]:
        for number in range(40):
            yield Sample(id=str(number), question=f"What comes after {number}?", target=str(number + 1))

    sound = Task(
        name="after", version=1, kind="generate", about="counting", samples=samples, size=40, chance=0.025,
        prompt=lambda sample: f"{sample.question}\nAnswer:", extract=lambda _, text: text.strip() or None,
        score=lambda sample, answer: Scored(metrics={"accuracy": float(answer == sample.target)}),
        gold=lambda sample: f" {sample.target}",
    )  # fmt: skip
    return msgspec.structs.replace(sound, **changes)


def test_a_prompt_that_moves_with_the_answer_is_found() -> None:
    assert failing(_written()) == set()
    assert failing(_written(prompt=lambda sample: f"{sample.question} ({sample.target})")) == {
        "answer not in the prompt"
    }


def test_an_empty_answer_that_scores_is_found() -> None:
    def score(sample: Sample, answer: str) -> Scored:
        return Scored(metrics={"accuracy": float(answer in ("", sample.target))})

    assert failing(_written(score=score, extract=lambda _, text: text.strip())) == {"gold scores 1, empty 0"}


def test_a_gold_answer_that_fails_and_a_wrong_chance_are_found() -> None:
    assert failing(_written(gold=lambda sample: "none")) == {"gold scores 1, empty 0", "constant predictors at chance"}


def test_a_metric_that_no_sample_has_is_found() -> None:
    assert failing(_written(metrics=("accuracy", "f1"))) == {"gold scores 1, empty 0"}


def test_a_program_that_passes_empty_is_found(sandbox: "Sandbox") -> None:
    def program(sample: Sample, answer: str) -> Program:
        test = "def check(candidate):\n    assert candidate() is None\n"
        return Program(id=sample.id, prompt="def f():\n    ", completion=answer or "pass\n", test=test, entry_point="f")

    made = _written(kind="code", program=program, extract=lambda _, text: text, gold=lambda _: "return 1", score=None)
    assert failing(made, None, sandbox) == {"gold passes", "empty fails"}
    assert [one.ok for one in task_lint.lint(made)][-3:-1] == [None, None]


@pytest.mark.usefixtures("_data")
@pytest.mark.parametrize("spec", [spec for spec in TEXT if task(spec).kind == "choices"])
def test_a_model_that_guesses_is_at_chance(spec: str) -> None:
    one = task(spec)
    draw = random.Random(7)
    try:
        samples = list(one.samples())
    except ZooError as error:
        pytest.skip(f"the shared data folder is not beside the repository: {error}")
    right = 0.0
    for sample in samples:
        read = tuple(Choice(logprob=-draw.random(), tokens=1, greedy=False) for _ in range(max(2, len(sample.choices))))
        assert one.judge is not None
        metrics = one.judge(sample, read[: len(sample.choices)]).metrics
        right += metrics.get("acc", metrics.get("acc_raw", 0.0))
    assert one.chance is not None
    error = 3 * (one.chance * (1 - one.chance) / len(samples)) ** 0.5
    assert abs(right / len(samples) - one.chance) <= error + 0.003
