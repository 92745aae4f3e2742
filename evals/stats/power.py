"""Power of the tests that `paired` runs: the smallest difference they detect, and the samples a difference needs.

All for a two-sided test at 5% and 80% power unless said; differences and shares are in 0..1. The power of
McNemar's exact test is an exact sum. For clusters and several draws it is that of a t test with the variance and the
degrees of freedom of the interval; by simulation the sign-flip test has this power to 2 points from six clusters on.

Before a run nothing is known of the answers, so two shares are assumed (CLUSTER_CORRELATION, DRAW_CORRELATION); a
score's interval, or the samples of a pair, replace them.

Sources  Fleiss, Levin and Paik 2003, Statistical Methods for Rates and Proportions, section 4 (two
         proportions); Connor 1987, Biometrics 43:207 (McNemar, many samples); Kish 1965, Survey Sampling, section 5.4
         (design effect); Miller 2024, arXiv:2411.00640, section 5 (draws and questions of a language-model evaluation).
"""

from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Sequence
from contextlib import suppress
from functools import lru_cache
from math import ceil, exp, inf, lgamma, log, log2, sqrt
from statistics import NormalDist

from evals.stats.intervals import (
    LEVEL,
    cluster_totals,
    cluster_variance,
    normal_quantile,
    recover_interval,
    satterthwaite,
    student_quantile,
)
from zoo.records import Record

POWER = 0.8
# assumed between two samples of a cluster, for scores and for differences, until there is a run
CLUSTER_CORRELATION = 0.1
# assumed between two draws of a sample. Two models whose single draws correlate by 0.5 from sample to sample need at
# least 0.5, and greedy decoding has 1; the middle
DRAW_CORRELATION = 0.75
FEWEST = 6  # samples or clusters: with five the smallest p of a paired test is 2/2^5 = 0.0625
MANY = 5_000  # discordant samples above which the normal approximation is right to 0.4 points of power


class Effective(Record, frozen=True):
    """How many independent samples of one draw would give the same variance as these samples.

    n            samples
    clusters     independent groups among them; n if all are alone
    score        for one score
    pair         for the difference of two scores on the same samples
    freedom      degrees of freedom of the test of such a difference; infinite if `pair` allows for them
    correlation  of two samples of a cluster, if it was assumed
    """

    n: int
    clusters: int
    score: float
    pair: float
    freedom: float = inf
    correlation: float | None = None


class Resolution(Record, frozen=True):
    """The smallest differences that samples resolve: unpaired, and paired; None if no difference is enough.

    discordant   mean squared difference of two models' scores on a sample, assumed or seen; for right or wrong answers
                 the share of samples that exactly one of them solves
    effective    independent samples that would give a score the same variance
    clusters     independent groups of samples
    correlation  of two samples of a cluster, if it was assumed
    """

    n: int
    unpaired: float | None
    paired: float | None
    discordant: float
    effective: float
    clusters: int
    correlation: float | None = None


def independent(n: int) -> Effective:
    """Samples that are all alone, one draw each."""
    if n < 1:
        raise ValueError(f"n={n}: give at least one sample.")
    return Effective(n=n, clusters=n, score=n, pair=n)


def planned(sizes: Sequence[int], draws: int = 1, correlation: float = CLUSTER_CORRELATION) -> Effective:
    """What a run not yet made is worth, from the sizes of its clusters (1 for a sample alone).

    Source  Kish 1965: the variance of a mean of clusters of m grows by 1 + (m - 1) correlation.

    >>> effective = planned([380] * 16)
    >>> round(effective.pair), round(effective.freedom)
    (156, 15)
    """
    n = sum(sizes)
    if len(sizes) == n and draws == 1:
        return independent(n)
    own = DRAW_CORRELATION + (1 - DRAW_CORRELATION) / draws
    # a score correlation of 0.5 between two models leaves this of a single draw's variance in their difference
    differs = 2 * (DRAW_CORRELATION - 0.5) + 2 * (1 - DRAW_CORRELATION) / draws
    variances = [size * (1 + (size - 1) * correlation) for size in sizes]
    effect, count = sum(variances) / n, len(sizes)
    wider = student_quantile(_freedom(sizes, variances)) / normal_quantile() if count > 1 else inf  # as in the interval
    return Effective(
        n=n, clusters=count, score=max(1.0, n / (own * effect * wider**2)), pair=n / (differs * effect),
        # clusters of right and wrong answers are skewed towards the better model, so that the test has the power of
        # this many degrees of freedom rather than of the interval's: 80% to 82% on SQuAD's articles, not 81% to 83%
        freedom=max(count - 1, 1), correlation=correlation if count < n else None,
    )  # fmt: skip


