"""95% intervals for a mean of scores in 0..1: Wilson for independent ones, by their variance for the rest.

Not here: differences (`paired`), several seeds (`seeds`). A mean of one draw a sample is a count over
n, and Wilson's interval holds it. Draws of one problem, or questions on one passage, are not
independent: then the clusters are what was sampled, the variance is taken between them, and Wilson's
formula is used with the number of independent samples that would give this variance. Strata are not
sampled, they are all there are: then the variance is taken inside them.

Sources  Wilson 1927, JASA 22:209 (the score interval); Brown, Cai and DasGupta 2001, Statistical
         Science 16:101 (why not Wald's; the lower end of few successes, section 4.1.1); Bell and
         McCaffrey 2002, Survey Methodology 28:169 (CR2 variance and its degrees of freedom); Korn and
         Graubard 1998, Survey Methodology 24:193, and Dean and Pagano 2015, J. Survey Statistics and
         Methodology 3:484 (effective sample size); Cochran 1977, Sampling Techniques, sections 5.2 to
         5.4 (strata) and 9.2 (clusters); Fay and Feuer 1997, Statistics in Medicine 16:791 (one more
         cluster at the far end).
"""

from collections.abc import Hashable, Sequence
from math import inf, sqrt
from statistics import NormalDist

from zoo.records import Record

LEVEL = 0.95
UNSEEN = 0.2  # weight of the cluster not seen yet; in the layouts of docs/statistics.md 0.1 covers 92.0% at worst
FEW = 2.5  # so many clusters with the rarer answer, or fewer: the lower end is Poisson's


class Interval(Record, frozen=True):
    """A value with its interval. effective: the number of independent samples that give one as wide."""

    value: float
    low: float
    high: float
    effective: float


def normal_quantile(level: float = LEVEL) -> float:
    """The two-sided critical value of the normal distribution: 1.96 for 0.95."""
    return NormalDist().inv_cdf((1 + level) / 2)


def wilson(successes: float, n: float, level: float = LEVEL) -> Interval:
    """Wilson's score interval for successes of n independent samples.

    successes  0..n; a fraction is meant for a mean that is no count
    Raises     ValueError for n <= 0 or successes outside 0..n.
    Source     Wilson 1927. Coverage at a single p swings around 95% because counts are whole: exactly
               93.7% to 96.8% at n=164, 94.4% to 95.7% at n=1172 (p from 0.03 to 0.97). Averaged over
               the shares within a standard error of p it is 94.6% to 95.8% from n=80 on.

    >>> [round(100 * end, 1) for end in (wilson(91, 164).low, wilson(91, 164).high)]
    [47.8, 62.9]
    >>> [round(100 * end, 1) for end in (wilson(0, 164).low, wilson(0, 164).high)]
    [0.0, 2.3]
    """
    if not (0 <= successes <= n and 0 < n < inf):
        raise ValueError(f"{successes} of {n} is no proportion: give 0 <= successes <= n, n above 0.")
    return score_interval(successes / n, n, normal_quantile(level))


def score_interval(value: float, n: float, critical: float) -> Interval:
    """Wilson's formula with any critical value and a fractional n; never of zero width."""
    square = critical * critical
    centre = (value + square / (2 * n)) / (1 + square / n)
    half = critical / (1 + square / n) * sqrt(value * (1 - value) / n + square / (4 * n * n))
    # at 0 and 1 the formula gives the end itself; rounding must not move it past the value
    low = 0.0 if value == 0 else max(0.0, min(centre - half, value))
    high = 1.0 if value == 1 else min(1.0, max(centre + half, value))
    return Interval(value=value, low=low, high=high, effective=n)


