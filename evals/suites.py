"""Suites: named lists of tasks; aggregates: named means of their scores, each with a version.

An aggregate lists its parts as task@protocol and metric. Its fingerprint is made from the parts and
their tasks' versions; a changed part is a new version, never the old name with another meaning
(tests/golden/aggregates.json holds the fingerprints). The Phi reports' tables are named in `SUITES`.
"""

from collections.abc import Iterator, Mapping, Sequence
from math import sqrt

from evals.task import Task
from evals.tasks import TASKS, protocols
from evals.tasks import task as find
from zoo.digest import digest
from zoo.errors import ZooError, nearest
from zoo.records import Record

Z = 1.959963984540054  # the normal's 97.5% point, as in the intervals of the parts

SUITES: dict[str, tuple[str, ...]] = {
    # arXiv:2306.11644, table 1
    "phi-1": ("humaneval@openai", "mbpp@lm-eval"),
    # arXiv:2309.05463, tables 2 (common sense), 3 (language and knowledge), 4 (reasoning, GSM8K via coding)
    "phi-1.5": (
        "winogrande@lm-eval",
        "arc_easy@lm-eval",
        "arc_challenge@lm-eval",
        "boolq@lm-eval",
        "siqa@lm-eval",
        "piqa@lm-eval",
        "hellaswag@lm-eval",
        "mmlu@phi-1.5",
        "openbookqa@lm-eval",
        "squad@phizoo",
        "gsm8k@code",
        "humaneval@openai",
        "mbpp@lm-eval",
    ),
    # the phi-2 announcement's table of five averages
    "phi-2": (
        "bbh@phi",
        "piqa@lm-eval",
        "winogrande@lm-eval",
        "arc_easy@lm-eval",
        "arc_challenge@lm-eval",
        "siqa@lm-eval",
        "hellaswag@lm-eval",
        "openbookqa@lm-eval",
        "mmlu@phi-2",
        "squad_v2@phi",
        "boolq@lm-eval",
        "gsm8k@phi",
        "humaneval@openai",
        "mbpp@lm-eval",
    ),
    "quick": (
        "humaneval@openai-quick2",
        "mini_exercises@phizoo-quick2",
        "arc_easy@lm-eval-quick2",
        "piqa@lm-eval-quick2",
        "winogrande@lm-eval-quick2",
        "hellaswag@lm-eval-quick2",
        "boolq@lm-eval-quick2",
        "openbookqa@lm-eval-quick2",
        "mmlu@lm-eval-quick2",
    ),
    "all": (),  # every task under its default protocol, see `names`
}


class Part(Record, frozen=True, kw_only=True):
    """One score of an aggregate.

    task  task@protocol
    """

    task: str
    metric: str


class Aggregate(Record, frozen=True, kw_only=True):
    """A mean of scores with equal weights, and its version."""

    name: str
    version: int
    about: str
    parts: tuple[Part, ...]

    @property
    def fingerprint(self) -> str:
        """sha256 over the parts and the versions of their tasks: what the version stands for."""
        return digest([[part.task, part.metric, find(part.task).version] for part in self.parts])


class Average(Record, frozen=True, kw_only=True):
    """An aggregate's value with its 95% interval; `missing` lists the parts that have no score."""

    name: str
    version: int
    value: float | None
    low: float | None
    high: float | None
    missing: tuple[str, ...]


def _aggregate(name: str, version: int, about: str, *parts: str) -> Aggregate:
    told = tuple(Part(task=part.split()[0], metric=part.split()[1]) for part in parts)
    return Aggregate(name=name, version=version, about=about, parts=told)


