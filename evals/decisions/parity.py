"""Holds two engines' scores on the same samples against a margin: does the choice of engine move a score?"""

from collections.abc import Mapping, Sequence
from contextlib import ExitStack

from evals.checks.engine_check import Answer
from evals.records import ChoiceScores, Generation, Sample
from evals.run import score_choices, score_texts
from evals.sandbox import open_sandbox
from evals.stats.averages import PairedTask
from evals.stats.equivalence import Equivalence, Verdict, two_one_sided, verdict
from evals.stats.paired import Difference
from evals.task import Task
from evals.tasks import groups_of
from zoo.errors import ZooError
from zoo.metrics import metric_of
from zoo.records import Record


class EngineVerdict(Record, frozen=True, kw_only=True):
    """Two engines' scores on one task: first minus second, held against a margin (in the metric's stored unit)."""

    task: str
    first: str
    second: str
    metric: str
    difference: Difference
    equivalence: Equivalence
    verdict: Verdict
    unscored: int


def judge_engines(
    task: Task, samples: Sequence[Sample], names: tuple[str, str],
    answers: tuple[Mapping[str, Answer], Mapping[str, Answer]], margin: float,
) -> EngineVerdict:  # fmt: skip
    """The verdict on two engines' answers to the same samples.

    margin  as it is shown: in points, or in the unit of a metric that is no share
    Raises  ZooError if no sample was scored under both
    """
    by_id = {sample.id: sample for sample in samples}
    first, second = (_scores(task, by_id, side) for side in answers)
    both = [sample.id for sample in samples if sample.id in first and sample.id in second]
    if not both:
        raise ZooError(f"no sample of {task.name} was scored under both {names[0]} and {names[1]}")
    clustered = groups_of(task.name) == "clusters"
    units = [by_id[name].cluster if clustered and by_id[name].cluster else name for name in both]
    metric = metric_of(task.metrics[0])
    sides = PairedTask([first[name] for name in both], [second[name] for name in both], units, metric)
    difference, held = sides.difference(), two_one_sided(sides.ends, margin / metric.scale)
    return EngineVerdict(
        task=f"{task.name}@{task.protocol}", first=names[0], second=names[1], metric=metric.name,
        difference=difference, equivalence=held,
        verdict=verdict(held, metric.merit(difference.value), difference.p), unscored=len(samples) - len(both),
    )  # fmt: skip


def _scores(task: Task, samples: Mapping[str, Sample], answers: Mapping[str, Answer]) -> dict[str, float]:
    """The score of each answer, without those that could not be scored."""
    choices = [answer for answer in answers.values() if isinstance(answer, ChoiceScores)]
    texts = [answer for answer in answers.values() if isinstance(answer, Generation)]
    with ExitStack() as stack:
        sandbox = stack.enter_context(open_sandbox()) if task.kind == "code" and texts else None
        results = [score_choices(task, samples[answer.sample], answer) for answer in choices]
        results += score_texts(task, dict(samples), texts, sandbox)
    return {result.sample: result.score for result in results if result.score is not None}
