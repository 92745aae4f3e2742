"""Is an engine right? The same samples under two settings, compared one by one.

`moved` lists every sample whose answer differs; a check asks the engine directly and publishes nothing.
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


class Moved(Record, frozen=True, kw_only=True):
    """One sample that differs between two settings. flip: the picked choice, or the text, is another one."""

    sample: str
    first: str
    second: str
    difference: float
    flip: bool


class Difference(Record, frozen=True, kw_only=True):
    """Two settings over the same samples. largest: the largest |difference of a log-probability| in nats."""

    first: str
    second: str
    samples: int
    largest: float
    flips: int
    moved: tuple[Moved, ...]


def answers(backend: Engine, task: Task, samples: Sequence[Sample]) -> dict[str, Answer]:
    """What the engine answers, by sample id; greedy for tasks that generate, one text a sample."""
    if task.kind == "choices":
        assert task.pairs is not None  # a choices task has pairs: its table test holds it
        asked = [ChoiceRequest(sample=sample.id, pairs=task.pairs(sample)) for sample in samples]
        return {read.sample: read for read in backend.choose(asked)}
    requests = [
        GenerateRequest(sample=one.id, draw=0, prompt=shown(task, one), decoding=task.decoding, seed=0)
        for one in samples
    ]
    return {made.sample: made for made in backend.generate(requests)}


def difference(
    names: tuple[str, str], first: dict[str, Answer], second: dict[str, Answer], tolerance: float
) -> Difference:
    """How two settings' answers differ: log-probabilities by more than `tolerance` nats, or another text."""
    moved = []
    largest = 0.0
    for sample, one in first.items():
        told = _differs(sample, one, second[sample])
        largest = max(largest, told.difference)
        if told.flip or told.difference > tolerance:
            moved.append(told)
    return Difference(
        first=names[0],
        second=names[1],
        samples=len(first),
        largest=largest,
        flips=sum(one.flip for one in moved),
        moved=tuple(moved),
    )


def _differs(sample: str, one: Answer, other: Answer) -> Moved:
    if isinstance(one, ChoiceScores) and isinstance(other, ChoiceScores):
        mine, theirs = ([choice.logprob for choice in read.choices] for read in (one, other))
        apart = max((abs(a - b) for a, b in zip(mine, theirs, strict=True)), default=0.0)
        flip = _best(mine) != _best(theirs) or bool(one.fault) != bool(other.fault)
        shown_ = (", ".join(f"{value:.4f}" for value in read) for read in (mine, theirs))
        return Moved(sample=sample, first=next(shown_), second=next(shown_), difference=apart, flip=flip)
    texts = [read.text if isinstance(read, Generation) else "" for read in (one, other)]
    return Moved(sample=sample, first=texts[0], second=texts[1], difference=0.0, flip=texts[0] != texts[1])


def _best(logprobs: Sequence[float]) -> int:
    return max(range(len(logprobs)), key=lambda index: logprobs[index]) if logprobs else -1


def each_batch(
    connect: Callable[[int | None], Engine], task: Task, samples: Sequence[Sample], batches: Sequence[int | None]
) -> list[dict[str, Any]]:
    """The answers at each batch size (None: by token budget), one engine after the other."""
    found: list[dict[str, Any]] = []
    for batch in batches:
        backend = connect(batch)
        try:
            found.append(answers(backend, task, samples))
        finally:
            backend.close()
    return found


def ended(task: Task, ending: str, boundary: str) -> Task:
    """The task with another end of its prompts; its protocol says so, and it is never published."""
    prompt = task.prompt
    assert prompt is not None  # a boundary is checked of tasks that generate
    decoding = msgspec.structs.replace(task.decoding, boundary=boundary)
    name = f"{task.protocol} check {boundary}{' newline' if ending else ''}"
    changed = {"prompt": lambda sample: prompt(sample).rstrip("\n") + ending} if ending else {}
    return msgspec.structs.replace(task, decoding=decoding, protocol=name, **changed)
