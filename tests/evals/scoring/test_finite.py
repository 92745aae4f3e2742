"""A number that is not finite is found wherever it stands, and a finite one never."""

import math

from hypothesis import given
from hypothesis import strategies as st

from evals.scoring.finite import NOT_FINITE, find_overflow


@given(st.lists(st.floats()))
def test_only_numbers_that_are_not_finite_are_a_fault(values: list[float]) -> None:
    fault = find_overflow(values)
    assert bool(fault) is any(math.isnan(value) or math.isinf(value) for value in values)
    assert (NOT_FINITE in fault) is bool(fault)
