"""Judges whether a difference is too small to matter: two one-sided tests against a margin, beside the test against 0.

The four verdicts are those of Lakens, Scheel and Isager: equivalent (the 90% interval lies inside the margin, even if
the difference is not 0), better or worse (the test against 0 rejects and equivalence is not shown), not resolved.
EQUIVALENT at a true difference of exactly the margin should come in about 5% of cases, BETTER or WORSE at a true
difference of 0 in at most 5%: the test counts both, and tests/bench/simulate_decisions.py at more sizes.

Sources  Schuirmann 1987, J. Pharmacokinetics and Biopharmaceutics 15:657 (two one-sided tests); Lakens, Scheel and
         Isager 2018, Advances in Methods and Practices in Psychological Science 1:259 (the four outcomes).
"""

from collections.abc import Callable, Sequence
from math import ceil
from statistics import NormalDist
from typing import Literal

from evals.stats.intervals import LEVEL
from zoo.records import Record

Verdict = Literal["EQUIVALENT", "BETTER", "WORSE", "NOT RESOLVED"]
Ends = Callable[[float], tuple[float, float, float]]  # a level to value, low and high of a difference
SIDE = 1 - LEVEL  # the level of each one-sided test


class Equivalence(Record, frozen=True):
    """A difference held against a margin.

    low, high  the 90% interval: it lies inside the margin when both one-sided tests reject at 5%
    p          the larger p of the two tests: equivalent at or below 0.05
    p_worse    of the test against a true difference of -margin or less: at or below 0.05 it is not worse
    """

    margin: float
    low: float
    high: float
    p: float
    p_worse: float

    @property
    def shown(self) -> bool:
        """Whether the difference is shown to be smaller than the margin."""
        return -self.margin < self.low and self.high < self.margin


def two_one_sided(ends: Ends, margin: float) -> Equivalence:
    """The two one-sided tests of a difference against a margin.

    ends    gives value, low and high of the difference at any level (`paired_interval`, for one)
    margin  above 0, in the difference's unit
    Raises  ValueError for a margin that is not above 0.

    >>> from evals.stats.paired import tango
    >>> judged = two_one_sided(lambda level: (0.0, *tango(2, 2, 1000, level)), 0.01)
    >>> judged.shown, round(judged.p, 4)
    (True, 0.002)
    """
    if not margin > 0:
        raise ValueError(f"margin {margin}: give one above 0, the largest difference that does not matter.")
    _, low, high = ends(1 - 2 * SIDE)
    p_worse, p_better = one_sided(ends, -margin), 1 - one_sided(ends, margin)
    return Equivalence(margin=margin, low=low, high=high, p=max(p_worse, p_better), p_worse=p_worse)


def one_sided(ends: Ends, bound: float) -> float:
    """p of the test that a true difference is `bound` or less, against more: the inverse of the interval, found by
    halving.

    >>> from evals.stats.intervals import normal_quantile
    >>> ends = lambda level: (0.3, 0.3 - 0.1 * normal_quantile(level), 0.3 + 0.1 * normal_quantile(level))
    >>> round(one_sided(ends, 0.1), 4), round(one_sided(ends, 0.5), 4)
    (0.0228, 0.9772)
    """
    above = ends(0.0)[0] > bound

    def holds(tail: float) -> bool:
        _, low, high = ends(1 - 2 * tail)
        return low <= bound <= high

    small, large = 0.0, 0.5  # the bound is inside the interval with tails of `small`, outside with tails of `large`
    for _ in range(30):
        middle = (small + large) / 2
        small, large = (middle, large) if holds(middle) else (small, middle)
    return small if above else 1 - small


def verdict(equivalence: Equivalence, value: float, p: float) -> Verdict:
    """The verdict on a difference: its value, and the two-sided p against 0 (adjusted, where it is one of several)."""
    if equivalence.shown:
        return "EQUIVALENT"
    if p <= SIDE:
        return "BETTER" if value > 0 else "WORSE"
    return "NOT RESOLVED"


def overall(verdicts: Sequence[Verdict]) -> Verdict:
    """One verdict for several: WORSE if one is; EQUIVALENT or BETTER only if nothing is left open.

    All must hold, so none of the equivalences needs a correction (Berger 1982, Technometrics 24:295).

    >>> overall(["EQUIVALENT", "BETTER"]), overall(["BETTER", "WORSE"]), overall(["BETTER", "NOT RESOLVED"])
    ('EQUIVALENT', 'WORSE', 'NOT RESOLVED')
    """
    if not verdicts or "WORSE" in verdicts:
        return "WORSE" if verdicts else "NOT RESOLVED"
    if "NOT RESOLVED" in verdicts:
        return "NOT RESOLVED"
    return "BETTER" if set(verdicts) == {"BETTER"} else "EQUIVALENT"


def samples_for_equivalence(square: float, margin: float, power: float = 0.8) -> int:
    """Independent samples with which two equally good models are shown equivalent, with this power.

    square  mean squared difference of a sample's scores; of right or wrong answers the discordant share
    Source  the power of two one-sided z tests at a true difference of 0, 2 Phi(m/se - z) - 1; with no discordant
            sample at all the interval's own end: z^2 / (n + z^2) < margin

    >>> samples_for_equivalence(0.25, 0.05), samples_for_equivalence(0.0, 0.01)
    (857, 268)
    """
    z = NormalDist().inv_cdf(1 - SIDE)
    least = ceil(z * z * (1 - margin) / margin)
    return max(least, ceil(square * ((z + NormalDist().inv_cdf((1 + power) / 2)) / margin) ** 2))
