"""What a number of samples can tell apart; how a cell reads stands in its doctests and in test_board.py."""

from hypothesis import given
from hypothesis import strategies as st

from dashboard.board.cells import resolvable


@given(st.integers(1, 20_000))
def test_more_samples_resolve_more(n: int) -> None:
    assert 0 < resolvable(4 * n, "measured") < resolvable(n, "measured") <= 100
