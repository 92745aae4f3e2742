"""Suites are named lists of tasks; aggregates are named means of their scores, each with a version.

An aggregate lists its parts as task@protocol and metric. Its fingerprint covers the parts and the versions
of their tasks; a changed part makes a new version, so a name never changes its meaning
(tests/golden/aggregates.json holds the fingerprints). `SUITES` includes the tables of the Phi reports.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from math import sqrt

from msgspec.structs import replace

from evals.task import Task
from evals.tasks import TASKS, protocols
from evals.tasks import task as find_task
from zoo.choice import CURRENT, choose
from zoo.digest import digest
from zoo.errors import ZooError, nearest
from zoo.metrics import BITS_PER_BYTE, Metric, metric_of
from zoo.protocol_names import BETWEEN_NAMES, first_name
from zoo.records import ProtocolRecord, Record, Score

Z = 1.959963984540054  # the normal's 97.5% point, as in the intervals of the parts

OLMES = (  # task, the metric of its cloze form
    ("arc_challenge", "acc_uncond"), ("arc_easy", "acc_per_char"), ("boolq", "acc_raw"),
    ("commonsense_qa", "acc_uncond"), ("hellaswag", "acc_per_char"), ("openbookqa", "acc_uncond"),
    ("piqa", "acc_per_char"), ("siqa", "acc_per_char"), ("winogrande", "acc_raw"),
)  # fmt: skip
# what a small model's bits per byte are of -> the gold answers, under their right context
SMALL_BITS = {
    "code": "humaneval_bpb@olmo-bpb-0", "maths": "gsm8k_bpb@olmo-bpb-quick3",
    "text": "hellaswag_bpb@olmo-bpb-quick3",
}  # fmt: skip
SUITES: dict[str, tuple[str, ...]] = {
    # arXiv:2306.11644, table 1
    "phi-1": ("humaneval@openai", "mbpp@lm-eval"),
    # arXiv:2309.05463, tables 2 (common sense), 3 (language and knowledge), 4 (reasoning, GSM8K via coding)
    "phi-1.5": (
        "winogrande@lm-eval", "arc_easy@lm-eval", "arc_challenge@lm-eval", "boolq@lm-eval", "siqa@lm-eval",
        "piqa@lm-eval", "hellaswag@lm-eval", "mmlu@phi-1.5", "openbookqa@lm-eval", "squad@phizoo", "gsm8k@code",
        "humaneval@openai", "mbpp@lm-eval",
    ),
    # the phi-2 announcement's table of five averages
    "phi-2": (
        "bbh@phi", "piqa@lm-eval", "winogrande@lm-eval", "arc_easy@lm-eval", "arc_challenge@lm-eval", "siqa@lm-eval",
        "hellaswag@lm-eval", "openbookqa@lm-eval", "mmlu@lm-eval-5", "squad_v2@phi", "boolq@lm-eval", "gsm8k@phi",
        "humaneval@openai", "mbpp@lm-eval",
    ),
    "quick": (
        "humaneval@openai-quick2", "mini_exercises@phizoo-quick2", "arc_easy@lm-eval-quick2", "piqa@lm-eval-quick2",
        "winogrande@lm-eval-quick2", "hellaswag@lm-eval-quick2", "boolq@lm-eval-quick2", "openbookqa@lm-eval-quick2",
        "mmlu@lm-eval-quick2",
    ),
    # by signal at 1M to 350M parameters: bits per byte, and cloze forms whose published decision accuracy is 74 or more
    "small": (
        *SMALL_BITS.values(), "arc_easy@lm-eval-quick3", "mmlu@cloze-quick3", "hellaswag@lm-eval-quick3",
        "piqa@lm-eval-quick3",
    ),
    # arXiv:2406.08446: nine of its ten tasks, MMLU's prompts are not shipped
    "olmes": tuple(f"{task}@olmes-{form}" for task, _ in OLMES for form in ("rc", "mc")),
    "all": (),  # every task under its default protocol, see `task_names`
}  # fmt: skip


class Part(Record, frozen=True, kw_only=True):
    """One score of an aggregate.

    task   task@protocol
    other  another form of the same questions, task@protocol and metric: the better of the two counts
    """

    task: str
    metric: str
    other: tuple[str, str] | None = None

    @property
    def forms(self) -> "tuple[Part, ...]":
        """The part itself, or each of its two forms."""
        own = Part(task=self.task, metric=self.metric)
        return (own,) if self.other is None else (own, Part(task=self.other[0], metric=self.other[1]))


class Aggregate(Record, frozen=True, kw_only=True):
    """A mean of scores with equal weights, and its version."""

    name: str
    version: int
    about: str
    parts: tuple[Part, ...]

    @property
    def metric(self) -> Metric:
        """The facts of its parts' metrics, of one scale and direction: a mean of bits and accuracies means nothing.

        Raises  ValueError if they do not
        """
        kinds = {metric_of(form.metric)._replace(name="", title="") for part in self.parts for form in part.forms}
        if len(kinds) != 1:
            raise ValueError(f"the average {self.name!r} mixes metrics of other scales or directions")
        return metric_of(self.parts[0].metric)

    @property
    def fingerprint(self) -> str:
        """sha256 over the parts and the versions of their tasks: the identity of this version."""
        forms = (form for part in self.parts for form in part.forms)
        parts = ((part, *part.task.partition("@")[::2]) for part in forms)
        return digest(
            [
                [f"{task}@{first_name(task, name)}", part.metric, find_task(part.task).version]
                for part, task, name in parts
            ]
        )


class PartScore(Record, frozen=True, kw_only=True):
    """One part of an average. version: of its task; reason: why there is no score, "" where there is one."""

    task: str
    metric: str
    version: int
    score: Score | None = None
    partial: str = ""
    reason: str = ""


class Average(Record, frozen=True, kw_only=True):
    """An aggregate's value with its 95% interval over n samples of all parts; None where a part is missing.

    missing      the parts that have no score
    worst, best  the value if all unscored samples were wrong, or all right
    """

    name: str
    version: int
    value: float | None
    low: float | None
    high: float | None
    missing: tuple[str, ...]
    n: int = 0
    unscored: int = 0
    worst: float | None = None
    best: float | None = None
    parts: tuple[PartScore, ...] = ()


def _aggregate(name: str, version: int, about: str, *parts: str) -> Aggregate:
    pairs = (part.split() for part in parts)
    listed = tuple(Part(task=task, metric=metric) for task, metric in pairs)
    return Aggregate(name=name, version=version, about=about, parts=listed)


AGGREGATES: tuple[Aggregate, ...] = (
    _aggregate("phi-1 code", 1, "arXiv:2306.11644, table 1", "humaneval@openai pass@1", "mbpp@lm-eval pass@1"),
    _aggregate(
        "phi-1.5 common sense", 2, "arXiv:2309.05463, table 2",
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
        "phi-2 language", 2, "the phi-2 announcement",
        "hellaswag@lm-eval acc", "openbookqa@lm-eval acc", "mmlu@lm-eval-5 acc", "squad_v2@phi exact",
        "boolq@lm-eval acc",
    ),
    _aggregate("phi-2 math", 1, "the phi-2 announcement, 8-shot", "gsm8k@phi flexible-extract"),
    _aggregate("phi-2 coding", 1, "the phi-2 announcement", "humaneval@openai pass@1", "mbpp@lm-eval pass@1"),
    _aggregate(
        "quick", 4, "every part of suite quick",
        "humaneval@openai-quick2 pass@1", "mini_exercises@phizoo-quick2 pass@1", "arc_easy@lm-eval-quick2 acc",
        "piqa@lm-eval-quick2 acc", "winogrande@lm-eval-quick2 acc", "hellaswag@lm-eval-quick2 acc",
        "boolq@lm-eval-quick2 acc", "openbookqa@lm-eval-quick2 acc", "mmlu@lm-eval-quick2 acc",
    ),
    _aggregate(
        "small accuracy", 1, "the parts of suite small with choices",
        "arc_easy@lm-eval-quick3 acc", "mmlu@cloze-quick3 acc_norm", "hellaswag@lm-eval-quick3 acc",
        "piqa@lm-eval-quick3 acc",
    ),
    _aggregate(
        "small bits per byte", 1, "the parts of suite small with gold answers; less is better",
        *(f"{name} {BITS_PER_BYTE}" for name in SMALL_BITS.values()),
    ),
    Aggregate(
        name="olmes", version=1, about="arXiv:2406.08446: the better of cloze and letters, nine of its ten tasks",
        parts=tuple(
            Part(task=f"{name}@olmes-rc", metric=metric, other=(f"{name}@olmes-mc", "acc_raw"))
            for name, metric in OLMES
        ),
    ),
)  # fmt: skip


def task_names(suite: str) -> tuple[str, ...]:
    """The task@protocol names of a suite. Raises ZooError with the nearest known suite."""
    if suite not in SUITES:
        raise ZooError(f'no suite "{suite}"{nearest(suite, SUITES)}. All suites: phizoo eval tasks --suites')
    if suite == "all":
        return tuple(f"{name}@{next(iter(protocols(name)))}" for name in TASKS)
    return SUITES[suite]


def benchmarks(suite: str) -> tuple[str, ...]:
    """The benchmarks of a suite: its tasks without their protocols."""
    return tuple(name.partition("@")[0] for name in task_names(suite))


def find_tasks(spec: str) -> list[Task]:
    """The tasks of a list, each once, in the order given.

    spec    with commas between: task, task@protocol, suite:NAME (or the name of a suite, unless a task has it)
    Raises  ZooError with the nearest known name, or if the list is empty

    >>> [f"{task.name}@{task.protocol}" for task in find_tasks("suite:phi-1, humaneval,arc_easy@lm-eval-quick2")]
    ['humaneval@openai', 'mbpp@lm-eval', 'arc_easy@lm-eval-quick2']
    """
    tasks: dict[tuple[str, str], Task] = {}
    for word in filter(None, (part.strip() for part in re.split(BETWEEN_NAMES, spec))):
        for task in map(find_task, _expand(word)):
            tasks.setdefault((task.name, task.protocol), task)
    if not tasks:
        raise ZooError("--task names no task. All tasks: phizoo eval tasks; all suites: phizoo eval tasks --suites")
    return list(tasks.values())


def _expand(word: str) -> tuple[str, ...]:
    if word.startswith("suite:"):
        return task_names(word.removeprefix("suite:"))
    name = word.partition("@")[0]
    if name not in TASKS:
        if word in SUITES:
            return task_names(word)
        close = nearest(name, [*TASKS, *SUITES])
        raise ZooError(f'no task "{name}"{close}. All tasks: phizoo eval tasks; all suites: phizoo eval tasks --suites')
    return (word,)


def average(aggregate: Aggregate, parts: Sequence[PartScore]) -> Average:
    """The value of an aggregate, from the scores of its parts, in their order.

    Returns  the mean with equal weights. The parts have different questions, so their errors are independent:
             the half-width is the root of the sum of the parts' squared half-widths, over their number
    """
    scores = [part.score for part in parts if part.score]
    missing = tuple(part.task for part in parts if part.score is None)
    stat = Average(
        name=aggregate.name, version=aggregate.version, value=None, low=None, high=None, missing=missing,
        n=sum(score.n for score in scores), unscored=sum(score.unscored for score in scores), parts=tuple(parts),
    )  # fmt: skip
    if missing:
        return stat
    value, worst, best = (
        None if None in (each := [getattr(score, field) for score in scores]) else sum(each) / len(each)
        for field in ("value", "worst", "best")
    )
    assert value is not None  # a score has a value
    half = Z * sqrt(sum(((score.high - score.low) / (2 * Z)) ** 2 for score in scores)) / len(scores)
    low, high = max(0.0, value - half), min(aggregate.metric.highest, value + half)
    return replace(stat, value=value, low=low, high=high, worst=worst, best=best)


def averages(scores: Sequence[Score], protocols: Mapping[str, ProtocolRecord]) -> Iterator[Average]:
    """The values of all aggregates, from one checkpoint's scores.

    scores     that stand for their cells, of any task (`evals.results.choice.chosen_scores`)
    protocols  by fingerprint
    """
    for aggregate in AGGREGATES:
        yield average(aggregate, [_better_form(part, scores, protocols) for part in aggregate.parts])


def _better_form(part: Part, scores: Sequence[Score], protocols: Mapping[str, ProtocolRecord]) -> PartScore:
    """The score of a part; of two forms the better, if both are measured. The better of two flatters."""
    forms = [_part_score(form, scores, protocols) for form in part.forms]
    missing = next((form for form in forms if form.score is None), None)
    return missing or max(forms, key=lambda form: metric_of(form.metric).merit(form.score.value if form.score else 0.0))


def _part_score(part: Part, scores: Sequence[Score], protocols: Mapping[str, ProtocolRecord]) -> PartScore:
    """The score of a part under today's version of its task; the reason where there is none."""
    version = find_task(part.task).version
    name, _, protocol = part.task.partition("@")
    known = [
        score
        for score in scores
        if (score.task, score.metric, score.subset) == (name, part.metric, "all")
        and score.protocol in protocols and protocols[score.protocol].name == protocol
    ]  # fmt: skip
    today = [score for score in known if protocols[score.protocol].task_version == version]
    levels = choose(today, protocols)
    row = PartScore(task=part.task, metric=part.metric, version=version)
    if CURRENT not in levels:
        others = sorted({protocols[score.protocol].task_version for score in known})
        reason = f"only version {', '.join(map(str, others))} is measured" if others else "not measured"
        return replace(row, reason=reason)
    score = today[levels.index(CURRENT)]
    return replace(row, score=score, partial=protocols[score.protocol].partial)
