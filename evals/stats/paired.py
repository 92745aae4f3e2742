"""Tests whether B is better than A: paired differences, exact tests, Holm's correction; unpaired as a last resort.

The two answers to one sample are compared: two models that share their easy samples
differ less by chance than two that share none, and only pairing sees it.

Sources  McNemar 1947, Psychometrika 12:153; Fagerland, Lydersen and Laake 2013, BMC Medical Research
         Methodology 13:91 (exact and mid-p); Tango 1998, Statistics in Medicine 17:891 (interval of a
         paired difference); Fisher 1935, The Design of Experiments, section 21 (sign flips); Holm 1979,
         Scandinavian J. of Statistics 6:65; Newcombe 1998, Statistics in Medicine 17:873 (unpaired).
"""

from collections.abc import Callable, Hashable, Sequence
from math import sqrt
from statistics import NormalDist
from typing import Literal, NamedTuple

from evals.stats.intervals import (
    LEVEL,
    Interval,
    cluster_totals,
    cluster_variance,
    normal_quantile,
    score_interval,
    student_quantile,
)
from evals.stats.real import half_width, real_difference
from zoo.metrics import Metric, metric_of
from zoo.records import Record

FLIPS = 20_000  # sign flips drawn where the exact distribution is out of reach: p is right to 0.3 points
EXACT_CELLS = 200_000_000  # the exact distribution is built up to this many additions, about a second

HALVED = 40  # any differences of up to this many clusters: twice 2^20 sums, a third of a second

SHARE = metric_of("")

Method = Literal["mcnemar", "sign flips, exact", "sign flips, drawn", "unpaired", "seeds and samples"]


class Difference(Record, frozen=True):
    """A minus B with interval and p: in -1..1, or in the metric's unit.

    wins    samples on which A is better; losses, ties accordingly (0 if the samples are missing)
    n       pairs compared; clusters, the independent groups among them
    p       two-sided; the method says which test
    flips   sign flips that p was drawn from, so that it is never below 1 / (flips + 1); 0 if it is exact
    """

    value: float
    low: float
    high: float
    p: float
    method: Method
    n: int
    clusters: int
    wins: int = 0
    losses: int = 0
    ties: int = 0
    flips: int = 0


class FlipTest(NamedTuple):
    """The two-sided p of a sign-flip test, and the flips it was drawn from; 0 if all were counted."""

    p: float
    flips: int = 0


def mcnemar(wins: int, losses: int, mid: bool = False) -> float:
    """Exact two-sided McNemar p: the chance of so uneven a split of the samples on which two models differ.

    wins, losses  samples that only the one, only the other solves
    mid           half the chance of the split itself is left out: false positives 4.9% on average over
                  the counts, up to 7.7% at one; those of the exact one (default) never exceed 5%
    Source        Fagerland et al. 2013, the exact conditional and the mid-p test.

    >>> mcnemar(10, 2)
    0.03857421875
    >>> mcnemar(10, 2, mid=True)
    0.0224609375
    >>> mcnemar(0, 0)
    1.0
    """
    if wins < 0 or losses < 0:
        raise ValueError(f"{wins} wins and {losses} losses: counts are 0 or more.")
    n, least = wins + losses, min(wins, losses)
    tail = ways = 1  # ways to choose k of n, and their sum up to k = least
    for k in range(least):
        ways = ways * (n - k) // (k + 1)
        tail += ways
    tail = 2 * tail - ways if mid else 2 * tail
    return float(min(1.0, tail / 2**n))  # whole numbers up to this one division


