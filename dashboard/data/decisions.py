"""The figures of the decisions on the compare page: averages, all pairs of a task, and its samples."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from evals.decisions.averages import compare_averages
from evals.decisions.cli.comparing import points
from evals.decisions.items import ItemTable
from evals.decisions.matrix import Matrix
from zoo.cli.output import NONE, p_text, share_cell
from zoo.metrics import metric_of

if TYPE_CHECKING:
    from zoo.registry import Registry

TableRow = dict[str, Any]


def average_rows(registry: "Registry", labels: Sequence[str]) -> list[TableRow]:
    """The averages that each checkpoint shares with the first, checkpoint minus first, in points."""
    if len(labels) < 2:
        return []
    first = registry.get(labels[0])
    return [
        {
            "average": f"{row.name} v{row.version}", "checkpoint": label, "score": f"{100 * row.first:.1f}",
            "against": f"{100 * row.second:.1f}", "difference [95%]": points(row.difference),
            "p (Holm)": p_text(row.p_holm), "n": row.difference.n, "note": row.note,
        }
        for label in labels[1:]
        for row in compare_averages(registry, registry.get(label), first)
    ]  # fmt: skip


def matrix_rows(matrix: Matrix) -> list[TableRow]:
    """A matrix as a table: row minus column, a star where it holds after Holm; columns are the rows' numbers."""
    metric = metric_of(matrix.metric)
    rows = []
    for number, (row, cells) in enumerate(zip(matrix.rows, matrix.table, strict=True)):
        score = (
            share_cell(row.value, row.low, row.high, row.n)
            if metric.is_share
            else f"{metric.text(row.value)} [{metric.text(row.low)}–{metric.text(row.high)}] n={row.n}"
        )
        own: TableRow = {"": number + 1, "checkpoint": row.label, "score [95%]": score, "same": row.letters}
        own |= {str(other + 1): matrix.cell(number, other, pair) or NONE for other, pair in enumerate(cells)}
        rows.append(own)
    return rows


def item_rows(table: ItemTable, kind: str) -> list[TableRow]:
    """The samples of one kind, the most suspect or most telling first."""
    chosen = [item for item in table.items if item.kind == kind]
    chosen.sort(key=lambda item: item.discrimination or 0.0, reverse=kind != "suspect")
    return [
        {
            "sample": item.sample, "passed": f"{item.passed} of {len(table.models)}",
            "discrimination": NONE if item.discrimination is None else f"{item.discrimination:+.2f}",
            "why": "; ".join(item.reasons),
        }
        for item in chosen
    ]  # fmt: skip
