"""Power against statsmodels, by enumeration and by simulation; the smallest difference and the samples invert it."""

from itertools import product
from math import comb, inf

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from statsmodels.stats.proportion import power_proportions_2indep

from evals.stats.intervals import clustered_interval, wilson
from evals.stats.paired import mcnemar, paired_difference
from evals.stats.power import (
    Effective,
    draws_needed,
    group_sizes,
    observed,
    paired_power,
    planned,
    resolution,
    samples_needed,
    unpaired_power,
    weakest,
)

SIZES = (164, 320, 378, 500, 1172, 1319, 14042)


@pytest.mark.parametrize("n", SIZES)
@pytest.mark.parametrize(("low", "difference"), [(0.1, 0.05), (0.5, 0.15), (0.85, 0.1)])
def test_unpaired_power_is_statsmodels(n: int, low: float, difference: float) -> None:
    expected = power_proportions_2indep(difference, low, n, alternative="larger", alpha=0.025)
    assert unpaired_power(n, low, difference) == pytest.approx(expected.power, abs=1e-9)


@pytest.mark.parametrize(
    ("n", "difference", "discordant"), [(6, 0.9, 1.0), (9, 0.3, 0.6), (14, 0.2, 0.2), (20, 0.0, 0.4)]
)
def test_paired_power_is_the_sum_over_all_counts(n: int, difference: float, discordant: float) -> None:
    wins, losses = (discordant + difference) / 2, (discordant - difference) / 2
    expected = sum(
        comb(n, w) * comb(n - w, x) * wins**w * losses**x * (1 - discordant) ** (n - w - x)
        for w, x in product(range(n + 1), repeat=2)
        if w + x <= n and mcnemar(w, x) <= 0.05
    )
    assert paired_power(n, difference, discordant) == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize(("n", "difference", "discordant"), [(164, 0.1, 0.2), (320, 0.07, 0.2), (1319, 0.03, 0.15)])
def test_paired_power_by_simulation(n: int, difference: float, discordant: float) -> None:
    cells = [(discordant + difference) / 2, (discordant - difference) / 2, 1 - discordant]
    flips = np.random.default_rng(0).multinomial(n, cells, 8000)
    seen = np.mean([mcnemar(int(wins), int(losses)) <= 0.05 for wins, losses, _ in flips])
    assert seen == pytest.approx(paired_power(n, difference, discordant), abs=0.015)


def test_the_approximation_for_many_samples_is_close() -> None:
    n, discordant = 19_900, 0.25  # just below the limit, so still exact
    exact = paired_power(n, 0.01, discordant)
    assert exact == pytest.approx(paired_power(20_100, 0.01, discordant), abs=0.01)
    assert exact > 0.79


@pytest.mark.parametrize("n", [1, 2, 5])
def test_five_samples_resolve_no_paired_difference(n: int) -> None:
    assert resolution(n).paired is None
    assert paired_power(n, 1.0, 1.0) == 0.0
    assert resolution(6).paired is not None


