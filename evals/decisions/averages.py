"""Compares two checkpoints' averages (`evals.suites`), paired by sample within each task.

An average is compared where both have every part of it. The better of two forms of a task counts for each model, so
the two may be asked in different forms; such a task is paired by question all the same. Not here: the statistics
(`evals.stats.averages`), printing (`evals.decisions.cli.comparing`).
"""

from collections.abc import Sequence

from msgspec.structs import replace

from evals.decisions.contrast import Contrast, average_contrast
from evals.results.choice import chosen_scores
from evals.stats.averages import average_difference
from evals.stats.equivalence import Equivalence, Verdict, one_sided, two_one_sided, verdict
from evals.stats.intervals import LEVEL
from evals.stats.paired import Difference, holm
from evals.suites import AGGREGATES, Average, averages
from zoo.errors import ZooError, unknown
from zoo.records import Checkpoint, Record
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
    sides = [whole_averages(registry, checkpoint, names) for checkpoint in (first, second)]
    rows = [_row(registry, (stat, sides[1][name]), margin) for name, stat in sides[0].items() if name in sides[1]]
    # averages of the same parts are one question
    distinct = {row.of: row.difference.p for row in rows}
    adjusted = dict(zip(distinct, holm(list(distinct.values())), strict=True))
    return tuple(replace(row, p_holm=adjusted[row.of]) for row in rows)


def _row(registry: Registry, pair: tuple[Average, Average], margin: float | None) -> AverageRow:
    contrast = average_contrast(registry, *pair)
    difference = _difference(contrast)
    return AverageRow(
        name=pair[0].name, version=pair[0].version,
        of=tuple(f"{part.task} {part.metric}" for part in pair[0].parts),
        first=pair[0].value or 0.0, second=pair[1].value or 0.0, difference=difference, p_holm=difference.p,
        equivalence=None if margin is None else two_one_sided(contrast.ends, margin),
        unpaired=contrast.unpaired, note=contrast.note,
    )  # fmt: skip


def _difference(contrast: Contrast) -> Difference:
    """The difference of two averages; by the interval alone where a part's samples are missing."""
    if not contrast.unpaired:
        return average_difference(contrast.tasks)
    value, low, high = contrast.ends(LEVEL)
    below, n = one_sided(contrast.ends, 0.0), contrast.n
    p = min(1.0, 2 * min(below, 1 - below))
    return Difference(value=value, low=low, high=high, p=p, method="unpaired", n=n, clusters=n)


def whole_averages(registry: Registry, checkpoint: Checkpoint, names: Sequence[str] = ()) -> dict[str, Average]:
    """A checkpoint's averages of shares that have every part.

    Raises ZooError if one of `names` is unknown, not whole, or of bits per byte: its differences are no points.
    """
    known = {aggregate.name: aggregate for aggregate in AGGREGATES}
    for name in names:
        if name not in known:
            raise unknown("average", name, known, "phizoo eval tasks --suites")
        if not known[name].metric.is_share:
            tasks = ",".join(part.task for part in known[name].parts)
            raise ZooError(f'"{name}" is no share; compare its tasks: phizoo eval compare A B --task {tasks}')
    every = averages(chosen_scores(registry, checkpoint.digest), registry.protocols())
    stats = {stat.name: stat for stat in every if not names or stat.name in names}
    for name in names:
        if missing := stats[name].missing:
            raise ZooError(
                f'{checkpoint.label} lacks {len(missing)} of the {len(stats[name].parts)} parts of "{name}". '
                f"Next: phizoo eval run {checkpoint.label} --task {','.join(missing)}"
            )
    return {name: stat for name, stat in stats.items() if not stat.missing and known[name].metric.is_share}
