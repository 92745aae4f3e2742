"""Compares two checkpoints' averages (`evals.suites`), paired by sample within each task.

An average is compared where both have every part of it. The better of two forms of a task counts for each model, so
the two may be asked in different forms; such a task is paired by question all the same. Not here: the statistics
(`evals.stats.averages`), printing (`evals.decisions.cli.comparing`).
"""

from collections.abc import Sequence

from msgspec.structs import replace

from evals.results.choice import chosen_scores, samples_of
from evals.results.compare import paired_task, score_ends, shared_samples
from evals.stats.averages import PairedTask, average_difference, mover
from evals.stats.equivalence import Ends, Equivalence, Verdict, one_sided, two_one_sided, verdict
from evals.stats.intervals import LEVEL
from evals.stats.paired import Difference, holm, paired_interval, unpaired_interval
from evals.suites import AGGREGATES, Average, averages
from zoo.errors import ZooError, unknown
from zoo.records import Checkpoint, Record, Score
from zoo.registry import Registry


class AverageRow(Record, frozen=True, kw_only=True):
    """One average of two checkpoints, both with all of its parts.

    of             its parts, as the first has them
    first, second  the two values, 0..1; difference: first - second
    p_holm         adjusted for all averages that are compared here
    unpaired       the parts whose samples are missing: their intervals are used, and p comes from the interval
    """

    name: str
    version: int
    of: tuple[str, ...]
    first: float
    second: float
    difference: Difference
    p_holm: float
    equivalence: Equivalence | None = None
    unpaired: tuple[str, ...] = ()
    note: str = ""

    @property
    def verdict(self) -> Verdict:
        """The verdict against the margin; NOT RESOLVED without one."""
        if self.equivalence is None:
            return "NOT RESOLVED"
        return verdict(self.equivalence, self.difference.value, self.p_holm)


def compare_averages(
    registry: Registry, first: Checkpoint, second: Checkpoint, names: Sequence[str] = (), margin: float | None = None
) -> tuple[AverageRow, ...]:
    """The averages of two checkpoints that both have whole, in the order of `evals.suites.AGGREGATES`.

    names   only these, of which each must be there; all that are there if empty
    margin  the largest difference that does not matter, in 0..1
    Raises  ZooError for an unknown average, or one of `names` with a missing part, with the command to run next
    """
    known = {aggregate.name for aggregate in AGGREGATES}
    for name in names:
        if name not in known:
            raise unknown("average", name, known, "phizoo eval tasks --suites")
    protocols = registry.protocols()
    sides = [
        {stat.name: stat for stat in averages(chosen_scores(registry, checkpoint.digest), protocols)}
        for checkpoint in (first, second)
    ]
    rows = []
    for name in (aggregate.name for aggregate in AGGREGATES if not names or aggregate.name in names):
        pair = sides[0][name], sides[1][name]
        lacking = [(checkpoint, stat) for checkpoint, stat in zip((first, second), pair, strict=True) if stat.missing]
        if lacking and names:
            checkpoint, stat = lacking[0]
            raise ZooError(
                f'{checkpoint.label} lacks {len(stat.missing)} of the {len(stat.parts)} parts of "{name}". '
                f"Next: phizoo eval run {checkpoint.label} --task {','.join(stat.missing)}"
            )
        if not lacking:
            rows.append(_row(registry, pair, margin))
    # averages of the same parts are one question
    distinct = {row.of: row.difference.p for row in rows}
    adjusted = dict(zip(distinct, holm(list(distinct.values())), strict=True))
    return tuple(replace(row, p_holm=adjusted[row.of]) for row in rows)


def _row(registry: Registry, pair: tuple[Average, Average], margin: float | None) -> AverageRow:
    tasks: list[PairedTask] = []
    loose: list[Ends] = []
    unpaired, other_form, left_out = [], [], 0
    for one, two in zip(pair[0].parts, pair[1].parts, strict=True):
        assert one.score is not None and two.score is not None  # none is missing
        both, missed = _pairs(registry, one.score, two.score)
        if not both:
            unpaired.append(one.task)
            loose.append(_unpaired_ends(one.score, two.score))
            continue
        tasks.append(both)
        left_out += missed
        if one.task != two.task:
            other_form.append(f"{one.task} against {two.task}")

    def ends(level: float) -> tuple[float, float, float]:
        return mover([*(paired_interval(*task, level) for task in tasks), *(part(level) for part in loose)])

    difference = _difference(tasks, ends, unpaired, sum(part.score.n for part in pair[0].parts if part.score))
    notes = [f"{left_out:,} samples that only one of them has scored are left out"] if left_out else []
    notes += [f"paired by question over two forms: {', '.join(other_form)}"] if other_form else []
    notes += [f"unpaired, without shared samples here: {', '.join(unpaired)}"] if unpaired else []
    return AverageRow(
        name=pair[0].name, version=pair[0].version, of=tuple(f"{part.task} {part.metric}" for part in pair[0].parts),
        first=pair[0].value or 0.0, second=pair[1].value or 0.0, difference=difference, p_holm=difference.p,
        equivalence=None if margin is None else two_one_sided(ends, margin),
        unpaired=tuple(unpaired), note="; ".join(notes),
    )  # fmt: skip


def _difference(tasks: Sequence[PairedTask], ends: Ends, unpaired: Sequence[str], n: int) -> Difference:
    """The difference of two averages; by the interval alone where a part's samples are missing."""
    if not unpaired:
        return average_difference(tasks)
    value, low, high = ends(LEVEL)
    below = one_sided(ends, 0.0)
    p = min(1.0, 2 * min(below, 1 - below))
    return Difference(value=value, low=low, high=high, p=p, method="unpaired", n=n, clusters=n)


def _pairs(registry: Registry, first: Score, second: Score) -> tuple[PairedTask | None, int]:
    """The values of the samples that both scored, and how many only one has; None if there are none."""
    try:
        sides = samples_of(registry, first), samples_of(registry, second)
    except ZooError:
        return None, 0
    both = shared_samples(*sides)
    return (paired_task(both) if both else None), len(sides[0].keys() ^ sides[1].keys())


def _unpaired_ends(first: Score, second: Score) -> Ends:
    left, right = score_ends(first), score_ends(second)
    return lambda level: unpaired_interval(left, right, level)
