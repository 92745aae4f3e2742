"""Compares an engine under two settings, sample by sample: two engines, two batch sizes.

A check asks the engine directly and publishes nothing.
"""

from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from evals.engines import Engine
from evals.protocol import shown
from evals.records import ChoiceRequest, ChoiceScores, GenerateRequest, Generation, Sample
from evals.task import Task
from zoo.records import Record

Answer = ChoiceScores | Generation
# of a log-probability: an engine adds up a continuation's tokens in float32, and a long sum rounds by more
RELATIVE = 1e-5


class ChangedAnswer(Record, frozen=True, kw_only=True):
    """One sample whose answer differs between two settings.

    difference  the largest absolute difference of a log-probability, in nats
    excess      how far a difference is beyond the rounding of its sum, in nats
    flip        the picked choice, or the text, is another
    """

    sample: str
    first: str
    second: str
    difference: float
    excess: float
    flip: bool


class EngineDifference(Record, frozen=True, kw_only=True):
    """Two settings over the same samples. largest: the largest absolute difference of a log-probability, in nats."""

    first: str
    second: str
    samples: int
    largest: float
    flips: int
    moved: tuple[ChangedAnswer, ...]


def ask_engine(engine: Engine, task: Task, samples: Sequence[Sample]) -> dict[str, Answer]:
    """The engine's answers by sample id; greedy for tasks that generate, one text a sample."""
    if task.by_logprob:
        assert task.pairs is not None  # every choices task has pairs: a test of the table checks it
        questions = [
            ChoiceRequest(sample=sample.id, pairs=task.pairs(sample), whole=task.kind == "likelihood")
            for sample in samples
        ]
        return {scores.sample: scores for scores in engine.choose(questions)}
    prompts = [
        GenerateRequest(sample=sample.id, draw=0, prompt=shown(task, sample), decoding=task.decoding, seed=0)
        for sample in samples
    ]
    return {text.sample: text for text in engine.generate(prompts)}


def compare_answers(
    names: tuple[str, str], first: dict[str, Answer], second: dict[str, Answer], tolerance: float
) -> EngineDifference:
    """The answers that differ: log-probabilities by more than `tolerance` nats + 1e-5 of the value, or another text."""
    moved = []
    largest = 0.0
    for sample, answer in first.items():
        change = _compare(sample, answer, second[sample])
        largest = max(largest, change.difference)
        if change.flip or change.excess > tolerance:
            moved.append(change)
    return EngineDifference(
        first=names[0], second=names[1], samples=len(first), largest=largest,
        flips=sum(change.flip for change in moved), moved=tuple(moved),
    )  # fmt: skip


def _compare(sample: str, first: Answer, second: Answer) -> ChangedAnswer:
    if isinstance(first, ChoiceScores) and isinstance(second, ChoiceScores):
        before, after = ([choice.logprob for choice in scores.choices] for scores in (first, second))
        pairs = list(zip(before, after, strict=True))
        largest = max((abs(a - b) for a, b in pairs), default=0.0)
        excess = max((abs(a - b) - RELATIVE * abs(a) for a, b in pairs), default=0.0)
        flip = _pick(before) != _pick(after) or bool(first.fault) != bool(second.fault)
        texts = [", ".join(f"{value:.4f}" for value in logprobs) for logprobs in (before, after)]
        return ChangedAnswer(
            sample=sample, first=texts[0], second=texts[1], difference=largest, excess=excess, flip=flip
        )
    texts = [answer.text if isinstance(answer, Generation) else "" for answer in (first, second)]
    flip = texts[0] != texts[1]
    return ChangedAnswer(sample=sample, first=texts[0], second=texts[1], difference=0.0, excess=0.0, flip=flip)


def _pick(logprobs: Sequence[float]) -> int:
    return max(range(len(logprobs)), key=lambda index: logprobs[index]) if logprobs else -1


def ask_at_batch_sizes(
    connect: Callable[[int | None], Engine], task: Task, samples: Sequence[Sample], batches: Sequence[int | None]
) -> list[dict[str, Any]]:
    """The answers at each batch size (None: by token budget), one engine after the other."""
    answers: list[dict[str, Any]] = []
    for batch in batches:
        engine = connect(batch)
        try:
            answers.append(ask_engine(engine, task, samples))
        finally:
            engine.close()
    return answers


def change_ending(task: Task, ending: str, boundary: str) -> Task:
    """The task with another ending of its prompts; its protocol says so, and it is never published."""
    prompt = task.prompt
    assert prompt is not None  # only tasks that generate have a boundary
    decoding = msgspec.structs.replace(task.decoding, boundary=boundary)
    name = f"{task.protocol} check {boundary}{' newline' if ending else ''}"
    changed = {"prompt": lambda sample: prompt(sample).rstrip("\n") + ending} if ending else {}
    return msgspec.structs.replace(task, decoding=decoding, protocol=name, **changed)
