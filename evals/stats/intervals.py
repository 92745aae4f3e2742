"""95% intervals for a mean of scores in 0..1: Wilson for independent ones, cluster-robust for the rest.

Not here: differences (`paired`), several seeds (`seeds`). A mean of one draw a sample is a count over
n, and Wilson's interval holds it. Draws of one problem, or questions on one passage, are not
independent: then the clusters are what was sampled, the variance is taken between them, and Wilson's
formula is used with the number of independent samples that would give this variance.

Sources  Wilson 1927, JASA 22:209 (the score interval); Brown, Cai and DasGupta 2001, Statistical
         Science 16:101 (why not Wald's); Bell and McCaffrey 2002, Survey Methodology 28:169 (CR2
         variance and its degrees of freedom); Korn and Graubard 1998, Survey Methodology 24:193, and
         Dean and Pagano 2015, J. Survey Statistics and Methodology 3:484 (effective sample size).
"""

from collections.abc import Hashable, Sequence
from math import inf, sqrt
from statistics import NormalDist

from zoo.records import Record

LEVEL = 0.95


class Interval(Record, frozen=True):
    """A value with its interval. effective: the number of independent samples with the same variance."""

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
    """An interval that was kept without its effective number of samples, with that number found again.

    Each end of a score interval obeys (value - end)^2 = z^2 end (1 - end) / n; solved for n.

    >>> round(recover_interval(91 / 164, wilson(91, 164).low, wilson(91, 164).high).effective, 6)
    164.0
    """
    end = low if low > 0 else high
    if not 0 <= low <= value <= high <= 1 or end in (0.0, 1.0, value):
        raise ValueError(
            f"{value} [{low}, {high}] is no score interval: 0 <= low <= value <= high <= 1, none zero wide."
        )
    effective = normal_quantile() ** 2 * end * (1 - end) / (value - end) ** 2
    return Interval(value=value, low=low, high=high, effective=effective)


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
    Returns   Wilson's interval for independent zeros and ones, the clustered one otherwise.
    Raises    ValueError when there is no score, or one is outside 0..1.
    """
    if not values:
        raise ValueError("no score to average: score at least one sample.")
    if not all(0.0 <= value <= 1.0 for value in values):
        raise ValueError(f"scores are in 0..1, one of {len(values)} is not.")
    groups = list(range(len(values))) if clusters is None else list(clusters)
    alone = len(set(groups)) == len(values)
    if strata is not None and len(set(strata)) > 1:
        return strata_interval(values, groups, strata, level)
    if alone and all(value in (0.0, 1.0) for value in values):
        return wilson(sum(values), len(values), level)
    return clustered_interval(values, groups, level)


def strata_interval(
    values: Sequence[float], clusters: Sequence[Hashable], strata: Sequence[Hashable], level: float = LEVEL
) -> Interval:
    """The mean of scores in fixed strata."""
    return mean_interval(values, clusters, level=level)


def clustered_interval(values: Sequence[float], clusters: Sequence[Hashable], level: float = LEVEL) -> Interval:
    """The mean of scores in clusters, clusters being what is sampled: t-based, cluster-robust.

    The variance is CR2's; n_eff = p(1-p)/variance goes into Wilson's formula with Student's critical
    value in place of the normal one. n_eff is never above what independent samples would give, and
    where no spread is seen (all right, all wrong) it is the number of clusters.

    Source  see the file's head. Coverage by simulation: 94% to 96% over the tasks' cluster sizes and
            correlations, down to 93.6% where 16 to 27 strongly correlated clusters meet p=0.9.
    """
    sums, sizes = cluster_totals(values, clusters)
    binary = all(value in (0.0, 1.0) for value in values)
    return totals_interval(sums, sizes, None if binary else sum(value * value for value in values), level)


def totals_interval(
    sums: Sequence[float], sizes: Sequence[int], squares: float | None = None, level: float = LEVEL
) -> Interval:
    """`clustered_interval`, from the sum and size of each cluster.

    squares  sum of the squared single scores; None when each of them is 0 or 1
    """
    n, groups = sum(sizes), len(sums)
    value = min(1.0, max(0.0, sum(sums) / n))
    if groups == 1:
        return score_interval(value, 1, normal_quantile(level))
    spread = value * (1 - value)
    if spread == 0:
        return score_interval(value, groups, student_quantile(groups - 1, level))
    single = spread if squares is None else squares / n - value * value
    variance, freedom = cluster_variance(sums, sizes, value, single)
    # two pseudo-samples, one 0 and one 1, bound how precise fractional scores can look
    most = n if squares is None else (n + 2) ** 2 / 2
    effective = min(spread / variance, most) if variance > 0 else most
    return score_interval(value, effective, student_quantile(freedom, level))


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
