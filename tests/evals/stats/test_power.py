"""Power against statsmodels and by simulation; the smallest difference and the samples are its inverses."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from statsmodels.stats.proportion import power_proportions_2indep

from evals.stats.paired import mcnemar
from evals.stats.power import draws_needed, paired_power, resolution, samples_needed, unpaired_power

SIZES = (164, 320, 378, 500, 1172, 1319, 14042)


@pytest.mark.parametrize("n", SIZES)
@pytest.mark.parametrize(("low", "difference"), [(0.1, 0.05), (0.5, 0.15), (0.85, 0.1)])
def test_unpaired_power_is_statsmodels(n: int, low: float, difference: float) -> None:
    expected = power_proportions_2indep(difference, low, n, alternative="larger", alpha=0.025)
    assert unpaired_power(n, low, difference) == pytest.approx(expected.power, abs=1e-9)


@pytest.mark.parametrize(("n", "difference", "discordant"), [(164, 0.1, 0.2), (320, 0.07, 0.2), (1319, 0.03, 0.15)])
def test_paired_power_by_simulation(n: int, difference: float, discordant: float) -> None:
    """Connor's formula is for the uncorrected test; mid-p McNemar comes nearest to it."""
    cells = [(discordant + difference) / 2, (discordant - difference) / 2, 1 - discordant]
    flips = np.random.default_rng(0).multinomial(n, cells, 4000)
    seen = np.mean([mcnemar(int(wins), int(losses), mid=True) <= 0.05 for wins, losses, _ in flips])
    assert seen == pytest.approx(paired_power(n, difference, discordant), abs=0.03)


@pytest.mark.parametrize("n", SIZES)
def test_the_smallest_difference_has_80_percent_power(n: int) -> None:
    found = resolution(n, 0.5)
    assert unpaired_power(n, 0.5 - found.unpaired / 2, found.unpaired) == pytest.approx(0.8, abs=0.001)
    assert paired_power(n, found.paired, found.discordant) == pytest.approx(0.8, abs=0.001)
    assert found.paired < found.unpaired


def test_what_the_tasks_resolve() -> None:
    """In points, unpaired and paired, at p = 0.5: what the column heads show."""
    shown = {n: (round(100 * r.unpaired, 1), round(100 * r.paired, 1)) for n in SIZES if (r := resolution(n, 0.5))}
    assert shown == {
        164: (15.4, 10.9),
        320: (11.1, 7.8),
        378: (10.2, 7.2),
        500: (8.8, 6.2),
        1172: (5.8, 4.1),
        1319: (5.5, 3.9),
        14042: (1.7, 1.2),
    }


@given(st.integers(20, 20000), st.floats(0, 1))
def test_a_difference_is_a_difference(n: int, p: float) -> None:
    found = resolution(n, p)
    assert 0 < found.unpaired <= 1
    assert 0 < found.paired <= 1


def test_models_that_seldom_differ_are_told_apart_sooner() -> None:
    assert resolution(164, 0.5, discordant=0.1).paired < resolution(164, 0.5, discordant=0.3).paired


@pytest.mark.parametrize("difference", [0.02, 0.05, 0.2])
def test_samples_needed_are_the_fewest(difference: float) -> None:
    n = samples_needed(difference, 0.5)
    assert unpaired_power(n, 0.5 - difference / 2, difference) >= 0.8
    assert unpaired_power(n - 1, 0.5 - difference / 2, difference) < 0.8
    m = samples_needed(difference, discordant=0.3)
    assert paired_power(m, difference, 0.3) >= 0.8
    assert paired_power(m - 1, difference, 0.3) < 0.8


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