def paired_difference(
    first: Sequence[float], second: Sequence[float], clusters: Sequence[Hashable] | None = None, seed: int = 0,
    metric: Metric = SHARE,
) -> Difference:  # fmt: skip
    """The difference of two models' mean scores on the same samples, with interval and exact p.

    first     A's score of each sample, 0..1 (the mean over its draws)
    second    B's scores of the same samples in the same order
    metric    of the scores; of one that is no share they are 0 or more
    clusters  what samples share (passage, subject); None if all are alone
    Returns   for single right or wrong answers Tango's interval and exact McNemar; otherwise a
              cluster-robust t interval and the sign-flip test over clusters.
    Raises    ValueError when the two are not the same samples.
    """
    if len(first) != len(second) or not first:
        raise ValueError(f"{len(first)} and {len(second)} scores: pair the same samples, at least one.")
    differences = [a - b for a, b in zip(first, second, strict=True)]
    groups = list(range(len(first))) if clusters is None else list(clusters)
    wins, losses = sum(metric.merit(d) > 0 for d in differences), sum(metric.merit(d) < 0 for d in differences)
    n, count = len(first), len(set(groups))
    value, low, high = paired_interval(first, second, groups, metric=metric)
    method: Method
    flips = 0
    if _is_single(first, second, groups) and metric.is_share:
        p, method = mcnemar(wins, losses), "mcnemar"
    else:
        p, flips = sign_flips(cluster_totals(differences, groups)[0], seed)
        method = "sign flips, drawn" if flips else "sign flips, exact"
    return Difference(
        value=value, low=low, high=high, p=p, method=method, n=n, clusters=count, wins=wins, losses=losses,
        ties=n - wins - losses, flips=flips,
    )  # fmt: skip


def paired_interval(
    first: Sequence[float], second: Sequence[float], clusters: Sequence[Hashable] | None = None, level: float = LEVEL,
    metric: Metric = SHARE,
) -> tuple[float, float, float]:  # fmt: skip
    """The difference of `paired_difference` and its interval at any level: value, low, high."""
    differences = [a - b for a, b in zip(first, second, strict=True)]
    groups = list(range(len(first))) if clusters is None else list(clusters)
    if not metric.is_share:
        return real_difference(differences, groups, level)
    if not _is_single(first, second, groups):
        return _mean_difference(differences, groups, level)
    wins, losses = sum(d > 0 for d in differences), sum(d < 0 for d in differences)
    return (wins - losses) / len(first), *tango(wins, losses, len(first), level)


def _is_single(first: Sequence[float], second: Sequence[float], groups: Sequence[Hashable]) -> bool:
    """Whether the scores are single right or wrong answers to samples that are all alone."""
    return len(set(groups)) == len(first) and all(score in (0.0, 1.0) for pair in (first, second) for score in pair)


def tango(wins: int, losses: int, n: int, level: float = LEVEL) -> tuple[float, float]:
    """Tango's score interval for (wins - losses) / n of n pairs of right or wrong answers.

    The ends are the differences that the score test just does not reject, found by halving; the
    interval leaves out 0 when McNemar's uncorrected chi-square rejects, and never has zero width.

    >>> [round(end, 4) for end in tango(1, 1, 14)]
    [-0.2655, 0.2655]
    """
    critical = normal_quantile(level)
    estimate = (wins - losses) / n
    high = _halve(lambda d: _score(wins, losses, n, d) > -critical, estimate, 1.0)
    low = _halve(lambda d: _score(wins, losses, n, d) < critical, estimate, -1.0)
    return low, high


def sign_flips(totals: Sequence[float], seed: int = 0) -> FlipTest:
    """The sign-flip test: how often a sum is as large when the sign of each difference could as well be the other.

    totals   difference of each sample or cluster, shape (clusters,)
    Returns  the two-sided p; exact when the differences are multiples of one step (shares of draws) or there are
             at most `HALVED` of them, else from `FLIPS` seeded draws with the observed one counted, so never 0.
    Source   Fisher 1935; for right or wrong answers the exact p is McNemar's.
    """
    moved = [total for total in totals if abs(total) > 1e-12]
    if not moved:
        return FlipTest(1.0)
    step = min(abs(total) for total in moved)
    for divisor in range(1, 41):  # up to 40 draws, or a step that is the least difference of 1/40
        units = [round(abs(total) / step * divisor) for total in moved]
        even = all(abs(unit * step / divisor - abs(total)) < 1e-9 for unit, total in zip(units, moved, strict=True))
        if even and len(units) * sum(units) <= EXACT_CELLS:
            observed = round(abs(sum(moved)) / step * divisor)
            return FlipTest(_exact_flips(units, observed))
    if len(moved) <= HALVED:
        return FlipTest(_halved_flips(moved))
    return FlipTest(_drawn_flips(moved, seed), FLIPS)


