"""Which place a row may truly have in a column, and which rows belong together: by `evals.stats.ranks`.

Above `EXACT` rows the pairwise test would take seconds, so there each interval is widened until all pairs hold at
once (Bonferroni): never a narrower rank than the exact one, and a column of 2,000 rows costs milliseconds.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence
from functools import lru_cache
from statistics import NormalDist

from dashboard.cells import Row
from evals.stats import ranks as exact
from evals.stats.intervals import LEVEL, normal_quantile
from zoo.checkpoint import Record

EXACT = 250  # rows up to which every pair is tested: 7 ms a column; 2,000 would take 0.8 s


class Span(Record, frozen=True):
    """A value with the ends of its interval."""

    value: float
    low: float
    high: float


class Place(Record, frozen=True):
    """best..worst: the ranks that the data leave open; group: 1 for the rows not proven below the first, and so on."""

    best: int
    worst: int
    group: int


def places(rows: Iterable[Row], key: str) -> dict[str, Place]:
    """The place of each row that has an interval in the column, by row key; the highest value is first.

    All places of a column hold at once in 95% of columns. Own and published numbers never mix here, since a
    column is one protocol.
    """
    held = [
        (cell.value, cell.low, cell.high, row.key)
        for row in rows
        if (cell := row.cells.get(key)) and cell.low is not None and cell.high is not None
    ]
    held.sort(key=lambda one: (-one[0], one[3]))
    found = _places(tuple(one[:3] for one in held))
    return {one[3]: place for one, place in zip(held, found, strict=True)}


@lru_cache(maxsize=4096)
def _places(held: tuple[tuple[float, float, float], ...]) -> tuple[Place, ...]:
    """The places of (value, low, high), highest first. Kept, since another order or page asks for the same again."""
    spans = [Span(*one) for one in held]
    return tuple(_exact(spans) if len(held) <= EXACT else _widened(spans))


def _exact(held: Sequence[Span]) -> list[Place]:
    found = exact.ranks(held)
    told: list[Place] = []
    group, leader = 0, -1
    for at, rank in enumerate(found):
        if leader < 0 or leader not in rank.alike:
            group, leader = group + 1, at
        told.append(Place(best=rank.first, worst=rank.last, group=group))
    return told


def _widened(held: Sequence[Span]) -> list[Place]:
    pairs = len(held) * (len(held) - 1) // 2
    by = NormalDist().inv_cdf(1 - (1 - LEVEL) / pairs / 2) / normal_quantile()
    wide = [(one.value - by * (one.value - one.low), one.value + by * (one.high - one.value)) for one in held]
    lows, highs = sorted(low for low, _ in wide), sorted(high for _, high in wide)
    told: list[Place] = []
    group, floor = 0, float("inf")
    for low, high in wide:
        if high < floor:
            group, floor = group + 1, low
        told.append(
            Place(best=1 + len(lows) - bisect_right(lows, high), worst=len(held) - bisect_left(highs, low), group=group)
        )
    return told


def place_text(place: Place | None) -> str:
    """The ranks as they are read.

    >>> place_text(Place(best=1, worst=1, group=1)), place_text(Place(best=2, worst=5, group=2)), place_text(None)
    ('1', '2–5', '')
    """
    if place is None:
        return ""
    return str(place.best) if place.best == place.worst else f"{place.best}–{place.worst}"
