"""The numbers of a ladder's tables: one arm's mean over its seeds, and the difference of two arms.

Intervals of losses are over seeds (Student's t); those of scores and of bits per byte of gold answers are over seeds
and samples. Differences are paired by seed, and by sample where there are samples.
"""

import math
import statistics
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from training.ladder.rungs import Rung
from zoo.cli import output
from zoo.metrics import BITS_PER_BYTE
from zoo.records import Checkpoint, Record

if TYPE_CHECKING:
    from evals.stats.paired import Difference
    from evals.stats.seeds import SeedDifference

DIGITS = 3  # of bits per byte


class RungResult(Record, frozen=True, kw_only=True):
    """One finished rung and its records.

    scores  of the ladder's task, by sample
    bits    bits per byte of gold answers: what they are of -> sample -> value
    kinds   bits per byte of held-out text, by its kind
    evals   task -> the run that scored it
    """

    rung: Rung
    checkpoint: Checkpoint
    curve: tuple[dict[str, Any], ...]
    scores: dict[str, float]
    bits: dict[str, dict[str, float]]
    kinds: dict[str, float]
    evals: dict[str, str]
    proof: dict[str, Any] | None = None

    @property
    def first_loss(self) -> float:
        """Loss of the first batch, before any update: the same batch for all arms of a seed."""
        return float(self.curve[0]["loss"])

    @property
    def final_loss(self) -> float:
        """The last validation loss."""
        return float([line for line in self.curve if "validation_loss" in line][-1]["validation_loss"])

    @property
    def flops(self) -> float:
        """FLOPs of this run alone, without its parent's."""
        return float(self.checkpoint.training_flops or 0.0) - self.parent_flops

    parent_flops: float = 0.0


class LadderCell(Record, frozen=True):
    """A number as text and as (value, low, high), with the names of its runs (none: published, or a label)."""

    text: str
    runs: tuple[str, ...] = ()
    interval: tuple[float, float, float] = (math.nan, math.nan, math.nan)


EMPTY = LadderCell("")


class LadderTable(Record, frozen=True):
    """One table: its title, a note for the reader, its rows, and findings in words."""

    title: str
    note: str
    columns: tuple[str, ...]
    rows: tuple[tuple[LadderCell, ...], ...]
    findings: tuple[str, ...] = ()


def over_seeds(values: Sequence[float]) -> tuple[float, float, float]:
    """Mean and 95% Student interval over seeds; infinite ends for one seed.

    >>> [round(value, 2) for value in over_seeds([1.0, 2.0, 3.0])]
    [2.0, -0.48, 4.48]
    """
    from evals.stats.intervals import student_quantile

    mean = statistics.fmean(values)
    if len(values) < 2:
        return mean, -math.inf, math.inf
    half = student_quantile(len(values) - 1) * statistics.stdev(values) / math.sqrt(len(values))
    return mean, mean - half, mean + half


def names_of(runs: Sequence[RungResult]) -> tuple[str, ...]:
    """The names of runs, to which a cell links."""
    return tuple(run.rung.name for run in runs)


def runs_of_arm(ran: Sequence[RungResult], study: str, arm: str) -> list[RungResult]:
    """The runs of one arm, sorted by seed."""
    return sorted((run for run in ran if (run.rung.study, run.rung.arm) == (study, arm)), key=lambda run: run.rung.seed)


def number(runs: Sequence[RungResult], values: Sequence[float], digits: int = 3) -> LadderCell:
    """A mean over seeds with its interval, linked to its runs."""
    mean, low, high = over_seeds(values)
    text = output.cell(mean, low, high, len(values), digits)
    return LadderCell(text, names_of(runs), _rounded((mean, low, high), digits))


def _rounded(values: tuple[float, float, float], digits: int) -> tuple[float, float, float]:
    """The numbers as the text shows them, so that a chart and a finding agree with it."""
    value, low, high = (round(number, digits) for number in values)
    return value, low, high


def score(runs: Sequence[RungResult]) -> LadderCell:
    """The score in percent: over seeds and samples if there are several seeds, else with Wilson's interval."""
    from evals.stats.intervals import wilson
    from evals.stats.seeds import combine

    rows = shared([run.scores for run in runs])
    if len(runs) > 1:
        both = combine(rows)
        value, low, high, size = both.value, both.low, both.high, f"n={both.n} x {both.runs} seeds"
    else:
        interval = wilson(sum(rows[0]), len(rows[0]))
        value, low, high, size = sum(rows[0]) / len(rows[0]), interval.low, interval.high, f"n={len(rows[0])}"
    value, low, high = 100 * value, 100 * low, 100 * high
    return LadderCell(f"{output.cell(value, low, high)} {size}", names_of(runs), _rounded((value, low, high), 1))


