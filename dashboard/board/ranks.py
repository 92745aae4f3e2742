"""Which place a row may truly have in a column, and which rows belong together: `evals.stats.ranks`, over cells."""

from collections.abc import Iterable
from functools import lru_cache

from dashboard.board.cells import Board, Row
from evals.stats.ranks import Standing, standings
from zoo.records import Record


class Span(Record, frozen=True):
    """A value with the ends of its interval."""

    value: float
    low: float
    high: float


def places(rows: Iterable[Row], key: str) -> dict[str, Standing]:
    """The place of each row that has an interval in the column, by row key; the highest value is first.

    All places of a column hold at once in 95% of columns. Own and published numbers never mix here, since a
    column is one protocol.
    """
    held = {
        row.key: (cell.value, cell.low, cell.high)
        for row in rows
        if (cell := row.cells.get(key)) and cell.low is not None and cell.high is not None
    }
    return dict(zip(held, _places(tuple(held.values())), strict=True))


def placed(board: Board) -> dict[str, dict[str, Standing]]:
    """The places of every column of a board among its rows, by column key."""
    return {column.key: places(board.rows, column.key) for column in board.columns}


@lru_cache(maxsize=1024)
def _places(held: tuple[tuple[float, float, float], ...]) -> tuple[Standing, ...]:
    """The places of (value, low, high). Kept, since another page of the same rows asks for the same again."""
    return tuple(standings([Span(*one) for one in held]))


def place_text(place: Standing | None) -> str:
    """The ranks as they are read.

    >>> place_text(Standing(first=1, last=1, group=1)), place_text(Standing(first=2, last=5, group=2)), place_text(None)
    ('1', '2–5', '')
    """
    if place is None:
        return ""
    return str(place.first) if place.first == place.last else f"{place.first}–{place.last}"
