"""Means, ratios and differences of values without bounds: exact cases, coverage by simulation, what resolves."""

from math import inf, isclose, sqrt
from statistics import fmean, stdev

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evals.stats.intervals import student_quantile
from evals.stats.paired import paired_difference, unpaired_difference
from evals.stats.real import half_width, ratio_mean, real_difference, real_mean, real_resolution
from evals.stats.seeds import combine
from zoo.metrics import metric_of

BITS = metric_of("bits_per_byte")
VALUES = st.lists(st.floats(0.1, 9), min_size=2, max_size=40)


@given(VALUES)
def test_alone_it_is_student_s_interval(values: list[float]) -> None:
    found = real_mean(values)
    half = student_quantile(len(values) - 1) * stdev(values) / sqrt(len(values))
    assert isclose(found.value, fmean(values))
    assert isclose(found.high - found.value, half, abs_tol=1e-9)
    assert isclose(found.low, max(0.0, found.value - half), abs_tol=1e-9)


@given(VALUES, st.floats(0.5, 7))
def test_it_follows_the_unit(values: list[float], factor: float) -> None:
    one, other = real_mean(values), real_mean([factor * value for value in values])
    assert np.allclose([factor * one.value, factor * one.high], [other.value, other.high])


def test_clusters_widen_it_and_strata_narrow_it() -> None:
    drawn = np.random.default_rng(0)
    groups = np.repeat(np.arange(20), 10)
    values = (1 + drawn.normal(size=20)[groups] * 0.2 + drawn.normal(size=200) * 0.1).tolist()
    alone, clustered, strata = (
        real_mean(values),
        real_mean(values, groups.tolist()),
        real_mean(values, None, groups.tolist()),
    )
    assert strata.high - strata.low < alone.high - alone.low < clustered.high - clustered.low
    assert clustered.effective < alone.effective


def test_one_cluster_has_no_upper_end() -> None:
    assert real_mean([1.0, 2.0], ["a", "a"]).high == inf
    assert real_difference([0.1, 0.2], ["a", "a"])[1:] == (-inf, inf)


def test_bad_values_are_refused() -> None:
    for values in ([], [1.0, inf], [float("nan")]):
        with pytest.raises(ValueError, match="finite"):
            real_mean(values)
    with pytest.raises(ValueError, match="above 0"):
        ratio_mean([1.0], [0])


@pytest.mark.parametrize(("n", "spread"), [(12, 0.3), (50, 0.3), (200, 0.6)])
def test_means_of_skewed_bits_are_covered(n: int, spread: float) -> None:
    drawn, inside = np.random.default_rng(n), 0
    truth = float(np.exp(spread**2 / 2))
    for _ in range(1500):
        found = real_mean(np.exp(drawn.normal(size=n) * spread).tolist())
        inside += found.low <= truth <= found.high
    assert 0.92 < inside / 1500 < 0.97


@pytest.mark.parametrize("n", [20, 80])
def test_ratios_over_documents_of_unlike_length_are_covered(n: int) -> None:
    drawn, inside = np.random.default_rng(n), 0
    for _ in range(1500):
        sizes = np.ceil(np.exp(drawn.normal(size=n) + 5)).astype(int)
        bits = sizes * (1 + 0.2 * drawn.normal(size=n))  # 1 bit per byte, whatever the length
        found = ratio_mean(bits.tolist(), sizes.tolist())
        inside += found.low <= 1 <= found.high
    assert 0.925 < inside / 1500 < 0.985


@given(st.lists(st.floats(-2, 2).filter(lambda d: abs(d) > 1e-6), min_size=6, max_size=30))
def test_a_difference_is_in_the_unit_and_wins_are_of_the_better(differences: list[float]) -> None:
    second = [5.0] * len(differences)
    first = [value + d for value, d in zip(second, differences, strict=True)]
    found = paired_difference(first, second, metric=BITS)
    assert found.value == pytest.approx(fmean(differences))
    assert found.wins == sum(d < 0 for d in differences)
    assert found.losses == sum(d > 0 for d in differences)
    assert found.low <= found.value <= found.high
    assert found.method.startswith("sign flips")


def test_equal_gaps_have_the_spread_of_their_size() -> None:
    found = paired_difference([2.0] * 8, [1.0] * 8, metric=BITS)
    assert (found.value, found.low) == (1.0, pytest.approx(1 - student_quantile(7) / sqrt(8)))
    assert found.p == 2 / 2**8
    same = paired_difference([2.0] * 8, [2.0] * 8, metric=BITS)
    assert (same.low, same.high, same.p) == (0, 0, 1)


def test_without_samples_two_intervals_give_p() -> None:
    far, near = real_mean([1.0, 1.1, 0.9, 1.0]), real_mean([2.0, 2.1, 1.9, 2.0])
    assert unpaired_difference(far, near, 4, BITS).p < 1e-6
    assert unpaired_difference(far, far, 4, BITS).p == 1.0


def test_seeds_of_bits_are_combined_in_their_unit() -> None:
    runs = [[2.0, 3.0, 4.0, 5.0], [2.2, 3.1, 4.1, 5.2], [2.1, 3.0, 4.2, 5.1]]
    found = combine(runs, metric="bits_per_byte")
    assert found.value == pytest.approx(fmean(map(fmean, runs)))
    assert found.low < found.value < found.high
    assert found.high > 4


def test_a_difference_just_resolved_is_found_in_four_of_five() -> None:
    drawn = np.random.default_rng(1)
    shared = np.exp(drawn.normal(size=100) * 0.4)
    first, second = shared + drawn.normal(size=100) * 0.1, shared + drawn.normal(size=100) * 0.1
    span = real_mean(first.tolist())
    pair = (first.tolist(), second.tolist(), list(range(100)))
    found = real_resolution([(span.value, span.low, span.high, 100, 100)], pair)
    assert found is not None
    assert found.paired is not None
    assert found.unpaired is not None
    assert found.paired < found.unpaired
    assert found.discordant == pytest.approx(fmean((a - b) ** 2 for a, b in zip(first, second, strict=True)))
    significant = 0
    for _ in range(400):
        noise = drawn.normal(size=100) * 0.1 * sqrt(2) + found.paired
        low, high = real_difference(noise.tolist(), list(range(100)))[1:]
        significant += not low <= 0 <= high
    assert 0.70 < significant / 400 < 0.90


def test_five_samples_resolve_nothing_paired_and_no_score_nothing_at_all() -> None:
    span = real_mean([1.0, 1.1, 0.9, 1.0, 1.2])
    found = real_resolution([(span.value, span.low, span.high, 5, 5)])
    assert found is not None
    assert found.paired is None
    assert real_resolution([]) is None
    assert half_width(1.0, 0.0, 2.5) == 1.5
