"""Judges a step's loss before the weights change: not finite, or a spike above the losses before it."""

import itertools
import math
import statistics
from collections.abc import Sequence

RECENT = 50  # steps whose median a spike is measured against
SCATTER = 10  # times the mean change from one loss to the next: where sources differ by nats, a hard batch is no spike


def fault_of(loss: float, norm: float, losses: Sequence[float], spike_nats: float) -> str:
    """The fault of a loss in words, or "".

    losses  those of the steps before; fewer than RECENT cannot show a spike

    >>> fault_of(9.0, 1.0, [2.0, 2.1] * 25, spike_nats=1.0)
    'spiked from 2.050 to 9.000'
    """
    if not math.isfinite(loss) or not math.isfinite(norm):
        return f"is {loss} with gradient norm {norm}"
    if not spike_nats or len(losses) < RECENT:
        return ""
    recent = losses[-RECENT:]
    usual = statistics.median(recent)
    scatter = statistics.fmean(abs(b - a) for a, b in itertools.pairwise(recent))
    return f"spiked from {usual:.3f} to {loss:.3f}" if loss > usual + max(spike_nats, SCATTER * scatter) else ""