def recover_interval(value: float, low: float, high: float) -> Interval:
    """An interval that was kept without its effective number of samples, with that number recovered.

    With u = z^2/n, half of Wilson's width is h = sqrt(p(1-p) u + u^2/4) / (1 + u); solved for u.

    >>> round(recover_interval(91 / 164, wilson(91, 164).low, wilson(91, 164).high).effective, 6)
    164.0
    """
    half = (high - low) / 2
    if not 0 <= low <= value <= high <= 1 or not 0 < half < 0.5:
        raise ValueError(
            f"{value} [{low}, {high}] is no score interval: 0 <= low <= value <= high <= 1, none zero wide."
        )
    linear = value * (1 - value) - 2 * half * half
    root = 2 * half * half / (linear + sqrt(linear * linear + (1 - 4 * half * half) * half * half))
    return Interval(value=value, low=low, high=high, effective=normal_quantile() ** 2 / root)


def effective_n(value: float, low: float, high: float, n: int) -> float:
    """The number of independent samples that would give an interval as wide as the one kept with a score of n samples.

    It is n where the interval is no score interval (zero wide, or from another formula).

    >>> round(effective_n(0.5, 0.4036, 0.5964, 1000))
    100
    """
    try:
        return recover_interval(value, low, high).effective
    except ValueError:
        return float(n)


def mean_interval(
    values: Sequence[float],
    clusters: Sequence[Hashable] | None = None,
    strata: Sequence[Hashable] | None = None,
    level: float = LEVEL,
) -> Interval:
    """The mean of scores with its interval, by the method that fits the data.

    values    scores in 0..1, one a sample and draw
    clusters  what each score shares with dependent ones (problem, passage); None if all are alone
    strata    the part of the task, of all that there are, to which each score belongs; None if there are none
    Returns   Wilson's interval for independent zeros and ones without strata, the clustered one otherwise.
    Raises    ValueError when there is no score, or one is outside 0..1.
    """
    if not values:
        raise ValueError("no score to average: score at least one sample.")
    if not all(0.0 <= value <= 1.0 for value in values):
        raise ValueError(f"scores are in 0..1, one of {len(values)} is not.")
    groups = list(range(len(values))) if clusters is None else list(clusters)
    alone = len(set(groups)) == len(values)
    parts = None if strata is None or len(set(strata)) == 1 else strata
    if alone and parts is None and all(value in (0.0, 1.0) for value in values):
        return wilson(sum(values), len(values), level)
    return clustered_interval(values, groups, parts, level)


def clustered_interval(
    values: Sequence[float],
    clusters: Sequence[Hashable],
    strata: Sequence[Hashable] | None = None,
    level: float = LEVEL,
) -> Interval:
    """The mean of scores in clusters, clusters being what is sampled: t-based, cluster-robust.

    Each end is Wilson's, with p(1-p)/variance samples and Student's critical value. The end on the far side of
    1/2 from the value's nearer bound gets one more cluster, see `totals_interval`.

    Source  see the file's head. Coverage: docs/statistics.md, simulated by tests/bench/simulate_coverage.py.
    """
    sums, sizes = cluster_totals(values, clusters)
    binary = all(value in (0.0, 1.0) for value in values)
    parts = None if strata is None else list(dict(zip(clusters, strata, strict=True)).values())
    return totals_interval(sums, sizes, None if binary else sum(value * value for value in values), parts, level)


def totals_interval(
    sums: Sequence[float],
    sizes: Sequence[int],
    squares: float | None = None,
    strata: Sequence[Hashable] | None = None,
    level: float = LEVEL,
) -> Interval:
    """`clustered_interval`, from the sum and size of each cluster.

    squares  sum of the squared single scores; None when each of them is 0 or 1
    strata   of each cluster; None without strata
    """
    n, groups = sum(sizes), len(sums)
    value = min(1.0, max(0.0, sum(sums) / n))
    if groups == 1:
        return score_interval(value, 1, normal_quantile(level))
    spread = value * (1 - value)
    if spread == 0:
        alike = score_interval(value, groups, student_quantile(groups - 1, level))
        return recover_interval(value, alike.low, alike.high)
    if strata is not None and len(set(strata)) > 1:
        variance, freedom = strata_variance(sums, sizes, strata)
    else:
        single = spread if squares is None else squares / n - value * value
        variance, freedom = cluster_variance(sums, sizes, value, single)
    most = n if squares is None and strata is None else inf
    return variance_interval(value, variance, freedom, sizes, most, level)


