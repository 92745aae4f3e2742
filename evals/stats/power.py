"""Power of a task: the smallest difference it resolves, and the samples that a difference needs.

All for a two-sided test at 5% and 80% power unless said; differences and shares are in 0..1.

Sources  Fleiss, Levin and Paik 2003, Statistical Methods for Rates and Proportions, section 4 (two
         proportions); Connor 1987, Biometrics 43:207 (McNemar); Miller 2024, arXiv:2411.00640,
         section 5 (draws and questions of a language-model evaluation).
"""

from collections.abc import Callable
from math import ceil, sqrt
from statistics import NormalDist

from evals.stats.intervals import LEVEL, normal_quantile
from zoo.records import Record

POWER = 0.8


class Resolution(Record, frozen=True):
    """The smallest differences that n samples resolve: unpaired, and paired on the same samples.

    discordant  share of samples that exactly one of the two models solves, assumed for `paired`
    """

    n: int
    unpaired: float
    paired: float
    discordant: float


def resolution(n: int, p: float = 0.5, discordant: float | None = None, power: float = POWER) -> Resolution:
    """The smallest difference resolvable with n samples around a score of p.

    discordant  as seen between two models; None: what two models show whose scores correlate by 0.5
                from sample to sample, p(1-p) (Miller 2024 saw 0.3 to 0.7)

    >>> r = resolution(164, 0.5)
    >>> round(100 * r.unpaired, 1), round(100 * r.paired, 1)
    (15.4, 10.9)
    """
    if n < 1 or not 0 <= p <= 1:
        raise ValueError(f"n={n}, p={p}: give n of at least 1 and p in 0..1.")
    share = p * (1 - p) if discordant is None else discordant
    return Resolution(
        n=n,
        unpaired=_smallest(lambda d: unpaired_power(n, min(max(p - d / 2, 0), 1 - d), d) >= power),
        paired=_smallest(lambda d: paired_power(n, d, max(share, d)) >= power),
        discordant=share,
    )


def unpaired_power(n: int, low: float, difference: float, level: float = LEVEL) -> float:
    """Power of the z test of two proportions, low and low + difference, n samples each.

    >>> round(unpaired_power(164, 0.5, 0.15), 2)
    0.79
    """
    high = low + difference
    null = sqrt((low + high) * (2 - low - high) / 2)
    alternative = sqrt(low * (1 - low) + high * (1 - high))
    return _power(difference * sqrt(n), null, alternative, level)


def paired_power(n: int, difference: float, discordant: float, level: float = LEVEL) -> float:
    """Power of McNemar's test with n pairs, of which the given share is discordant.

    Source  Connor 1987. Raises ValueError if the difference exceeds the discordant share.
    """
    if difference > discordant:
        raise ValueError(f"a difference of {difference} needs at least that share discordant, not {discordant}.")
    return _power(difference * sqrt(n), sqrt(discordant), sqrt(max(0.0, discordant - difference**2)), level)


def samples_needed(difference: float, p: float = 0.5, discordant: float | None = None, power: float = POWER) -> int:
    """Samples that resolve a difference around p: paired if the discordant share is given, else unpaired.

    >>> samples_needed(0.043, 0.5335)
    2112
    >>> samples_needed(0.043, discordant=0.2)
    847
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
    return high


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


def _power(signal: float, null: float, alternative: float, level: float) -> float:
    if alternative == 0:
        return 1.0 if signal > normal_quantile(level) * null else 0.0
    return NormalDist().cdf((signal - normal_quantile(level) * null) / alternative)


def _smallest(enough: Callable[[float], bool]) -> float:
    """The least difference with enough power, to a thousandth of a point; 1 if not even that has."""
    low, high = 0.0, 1.0
    for _ in range(17):
        middle = (low + high) / 2
        low, high = (low, middle) if enough(middle) else (middle, high)
    return high
