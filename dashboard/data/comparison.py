"""Two to six checkpoints against the first of them, paired on the same samples, p adjusted for all of it."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import msgspec

from evals.results.compare import Flip, Kind, compare
from evals.stats.paired import Difference, holm
from zoo.errors import ZooError
from zoo.records import Record

if TYPE_CHECKING:
    from zoo.registry import Registry

MOST = 6


class Line(Record, frozen=True):
    """One checkpoint against the reference under one protocol.

    difference  checkpoint minus reference, in -1..1
    p           two-sided, Holm-adjusted over all lines of the comparison; None where there is no test
    runs        the run ids of checkpoint and reference
    """

    checkpoint: str
    reference: str
    task: str
    column: str
    metric: str
    kind: Kind
    value: float
    reference_value: float
    difference: Difference | None
    p: float | None
    runs: tuple[str, ...]
    note: str
    flips: tuple[Flip, ...]


def lines(registry: "Registry", labels: Sequence[str], tasks: Sequence[str] = ()) -> tuple[Line, ...]:
    """Every checkpoint after the first against the first, on every protocol that both have.

    A checkpoint that shares no protocol with the reference has no line. Raises ZooError for unknown names.
    """
    found = []
    for label in labels[1:MOST]:
        try:
            told = compare(registry, label, labels[0], tasks, flips=True)
        except ZooError:
            registry.get(label)  # an unknown name is an error, nothing in common is an answer
            registry.get(labels[0])
            continue
        for row in told.rows:
            line = Line(
                checkpoint=label, reference=labels[0], task=row.task, column=row.column, metric=row.metric,
                kind=row.kind, value=row.first, reference_value=row.second, difference=row.difference,
                p=row.difference.p if row.difference else None, runs=row.runs, note=row.note, flips=row.flips,
            )  # fmt: skip
            found.append(line)
    tested = [line for line in found if line.p is not None]
    adjusted = iter(holm([line.p for line in tested if line.p is not None]))
    return tuple(line if line.p is None else msgspec.structs.replace(line, p=next(adjusted)) for line in found)


def difference_text(line: Line) -> str:
    """The difference with its interval, in points.

    >>> from evals.stats.paired import paired_difference
    >>> line = Line(checkpoint="b", reference="a", task="t", column="t", metric="m", kind="paired", value=1.0,
    ...     reference_value=0.0, difference=paired_difference([1.0] * 9, [0.0] * 9), p=0.004,
    ...     runs=(), note="", flips=())
    >>> difference_text(line).startswith("+100.0 [")
    True
    """
    told = line.difference
    if told is None:
        return f"{100 * (line.value - line.reference_value):+.1f}"
    return f"{100 * told.value:+.1f} [{100 * told.low:+.1f} to {100 * told.high:+.1f}]"