AGGREGATES = (
    _aggregate("phi-1 code", 1, "arXiv:2306.11644, table 1", "humaneval@openai pass@1", "mbpp@lm-eval pass@1"),
    _aggregate(
        "phi-1.5 common sense", 1, "arXiv:2309.05463, table 2",
        "winogrande@lm-eval acc", "arc_easy@lm-eval acc", "arc_challenge@lm-eval acc", "boolq@lm-eval acc",
        "siqa@lm-eval acc",
    ),
    _aggregate(
        "phi-1.5 language", 1, "arXiv:2309.05463, table 3",
        "piqa@lm-eval acc", "hellaswag@lm-eval acc", "mmlu@phi-1.5 acc", "openbookqa@lm-eval acc",
        "squad@phizoo exact",
    ),
    _aggregate(
        "phi-1.5 reasoning", 1, "arXiv:2309.05463, table 4",
        "gsm8k@code pass@1", "humaneval@openai pass@1", "mbpp@lm-eval pass@1",
    ),
    _aggregate("phi-2 BBH", 1, "the phi-2 announcement, 3-shot with chain of thought", "bbh@phi exact_match"),
    _aggregate(
        "phi-2 common sense", 1, "the phi-2 announcement",
        "piqa@lm-eval acc", "winogrande@lm-eval acc", "arc_easy@lm-eval acc", "arc_challenge@lm-eval acc",
        "siqa@lm-eval acc",
    ),
    _aggregate(
        "phi-2 language", 1, "the phi-2 announcement",
        "hellaswag@lm-eval acc", "openbookqa@lm-eval acc", "mmlu@phi-2 acc", "squad_v2@phi exact",
        "boolq@lm-eval acc",
    ),
    _aggregate("phi-2 math", 1, "the phi-2 announcement, 8-shot", "gsm8k@phi flexible-extract"),
    _aggregate("phi-2 coding", 1, "the phi-2 announcement", "humaneval@openai pass@1", "mbpp@lm-eval pass@1"),
    _aggregate(
        "quick", 2, "every part of suite quick",
        "humaneval@openai-quick2 pass@1", "mini_exercises@phizoo-quick2 pass@1", "arc_easy@lm-eval-quick2 acc",
        "piqa@lm-eval-quick2 acc", "winogrande@lm-eval-quick2 acc", "hellaswag@lm-eval-quick2 acc",
        "boolq@lm-eval-quick2 acc", "openbookqa@lm-eval-quick2 acc", "mmlu@lm-eval-quick2 acc",
    ),
)  # fmt: skip


def names(suite: str) -> tuple[str, ...]:
    """The task@protocol names of a suite. Raises ZooError with the nearest known suite."""
    if suite not in SUITES:
        raise ZooError(f'no suite "{suite}"{nearest(suite, SUITES)}. All suites: phizoo eval tasks --suites')
    if suite == "all":
        return tuple(f"{name}@{next(iter(protocols(name)))}" for name in TASKS)
    return SUITES[suite]


def benchmarks(suite: str) -> tuple[str, ...]:
    """The benchmarks of a suite: its tasks without their protocols."""
    return tuple(name.partition("@")[0] for name in names(suite))


def tasks(spec: str) -> list[Task]:
    """The tasks that `--task` names, each once, in the order given.

    spec    commas between: task, task@protocol, suite:NAME (or a suite's name that is no task's)
    Raises  ZooError with the nearest known name, or when nothing is named

    >>> [f"{one.name}@{one.protocol}" for one in tasks("suite:phi-1, humaneval,arc_easy@lm-eval-quick2")]
    ['humaneval@openai', 'mbpp@lm-eval', 'arc_easy@lm-eval-quick2']
    """
    found: dict[tuple[str, str], Task] = {}
    for word in filter(None, (part.strip() for part in spec.split(","))):
        for one in map(find, _expanded(word)):
            found.setdefault((one.name, one.protocol), one)
    if not found:
        raise ZooError("--task names no task. All tasks: phizoo eval tasks; all suites: phizoo eval tasks --suites")
    return list(found.values())


def _expanded(word: str) -> tuple[str, ...]:
    if word.startswith("suite:"):
        return names(word.removeprefix("suite:"))
    name = word.partition("@")[0]
    if name not in TASKS:
        if word in SUITES:
            return names(word)
        close = nearest(name, [*TASKS, *SUITES])
        raise ZooError(f'no task "{name}"{close}. All tasks: phizoo eval tasks; all suites: phizoo eval tasks --suites')
    return (word,)


def average(aggregate: Aggregate, scores: Mapping[tuple[str, str], tuple[float, float, float]]) -> Average:
    """An aggregate over published scores.

    scores   (task@protocol, metric) -> value, low, high
    Returns  the mean with equal weights. The parts are different questions, so their errors are
             independent: the half-width is the root of the parts' squared ones, over their number
    """
    missing = tuple(part.task for part in aggregate.parts if (part.task, part.metric) not in scores)
    if missing:
        return Average(name=aggregate.name, version=aggregate.version, value=None, low=None, high=None, missing=missing)
    parts = [scores[part.task, part.metric] for part in aggregate.parts]
    value = sum(part[0] for part in parts) / len(parts)
    half = Z * sqrt(sum(((high - low) / (2 * Z)) ** 2 for _, low, high in parts)) / len(parts)
    low, high = max(0.0, value - half), min(1.0, value + half)
    return Average(name=aggregate.name, version=aggregate.version, value=value, low=low, high=high, missing=())


def averages(scores: Mapping[tuple[str, str], tuple[float, float, float]], of: Sequence[str] = ()) -> Iterator[Average]:
    """Every aggregate (or those named) over published scores."""
    for aggregate in AGGREGATES:
        if not of or aggregate.name in of:
            yield average(aggregate, scores)
