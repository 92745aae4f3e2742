"""Confidence sequences: they cover at every look together, and stop early where there is much to see."""

from itertools import pairwise

import numpy as np
import pytest

from evals.stats.sequential import confidence_sequence, look, looks, random_order


def test_each_interval_lies_inside_the_one_before_and_all_hold_the_mean() -> None:
    generator, missed, runs = np.random.default_rng(0), 0, 60
    for _ in range(runs):
        values = generator.choice([0.0, 0.5, 1.0], 150, p=[0.1, 0.7, 0.2]).tolist()
        ends = confidence_sequence(values)
        assert all(a[0] <= b[0] <= b[1] <= a[1] for a, b in pairwise(ends))
        missed += not all(low <= 0.55 <= high for low, high in ends)
    assert missed / runs <= 0.05


def test_a_clear_difference_stops_at_the_first_look_and_swapping_swaps() -> None:
    clear = look([1.0] * looks(1000)[0], 1, 1, 0.02)
    other = look([-1.0] * looks(1000)[0], 1, 1, 0.02)
    assert (clear.verdict, other.verdict) == ("BETTER", "WORSE")
    assert (other.low, other.high) == pytest.approx((-clear.high, -clear.low), abs=1e-3)


def test_units_of_several_samples_are_weighed_by_their_size() -> None:
    """Two passages in three differ by all of their two samples: a difference of 2/3, whatever the unit."""
    whole = look([2.0, 2.0, 0.0] * 40, 2, 2, 0.02)
    single = look([1.0, 1.0, 0.0] * 40, 1, 1, 0.02)
    assert whole.value == pytest.approx(single.value) == pytest.approx(2 / 3)
    assert (whole.low, whole.high) == pytest.approx((single.low, single.high))
    wider = look([1.0, 1.0, 0.0] * 40, 4, 1, 0.02)  # a larger unit that may still come leaves more open
    assert wider.low < single.low


def test_the_order_is_random_and_always_the_same() -> None:
    names = [str(number) for number in range(200)]
    order = random_order(names, "task")
    assert order == random_order(names[::-1], "task") != random_order(names, "other")
    assert sorted(order) == sorted(names)
    assert order != names


def test_values_outside_0_to_1_are_refused() -> None:
    with pytest.raises(ValueError, match=r"0\.\.1"):
        confidence_sequence([1.1])
