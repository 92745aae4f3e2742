"""The difference of two checkpoints on a task or an average, with its interval at any level.

Paired by sample where both runs have their lines here, otherwise by the two scores' own intervals, and then said so.
"""

from collections.abc import Sequence
from functools import partial
from typing import NamedTuple

from evals.results.choice import samples_of
from evals.results.compare import paired_task, score_ends, shared_samples
from evals.stats.averages import PairedTask, mover
from evals.stats.equivalence import Ends
from evals.stats.intervals import LEVEL, normal_quantile, score_interval
from evals.stats.paired import unpaired_interval
from evals.suites import Average
from zoo.errors import ZooError
from zoo.metrics import metric_of
from zoo.records import Score
from zoo.registry import Registry


class Contrast(NamedTuple):
    """A difference, first minus second.

    ends      gives value, low and high at a level
    tasks     the paired scores behind it, one entry a task; empty where nothing is paired
    unpaired  the tasks without shared samples here
    n         samples compared, of all tasks
    """

    ends: Ends
    tasks: tuple[PairedTask, ...]
    unpaired: tuple[str, ...]
    n: int
    note: str = ""


def task_contrast(registry: Registry, first: Score, second: Score) -> Contrast:
    """The difference of two scores of one protocol."""
    both, missed = _pairs(registry, first, second)
    if both is None:
        ends = partial(unpaired_interval, score_ends(first), score_ends(second), metric=metric_of(first.metric))
        n = min(first.n, second.n)
        return Contrast(ends, (), (first.task,), n, "unpaired, without shared samples here")
    note = f"{missed:,} samples that only one of them has scored are left out" if missed else ""
    return Contrast(both.ends, (both,), (), len(both.first), note)


def average_contrast(registry: Registry, first: Average, second: Average) -> Contrast:
    """The difference of two averages that are whole, paired within each task."""
    parts: list[Ends] = []
    tasks: list[PairedTask] = []
    unpaired: list[str] = []
    other_form: list[str] = []
    n, left_out = 0, 0
    for one, two in zip(first.parts, second.parts, strict=True):
        assert one.score is not None and two.score is not None  # none is missing
        part = task_contrast(registry, one.score, two.score)
        parts.append(part.ends)
        tasks += part.tasks
        unpaired += [one.task] if part.unpaired else []
        n += part.n
        left_out += one.score.n + two.score.n - 2 * part.n if part.tasks else 0
        other_form += [f"{one.task} against {two.task}"] if one.task != two.task else []
    notes = [f"{left_out:,} samples that only one of them has scored are left out"] if left_out else []
    notes += [f"paired by question over two forms: {', '.join(other_form)}"] if other_form else []
    notes += [f"unpaired, without shared samples here: {', '.join(unpaired)}"] if unpaired else []
    return Contrast(partial(_mean, parts), tuple(tasks), tuple(unpaired), n, "; ".join(notes))


def score_contrast(score: Score) -> Contrast:
    """A score itself, as a difference from 0."""
    metric = metric_of(score.metric)

    def ends(level: float) -> tuple[float, float, float]:
        if level == LEVEL:
            return score.value, score.low, score.high
        if not metric.is_share:
            wider = normal_quantile(level) / normal_quantile()
            below, above = score.value - score.low, score.high - score.value
            return score.value, score.value - wider * below, score.value + wider * above
        interval = score_interval(score.value, score_ends(score).effective, normal_quantile(level))
        return interval.value, interval.low, interval.high

    return Contrast(ends, (), (), score.n)


def _mean(parts: Sequence[Ends], level: float) -> tuple[float, float, float]:
    return mover([ends(level) for ends in parts])


def _pairs(registry: Registry, first: Score, second: Score) -> tuple[PairedTask | None, int]:
    """The values of the samples that both scored, and how many only one has; None if there are none."""
    try:
        sides = samples_of(registry, first), samples_of(registry, second)
    except ZooError:
        return None, 0
    both = shared_samples(*sides)
    return (paired_task(both, metric_of(first.metric)) if both else None), len(sides[0].keys() ^ sides[1].keys())
