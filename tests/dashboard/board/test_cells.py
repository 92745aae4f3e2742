"""The smallest difference that n samples detect; the text of a cell is in doctests and test_build.py."""

from hypothesis import given
from hypothesis import strategies as st

from dashboard.board.cells import smallest_difference


@given(st.integers(1, 20_000))
def test_more_samples_resolve_more(n: int) -> None:
    assert 0 < smallest_difference(4 * n, "measured") < smallest_difference(n, "measured") <= 100