def bits(runs: Sequence[RungResult], kind: str) -> LadderCell:
    """Bits per byte of gold answers of a kind, over seeds and samples; Student's interval over samples of one seed."""
    from evals.stats.real import real_mean
    from evals.stats.seeds import combine

    rows = shared([run.bits[kind] for run in runs])
    if len(runs) > 1:
        both = combine(rows, metric=BITS_PER_BYTE)
        value, low, high, size = both.value, both.low, both.high, f"n={both.n} x {both.runs} seeds"
    else:
        interval = real_mean(rows[0])
        value, low, high, size = interval.value, interval.low, interval.high, f"n={len(rows[0])}"
    text = f"{output.cell(value, low, high, digits=DIGITS)} {size}"
    return LadderCell(text, names_of(runs), _rounded((value, low, high), DIGITS))


def shared(rows: Sequence[Mapping[str, float]]) -> list[list[float]]:
    """The values of the samples that all rows have, in the first one's order."""
    both = [sample for sample in rows[0] if all(sample in row for row in rows)]
    return [[row[sample] for sample in both] for row in rows]


def difference(
    runs: Sequence[RungResult], base: Sequence[RungResult], values: Sequence[float], others: Sequence[float]
) -> LadderCell:
    """The mean difference paired by seed, with its interval."""
    mean, low, high = over_seeds([a - b for a, b in zip(values, others, strict=True)])
    text = f"{mean:+.3f} [{low:+.3f} to {high:+.3f}] n={len(values)}"
    return LadderCell(text, (*names_of(runs), *names_of(base)), _rounded((mean, low, high), 3))


def scores_apart(runs: Sequence[RungResult], base: Sequence[RungResult]) -> "tuple[LadderCell, float]":
    """The difference of scores in points and its p, on the same samples under the same seeds."""
    return _apart(runs, base, [run.scores for run in runs], [run.scores for run in base], 100.0, 1)


def bits_apart(runs: Sequence[RungResult], base: Sequence[RungResult], kind: str) -> "tuple[LadderCell, float]":
    """The difference of bits per byte of gold answers and its p, on the same samples under the same seeds."""
    return _apart(runs, base, [run.bits[kind] for run in runs], [run.bits[kind] for run in base], 1.0, DIGITS)


def _apart(
    runs: Sequence[RungResult], base: Sequence[RungResult], mine: Sequence[Mapping[str, float]],
    others: Sequence[Mapping[str, float]], scale: float, digits: int,
) -> "tuple[LadderCell, float]":  # fmt: skip
    """A difference over seeds and samples; of one seed, over samples alone. scale: 100 for shares, 1 for bits."""
    from evals.stats.paired import paired_difference
    from evals.stats.seeds import combined_difference
    from zoo.metrics import metric_of

    rows = shared([*mine, *others])
    first, second = rows[: len(mine)], rows[len(mine) :]
    apart: SeedDifference | Difference
    if len(first) > 1:
        apart = combined_difference(first, second)
    else:
        metric = metric_of("" if scale == 100 else BITS_PER_BYTE)
        apart = paired_difference(first[0], second[0], metric=metric)
    value, low, high = (scale * number for number in (apart.value, apart.low, apart.high))
    size = f"n={apart.n}" + (f" x {len(first)} seeds" if len(first) > 1 else "")
    text = f"{value:+.{digits}f} [{low:+.{digits}f} to {high:+.{digits}f}] {size} {p_text(apart.p)}"
    cell = LadderCell(text, (*names_of(runs), *names_of(base)), _rounded((value, low, high), digits))
    return cell, apart.p


def p_text(p: float) -> str:
    """A p in three decimals."""
    return f"p={p:.3f}" if p >= 0.001 else "p<0.001"


def finding(comparison: str, cell: LadderCell) -> str:
    """One sentence: whether the interval of a difference leaves out zero."""
    low, high = cell.interval[1:]
    verdict = "the difference shows" if low > 0 or high < 0 else "no difference shows"
    return f"{comparison}: {verdict} ({cell.text})."
