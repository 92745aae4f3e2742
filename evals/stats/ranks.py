"""Which rank a model has, as an interval, and which models cannot be told apart.

A rank is a statement about every other row, so all intervals of a column hold at once: the chance
that any of them misses its model's true rank is at most 5%.

Sources  Al Mohamad, Goeman and van Zwet 2022, Biometrics 78:1346 (ranks from pairwise tests that
         control the chance of any false one); Holm 1979 (that control, whatever the dependence).
"""

from collections.abc import Callable, Sequence
from statistics import NormalDist
from typing import Any, Protocol

from evals.stats.intervals import LEVEL, normal_quantile
from zoo.checkpoint import Record


class Measured(Protocol):
    """What a rank is made from: a value with its 95% interval (a Score, a Summary, an Interval)."""

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

    alike  the other rows (positions in the input) not told apart from this one
    """

    place: int
    first: int
    last: int
    alike: tuple[int, ...]


def ranks(rows: Sequence[Measured], level: float = LEVEL) -> list[Rank]:
    """The rank interval of each row of a column, all at once; order kept, the highest value is rank 1.

    Differences are judged as independent ones (Newcombe's squared distances to the intervals' ends),
    which for models on the same samples is on the safe side. Cost: rows squared, in numpy.

    >>> from evals.stats.intervals import wilson
    >>> [(r.first, r.last) for r in ranks([wilson(91, 164), wilson(84, 164), wilson(20, 164)])]
    [(1, 2), (1, 2), (3, 3)]
    """
    import numpy as np

    if not rows:
        return []
    value, low, high = (np.array([getattr(row, end) for row in rows]) for end in ("value", "low", "high"))
    gap = value[:, None] - value[None, :]
    spread = np.sqrt((value - low)[:, None] ** 2 + (high - value)[None, :] ** 2) / normal_quantile()
    # at the ends of the scale two equal rows may have no spread towards each other: then no gap either
    z = np.divide(gap, spread, out=np.zeros_like(gap), where=spread > 0)
    return _ranks(value, np.maximum(z, 0), level)


def ranks_by_test(values: Sequence[float], p_value: Callable[[int, int], float], level: float = LEVEL) -> list[Rank]:
    """The same from a two-sided p of each pair, such as exact McNemar on shared samples.

    values   the scores that order the rows
    p_value  of rows i < j; called once a pair
    """
    import numpy as np

    size = len(values)
    z = np.zeros((size, size))
    for i in range(size):
        for j in range(i + 1, size):
            p = p_value(i, j)
            better, worse = (i, j) if values[i] >= values[j] else (j, i)
            z[better, worse] = -NormalDist().inv_cdf(max(p, 1e-300) / 2) if values[i] != values[j] and p < 1 else 0.0
    return _ranks(np.asarray(values, dtype=float), z, level) if size else []


def _ranks(value: Any, z: Any, level: float) -> list[Rank]:
    """Ranks from z[i, j] >= 0, how clearly i is above j, by Holm over all pairs."""
    import numpy as np

    size = len(value)
    beats = z >= _holm_critical(z, size * (size - 1) // 2, level)
    first = 1 + beats.sum(axis=0)
    last = size - beats.sum(axis=1)
    place = 1 + (value[None, :] > value[:, None]).sum(axis=1)
    alike = ~(beats | beats.T)
    np.fill_diagonal(alike, False)
    return [
        Rank(
            place=int(place[i]), first=int(first[i]), last=int(last[i]), alike=tuple(np.flatnonzero(alike[i]).tolist())
        )
        for i in range(size)
    ]


def _holm_critical(z: Any, pairs: int, level: float) -> float:
    """The z from which Holm's procedure rejects: its steps, taken many at once.

    Step r asks for p <= (1 - level) / (pairs - r). All pairs that pass with r rejections passed are
    rejected together, then r grows; where it no longer does, Holm stops at the same set.
    """
    rejected = 0
    while True:
        if rejected >= pairs:
            return 1e-9  # every pair is told apart
        critical = -NormalDist().inv_cdf((1 - level) / (pairs - rejected) / 2)
        passed = int((z >= critical).sum())
        if passed <= rejected:
            return critical
        rejected = passed
