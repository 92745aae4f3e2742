"""Ranks with intervals, and the models that cannot be separated.

A rank is a statement about every other row, so all intervals of a column hold at once: the chance
that any of them misses its model's true rank is at most 5%.

Sources  Al Mohamad, Goeman and van Zwet 2022, Biometrics 78:1346 (ranks from pairwise tests that
         control the chance of any false one); Holm 1979 (that control, whatever the dependence).
"""

from collections.abc import Sequence
from statistics import NormalDist
from typing import Any, Protocol

from evals.stats.intervals import LEVEL, normal_quantile
from zoo.metrics import Metric
from zoo.records import Record

BLOCK = 64  # rows that are compared with all others at a time


class HasInterval(Protocol):
    """The input of a rank: a value with its 95% interval (a Score, a Summary, an Interval)."""

    @property
    def value(self) -> float:
        """The number itself, in the unit of its interval."""

    @property
    def low(self) -> float:
        """The lower bound of the 95% interval."""

    @property
    def high(self) -> float:
        """The upper bound of the 95% interval."""


class Rank(Record, frozen=True):
    """A row's place. place: by value alone, ties share it; first..last: the ranks that the data allow.

    alike  the other rows (positions in the input) not separated from this one
    """

    place: int
    first: int
    last: int
    alike: tuple[int, ...]


class Standing(Record, frozen=True):
    """A row's place without the names of its like: what a board shows of thousands of rows.

    first..last  the ranks that the data allow, as in `Rank`
    group        1 for the rows not separated from the highest one, then 2 for those not separated from the highest
                 of the rest, and so on
    """

    first: int
    last: int
    group: int


class RankSpan(Record, frozen=True):
    """A value with the ends of its interval, larger being better, and its groups of samples, 0 if all are alone."""

    value: float
    low: float
    high: float
    clusters: int = 0


def merit_span(metric: Metric, value: float, low: float, high: float, clusters: int = 0) -> RankSpan:
    """A score as a span that ranks: turned round where a smaller value is better."""
    low, high = sorted((metric.merit(low), metric.merit(high)))
    return RankSpan(value=metric.merit(value), low=low, high=high, clusters=clusters)


def ranks(rows: Sequence[HasInterval], level: float = LEVEL, clusters: Sequence[int] | None = None) -> list[Rank]:
    """The rank interval of each row of a column, all at once; order kept, the highest value is rank 1.

    clusters  groups of samples behind each row's interval; 0 where all samples are alone, None if all rows' are

    Differences are judged as independent ones (Newcombe's squared distances to the intervals' ends),
    which for models on the same samples is on the safe side. Cost: rows squared, in numpy.

    >>> from evals.stats.intervals import wilson
    >>> [(r.first, r.last) for r in ranks([wilson(91, 164), wilson(84, 164), wilson(20, 164)])]
    [(1, 2), (1, 2), (3, 3)]
    """

    if not rows:
        return []
    value, below, above = _sides(rows, level, clusters)
    square = _square(value[:, None] - value[None, :], below[:, None], above[None, :])
    critical = _holm_critical([square], len(rows), level)
    return ranks_from_pairs(value, square >= critical)


def standings(
    rows: Sequence[HasInterval], level: float = LEVEL, clusters: Sequence[int] | None = None
) -> list[Standing]:
    """The same ranks, without who is alike, for columns of thousands of rows; order kept.

    Equal rows count as one, and pairs whose outcome does not depend on Holm's steps are counted
    together; the others are tested one by one. Cost: under 10 ms for 2,000 rows, no two of them equal.

    >>> from evals.stats.intervals import wilson
    >>> [(r.first, r.last, r.group) for r in standings([wilson(20, 164), wilson(84, 164), wilson(91, 164)])]
    [(3, 3, 2), (1, 2, 1), (1, 2, 1)]
    """
    import numpy as np

    if not rows:
        return []
    value, below, above = _sides(rows, level, clusters)
    order = np.lexsort((above, below, -value))
    value, below, above = value[order], below[order], above[order]
    fresh = np.ones(len(rows), dtype=bool)
    fresh[1:] = (np.diff(value) != 0) | (np.diff(below) != 0) | (np.diff(above) != 0)
    which = np.cumsum(fresh) - 1
    value, below, above, copies = value[fresh], below[fresh], above[fresh], np.bincount(which).astype(float)
    beaten, beaters, critical = _counted(value, below, above, copies, level)
    groups = _groups(value.tolist(), below.tolist(), above.tolist(), critical)
    placed = [
        Standing(first=1 + int(over), last=len(rows) - int(under), group=group)
        for over, under, group in zip(beaters, beaten, groups, strict=True)
    ]
    place = np.empty(len(rows), dtype=int)
    place[order] = which
    return [placed[at] for at in place.tolist()]


def pair_p_values(rows: Sequence[HasInterval], level: float = LEVEL, clusters: Sequence[int] | None = None) -> Any:
    """The two-sided p of each pair of rows by their intervals, as `ranks` judges it, shape (rows, rows)."""
    import numpy as np
    from scipy.special import ndtr

    value, below, above = _sides(rows, level, clusters)
    square = _square(value[:, None] - value[None, :], below[:, None], above[None, :])
    return 2 * ndtr(-np.sqrt(np.maximum(square, square.T)))


