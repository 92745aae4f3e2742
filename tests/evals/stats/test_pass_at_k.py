"""pass@k against its definition: all ways to choose k of the draws, counted."""

from fractions import Fraction
from itertools import combinations
from math import comb

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evals.stats.pass_at_k import pass_at_k


@given(st.integers(1, 9).flatmap(lambda n: st.tuples(st.just(n), st.integers(0, n), st.integers(1, n))))
def test_is_the_share_of_choices_with_a_pass(case: tuple[int, int, int]) -> None:
    draws, correct, k = case
    passes = [any(i < correct for i in chosen) for chosen in combinations(range(draws), k)]
    assert pass_at_k([correct], draws, k) == [sum(passes) / len(passes)]


@given(st.integers(1, 500).flatmap(lambda n: st.tuples(st.just(n), st.integers(0, n), st.integers(1, n))))
def test_is_the_float_nearest_the_exact_fraction(case: tuple[int, int, int]) -> None:
    draws, correct, k = case
    exact = 1 - Fraction(comb(draws - correct, k), comb(draws, k))
    assert pass_at_k([correct], draws, k) == [float(exact)]


def test_equals_the_product_of_the_paper() -> None:
    """Chen et al. 2021, figure 3: 1 - prod(1 - k / arange(n - c + 1, n + 1))."""
    import numpy as np

    for draws, k in ((20, 10), (200, 100)):
        counts = list(range(draws + 1))
        product = [1.0 if draws - c < k else 1 - np.prod(1 - k / np.arange(draws - c + 1, draws + 1)) for c in counts]
        assert pass_at_k(counts, draws, k) == pytest.approx(product)


def test_is_unbiased() -> None:
    """The mean over all outcomes of n draws is 1 - (1 - p)^k: no other estimator from counts has it."""
    p, draws, k = Fraction(1, 3), 6, 3
    chances = [comb(draws, c) * p**c * (1 - p) ** (draws - c) for c in range(draws + 1)]
    estimates = pass_at_k(list(range(draws + 1)), draws, k)
    assert sum(float(c) * e for c, e in zip(chances, estimates, strict=True)) == pytest.approx(float(1 - (1 - p) ** k))


def test_order_is_kept_and_nothing_gives_nothing() -> None:
    assert pass_at_k([2, 0, 1], 2, 2) == [1.0, 0.0, 1.0]
    assert pass_at_k([], 5, 1) == []


@pytest.mark.parametrize(("correct", "draws", "k"), [([1], 2, 3), ([1], 2, 0), ([3], 2, 1), ([-1], 2, 1)])
def test_impossible_counts_are_refused(correct: list[int], draws: int, k: int) -> None:
    with pytest.raises(ValueError, match="draws"):
        pass_at_k(correct, draws, k)