def resolution(
    samples: int | Effective, p: float = 0.5, discordant: float | None = None, power: float = POWER
) -> Resolution:
    """The smallest difference resolvable with these samples around a score of p.

    samples     a number of independent samples, or what others are worth
    discordant  as seen between two models; None: what two models show whose scores correlate by 0.5
                from sample to sample, p(1-p) (Miller 2024 saw 0.3 to 0.7)

    >>> r = resolution(164, 0.5)
    >>> round(100 * r.unpaired, 1), round(100 * r.paired, 1)
    (15.4, 11.2)
    >>> resolution(5).paired is None
    True
    """
    effective = independent(samples) if isinstance(samples, int) else samples
    if not 0 <= p <= 1:
        raise ValueError(f"p={p}: give p in 0..1.")
    share = p * (1 - p) if discordant is None else discordant
    return Resolution(
        n=effective.n, unpaired=smallest_unpaired(effective.score, p, power),
        paired=smallest_paired(effective, share, power), discordant=share, effective=effective.score,
        clusters=effective.clusters, correlation=effective.correlation,
    )  # fmt: skip


@lru_cache(maxsize=1024)  # a board has many columns of the same n, and is built again for each page
def smallest_unpaired(samples: float, p: float = 0.5, power: float = POWER) -> float | None:
    """The smallest difference of two scores around p that so many independent samples each resolve; None if none."""
    return _smallest(lambda d: unpaired_power(samples, min(max(p - d / 2, 0), 1 - d), d) >= power)


@lru_cache(maxsize=1024)
def smallest_paired(effective: Effective, discordant: float = 0.25, power: float = POWER) -> float | None:
    """The smallest difference that pairs of samples resolve; None if no difference is enough.

    discordant  mean squared difference on a sample, as in `Resolution`
    """
    return _smallest(lambda d: difference_power(effective, d, max(discordant, d)) >= power)


def observed(
    first: Sequence[float], second: Sequence[float], clusters: Sequence[Hashable], score: float | None = None
) -> tuple[Effective, float]:
    """What a pair of runs is worth by the differences that the two show, and the mean squared difference.

    first, second, clusters  as in `paired_difference`
    score  independent samples behind the less certain of the two scores; None: as many as there are clusters
    """
    differences = [a - b for a, b in zip(first, second, strict=True)]
    n, count = len(differences), len(set(clusters))
    square = sum(d * d for d in differences) / n
    binary = all(value in (0.0, 1.0) for pair in (first, second) for value in pair)
    pair, freedom = float(count), inf
    if count > 1 and square > 0 and not (binary and count == n):
        mean = sum(differences) / n
        variance, freedom = cluster_variance(*cluster_totals(differences, clusters), mean, square - mean * mean)
        pair = (square - mean * mean) / variance if variance > 0 else pair
    return Effective(n=n, clusters=count, score=score or count, pair=pair, freedom=freedom), square


def weakest(scores: Iterable[tuple[float, float, float, int, int]]) -> Effective | None:
    """The least that any of some scores is worth, by its interval: value, low, high, n and clusters of each.

    A pair's difference is taken to have the design effect of the score. None if no score has a score interval.
    """
    each = []
    for value, low, high, n, clusters in scores:
        with suppress(ValueError):
            score = recover_interval(value, low, high).effective
            score = n if clusters == n and abs(score - n) < 1e-3 * n else score  # one draw each, up to rounding
            each.append(Effective(n=n, clusters=clusters, score=score, pair=score))
    return min(each, key=lambda effective: effective.score, default=None)


def unpaired_power(n: float, low: float, difference: float, level: float = LEVEL) -> float:
    """Power of the z test of two proportions, low and low + difference, n samples each.

    >>> round(unpaired_power(164, 0.5, 0.15), 2)
    0.79
    """
    high = low + difference
    null = sqrt((low + high) * (2 - low - high) / 2)
    alternative = sqrt(low * (1 - low) + high * (1 - high))
    return _power(difference * sqrt(n), null, alternative, level)