def ranks_from_pairs(value: Any, beats: Any) -> list[Rank]:
    """Ranks from the pairs in which one row is clearly above the other, shape (rows, rows)."""
    import numpy as np

    first = 1 + beats.sum(axis=0)
    last = len(value) - beats.sum(axis=1)
    place = 1 + (value[None, :] > value[:, None]).sum(axis=1)
    alike = ~(beats | beats.T)
    np.fill_diagonal(alike, False)
    return [
        Rank(
            place=int(place[i]), first=int(first[i]), last=int(last[i]), alike=tuple(np.flatnonzero(alike[i]).tolist())
        )
        for i in range(len(value))
    ]


def _sides(rows: Sequence[HasInterval], level: float, clusters: Sequence[int] | None) -> tuple[Any, Any, Any]:
    """The values of rows and the squared lengths of their intervals' lower and upper sides.

    An interval of few clusters is Student's. At the level of one pair of many its limit grows faster than the normal
    one; the sides grow by as much, so that a z squared by the normal distribution may be taken from them.
    """
    import numpy as np

    value, low, high = (np.array([getattr(row, end) for row in rows], dtype=float) for end in ("value", "low", "high"))
    wider = np.ones(len(rows))
    if clusters is not None and any(clusters):
        from scipy.special import stdtrit

        pair = 1 - (1 - level) / max(len(rows) * (len(rows) - 1), 2)
        groups = np.asarray(clusters, dtype=float)
        freedom = np.clip(groups - 1, 1, 1e6)
        wider = (stdtrit(freedom, pair) / stdtrit(freedom, (1 + LEVEL) / 2)) ** 2
        wider = np.where(groups > 0, wider / (NormalDist().inv_cdf(pair) / normal_quantile()) ** 2, 1.0)
    return value, (value - low) ** 2 * wider, (high - value) ** 2 * wider


def _square(gap: Any, below: Any, above: Any) -> Any:
    """z squared of each pair, how clearly the first is above the second; 0 where it is not.

    gap           how much higher the first is
    below, above  squared sides of the interval, of the first downward and of the second upward
    """
    import numpy as np

    gap = np.maximum(gap, 0)
    spread = below + above
    # at the ends of the scale two equal rows may have no spread towards each other: then no gap either
    distance = np.divide(gap * gap, spread, out=np.zeros_like(gap), where=spread > 0)
    return distance * normal_quantile() ** 2


def _holm_critical(squares: Sequence[Any], size: int, level: float, sure: float = 0, copies: Any = None) -> float:
    """The z squared from which Holm's procedure rejects over all pairs of that many rows: its steps, many at once.

    Step r asks for p <= (1 - level) / (pairs - r). All pairs that pass with r rejections passed are
    rejected together, then r grows; where it no longer does, Holm stops at the same set.

    squares  z squared of the pairs, in parts
    sure     pairs rejected whatever the steps come to, which are not in the parts
    copies   for each part how many equal rows each of its lines and columns stands for; None: one
    """
    import numpy as np

    pairs = size * (size - 1) // 2
    rejected = 0.0
    while True:
        critical = NormalDist().inv_cdf((1 - level) / max(pairs - rejected, 1) / 2) ** 2
        if copies is None:
            passed = sure + sum(float(np.count_nonzero(part >= critical)) for part in squares)
        else:
            passed = sure + sum(
                float(m @ ((part >= critical) @ n)) for part, (m, n) in zip(squares, copies, strict=True)
            )
        if passed <= rejected or rejected >= pairs:
            return critical
        rejected = passed


def _counted(value: Any, below: Any, above: Any, copies: Any, level: float) -> tuple[Any, Any, float]:
    """How many rows each row beats and is beaten by, and Holm's critical z squared.

    value, below, above  of distinct rows, the highest value first
    copies               how many rows each stands for
    """
    import numpy as np

    size = int(copies.sum())
    scale = normal_quantile() ** 2
    most, least = (
        NormalDist().inv_cdf((1 - level) / pairs / 2) ** 2 / scale for pairs in (max(size * (size - 1) // 2, 1), 1)
    )
    beaten, beaters = np.zeros(len(value)), np.zeros(len(value))
    parts, weights, columns, sure = [], [], [], 0.0
    for start in range(0, len(value), BLOCK):
        block, rest = slice(start, min(start + BLOCK, len(value))), slice(start, None)
        nearest = np.maximum(value[block][-1] - value[rest], 0) ** 2
        farthest = (value[start] - value[rest]) ** 2
        apart = (nearest > 0) & (nearest >= most * (below[block].max() + above[rest]))
        open_ = ~apart & (farthest >= least * (below[block].min() + above[rest]))
        beaten[block] += copies[rest][apart].sum()
        beaters[rest][apart] += copies[block].sum()
        sure += float(copies[block].sum() * copies[rest][apart].sum())
        at = start + np.flatnonzero(open_)
        parts.append(_square(value[block, None] - value[at], below[block, None], above[at]))
        weights.append((copies[block], copies[at]))
        columns.append((block, at))
    critical = _holm_critical(parts, size, level, sure, weights)
    for part, (block, at) in zip(parts, columns, strict=True):
        passed = part >= critical
        beaten[block] += passed @ copies[at]
        beaters[at] += copies[block] @ passed
    return beaten, beaters, critical


def _groups(value: Sequence[float], below: Sequence[float], above: Sequence[float], critical: float) -> list[int]:
    """The group of each row, the highest value first: a row clearly below the first of a group begins another."""
    groups = []
    group, leader = 1, 0
    limit = critical / normal_quantile() ** 2
    for at in range(len(value)):
        gap, spread = value[leader] - value[at], below[leader] + above[at]
        if spread > 0 and gap * gap / spread >= limit:
            group, leader = group + 1, at
        groups.append(group)
    return groups
