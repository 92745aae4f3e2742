"""The Task record: one task under one protocol as plain functions, all readable in the task's own file.

kind "generate": prompt -> text -> extract -> score.
kind "choices":  pairs -> log-probabilities -> judge.
kind "code":     prompt -> text -> extract (the program) -> run in `evals.sandbox` -> passed or not.

The loop (`evals.run`) knows these three kinds and nothing of any task.
"""

from collections.abc import Callable, Iterable
from typing import Literal

from evals.records import Choice, Decoding, Groups, Sample, Scored
from evals.sandbox import Program
from zoo.records import Record


def bare_question(sample: Sample) -> str:
    """The prompt of a task that adds nothing to a sample's question."""
    return sample.question


class Task(Record, frozen=True, kw_only=True):
    """One task under one protocol. A change that can move a score raises `version`.

    samples   all samples, in a fixed order
    prompt    the exact text before the model's answer (shots and description included)
    pairs     kind "choices": (context, continuation) for each choice
    extract   text -> answer, or None if there is none
    score     sample, answer -> its metrics; the first named in `metrics` is the score
    judge     kind "choices": sample, the scored choices -> its metrics
    program   kind "code": sample, answer -> the program that the sandbox runs
    gold      sample -> the text that a perfect model would write; None if the set has none
    groups    the kind of group that `Sample.cluster` names. clusters: some of many, as passages are; a new
              test would have others. strata: all that there are, as subjects are; a new test would have the same
    chat      asked by chat always: `prompt` is the last message of the user, and no stop string is sent
    data      the dataset name that `evals.datasets.load` resolves, for listings and provenance
    """

    name: str
    version: int
    kind: Literal["generate", "choices", "code"]
    about: str
    samples: Callable[[], Iterable[Sample]]
    protocol: str = "phizoo"
    metrics: tuple[str, ...] = ("accuracy",)
    shots: int = 0
    prompt: Callable[[Sample], str] | None = None
    pairs: Callable[[Sample], tuple[tuple[str, str], ...]] | None = None
    extract: Callable[[Sample, str], str | None] | None = None
    score: Callable[[Sample, str], Scored] | None = None
    judge: Callable[[Sample, tuple[Choice, ...]], Scored] | None = None
    program: Callable[[Sample, str], Program] | None = None
    gold: Callable[[Sample], str | None] | None = None
    groups: Groups = "clusters"
    decoding: Decoding = Decoding(max_tokens=512)
    data: str = ""
    split: str = ""
    licence: str = ""
    paper: str = ""
    size: int = 0
    chance: float | None = None
    chat: bool = False
