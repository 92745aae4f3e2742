"""Compares up to six checkpoints with the first of them, paired by sample, with p adjusted over all comparisons."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import msgspec

from evals.results.compare import PUBLISHED, Flip, Kind, compare
from evals.stats.paired import Difference, holm
from zoo import published
from zoo.errors import ZooError
from zoo.metrics import metric_of
from zoo.records import Record

if TYPE_CHECKING:
    from zoo.registry import Registry

MAX_CHECKPOINTS = 6


class CheckpointComparison(Record, frozen=True):
    """One checkpoint compared with the reference under one protocol.

    difference  checkpoint minus reference, in -1..1 or in the metric's unit
    p           two-sided, Holm-adjusted over one reading of each task and pair; None if nothing was tested, and for
                further readings, whose p in `difference` is not adjusted
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


def compare_checkpoints(
    registry: "Registry", labels: Sequence[str], tasks: Sequence[str] = ()
) -> tuple[CheckpointComparison, ...]:
    """Compares every checkpoint with the first, on each protocol that both have.

    One alone is compared with itself: as completions against by chat, which shows what its template changes.
    The first may be a published model, `published:NAME`.
    Leaves out a checkpoint that shares no protocol with the first. Raises ZooError for unknown names.
    """
    alone, comparisons = len(labels) == 1, []
    for label in labels if alone else labels[1:MAX_CHECKPOINTS]:
        try:
            rows = compare(registry, label, labels[0], tasks, flips=True, chat=alone).rows
        except ZooError:
            registry.get(label)  # raises if the name is unknown; no shared protocol is no error
            if labels[0] not in published_labels():
                registry.get(labels[0])
            continue
        for row in rows:
            comparison = CheckpointComparison(
                checkpoint=f"{label}, completions" if alone else label,
                reference=f"{label}, by chat" if alone else labels[0].removeprefix(PUBLISHED),
                task=row.task, column=row.column, metric=row.metric,
                kind=row.kind, value=row.first, reference_value=row.second, difference=row.difference,
                p=row.difference.p if row.difference and row.family else None, runs=row.runs, note=row.note,
                flips=row.flips,
            )  # fmt: skip
            comparisons.append(comparison)
    return adjust(comparisons)


def published_labels() -> tuple[str, ...]:
    """The published models as `phizoo eval compare` names them beyond doubt."""
    return tuple(f"{PUBLISHED}{name}" for name in published.by_model())


def default_pair(registry: "Registry", digests: Mapping[str, str], first: str = "") -> tuple[str, str]:
    """The newest checkpoint whose parent has scores too, and that parent; else the two newest.

    digests  by label, at least one, newest first
    first    not the newest, but this one, with its parent or else the newest other
    """
    labels = {digest: label for label, digest in digests.items()}
    for label in [first] if first else digests:
        for parent in registry.get(label).parents:
            if parent.digest in labels:
                return label, labels[parent.digest]
    chosen = first or next(iter(digests))
    return chosen, next((label for label in digests if label != chosen), chosen)


def adjust(comparisons: Sequence[CheckpointComparison]) -> tuple[CheckpointComparison, ...]:
    """The comparisons with Holm's p over all that have one, in place of the p that each has alone."""
    tested = [pair for pair in comparisons if pair.p is not None and pair.difference is not None]
    adjusted = iter(holm([pair.difference.p for pair in tested if pair.difference]))
    return tuple(pair if pair.p is None else msgspec.structs.replace(pair, p=next(adjusted)) for pair in comparisons)


def difference_text(comparison: CheckpointComparison) -> str:
    """The difference with its interval, in points or in the metric's unit.

    >>> from evals.stats.paired import paired_difference
    >>> comparison = CheckpointComparison(
    ...     checkpoint="b", reference="a", task="t", column="t", metric="m", kind="paired", value=1.0,
    ...     reference_value=0.0, difference=paired_difference([1.0] * 9, [0.0] * 9), p=0.004,
    ...     runs=(), note="", flips=())
    >>> difference_text(comparison).startswith("+100.0 [")
    True
    """
    difference, metric = comparison.difference, metric_of(comparison.metric)
    if difference is None:
        return metric.text(comparison.value - comparison.reference_value, "+")
    value, low, high = (metric.text(end, "+") for end in (difference.value, difference.low, difference.high))
    return f"{value} [{low} to {high}]"