def test_five_clusters_resolve_nothing_however_large_they_are() -> None:
    assert resolution(planned([1000] * 5)).paired is None
    assert resolution(planned([1000] * 6)).paired is not None
    first, second = [1.0] * 50, [0.0] * 50
    assert paired_difference(first, second, [i // 10 for i in range(50)]).p > 0.05


@pytest.mark.parametrize("sizes", [[380] * 16, [*range(8, 56)], [2] * 400 + [1] * 200], ids=["16", "48", "600"])
def test_clusters_have_the_power_that_is_said(sizes: list[int]) -> None:
    """Cluster totals of the assumed correlation, tested by sign flips: the claimed 80% are found."""
    effective = planned(sizes)
    difference = resolution(effective).paired or 0.0
    generator, n = np.random.default_rng(3), np.array(sizes)
    spread = np.sqrt(n * (1 + (n - 1) * 0.1) * (0.25 - difference**2))
    totals = generator.normal(difference * n, spread, (1500, len(sizes)))
    signs = generator.choice([-1.0, 1.0], (len(sizes), 2000))
    p = (np.abs(totals @ signs) >= np.abs(totals.sum(axis=1))[:, None]).mean(axis=1)
    assert np.mean(p <= 0.05) == pytest.approx(0.8, abs=0.03)
    assert resolution(sum(sizes)).paired < difference  # type: ignore[operator]


def test_draws_have_the_power_that_is_said() -> None:
    """Two models with the assumed correlations of draws and of models, one shifted by the difference."""
    draws, generator = 5, np.random.default_rng(2)
    difference = resolution(planned([1] * 164, draws)).paired or 0.0
    hard = generator.beta(1 / 6, 1 / 6, (1500, 164))
    other = np.where(generator.random(hard.shape) < 2 / 3, hard, generator.beta(1 / 6, 1 / 6, hard.shape))
    gaps = difference + (generator.binomial(draws, hard) - generator.binomial(draws, other)) / draws
    signs = generator.choice([-1.0, 1.0], (164, 2000))
    p = (np.abs(gaps @ signs) >= np.abs(gaps.sum(axis=1))[:, None]).mean(axis=1)
    # a shift leaves the variance as it is, where a real gain makes it smaller
    assert np.mean(p <= 0.05) == pytest.approx(0.78, abs=0.03)


@given(st.lists(st.integers(1, 60), min_size=1, max_size=60), st.integers(1, 20))
def test_samples_in_clusters_are_worth_less_and_draws_more(sizes: list[int], draws: int) -> None:
    n, effective = sum(sizes), planned(sizes)
    assert 1 <= effective.score <= n
    assert effective.pair <= n
    assert planned(sizes, draws + 1).pair > planned(sizes, draws).pair
    alone, clustered = resolution(n).paired, resolution(effective).paired
    assert clustered is None or (alone is not None and clustered >= alone - 1e-4)


def test_a_scores_interval_says_what_it_is_worth() -> None:
    values = [float(i % 7 > 2) for i in range(400)]
    passages = [i // 10 // 3 for i in range(400)]
    clustered = clustered_interval([float(i // 40 % 2) for i in range(400)], passages)
    alone = wilson(sum(values), 400)
    (exact,) = [weakest([(alone.value, alone.low, alone.high, 400, 400)])]
    assert exact == Effective(n=400, clusters=400, score=400, pair=400)
    spans = [(i.value, i.low, i.high, 400, c) for i, c in ((alone, 400), (clustered, len(set(passages))))]
    least = weakest(spans)
    assert least is not None
    assert least.score == pytest.approx(clustered.effective, rel=0.2)  # normal, where the interval is Student's
    assert resolution(least).paired > resolution(400).paired  # type: ignore[operator]
    assert weakest([(0.5, 0.5, 0.5, 10, 10)]) is None


def test_a_pair_says_what_its_differences_are_worth() -> None:
    generator = np.random.default_rng(0)
    first, second = (generator.integers(0, 2, 300).astype(float).tolist() for _ in range(2))
    effective, square = observed(first, second, list(range(300)))
    assert (effective.pair, effective.freedom) == (300, inf)
    assert square == pytest.approx(np.mean(np.array(first) != np.array(second)))
    passages = [i // 20 for i in range(300)]
    shared = np.repeat(generator.integers(0, 2, 15), 20).astype(float).tolist()
    clustered, _ = observed(shared, [0.0] * 300, passages)
    assert clustered.pair < 40
    assert clustered.freedom < 15
    assert observed(first, first, list(range(300)))[1] == 0


@given(st.integers(6, 3000), st.floats(0.01, 0.3), st.floats(0, 0.3))
def test_a_larger_difference_has_more_power(n: int, difference: float, more: float) -> None:
    assert paired_power(n, difference, 0.6) <= paired_power(n, difference + more, 0.6) + 1e-9
    assert paired_power(n, difference, 0.6) <= paired_power(4 * n, difference, 0.6) + 1e-3


def test_group_sizes() -> None:
    assert group_sizes(["a", "", "b", "a", ""]) == [2, 1, 1, 1]


@pytest.mark.parametrize("n", SIZES)
def test_the_smallest_difference_has_80_percent_power(n: int) -> None:
    found = resolution(n, 0.5)
    assert found.unpaired is not None
    assert found.paired is not None
    assert unpaired_power(n, 0.5 - found.unpaired / 2, found.unpaired) == pytest.approx(0.8, abs=0.001)
    assert paired_power(n, found.paired, found.discordant) == pytest.approx(0.8, abs=0.001)
    assert found.paired < found.unpaired


def test_what_the_tasks_resolve() -> None:
    """In points, unpaired and paired, at p = 0.5: what the column heads show."""
    seen = {n: resolution(n, 0.5) for n in SIZES}
    assert {n: (round(100 * (r.unpaired or 1), 1), round(100 * (r.paired or 1), 1)) for n, r in seen.items()} == {
        164: (15.4, 11.2),
        320: (11.1, 8.0),
        378: (10.2, 7.4),
        500: (8.8, 6.4),
        1172: (5.8, 4.2),
        1319: (5.5, 3.9),
        14042: (1.7, 1.2),
    }


@given(st.integers(20, 20000), st.floats(0, 1))
def test_a_difference_is_a_difference(n: int, p: float) -> None:
    found = resolution(n, p)
    assert found.unpaired is not None
    assert found.paired is not None
    assert 0 < found.unpaired <= 1
    assert 0 < found.paired <= 1


def test_models_that_seldom_differ_are_told_apart_sooner() -> None:
    seldom, often = (resolution(164, 0.5, discordant=share).paired for share in (0.1, 0.3))
    assert seldom is not None
    assert often is not None
    assert seldom < often


@pytest.mark.parametrize("difference", [0.02, 0.05, 0.2])
def test_samples_needed_are_the_fewest(difference: float) -> None:
    n = samples_needed(difference, 0.5)
    assert unpaired_power(n, 0.5 - difference / 2, difference) >= 0.8
    assert unpaired_power(n - 1, 0.5 - difference / 2, difference) < 0.8
    m = samples_needed(difference, discordant=0.3)
    assert paired_power(m, difference, 0.3) >= 0.8
    assert paired_power(m - 1, difference, 0.3) < 0.8
    assert samples_needed(difference, discordant=0.3, effect=2.5) == pytest.approx(2.5 * m, abs=1)


def test_the_talks_gain_would_need_2112_problems() -> None:
    assert samples_needed(0.043, 0.5335) == 2112


def test_draws_needed_by_simulation() -> None:
    """Differences of normal problems plus noise of draws: the draws found give the power asked for."""
    n, difference, between, within = 164, 0.05, 0.03, 0.4
    draws = draws_needed(difference, n, between, within)
    assert draws is not None
    generator = np.random.default_rng(1)

    def power(k: int) -> float:
        spread = np.sqrt(between + within / k)
        means = generator.normal(difference, spread, (4000, n)).mean(axis=1)
        return float(np.mean(np.abs(means) >= 1.959964 * spread / np.sqrt(n)))

    assert power(draws) == pytest.approx(0.8, abs=0.03)
    assert power(max(1, draws // 2)) < 0.75


def test_no_number_of_draws_makes_up_for_few_samples() -> None:
    assert draws_needed(0.05, 164, between=0.0523, within=0.4) is None
    assert draws_needed(0.5, 164, between=0.05, within=0.4) == 1


@pytest.mark.parametrize(
    "call",
    [
        lambda: resolution(0),
        lambda: resolution(10, 1.5),
        lambda: samples_needed(0),
        lambda: samples_needed(1.1),
        lambda: paired_power(10, 0.3, 0.2),
        lambda: draws_needed(0, 10, 0.1, 0.1),
    ],
)
def test_what_cannot_be_is_refused(call: object) -> None:
    with pytest.raises(ValueError, match=r"give|needs"):
        call()  # type: ignore[operator]