def unpaired_difference(first: Interval, second: Interval, n: int, metric: Metric = SHARE) -> Difference:
    """The difference of two means from different samples, or from runs without their samples.

    first, second  each mean with its own 95% interval
    n              samples behind the smaller of the two
    Source   Newcombe 1998, method 10: the ends' squared distances added. p from z, by the number of
             independent samples behind each interval; of a metric that is no share, by the intervals themselves.

    >>> from evals.stats.intervals import wilson
    >>> difference = unpaired_difference(wilson(91, 164), wilson(84, 164), 164)
    >>> [round(100 * end, 1) for end in (difference.value, difference.low, difference.high)]
    [4.3, -6.5, 14.9]
    >>> round(difference.p, 2)
    0.44
    """
    value, low, high = unpaired_interval(first, second, metric=metric)
    if metric.is_share:
        z = z_unpaired(first.value, second.value, first.effective, second.effective)
    else:
        error = sqrt(sum(half_width(one.value, one.low, one.high) ** 2 for one in (first, second))) / normal_quantile()
        z = value / error if error > 0 else 0.0
    p = 2 * NormalDist().cdf(-abs(z))
    return Difference(value=value, low=low, high=high, p=p, method="unpaired", n=n, clusters=n)


def unpaired_interval(
    first: Interval, second: Interval, level: float = LEVEL, metric: Metric = SHARE
) -> tuple[float, float, float]:
    """The interval of `unpaired_difference` at any level: value, low, high.

    At another level than 95% each share has Wilson's interval for as many samples as it is worth.
    """
    wider = 1.0 if metric.is_share else normal_quantile(level) / normal_quantile()
    if level != LEVEL and metric.is_share:
        critical = normal_quantile(level)
        first, second = (score_interval(mean.value, mean.effective, critical) for mean in (first, second))
    value = first.value - second.value
    low = value - wider * sqrt((first.value - first.low) ** 2 + (second.high - second.value) ** 2)
    return value, low, value + wider * sqrt((first.high - first.value) ** 2 + (second.value - second.low) ** 2)


def z_unpaired(first: float, second: float, n_first: float, n_second: float) -> float:
    """z of the difference of two independent proportions, each with its own variance.

    Where that variance is 0 (both ends of the scale) the pooled one stands in; 0 if that is 0 too.

    >>> round(z_unpaired(91 / 164, 84 / 164, 164, 164), 2)
    0.78
    """
    variance = first * (1 - first) / n_first + second * (1 - second) / n_second
    if variance == 0:
        pooled = (first * n_first + second * n_second) / (n_first + n_second)
        variance = pooled * (1 - pooled) * (1 / n_first + 1 / n_second)
    return (first - second) / sqrt(variance) if variance > 0 else 0.0


def holm(p_values: Sequence[float]) -> list[float]:
    """p-values adjusted for being several, order kept: reject those at or below 0.05.

    Source  Holm 1979: the chance of any false rejection stays below the level, whatever the dependence.

    >>> [round(p, 3) for p in holm([0.01, 0.04, 0.03])]
    [0.03, 0.06, 0.06]
    """
    order = sorted(range(len(p_values)), key=p_values.__getitem__)
    adjusted = [0.0] * len(p_values)
    highest = 0.0
    for rank, index in enumerate(order):
        highest = max(highest, min(1.0, (len(order) - rank) * p_values[index]))
        adjusted[index] = highest
    return adjusted


