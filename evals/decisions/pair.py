"""Two checkpoints compared on tasks and on averages, and one verdict on both against a margin."""

from collections.abc import Sequence
from typing import Any

import msgspec

from evals.decisions.averages import AverageRow, compare_averages
from evals.decisions.published_pair import compare_published
from evals.results.compare import PUBLISHED, Comparison, ComparisonRow, compare, find_first, find_second
from evals.stats.equivalence import SIDE, Equivalence, Verdict, overall, samples_for_equivalence
from evals.stats.intervals import normal_quantile
from evals.stats.paired import Difference
from zoo.errors import ZooError
from zoo.metrics import metric_of
from zoo.records import Checkpoint, Record
from zoo.registry import Registry


class PairDecision(Record, frozen=True, kw_only=True):
    """A pair's rows by task (None if only averages were asked for), its averages, and the margin as it is shown."""

    first: str
    second: str
    comparison: Comparison | None
    averages: tuple[AverageRow, ...]
    margin: float | None

    @property
    def verdict(self) -> Verdict | None:
        """Of all rows of the family and all averages; None without a margin."""
        if self.margin is None:
            return None
        rows = self.comparison.rows if self.comparison else ()
        judged = [row for row in rows if row.equivalence is not None or metric_of(row.metric).is_share]
        family = [row.verdict for row in judged if row.family] or [row.verdict for row in judged]
        return overall([*family, *(row.verdict for row in self.averages)])

    @property
    def _rows(self) -> tuple[ComparisonRow | AverageRow, ...]:
        return *(self.comparison.rows if self.comparison else ()), *self.averages

    @property
    def needs(self) -> dict[str, int]:
        """For each open row the samples that would show equal models equivalent, four times in five."""
        return {
            row.name if isinstance(row, AverageRow) else row.column: _samples_needed(row.difference, row.equivalence)
            for row in self._rows
            if row.verdict == "NOT RESOLVED" and row.equivalence is not None and row.difference is not None
        }

    def as_json(self) -> dict[str, Any]:
        """The comparison's own shape, with averages, and verdicts where a margin was given."""
        if self.comparison is None:
            data: dict[str, Any] = {"first": self.first, "second": self.second, "rows": []}
        else:
            data = msgspec.to_builtins(self.comparison)
        data["averages"] = msgspec.to_builtins(self.averages)
        if self.margin is None:
            return data
        for row, fields in zip(self._rows, (*data["rows"], *data["averages"]), strict=True):
            fields["verdict"] = row.verdict
        return {**data, "margin": self.margin, "verdict": self.verdict}


def _samples_needed(difference: Difference, held: Equivalence) -> int:
    """As many samples more as their differences spread: by the discordant share, or by the interval's width."""
    square = (difference.wins + difference.losses) / difference.n
    if difference.method != "mcnemar":
        square = difference.n * ((held.high - held.low) / 2 / normal_quantile(1 - 2 * SIDE)) ** 2
    return samples_for_equivalence(square, held.margin)


def compare_pair(
    registry: Registry, names: tuple[str, str], tasks: Sequence[str] = (), averages: Sequence[str] = (),
    margin: float | None = None, *, flips: bool = False, chat: bool = False,
) -> PairDecision:  # fmt: skip
    """Compares two checkpoints on the tasks that both have, and on the averages that both have whole.

    tasks     only these; averages are then left out, unless they are named too
    averages  only these, and no single task unless `tasks` names some
    margin    the largest difference that does not matter, in points; of rows that are no shares alone, in their unit
    Raises    ZooError as `evals.results.compare.compare` does; for averages of a published model or by chat
    """
    share = None if margin is None else margin / 100
    comparison = None
    if all(name.startswith(PUBLISHED) for name in names):
        if tasks or averages or flips or chat:
            raise ZooError("two published models have no samples here: leave out every option but --margin and --json")
        rows = compare_published(*names, share)
        return PairDecision(first=rows.first, second=rows.second, comparison=rows, averages=(), margin=margin)
    if tasks or not averages:
        comparison = compare(registry, *names, tasks, flips=flips, chat=chat, margin=margin)
    pair = find_first(registry, names[0]), find_second(registry, names[1])
    if averages and (chat or not isinstance(pair[1], Checkpoint)):
        raise ZooError("--average compares two checkpoints of this zoo; leave out --chat, and name no published model")
    means: tuple[AverageRow, ...] = ()
    if isinstance(pair[1], Checkpoint) and not chat and (averages or not tasks):
        means = compare_averages(registry, pair[0], pair[1], averages, share)
    labels = [side.label if isinstance(side, Checkpoint) and side.version else name
              for side, name in zip(pair, names, strict=True)]  # fmt: skip
    if comparison is not None:
        labels = [comparison.first, comparison.second]
    return PairDecision(first=labels[0], second=labels[1], comparison=comparison, averages=means, margin=margin)