def variance_interval(
    value: float, variance: float, freedom: float, sizes: Sequence[int], most: float = inf, level: float = LEVEL
) -> Interval:
    """The interval of a mean above 0 and below 1 whose variance is known to some degrees of freedom.

    sizes  of the clusters
    most   of independent samples that the variance may stand for
    """
    spread, n = value * (1 - value), sum(sizes)
    most = min(most, (n + 2) ** 2 / 2)  # two pseudo-samples, one 0 and one 1, bound how precise a mean can look
    near = min(spread / variance, most) if variance > 0 else most
    far = min(near, n * _far_weight(value, variance, sizes)) if variance > 0 else near
    return _two_ends(value, near, far, student_quantile(freedom, level), level)


def _far_weight(value: float, variance: float, sizes: Sequence[int]) -> float:
    """Independent samples per sample at the end away from 0 (for a value below 1/2; from 1 for one above).

    Few right answers lie in few clusters. A sample without the one cluster that is all right has a low mean
    and a low variance at once, so the interval ends too early. One more cluster is added, all of the rarer
    answer, with a weight that falls to 0 at 1/2, where there is no skew.
    """
    n = sum(sizes)
    more = UNSEEN * (1 - 2 * value) ** 4
    size = sum(size * size for size in sizes) / n * max(value, 1 - value)
    return (n * value * (1 - value) + more * size) / (variance * n * n + more * size * size)


def _two_ends(value: float, near: float, far: float, critical: float, level: float) -> Interval:
    """The interval whose end towards the nearer of 0 and 1 has `near` samples, the other `far`."""
    below, above = (near, far) if value <= 0.5 else (far, near)
    low, high = score_interval(value, below, critical).low, score_interval(value, above, critical).high
    # where few clusters have the rarer answer, the near end is Poisson's with 5% on its side
    if near * value <= FEW:
        low = min(low, _poisson_low(near * value, level) / near)
    if near * (1 - value) <= FEW:
        high = max(high, 1 - _poisson_low(near * (1 - value), level) / near)
    return recover_interval(value, max(0.0, low), min(1.0, high))


def _poisson_low(count: float, level: float) -> float:
    from scipy.special import gammaincinv

    return float(gammaincinv(count, 1 - level))


def cluster_totals(values: Sequence[float], clusters: Sequence[Hashable]) -> tuple[list[float], list[int]]:
    """The sum and the size of each cluster, in order of first appearance."""
    if len(values) != len(clusters):
        raise ValueError(f"{len(values)} values and {len(clusters)} clusters: give each value its cluster.")
    sums: dict[Hashable, float] = {}
    sizes: dict[Hashable, int] = {}
    for value, cluster in zip(values, clusters, strict=True):
        sums[cluster] = sums.get(cluster, 0.0) + value
        sizes[cluster] = sizes.get(cluster, 0) + 1
    return list(sums.values()), list(sizes.values())


def cluster_variance(sums: Sequence[float], sizes: Sequence[int], mean: float, single: float) -> tuple[float, float]:
    """CR2's variance of a mean over clusters, and its degrees of freedom.

    sums, sizes  of the clusters, at least two
    mean         sum of all over n
    single       variance of a single value, from which the correlation in a cluster follows
    Returns      the variance, and its degrees of freedom
    Source       Bell and McCaffrey 2002, for the model with only a mean: the leverage of a cluster is
                 size/n. Satterthwaite's freedom is taken for cluster totals that vary as under the
                 intraclass correlation seen in the data (Pustejovsky and Tipton 2018, JBES 36:672).
                 We depart: the freedom is the geometric mean of Satterthwaite's and clusters - 1. With
                 the first alone coverage was 96% to 98% where few large clusters dominate (MMLU's
                 subjects: 100 to 1,534 questions), with the second 92% to 94%; between them 94% to 96%.
    """
    n = sum(sizes)
    weights = [1 / (1 - size / n) for size in sizes]
    residuals = [total - size * mean for total, size in zip(sums, sizes, strict=True)]
    variance = sum(w * r * r for w, r in zip(weights, residuals, strict=True)) / n**2
    freedom = satterthwaite(sizes, weights, _total_variances(residuals, sizes, single))
    return variance, sqrt(freedom * (len(sizes) - 1))