def _score(wins: int, losses: int, n: int, difference: float) -> float:
    """Tango's score statistic: how far the counts are from a true difference, in standard errors."""
    a = 2 * n
    b = -wins - losses + (2 * n - wins + losses) * difference
    c = -losses * difference * (1 - difference)
    share = (sqrt(max(0.0, b * b - 4 * a * c)) - b) / (2 * a)  # the losses' share, likeliest under it
    variance = n * (2 * share + difference * (1 - difference))
    gap = wins - losses - n * difference
    if variance <= 0:
        return 0.0 if gap == 0 else (1e300 if gap > 0 else -1e300)
    return gap / sqrt(variance)


def _halve(inside: Callable[[float], bool], start: float, end: float) -> float:
    """The last point from start towards end that is inside, to 1e-12; end itself if it is."""
    if inside(end):
        return end
    for _ in range(60):
        middle = (start + end) / 2
        start, end = (middle, end) if inside(middle) else (start, middle)
    return start


def _mean_difference(
    differences: Sequence[float], groups: Sequence[Hashable], level: float
) -> tuple[float, float, float]:
    """Mean of differences with a cluster-robust t interval, within -1..1."""
    sums, sizes = cluster_totals(differences, groups)
    value = sum(sums) / len(differences)
    if len(sums) == 1:
        return value, -1.0, 1.0
    single = sum((d - value) ** 2 for d in differences) / len(differences)
    variance, freedom = cluster_variance(sums, sizes, value, single)
    # no spread seen is not no spread: then what as many tied pairs leave open
    half = student_quantile(freedom, level) * sqrt(variance) if variance > 1e-18 else tango(0, 0, len(sums), level)[1]
    return value, max(-1.0, value - half), min(1.0, value + half)


def _exact_flips(units: Sequence[int], observed: int) -> float:
    """P(|sum of signs x units| >= observed), the distribution built one unit at a time."""
    import numpy as np

    total = sum(units)
    chance = np.zeros(total + 1)  # of the units with a plus sign adding up to the index
    chance[0] = 1.0
    for unit in units:
        chance[unit:] = (chance[unit:] + chance[:-unit]) / 2
        chance[:unit] /= 2
    sums = 2 * np.arange(total + 1) - total
    return min(1.0, float(chance[np.abs(sums) >= observed].sum()))


def _halved_flips(totals: Sequence[float]) -> float:
    """P(|sum of flipped totals| >= observed) over all flips: the sums of one half of them looked up among the other's.

    Source  Horowitz and Sahni 1974, J. ACM 21:277.
    """
    import numpy as np

    middle = len(totals) // 2
    sums = []
    for half in (totals[:middle], totals[middle:]):
        signed = np.zeros(1)
        for total in half:
            signed = np.concatenate([signed - total, signed + total])
        sums.append(np.sort(signed))
    left, right = sums
    # by symmetry as many sums are far below 0 as above
    above = len(right) - np.searchsorted(right, abs(sum(totals)) - 1e-9 - left)
    return min(1.0, float(2 * above.sum() / 2.0 ** len(totals)))


def _drawn_flips(totals: Sequence[float], seed: int) -> float:
    import numpy as np

    generator = np.random.default_rng(seed)
    sizes = np.asarray(totals)
    observed = abs(sizes.sum()) - 1e-9
    as_far, block, width = 0, 500, (len(sizes) + 7) // 8
    for _ in range(FLIPS // block):
        drawn = np.frombuffer(generator.bytes(block * width), dtype=np.uint8).reshape(block, width)
        plus = np.unpackbits(drawn, axis=1, count=len(sizes)).astype(float)
        as_far += int((np.abs(2 * (plus @ sizes) - sizes.sum()) >= observed).sum())
    return (1 + as_far) / (1 + FLIPS)
