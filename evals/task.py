"""The Task record: one task under one protocol as plain functions, all readable in the task's own file.

kind "generate": prompt -> text -> extract -> score.
kind "choices":  pairs -> log-probabilities -> judge.
kind "likelihood": one pair (context, gold continuation) -> its log-probability -> judge.
kind "code":     prompt -> text -> extract (the program) -> run in `evals.sandbox` -> passed or not.

The loop (`evals.run`) knows these four kinds and nothing of any task.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Literal

from evals.records import ChatShape, Choice, Decoding, Groups, Message, Sample, Scored
from evals.sandbox import Program
from evals.scoring.thought import ThoughtTags
from zoo.records import Record

Asked = tuple[tuple[Message, ...], str]  # messages, and the continuation that is scored after them ("": generated)
NO_SCORE = ("written",)  # the metric of a task without a score: whether the model wrote anything


class PromptParts(Record, frozen=True, kw_only=True):
    """The parts of a prompt, of which a completion's text and a chat's messages are made.

    question     the last question, up to the answer
    description  before everything
    shots        (question, answer) of each example
    delimiter    between a question and its answer
    separator    after an example's answer
    prefix       the beginning of the answer, which the model goes on with
    """

    question: str
    description: str = ""
    shots: tuple[tuple[str, str], ...] = ()
    delimiter: str = " "
    separator: str = "\n\n"
    prefix: str = ""

    @property
    def examples(self) -> str:
        """The examples as one text."""
        return "".join(f"{asked}{self.delimiter}{answer}{self.separator}" for asked, answer in self.shots)

    def text(self) -> str:
        """The whole prompt as one text, as a base model reads it."""
        between = self.delimiter if self.prefix and not _meets_space(self.question, self.prefix) else ""
        return f"{self.description}{self.examples}{self.question}{between}{self.prefix}"


def _meets_space(before: str, after: str) -> bool:
    """Whether white space stands where two texts meet, or there is no text before."""
    return not before or before[-1].isspace() or after[0].isspace()


def bare_question(sample: Sample) -> str:
    """The prompt of a task that adds nothing to a sample's question."""
    return sample.question


class ShotSource(Record, frozen=True, kw_only=True):
    """Where lm-evaluation-harness takes a choice task's examples from, for any number of them (`evals.fewshot`).

    read   rows of any split of the task's set -> samples of the task's own form
    rows   the set's name, its split, another split -> the rows of the latter (`evals.datasets.load.other_rows`)
    split  the split of the examples
    spare  the harness knows no test split: it draws one more, and leaves out a row that equals the question's
    first  not drawn: the first rows of the sample's cluster
    """

    read: Callable[[Iterable[dict[str, Any]]], Iterable[Sample]]
    rows: Callable[[str, str, str], Sequence[dict[str, Any]]]
    split: str = "train"
    spare: bool = False
    first: bool = False


class Task(Record, frozen=True, kw_only=True):
    """One task under one protocol. A change that can move a score raises `version`.

    samples   all samples, in a fixed order
    prompt    the exact text before the model's answer (shots and description included)
    pairs     kinds "choices" and "likelihood": (context, continuation) for each choice; of the latter just one
    extract   text -> answer, or None if there is none
    score     sample, answer -> its metrics; the first named in `metrics` is the score
    judge     kinds "choices" and "likelihood": sample, the scored continuations -> its metrics
    program   kind "code": sample, answer -> the program that the sandbox runs
    gold      sample -> the text that a perfect model would write; None if the set has none
    groups    the kind of group that `Sample.cluster` names. clusters: some of many, as passages are; a new
              test would have others. strata: all that there are, as subjects are; a new test would have the same
    trials    sample -> of the metrics that are means over several outcomes a sample, how many it has
    needs     raises ZooError where a library that scoring needs is missing: before anything is asked
    data      the dataset name that `evals.datasets.load` resolves, for listings and provenance
    parts     the prompt in parts, where it has more than a question; a chat's messages are made of them
    delimiter between a context and each continuation of `pairs`; a chat's answer begins without it
    chat      asked by chat always: `prompt` is the last message of the user, and no stop string is sent
    shape     how it is asked by chat; None: as a completion (`evals.chat.chat_task`)
    asked     with `shape`: sample -> the messages, and the continuations that are scored after them
    known     check of `phizoo eval lint` -> why the task's source fails it, where that is a fact of the source
    source    kind "choices": where examples come from, if any number may stand before a question
    tags      with `shape`: the tags around a thought, as the checkpoint's template names them
    """

    name: str
    version: int
    kind: Literal["generate", "choices", "likelihood", "code"]
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
    trials: Callable[[Sample], dict[str, int]] | None = None
    needs: Callable[[], None] | None = None
    decoding: Decoding = Decoding(max_tokens=512)
    data: str = ""
    split: str = ""
    licence: str = ""
    paper: str = ""
    size: int = 0
    chance: float | None = None
    parts: Callable[[Sample], PromptParts] | None = None
    delimiter: str = " "
    chat: bool = False
    shape: ChatShape | None = None
    asked: Callable[[Sample], tuple[Asked, ...]] | None = None
    known: dict[str, str] = {}
    tags: tuple[ThoughtTags, ...] = ()
    source: ShotSource | None = None

    @property
    def by_logprob(self) -> bool:
        """Whether the model writes nothing: the log-probabilities of given continuations are read."""
        return self.kind in ("choices", "likelihood")
