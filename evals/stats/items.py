"""Item analysis: which samples tell models apart, and which reward the weaker models.

A sample's discrimination is the correlation, over models, of its score with their scores on all other samples. A good
sample has a positive one. One that is clearly negative is passed by weak models and failed by strong ones: a wrong key
is the usual reason, luck the other, so the false discovery rate over all samples is held at 10%.

Sources  Crocker and Algina 1986, Introduction to Classical and Modern Test Theory, chapter 14 (corrected item-total
         correlation); Benjamini and Hochberg 1995, J. Royal Statistical Society B 57:289.
"""

from collections.abc import Sequence
from math import inf, sqrt

from evals.stats.seeds import student_tail
from zoo.records import Record

FEWEST_MODELS = 4  # below, a correlation over models says nothing
DISCOVERY = 0.1


class ItemStat(Record, frozen=True):
    """One sample over several models.

    passed          the mean score, 0..1
    discrimination  -1..1; None where all models have the same score on it, or there are too few models
    p               one-sided, of a discrimination that is 0 or more; adjusted: after Benjamini and Hochberg
    """

    passed: float
    discrimination: float | None
    p: float | None
    adjusted: float | None

    @property
    def is_reversed(self) -> bool:
        """Whether weaker models do better on it, at a false discovery rate of 10%."""
        return self.adjusted is not None and self.adjusted <= DISCOVERY


def item_stats(scores: Sequence[Sequence[float]]) -> list[ItemStat]:
    """What each sample shows of the models.

    scores  0..1, shape (models, samples)
    Raises  ValueError for rows of unlike length, or none

    >>> strong, weak = [1.0, 1.0, 1.0, 0.0], [0.0, 0.0, 0.0, 1.0]
    >>> stats = item_stats([strong, strong, weak, weak])
    >>> [round(stat.discrimination, 2) for stat in stats]
    [1.0, 1.0, 1.0, -1.0]
    """
    if not scores or any(len(row) != len(scores[0]) for row in scores):
        raise ValueError("give one row of scores or more, one a model, of the same samples.")
    models, n = len(scores), len(scores[0])
    totals = [sum(row) for row in scores]
    stats = []
    for sample in range(n):
        own = [row[sample] for row in scores]
        rest = [total - score for total, score in zip(totals, own, strict=True)]
        r = _correlation(own, rest) if models >= FEWEST_MODELS else None
        stats.append((sum(own) / models, r, None if r is None else _tail(r, models)))
    tested = [index for index, (_, _, p) in enumerate(stats) if p is not None]
    adjusted = dict(zip(tested, benjamini_hochberg([p for _, _, p in stats if p is not None]), strict=True))
    return [ItemStat(passed, r, p, adjusted.get(index)) for index, (passed, r, p) in enumerate(stats)]


def benjamini_hochberg(p_values: Sequence[float]) -> list[float]:
    """p-values adjusted so that of those at or below a level at most this share is false, order kept.

    >>> [round(p, 3) for p in benjamini_hochberg([0.01, 0.04, 0.03])]
    [0.03, 0.04, 0.04]
    """
    order = sorted(range(len(p_values)), key=p_values.__getitem__, reverse=True)
    adjusted, least = [0.0] * len(p_values), 1.0
    for place, index in enumerate(order):
        least = min(least, p_values[index] * len(order) / (len(order) - place))
        adjusted[index] = least
    return adjusted


def _correlation(first: Sequence[float], second: Sequence[float]) -> float | None:
    means = sum(first) / len(first), sum(second) / len(second)
    gaps = [(a - means[0], b - means[1]) for a, b in zip(first, second, strict=True)]
    squares = sum(a * a for a, _ in gaps) * sum(b * b for _, b in gaps)
    return max(-1.0, min(1.0, sum(a * b for a, b in gaps) / sqrt(squares))) if squares > 1e-18 else None


def _tail(r: float, models: int) -> float:
    """The chance of a correlation as low or lower, if there is none."""
    return student_tail(r * sqrt((models - 2) / (1 - r * r)) if abs(r) < 1 else r * inf, models - 2)
