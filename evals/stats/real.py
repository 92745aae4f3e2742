"""Means of values that no bound holds, such as bits per byte: t intervals, and the differences that they resolve.

`intervals`, `paired` and `power` treat scores in 0..1, where a value's size says how much it can vary. Of other values
only their spread says it: the interval is Student's, with the variance over clusters or inside strata.

Sources  Student 1908, Biometrika 6:1; the variances and degrees of freedom are those of `intervals`.
"""

from collections.abc import Hashable, Iterable, Sequence
from math import inf, isfinite, sqrt
from statistics import NormalDist

from evals.stats.intervals import (
    LEVEL,
    Interval,
    cluster_totals,
    cluster_variance,
    normal_quantile,
    strata_variance,
    student_quantile,
)
from evals.stats.power import FEWEST, POWER, Resolution


def real_mean(
    values: Sequence[float],
    clusters: Sequence[Hashable] | None = None,
    strata: Sequence[Hashable] | None = None,
    least: float = 0.0,
    level: float = LEVEL,
) -> Interval:
    """The mean of values with a t interval.

    values    one a sample and draw, 0 or more
    clusters  what each value shares with dependent ones; None if all are alone
    strata    the part of the task, of all that there are, to which each value belongs; None if there are none
    least     no value is below this, and neither is the interval's end
    Returns   the interval; of a single cluster it has no upper end (infinite)
    Raises    ValueError when there is no value, or one is not finite

    >>> interval = real_mean([1.0, 2.0, 3.0])
    >>> interval.value, round(interval.low, 3), round(interval.high, 3)
    (2.0, 0.0, 4.484)
    """
    if not values or not all(map(isfinite, values)):
        raise ValueError("give one finite value or more.")
    groups = list(range(len(values))) if clusters is None else list(clusters)
    parts = None if strata is None or len(set(strata)) == 1 else list(dict(zip(groups, strata, strict=True)).values())
    value = sum(values) / len(values)
    variance, freedom = mean_variance(values, groups, parts)
    if freedom == 0:
        return Interval(value=value, low=least, high=inf, effective=1.0)
    half = student_quantile(freedom, level) * sqrt(variance)
    single = sum((own - value) ** 2 for own in values) / len(values)
    effective = single / variance if variance > 0 else float(len(values))
    return Interval(value=value, low=max(least, value - half), high=value + half, effective=effective)


def mean_variance(
    values: Sequence[float], clusters: Sequence[Hashable], strata: Sequence[Hashable] | None = None
) -> tuple[float, float]:
    """The variance of a mean over clusters, and its degrees of freedom: 0 where there is a single cluster.

    strata  of each cluster, in order of first appearance; None without strata
    """
    sums, sizes = cluster_totals(values, clusters)
    if len(sums) == 1:
        return inf, 0.0
    if strata is not None:
        return strata_variance(sums, sizes, strata)
    mean = sum(values) / len(values)
    return cluster_variance(sums, sizes, mean, sum((own - mean) ** 2 for own in values) / len(values))


def real_difference(
    differences: Sequence[float], clusters: Sequence[Hashable], level: float = LEVEL
) -> tuple[float, float, float]:
    """The mean of paired differences with its t interval; infinite ends for a single cluster."""
    value = sum(differences) / len(differences)
    variance, freedom = _difference_variance(differences, clusters)
    if freedom == 0:
        return value, -inf, inf
    half = student_quantile(freedom, level) * sqrt(variance)
    return value, value - half, value + half


def _difference_variance(differences: Sequence[float], clusters: Sequence[Hashable]) -> tuple[float, float]:
    """`mean_variance` of differences. Those that are all alike, and not 0, have as much spread as they have size.

    None seen is not none: so few of them may have been alike by chance.
    """
    value = sum(differences) / len(differences)
    variance, freedom = mean_variance(differences, clusters)
    least = 1e-12 * value * value
    return (variance, freedom) if variance > least else (value * value / len(set(clusters)), freedom)


def ratio_mean(totals: Sequence[float], sizes: Sequence[int], level: float = LEVEL) -> Interval:
    """The sum of totals over the sum of sizes, such as bits over bytes, with a t interval over documents.

    totals, sizes  of each document; sizes above 0
    Returns        the interval; of one document it has no upper end (infinite)
    Source         Cochran 1977, section 6.4 (the ratio estimator, linearised); its variance is that of a mean over
                   clusters of these sizes, with the small-sample correction of `intervals.cluster_variance`

    >>> interval = ratio_mean([10.0, 40.0], [10, 20])
    >>> round(interval.value, 3), interval.low < interval.value < interval.high
    (1.667, True)
    """
    if not totals or len(totals) != len(sizes) or min(sizes) <= 0:
        raise ValueError("give a total and a size above 0 for each of one document or more.")
    value = sum(totals) / sum(sizes)
    if len(totals) == 1:
        return Interval(value=value, low=0.0, high=inf, effective=1.0)
    variance, freedom = cluster_variance(totals, sizes, value, 0.0)
    half = student_quantile(freedom, level) * sqrt(variance)
    return Interval(value=value, low=max(0.0, value - half), high=value + half, effective=float(len(totals)))


def half_width(value: float, low: float, high: float) -> float:
    """Half the width of an interval that may have been cut at 0: its upper side."""
    return max(high - value, value - low)


def real_resolution(
    scores: Iterable[tuple[float, float, float, int, int]],
    pair: tuple[Sequence[float], Sequence[float], Sequence[Hashable]] | None = None,
    power: float = POWER,
) -> Resolution | None:
    """The smallest differences that scores resolve, unpaired and paired, in the metric's unit; None without any score.

    scores  value, low, high, n and clusters of each: the one with the widest interval counts
    pair    two models' values of the same samples, and their clusters; None: their values are taken to correlate by
            0.5 from sample to sample, as for other metrics. Two language models' bits correlate by far more
    """
    known = [score for score in scores if isfinite(score[2])]
    if not known:
        return None
    value, low, high, n, clusters = max(known, key=lambda score: half_width(*score[:3]))
    error = half_width(value, low, high) / student_quantile(max(clusters - 1, 1))
    reach = normal_quantile() + NormalDist().inv_cdf(power)
    square, spread, freedom = (error * sqrt(n)) ** 2, error, float(max(clusters - 1, 1))
    if pair is not None:
        differences = [a - b for a, b in zip(pair[0], pair[1], strict=True)]
        n, clusters = len(differences), len(set(pair[2]))
        square = sum(d * d for d in differences) / n
        variance, freedom = _difference_variance(differences, pair[2])
        spread, freedom = (sqrt(variance), freedom) if freedom else (error, 1.0)
    paired = (student_quantile(freedom) + NormalDist().inv_cdf(power)) * spread
    return Resolution(
        n=n, unpaired=reach * sqrt(2) * error, paired=paired if clusters >= FEWEST else None, discordant=square,
        effective=n, clusters=clusters,
    )  # fmt: skip