def difference_power(effective: Effective, difference: float, discordant: float) -> float:
    """Power of `paired_difference`'s test on samples worth this much; the difference is at most the discordant share.

    Clusters and draws have the power of a t test; where most clusters are one sample, of McNemar's on as many samples
    as they are worth, if that is less: there the totals are whole numbers near 0, and few discordant ones limit it.
    """
    n, clusters = effective.n, effective.clusters
    if clusters < FEWEST:
        return 0.0
    if effective.pair == n == clusters:
        return paired_power(n, difference, discordant)
    square = difference**2 * max(1.0, effective.pair / n)  # draws do not make the mean difference any smaller
    by_t = t_power(difference, max(0.0, discordant - square) / effective.pair, effective.freedom)
    if effective.pair >= n or 2 * clusters <= n:
        return by_t
    return min(by_t, paired_power(round(effective.pair), difference, discordant))


def paired_power(n: int, difference: float, discordant: float, level: float = LEVEL) -> float:
    """Power of McNemar's exact test with n pairs, of which the given share is discordant: an exact sum.

    Raises ValueError if the difference exceeds the discordant share.

    >>> round(paired_power(164, 0.11, 0.25), 3)
    0.781
    >>> paired_power(5, 1.0, 1.0)
    0.0
    """
    if difference > discordant:
        raise ValueError(f"a difference of {difference} needs at least that share discordant, not {discordant}.")
    if n * discordant == 0:
        return 0.0
    if n * discordant > MANY:  # Connor 1987
        return _power(difference * sqrt(n), sqrt(discordant), sqrt(max(0.0, discordant - difference**2)), level)
    counts, share = _discordant_counts(n, discordant, level), (1 + difference / discordant) / 2
    return min(1.0, _rejected(counts, share) + _rejected(counts, 1 - share))


def samples_needed(
    difference: float, p: float = 0.5, discordant: float | None = None, power: float = POWER, effect: float = 1.0
) -> int:
    """Samples that resolve a difference around p: paired if the discordant share is given, else unpaired.

    effect  samples that are worth one independent sample: above 1 for clusters

    >>> samples_needed(0.043, 0.5335)
    2112
    >>> samples_needed(0.043, discordant=0.2)
    885
    """
    if not 0 < difference <= 1:
        raise ValueError(f"a difference of {difference} cannot be resolved: give one above 0, at most 1.")
    low = min(max(p - difference / 2, 0), 1 - difference)

    def enough(n: int) -> bool:
        if discordant is None:
            return unpaired_power(n, low, difference) >= power
        return paired_power(n, difference, discordant) >= power

    high = 1
    while not enough(high):
        high *= 2
    least = high // 2 + 1
    while least < high:
        middle = (least + high) // 2
        least, high = (least, middle) if enough(middle) else (middle + 1, high)
    return ceil(high * effect)


def draws_needed(difference: float, n: int, between: float, within: float, power: float = POWER) -> int | None:
    """Draws per sample and model that resolve a paired difference, or None when no number of draws does.

    between  variance over samples of the true per-sample difference
    within   variance of one draw within a sample, summed over both models
    Returns  None when the samples themselves are too few: the variance between stays whatever is drawn.
    Source   Miller 2024, section 5: Var = (between + within / draws) / n.

    >>> draws_needed(0.05, 164, between=0.02, within=0.4)
    13
    >>> draws_needed(0.05, 164, between=0.06, within=0.4) is None
    True
    """
    if difference <= 0:
        raise ValueError(f"a difference of {difference} cannot be resolved: give one above 0.")
    allowed = n * (difference / (normal_quantile() + NormalDist().inv_cdf(power))) ** 2
    if allowed <= between:
        return None
    return max(1, ceil(within / (allowed - between)))


def group_sizes(clusters: Sequence[str]) -> list[int]:
    """The sizes of clusters from the cluster of each sample, "" for a sample alone."""
    sizes = Counter(cluster for cluster in clusters if cluster)
    return [*sizes.values(), *([1] * sum(not cluster for cluster in clusters))]


def _freedom(sizes: Sequence[int], variances: Sequence[float]) -> float:
    """The degrees of freedom of a mean over clusters, as `cluster_variance` takes them."""
    n, count = sum(sizes), len(sizes)
    return sqrt(satterthwaite(sizes, [1 / (1 - size / n) for size in sizes], variances) * (count - 1))


