"""Compares two models' averages over several tasks, paired by sample within each task.

The difference of the averages is the mean of the tasks' differences. Tasks have different questions, so their errors
are independent, and each task's own interval (Tango's, or by clusters) says how far its difference may be off: the
distances to the ends are added as squares (MOVER). p is a sign-flip test over all samples or clusters of all tasks,
each with its weight in the average. Not here: the scores of the two (`evals.suites`).

Sources  Zou and Donner 2008, Statistics in Medicine 27:1693 (MOVER: intervals of a sum from those of its terms);
         Fisher 1935, The Design of Experiments, section 21 (sign flips). Under cancelling effects (better on one task,
         worse on another, 0 on average) the test is too cautious, never too bold: flips ignore the tasks' means.
"""

from collections.abc import Hashable, Sequence
from math import sqrt
from typing import NamedTuple

from evals.stats.intervals import LEVEL, cluster_totals
from evals.stats.paired import SHARE, Difference, Method, paired_difference, paired_interval, sign_flips
from zoo.metrics import Metric


class PairedTask(NamedTuple):
    """Two models' scores on the samples of one task, in the same order, what samples share, and the metric."""

    first: Sequence[float]
    second: Sequence[float]
    clusters: Sequence[Hashable]
    metric: Metric = SHARE

    def difference(self) -> Difference:
        """The paired difference with interval and p."""
        return paired_difference(self.first, self.second, self.clusters, metric=self.metric)

    def ends(self, level: float = LEVEL) -> tuple[float, float, float]:
        """The paired difference and its interval at any level: value, low, high."""
        return paired_interval(self.first, self.second, self.clusters, level, self.metric)


def average_difference(tasks: Sequence[PairedTask], seed: int = 0) -> Difference:
    """The difference of two averages with equal weights of the tasks, with interval and p.

    Raises  ValueError without a task.

    >>> task = PairedTask([1.0] * 30 + [0.0] * 10, [0.0] * 20 + [1.0] * 10 + [0.0] * 10, range(40))
    >>> d = average_difference([task, task._replace(second=task.first)])
    >>> d.value, d.n, d.wins, d.p < 0.001
    (0.25, 80, 20, True)
    """
    value, low, high = average_interval(tasks)
    totals: list[float] = []
    wins = losses = n = 0
    for first, second, clusters, _ in tasks:
        gaps = [a - b for a, b in zip(first, second, strict=True)]
        wins, losses, n = wins + sum(gap > 0 for gap in gaps), losses + sum(gap < 0 for gap in gaps), n + len(gaps)
        totals += [total / len(gaps) for total in cluster_totals(gaps, list(clusters))[0]]
    p, flips = sign_flips(totals, seed)
    method: Method = "sign flips, drawn" if flips else "sign flips, exact"
    return Difference(
        value=value, low=low, high=high, p=p, method=method, n=n, clusters=len(totals), wins=wins, losses=losses,
        ties=n - wins - losses, flips=flips,
    )  # fmt: skip


def average_interval(tasks: Sequence[PairedTask], level: float = LEVEL) -> tuple[float, float, float]:
    """The interval of `average_difference` at any level: value, low, high."""
    return mover([task.ends(level) for task in tasks])


def mover(ends: Sequence[tuple[float, float, float]]) -> tuple[float, float, float]:
    """The mean of independent differences with its interval, from value, low and high of each.

    >>> [round(end, 4) for end in mover([(0.1, 0.0, 0.2), (0.3, 0.1, 0.4)])]
    [0.2, 0.0882, 0.2707]
    """
    if not ends:
        raise ValueError("an average of no task: give one at least.")
    count, value = len(ends), sum(value for value, _, _ in ends) / len(ends)
    low = value - sqrt(sum((value - low) ** 2 for value, low, _ in ends)) / count
    high = value + sqrt(sum((high - value) ** 2 for value, _, high in ends)) / count
    return value, max(-1.0, low), min(1.0, high)
