"""Numbers that are not finite are no answer: the sample stays unscored, with its reason, and its run unpublished.

A model whose activations overflow gives NaN logits, and any rule that picks the largest would pick the first choice.
"""

import math
from collections.abc import Iterable

NOT_FINITE = "not finite"  # in the detail of every result that has this fault
NO_LOGITS = f"the model's logits are {NOT_FINITE} (NaN or infinity)"


def find_overflow(logprobs: Iterable[float]) -> str:
    """The fault of log-probabilities of which one is not finite; "" where all are.

    >>> find_overflow([-1.5, float("nan")])
    'log-probability 2 of 2 is nan, not finite'
    >>> find_overflow([-1.5, -0.25])
    ''
    """
    values = list(logprobs)
    bad = next((place for place, value in enumerate(values) if not math.isfinite(value)), None)
    return "" if bad is None else f"log-probability {bad + 1} of {len(values)} is {values[bad]}, {NOT_FINITE}"
