"""Checks the numbers of a score, wherever it comes from: another zoo, a result file, a row of this database."""

import math

from zoo.metrics import metric_of
from zoo.records import Score

MOST = 1 << 53  # counts above are not exact in JSON or a column
ROUNDING = 1e-9  # by how much a bound may pass its value or 0..1: intervals are computed in floating point


def score_fault(score: Score) -> str:
    """Why a score cannot be right, in a few words; "" if it can.

    >>> from msgspec.structs import replace
    >>> facts = {"checkpoint": "", "run": "", "task": "t", "protocol": "", "metric": "m"}
    >>> good = Score(value=0.5, low=0.4, high=0.6, n=10, clusters=10, unscored=0, **facts)
    >>> score_fault(good), score_fault(replace(good, n=-3)), score_fault(replace(good, value=5.0))
    ('', 'n is -3, expected 1 or more', 'its value is 5.0 in 0.4 to 0.6, expected 0 <= low <= value <= high <= 1')
    """
    least = {"n": 1, "clusters": 1, "unscored": 0, "unfinished": 0, "disputed": 0, "seed": -MOST}
    least |= {"draws": 1, "seeds": 1}
    for name, minimum in least.items():
        count = getattr(score, name)
        if type(count) is not int or not minimum <= count <= MOST:
            return f"{name} is {count!r:.40}, expected {minimum} or more"
    shares = (score.low, score.value, score.high)
    if not all(isinstance(share, int | float) and math.isfinite(share) for share in shares):
        return f"its value {score.value!r:.40} or a bound of it is not a finite number"
    kind = metric_of(score.metric)
    most = kind.highest
    if not (-ROUNDING <= score.low <= score.value + ROUNDING <= score.high + 2 * ROUNDING <= most + 3 * ROUNDING):
        order = "0 <= low <= value <= high" + (" <= 1" if kind.is_share else "")
        return f"its value is {score.value} in {score.low} to {score.high}, expected {order}"
    if score.seeds != (len(set(score.runs)) or 1):
        return f"it combines {score.seeds} seeds, but {len(set(score.runs))} runs"
    return ""
