"""Knows of each metric how its values are shown and compared: scale, digits, unit, and which end is better.

Every list, table, chart and export takes these facts from here. A metric without an entry is a share in 0..1, shown in
percent, of which more is better.
"""

from math import inf
from typing import NamedTuple


class Metric(NamedTuple):
    """One metric.

    title            a short name for people
    scale            shown is the stored value times this: 100 for a share, 1 for a value that has its own unit
    digits           decimals shown
    unit             of a difference
    lower_is_better  a smaller value is a better model
    """

    name: str
    title: str
    scale: float = 100.0
    digits: int = 1
    unit: str = "points"
    lower_is_better: bool = False

    @property
    def is_share(self) -> bool:
        """Whether values are in 0..1; else they are 0 or more, without an upper bound."""
        return self.scale == 100.0

    @property
    def highest(self) -> float:
        """The largest value that there can be."""
        return 1.0 if self.is_share else inf

    @property
    def axis(self) -> str:
        """The title of a chart's axis."""
        better = ", lower is better" if self.lower_is_better else ""
        return f"{'score, percent' if self.is_share else self.title}{better}"

    @property
    def mark(self) -> str:
        """What follows a metric's name in a head: an arrow where less is better."""
        return " ↓" if self.lower_is_better else ""

    def shown(self, value: float) -> float:
        """A stored value as it is shown: in percent, or as it is."""
        return self.scale * value

    def text(self, value: float, sign: str = "") -> str:
        """A stored value or difference as text. sign: "+" writes the sign of a positive one too."""
        return f"{self.scale * value:{sign}.{self.digits}f}"

    def merit(self, value: float) -> float:
        """A number that is larger for a better value."""
        return -value if self.lower_is_better else value

    def is_better(self, first: float, second: float) -> bool:
        """Whether the first value is better than the second."""
        return self.merit(first) > self.merit(second)


BITS_PER_BYTE = "bits_per_byte"
METRICS = {
    one.name: one
    for one in (
        Metric(
            name=BITS_PER_BYTE, title="bits per byte", scale=1, digits=3, unit="bits per byte", lower_is_better=True
        ),
        Metric(name="byte_perplexity", title="byte perplexity", scale=1, digits=3, unit="", lower_is_better=True),
        Metric(name="word_perplexity", title="word perplexity", scale=1, digits=2, unit="", lower_is_better=True),
    )
}


def metric_of(name: str) -> Metric:
    """The metric of this name.

    >>> metric_of("acc").text(0.51219), metric_of("bits_per_byte").text(1.03125), metric_of("acc").text(0.02, "+")
    ('51.2', '1.031', '+2.0')
    >>> metric_of("bits_per_byte").is_better(0.9, 1.1), metric_of("acc").is_better(0.9, 1.1)
    (True, False)
    """
    return METRICS.get(name) or Metric(name=name, title=name)
