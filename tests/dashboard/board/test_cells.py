"""The smallest difference that a column detects; the text of a cell is in doctests and test_build.py."""

from hypothesis import given
from hypothesis import strategies as st

from dashboard.board.cells import Cell, smallest_difference
from evals.stats.intervals import Interval, clustered_interval, wilson


def cell(interval: Interval, n: int, clusters: int) -> Cell:
    return Cell(
        origin="measured", value=100 * interval.value, low=100 * interval.low, high=100 * interval.high, n=n,
        clusters=clusters,
    )  # fmt: skip


@given(st.integers(6, 20_000))
def test_more_samples_resolve_more(n: int) -> None:
    few, many = (smallest_difference([cell(wilson(size / 2, size), size, size)], "measured") for size in (n, 4 * n))
    assert few is not None
    assert many is not None
    assert 0 < many < few <= 100


def test_a_column_of_clusters_resolves_what_its_intervals_do() -> None:
    """57 groups of 246 that are alike: an interval of 8 points, so that 1.2 points are not resolved."""
    values = [float(i // 246 % 2) if i % 3 else 0.0 for i in range(57 * 246)]
    clustered = cell(clustered_interval(values, [i // 246 for i in range(len(values))]), len(values), 57)
    alone = cell(wilson(sum(values), len(values)), len(values), len(values))
    wide, narrow = (smallest_difference([alone, other], "measured") for other in (clustered, alone))
    assert narrow is not None
    assert narrow < 1.3
    assert wide is not None
    assert wide > ((clustered.high or 0) - (clustered.low or 0)) / 2


def test_a_column_that_detects_nothing_has_no_smallest_difference() -> None:
    assert smallest_difference([], "measured") is None
    assert smallest_difference([Cell(origin="reported", value=3.0, low=None, high=None, n=None)], "reported") is None
    five = clustered_interval([1.0, 0.0] * 50, [i // 20 for i in range(100)])
    assert smallest_difference([cell(five, 100, 5)], "measured") is None
