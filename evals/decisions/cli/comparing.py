"""Prints a pair's averages and verdicts, and ends `phizoo eval compare --margin` with its exit code."""

from typing import TYPE_CHECKING

import click

from zoo.cli.output import p_text, table
from zoo.errors import CheckFailed, NotResolvedError
from zoo.metrics import Metric, metric_of

if TYPE_CHECKING:
    from evals.decisions.averages import AverageRow
    from evals.decisions.pair import PairDecision
    from evals.stats.paired import Difference

SHARE = metric_of("")
AVERAGES = ("average", ">parts", ">A", ">B", ">A - B [95%]", ">won/lost/tied", ">p", ">p Holm")


def points(difference: "Difference", metric: Metric = SHARE) -> str:
    """A difference with its interval in points, or in the metric's unit.

    >>> from evals.stats.paired import paired_difference
    >>> points(paired_difference([1.0] * 9 + [0.0], [0.0] * 10))
    '+90.0 [+37.3 to +98.2]'
    """
    value, low, high = (metric.text(end, "+") for end in (difference.value, difference.low, difference.high))
    return f"{value} [{low} to {high}]"


def print_averages(decided: "PairDecision") -> None:
    """Prints the averages that both have whole, or nothing."""
    if not decided.averages:
        return
    click.echo()
    judged = decided.margin is not None
    bold = [number for number, row in enumerate(decided.averages) if row.p_holm <= 0.05]
    cells = [(*_cells(row), *((row.verdict,) if judged else ())) for row in decided.averages]
    table(cells, (*AVERAGES, *(("verdict",) if judged else ())), bold)
    for row in decided.averages:
        if row.note:
            click.echo(f"{row.name}: {row.note}")


def _cells(row: "AverageRow") -> tuple[str, ...]:
    d = row.difference
    counts = "unpaired" if row.unpaired else f"{d.wins}/{d.losses}/{d.ties}"
    return (
        f"{row.name} v{row.version}", str(len(row.of)), f"{100 * row.first:.1f}", f"{100 * row.second:.1f}", points(d),
        counts, p_text(d.p), p_text(row.p_holm),
    )  # fmt: skip


def end_with_verdict(decided: "PairDecision") -> None:
    """Nothing without a margin, or if all is EQUIVALENT or BETTER.

    Raises  CheckFailed (exit code 1) if A is WORSE somewhere, NotResolvedError (exit code 3) if something is open
    """
    if decided.margin is None or decided.verdict in ("EQUIVALENT", "BETTER"):
        return
    text = f"{decided.verdict}: {decided.first} against {decided.second}, margin {decided.margin:g}"
    if decided.verdict == "WORSE":
        raise CheckFailed(f"{text}. The samples that it lost: the same command with --flips")
    needs = "; ".join(f"{name} would take about {count:,} samples" for name, count in decided.needs.items())
    raise NotResolvedError(f"{text}{'; ' + needs if needs else ''}. A wider --margin or more samples decide")
