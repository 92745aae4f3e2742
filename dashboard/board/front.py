"""The Pareto front of a board: the models that no smaller one equals, by size, data, tokens or training cost.

A model is on a column's front if no other of the column is at most as large and scores better. Values count, not their
intervals; `dashboard.data.scale` draws the same fronts.
"""

from collections.abc import Iterable
from typing import Literal

from dashboard.board.cells import Column, Row
from dashboard.data.scale import Axis, ScalePoint, pareto_front, scale_value

Front = Literal["", "parameters", "unique", "tokens", "flops"]
AXES: dict[str, Axis] = {
    "parameters": "parameters", "unique": "unique tokens", "tokens": "tokens seen", "flops": "training FLOPs",
}  # fmt: skip


def column_front(rows: Iterable[Row], column: Column, axis: str) -> frozenset[str]:
    """The keys of the rows on a column's front. A row without a value on the axis, or with a bound, is on none."""
    placed = [
        (row.key, ScalePoint(name=row.label, x=x, value=cell.value, low=None, high=None, own=row.own,
                             column=column.key, protocol="", metric=column.metric))
        for row in rows
        if (cell := row.cells.get(column.key)) and not cell.bound and (x := scale_value(row, AXES[axis]))
    ]  # fmt: skip
    front = pareto_front([point for _, point in placed])
    return frozenset(key for number, (key, _) in enumerate(placed) if number in front)


def front_rows(rows: Iterable[Row], columns: Iterable[Column], axis: str) -> frozenset[str]:
    """The keys of the rows that are on the front of any of these columns; a column of many papers' numbers has none."""
    rows = list(rows)
    return frozenset().union(*(column_front(rows, column, axis) for column in columns if not column.mixed))