def strata_variance(sums: Sequence[float], sizes: Sequence[int], strata: Sequence[Hashable]) -> tuple[float, float]:
    """The variance of a mean over clusters (or samples alone) inside fixed strata, and its degrees of freedom.

    Only the spread around each stratum's own mean counts: which strata there are is no matter of chance.
    Each stratum's mean is pulled to the whole mean by one pseudo-score, and a stratum with one cluster is
    compared with the whole, so that small strata do not look free of variance.

    Source  Cochran 1977, Sampling Techniques, equation 5.14 (weights by size, no finite population); 5A.12
            (one unit a stratum).
    """
    n = sum(sizes)
    mean = sum(sums) / n
    parts: dict[Hashable, tuple[float, int, int]] = {}
    for total, size, part in zip(sums, sizes, strata, strict=True):
        before = parts.get(part, (0.0, 0, 0))
        parts[part] = (before[0] + total, before[1] + size, before[2] + 1)
    squares = 0.0
    for total, size, part in zip(sums, sizes, strata, strict=True):
        whole, weight, members = parts[part]
        centre = (whole + mean) / (weight + 1) if members > 1 else mean
        squares += (total - size * centre) ** 2 / (1 - size / weight if members > 1 else 1)
    return squares / n**2, max(1.0, float(len(sums) - len(parts)))


def satterthwaite(sizes: Sequence[int], weights: Sequence[float], variances: Sequence[float]) -> float:
    """Degrees of freedom of a CR2 variance: 2 E(V)^2 / Var(V), for normal cluster totals.

    variances  of the cluster totals, up to a factor; E and Var follow from the covariance of the
               residual totals, diag(v) - v m'/n - m v'/n + m m' sum(v)/n^2, without building it
    """
    n, total = sum(sizes), sum(variances)
    x = [-v / n + m * total / (2 * n * n) for v, m in zip(variances, sizes, strict=True)]
    own = [2 * a * m for a, m in zip(x, sizes, strict=True)]
    trace = sum(w * (v + r) for w, v, r in zip(weights, variances, own, strict=True))
    squares = sum((w * (v + r)) ** 2 - (w * r) ** 2 for w, v, r in zip(weights, variances, own, strict=True))
    xx = sum(w * a * a for w, a in zip(weights, x, strict=True))
    mm = sum(w * m * m for w, m in zip(weights, sizes, strict=True))
    xm = sum(w * a * m for w, a, m in zip(weights, x, sizes, strict=True))
    return trace * trace / (squares + 2 * (xx * mm + xm * xm))


def student_quantile(freedom: float, level: float = LEVEL) -> float:
    """The two-sided critical value of Student's t; the normal one from a million degrees on."""
    if freedom >= 1e6:
        return normal_quantile(level)
    from scipy.special import stdtrit

    return float(stdtrit(freedom, (1 + level) / 2))


def _total_variances(residuals: Sequence[float], sizes: Sequence[int], single: float) -> list[float]:
    """How cluster totals vary, up to a factor: m (1 + (m - 1) rho), rho from the data, within 0..1."""
    pairs = sum(size * (size - 1) for size in sizes)
    if pairs == 0:
        return [float(size) for size in sizes]
    if single <= 0:
        return [float(size) ** 2 for size in sizes]
    excess = sum(r * r - size * single for r, size in zip(residuals, sizes, strict=True))
    rho = min(1.0, max(0.0, excess / (pairs * single)))
    return [size * (1 + (size - 1) * rho) for size in sizes]