def t_power(difference: float, variance: float, freedom: float) -> float:
    """Power of a two-sided t test of a mean difference."""
    if variance <= 0:
        return 1.0 if difference > 0 else 0.0
    signal, critical = difference / sqrt(variance), student_quantile(freedom)
    if freedom >= 1e6:
        return NormalDist().cdf(signal - critical) + NormalDist().cdf(-signal - critical)
    from scipy.special import nctdtr

    far = nctdtr(freedom, signal, -critical) if signal < 3 else 0.0  # SciPy's is nan where it is below 1e-200
    return float(1 - nctdtr(freedom, signal, critical) + far)


class _Counts(Record, frozen=True):
    """Counts of discordant samples from `first` on: the chance of each, and the most losses that are rejected there."""

    first: int
    chances: tuple[float, ...]
    most: tuple[int, ...]


@lru_cache(maxsize=64)
def _discordant_counts(n: int, discordant: float, level: float) -> _Counts:
    """How many of n samples may be discordant: the counts at which exact McNemar can reject, but for those too rare.

    In plain floats: SciPy's import would take longer than a whole board.
    """
    mean, tail = n * discordant, (1 - level) / 2
    reach = 6 * sqrt(mean) + 20  # counts beyond have a chance of 1e-8
    first = max(ceil(-log2(tail)), int(mean - reach), n if discordant == 1 else 0)
    chances, most = [], []
    chance = exp(_log_binomial(first, n, discordant)) if first <= n else 0.0
    losses = max(0, int((first - normal_quantile(level) * sqrt(first)) / 2) - 3)
    term, total = _binomial(losses, first, 0.5)
    for count in range(first, min(n, int(mean + reach)) + 1):
        while total + (rise := term * (count - losses) / (losses + 1)) <= tail:
            term, total, losses = rise, total + rise, losses + 1
        chances.append(chance)
        most.append(losses)
        chance *= (n - count) / (count + 1) * discordant / (1 - discordant) if discordant < 1 else 0.0
        term, total = term * (count + 1) / (count + 1 - losses) / 2, total - term / 2
    return _Counts(first=first, chances=tuple(chances), most=tuple(most))


def _rejected(counts: _Counts, share: float) -> float:
    """The chance of at most the rejected losses, if each discordant sample is a loss with this chance."""
    if not counts.most or share in (0.0, 1.0):
        return sum(counts.chances) * (1 - share)
    losses, rejected = counts.most[0], 0.0
    term, total = _binomial(losses, counts.first, share)
    for count, (chance, most) in enumerate(zip(counts.chances, counts.most, strict=True), start=counts.first):
        while losses < most:
            term *= (count - losses) / (losses + 1) * share / (1 - share)
            total, losses = total + term, losses + 1
        rejected += chance * total
        term, total = term * (count + 1) / (count + 1 - losses) * (1 - share), total - share * term
    return rejected


def _binomial(k: int, n: int, share: float) -> tuple[float, float]:
    """The chances of exactly k and of at most k of n."""
    term = exp(_log_binomial(k, n, share))
    if term == 0.0:  # too far from the mean for a float
        return 0.0, float(k > n * share)
    chance = total = term
    while k > 0 and (k > n * share or term > 1e-18 * total):
        term *= k / (n - k + 1) * (1 - share) / share
        total, k = total + term, k - 1
    return chance, total


def _log_binomial(k: int, n: int, share: float) -> float:
    """The logarithm of the chance of exactly k of n."""
    ways = lgamma(n + 1) - lgamma(k + 1) - lgamma(n - k + 1)
    return ways + (k * log(share) if k else 0.0) + ((n - k) * log(1 - share) if k < n else 0.0)


def _power(signal: float, null: float, alternative: float, level: float) -> float:
    if alternative == 0:
        return 1.0 if signal > normal_quantile(level) * null else 0.0
    return NormalDist().cdf((signal - normal_quantile(level) * null) / alternative)


def _smallest(enough: Callable[[float], bool]) -> float | None:
    """The least difference with enough power, to a thousandth of a point; None if not even 1 has it."""
    if not enough(1.0):
        return None
    low, high = 0.0, 1.0
    for _ in range(17):
        middle = (low + high) / 2
        low, high = (low, middle) if enough(middle) else (middle, high)
    return high
