"""An interval that holds at every look: a comparison may stop when it has decided, whenever that is.

A fixed-sample interval looked at again and again errs more and more often. A confidence sequence covers the true mean
at all times together with 95%. This one bets: for each candidate mean a player wagers on the next value, by a rule
that sees only earlier ones; a candidate that makes the player 20 times richer is ruled out. Values are bounded, and
nothing else is assumed of their distribution.

Source  Waudby-Smith and Ramdas 2024, J. Royal Statistical Society B 86:1, section 4 (hedged capital, predictable
        plug-in bets, c = 1/2); Ville's inequality.
"""

import hashlib
from collections.abc import Sequence
from math import log
from typing import Any

from evals.stats.equivalence import Verdict
from evals.stats.intervals import LEVEL
from zoo.records import Record

GRID = 4_001  # candidate means: an end is right to 0.05 points, and rounded outwards
FIRST_LOOK, GROWTH = 24, 1.5  # units before the first look, and how the number grows from look to look
MOST_STAKE = 0.5  # of the wealth that one bet may lose


class Look(Record, frozen=True):
    """A difference after some units, with the interval that holds at every look. verdict: "NOT RESOLVED" goes on."""

    units: int
    value: float
    low: float
    high: float
    verdict: Verdict


def looks(units: int) -> list[int]:
    """After how many units to look: geometrically more each time, the last after all.

    >>> looks(100)
    [24, 36, 54, 81, 100]
    """
    counts, count = [], float(FIRST_LOOK)
    while round(count) < units:
        counts.append(round(count))
        count *= GROWTH
    return [*counts, units]


def random_order(names: Sequence[str], seed: str) -> list[str]:
    """The names in a random order that is the same on every machine, since it is that of their digests."""
    return sorted(names, key=lambda name: hashlib.sha256(f"{seed}\x00{name}".encode()).digest())


def look(totals: Sequence[float], most: float, mean_size: float, margin: float, level: float = LEVEL) -> Look:
    """The difference of two models after some units, and the verdict that may be given now.

    totals     the difference of two models' scores, summed over each unit's samples, in random order
    most       samples in the largest unit; mean_size: of all units of the task, those not asked yet too
    margin     the largest difference that does not matter, in 0..1
    Returns    EQUIVALENT as soon as the interval lies inside the margin, BETTER or WORSE as soon as it leaves out 0

    >>> [look(gaps, 1, 1, 0.02).verdict for gaps in ([1.0] * 24, [0.0] * 1000, [0.0] * 24)]
    ['BETTER', 'EQUIVALENT', 'NOT RESOLVED']
    """
    low, high = confidence_sequence([(1 + total / most) / 2 for total in totals], level)[-1]
    scale = most / mean_size
    low, high = max(-1.0, scale * (2 * low - 1)), min(1.0, scale * (2 * high - 1))
    value = sum(totals) / len(totals) / mean_size
    verdict: Verdict = "NOT RESOLVED"
    if -margin < low and high < margin:
        verdict = "EQUIVALENT"
    elif low > 0 or high < 0:
        verdict = "BETTER" if low > 0 else "WORSE"
    return Look(units=len(totals), value=value, low=low, high=high, verdict=verdict)


def confidence_sequence(values: Sequence[float], level: float = LEVEL) -> list[tuple[float, float]]:
    """The ends after each value: each interval lies inside the one before, and all hold the mean together.

    values  0..1, in random order
    Raises  ValueError for a value outside 0..1.

    >>> low, high = confidence_sequence([0.5, 1.0, 0.5, 1.0] * 50)[-1]
    >>> low < 0.75 < high
    True
    """
    import numpy as np

    if any(not 0 <= value <= 1 for value in values):
        raise ValueError("a confidence sequence needs values in 0..1.")
    means = np.linspace(0, 1, GRID)
    up, down = np.zeros(GRID), np.zeros(GRID)  # logarithms of the wealth of betting on more, and on less
    most_up, most_down = MOST_STAKE / np.maximum(means, 1e-12), MOST_STAKE / np.maximum(1 - means, 1e-12)
    limit, first, last = log(2 / (1 - level)), 0, GRID - 1  # half of the money on each side
    mean, total, squares = 0.5, 0.5, 0.25
    ends = []
    for count, value in enumerate(values, start=1):
        bet = (2 * limit / (squares * log(count + 1))) ** 0.5
        up += np.log1p(np.minimum(bet, most_up) * (value - means))
        down += np.log1p(-np.minimum(bet, most_down) * (value - means))
        first, last = _inside(np.maximum(up, down) < limit, first, last)
        total += value
        mean = total / (count + 1)
        squares += (value - mean) ** 2
        ends.append((float(means[max(0, first - 1)]), float(means[min(GRID - 1, last + 1)])))
    return ends


def _inside(kept: Any, first: int, last: int) -> tuple[int, int]:
    """The outermost candidates between two that are still kept; the two themselves if none is."""
    places = kept[first : last + 1].nonzero()[0]
    return (first + int(places[0]), first + int(places[-1])) if len(places) else (first, last)
