"""The ranks of rows within each column: `evals.stats.ranks` applied to cells."""

from collections.abc import Iterable
from functools import lru_cache

from dashboard.board.cells import Board, Cell, Row
from evals.stats.ranks import RankSpan, Standing, merit_span, standings
from zoo.metrics import metric_of


def span_of(cell: Cell) -> RankSpan | None:
    """A cell as a value with its interval, larger being better; None if it has none."""
    if cell.low is None or cell.high is None:
        return None
    clusters = cell.clusters if cell.clusters < (cell.n or 0) else 0
    return merit_span(metric_of(cell.metric), cell.value, cell.low, cell.high, clusters)


def column_ranks(rows: Iterable[Row], key: str) -> dict[str, Standing]:
    """The rank of each row that has an interval in the column, by row key; the best value ranks first.

    The ranks of a column hold simultaneously with 95% confidence. A column is one protocol, so measured and
    published numbers never mix.
    """
    spans = {row.key: span for row in rows if (cell := row.cells.get(key)) and (span := span_of(cell))}
    return dict(zip(spans, _standings(tuple(spans.values())), strict=True))


def board_ranks(board: Board) -> dict[str, dict[str, Standing]]:
    """The ranks of every column among the board's rows, by column key.

    A column that collects many papers' numbers has none: each was measured under a protocol of its own.
    """
    return {column.key: {} if column.mixed else column_ranks(board.rows, column.key) for column in board.columns}


@lru_cache(maxsize=1024)  # each page of the same rows needs the same ranks
def _standings(spans: tuple[RankSpan, ...]) -> tuple[Standing, ...]:
    return tuple(standings(spans, clusters=[span.clusters for span in spans]))
