"""Paired and unpaired differences against SciPy and statsmodels, by definition, and by simulation."""

from functools import cache
from math import comb

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import optimize, stats
from statsmodels.stats.contingency_tables import mcnemar as statsmodels_mcnemar
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.proportion import confint_proportions_2indep, test_proportions_2indep

from evals.stats.intervals import wilson
from evals.stats.paired import holm, mcnemar, paired_difference, sign_flips, tango, unpaired_difference, z_unpaired

test_proportions_2indep.__test__ = False  # statsmodels' function, no test of ours

counts = st.integers(0, 300)


@given(counts, counts)
def test_exact_mcnemar_is_scipys_binomial_test(wins: int, losses: int) -> None:
    expected = stats.binomtest(wins, wins + losses).pvalue if wins + losses else 1.0
    assert mcnemar(wins, losses) == pytest.approx(expected, rel=1e-9)
    assert mcnemar(wins, losses) == mcnemar(losses, wins)


def test_exact_mcnemar_is_statsmodels_one() -> None:
    assert mcnemar(20, 13) == pytest.approx(statsmodels_mcnemar([[71, 20], [13, 60]], exact=True).pvalue)


@given(counts, counts)
def test_mid_p_leaves_half_the_own_chance_out(wins: int, losses: int) -> None:
    n, least = wins + losses, min(wins, losses)
    own = comb(n, least) / 2**n
    if wins != losses:
        assert mcnemar(wins, losses, mid=True) == pytest.approx(mcnemar(wins, losses) - own)
    assert 0 <= mcnemar(wins, losses, mid=True) <= mcnemar(wins, losses) <= 1


def false_positives(n: int, mid: bool) -> float:
    """The exact chance that n samples on which two equal models differ give p <= 0.05."""
    return sum(comb(n, k) for k in range(n + 1) if mcnemar(k, n - k, mid) <= 0.05) / 2**n


def test_equal_models_are_called_different_at_most_5_in_100_times() -> None:
    """Exact: never above 5%, so conservative. Mid-p: 5% on average over the counts, up to 7.7% at one."""
    sizes = range(10, 201)
    exact, middle = ([false_positives(n, mid) for n in sizes] for mid in (False, True))
    assert max(exact) <= 0.05
    assert 0.03 < np.mean(exact) < 0.045
    assert max(middle) <= 0.077
    assert 0.045 < np.mean(middle) < 0.055


@pytest.mark.parametrize("wins_losses", [(-1, 2), (2, -1)])
def test_no_negative_counts(wins_losses: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match="0 or more"):
        mcnemar(*wins_losses)


def likeliest(wins: int, losses: int, n: int, difference: float) -> float:
    """Tango's score by its definition: the likeliest share of losses found by search, not by formula."""

    def unlikely(share: float) -> float:
        cells = (share + difference, share, 1 - 2 * share - difference)
        return -sum(
            count * np.log(max(cell, 1e-300))
            for count, cell in zip((wins, losses, n - wins - losses), cells, strict=True)
        )

    found = optimize.minimize_scalar(
        unlikely, bounds=(max(0.0, -difference), (1 - difference) / 2), method="bounded", options={"xatol": 1e-12}
    )
    variance = n * (2 * found.x + difference * (1 - difference))
    return float((wins - losses - n * difference) / np.sqrt(variance))


@pytest.mark.parametrize("case", [(1, 7, 21), (20, 13, 164), (5, 1, 50), (30, 30, 500), (3, 0, 20)])
def test_tangos_ends_are_where_the_score_reaches_its_limit(case: tuple[int, int, int]) -> None:
    low, high = tango(*case)
    assert likeliest(*case, low) == pytest.approx(1.959964, abs=1e-3)
    assert likeliest(*case, high) == pytest.approx(-1.959964, abs=1e-3)


def test_tango_in_print() -> None:
    """Fagerland, Lydersen and Laake 2014, Statistics in Medicine 33:2850: 1 and 7 of 21 pairs differ."""
    assert [round(end, 3) for end in tango(1, 7, 21)] == [-0.517, -0.026]


@given(st.integers(1, 400).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))), st.floats(0, 1))
def test_tango_holds_the_difference_and_is_even(case: tuple[int, int], share: float) -> None:
    differing, n = case
    wins = round(differing * share)
    low, high = tango(wins, differing - wins, n)
    value = (2 * wins - differing) / n
    assert -1 <= low <= value <= high <= 1
    assert low < high
    assert tango(differing - wins, wins, n) == pytest.approx((-high, -low), abs=1e-9)


@cache
def covered(wins: int, losses: int, n: int, difference: float) -> bool:
    low, high = tango(wins, losses, n)
    return low <= difference <= high


@pytest.mark.parametrize("n", [164, 500, 1319])
@pytest.mark.parametrize("shares", [(0.05, 0.05), (0.15, 0.05), (0.2, 0.15), (0.3, 0.1)])
def test_tango_covers_94_to_96(n: int, shares: tuple[float, float]) -> None:
    cells = np.random.default_rng(0).multinomial(n, [*shares, 1 - sum(shares)], 8000)
    truth = shares[0] - shares[1]
    assert 0.94 <= np.mean([covered(int(w), int(x), n, truth) for w, x, _ in cells]) <= 0.96


def test_tango_with_five_flips_is_too_wide_since_counts_are_whole() -> None:
    cells = np.random.default_rng(0).multinomial(164, [0.02, 0.01, 0.97], 8000)
    assert 0.955 <= np.mean([covered(int(w), int(x), 164, 0.01) for w, x, _ in cells]) <= 0.975


@given(st.lists(st.integers(-4, 4), min_size=1, max_size=9), st.sampled_from([4, 3.7, 97]))
def test_sign_flips_are_scipys_permutation_test(differences: list[int], unit: float) -> None:
    p, flips = sign_flips([d / unit for d in differences])
    moved = [d for d in differences if d]
    if not moved:
        assert p == 1.0
        return
    signs = np.array(np.meshgrid(*[[-1, 1]] * len(moved))).reshape(len(moved), -1)
    sums = np.abs(np.array(moved) @ signs)
    assert p == pytest.approx(np.mean(sums >= abs(sum(moved))))
    assert flips == 0


@given(st.lists(st.floats(-1, 1), min_size=1, max_size=11))
def test_any_differences_of_few_clusters_are_flipped_exactly(differences: list[float]) -> None:
    p, flips = sign_flips(differences)
    signs = np.array(np.meshgrid(*[[-1, 1]] * len(differences))).reshape(len(differences), -1)
    totals = np.array([d if abs(d) > 1e-12 else 0.0 for d in differences])
    assert p == pytest.approx(np.mean(np.abs(totals @ signs) >= abs(totals.sum()) - 1e-9))
    assert flips == 0


def test_forty_clusters_are_still_exact() -> None:
    differences = np.random.default_rng(4).normal(0.3, 0.3, 40).tolist()
    p, flips = sign_flips(differences)
    assert flips == 0
    assert 0 < p < 1 / 20001


def test_five_clusters_are_never_significant() -> None:
    found = paired_difference([0.9, 0.8, 0.7, 0.95, 0.83] * 10, [0.1] * 50, [i % 5 for i in range(50)])
    assert found.p == pytest.approx(2 / 2**5)
    assert found.method == "sign flips, exact"


def test_sign_flips_on_one_draw_are_exact_mcnemar() -> None:
    p, _ = sign_flips([1.0] * 20 + [-1.0] * 13 + [0.0] * 131)
    assert p == pytest.approx(mcnemar(20, 13))
    expected = stats.permutation_test(
        (np.array([1.0] * 9 + [-1.0] * 3),), np.sum, permutation_type="samples", n_resamples=np.inf
    )
    assert sign_flips([1.0] * 9 + [-1.0] * 3)[0] == pytest.approx(expected.pvalue)


def test_sign_flips_that_cannot_be_counted_are_drawn_with_a_seed() -> None:
    differences = np.random.default_rng(4).normal(0.05, 0.3, 300).tolist()
    p, flips = sign_flips(differences, seed=1)
    assert flips == 20_000
    assert p == sign_flips(differences, seed=1)[0]
    assert p == pytest.approx(stats.ttest_1samp(differences, 0).pvalue, abs=0.015)
    far, _ = sign_flips(np.random.default_rng(4).normal(1, 0.1, 300).tolist())
    assert far == 1 / 20001  # never 0


def test_a_drawn_p_states_its_flips() -> None:
    first, second = np.random.default_rng(4).random((2, 300)).tolist()
    found = paired_difference([(1 + a) / 2 for a in first], second)
    assert (found.method, found.flips) == ("sign flips, drawn", 20_000)
    assert found.p >= 1 / (found.flips + 1)
    assert paired_difference([1.0] * 9, [0.0] * 9).flips == 0


def drawn_pair(generator: np.random.Generator, draws: int, base: float, gain: float) -> tuple[list[float], list[float]]:
    """Two models' means over draws on 164 problems; the first is better on hard ones by `gain` at the most."""
    chance = generator.beta(base * 2 / 3, (1 - base) * 2 / 3, 164)
    better = chance + 4 * gain * chance * (1 - chance)
    return (generator.binomial(draws, better) / draws).tolist(), (generator.binomial(draws, chance) / draws).tolist()


@pytest.mark.parametrize("draws", [2, 10])
def test_equal_models_over_several_draws_are_called_different_at_most_5_in_100_times(draws: int) -> None:
    generator = np.random.default_rng(5)
    found = [paired_difference(*drawn_pair(generator, draws, 0.5, 0.0)) for _ in range(1500)]
    assert 0.03 <= np.mean([one.p <= 0.05 for one in found]) <= 0.06
    assert 0.94 <= np.mean([one.low <= 0 <= one.high for one in found]) <= 0.965


@pytest.mark.parametrize("base", [0.1, 0.5, 0.9])
def test_the_interval_over_several_draws_covers(base: float) -> None:
    generator = np.random.default_rng(6)
    # E[4 chance (1 - chance)] for Beta with mean `base` and a + b = 2/3
    truth = 0.05 * 4 * base * (1 - base) * (2 / 3) / (2 / 3 + 1)
    found = [paired_difference(*drawn_pair(generator, 5, base, 0.05)) for _ in range(3000)]
    assert 0.94 <= np.mean([one.low <= truth <= one.high for one in found]) <= 0.96


def test_pairing_sees_what_unpaired_does_not() -> None:
    first, second = [1.0] * 91 + [0.0] * 73, [1.0] * 84 + [0.0] * 80
    together = paired_difference(first, second)
    apart = unpaired_difference(wilson(91, 164), wilson(84, 164), 164)
    assert (together.wins, together.losses, together.ties) == (7, 0, 157)
    assert together.p == pytest.approx(2 / 2**7)
    assert apart.p == pytest.approx(0.438, abs=1e-3)
    assert together.value == pytest.approx(apart.value)
    assert apart.low < 0 < together.low


def test_clusters_widen_and_are_flipped_whole() -> None:
    first, second = [1.0] * 40 + [0.0] * 40, [0.0] * 40 + [0.0] * 40
    alone = paired_difference(first, second)
    passages = paired_difference(first, second, [i // 10 for i in range(80)])
    assert passages.clusters == 8
    assert passages.p == pytest.approx(2 / 2**4)
    assert passages.high - passages.low > alone.high - alone.low


@pytest.mark.parametrize("score", [1.0, 0.5])
def test_equal_answers_leave_what_was_not_seen_open(score: float) -> None:
    found = paired_difference([score] * 100, [score] * 100)
    assert (found.value, found.p, found.ties) == (0.0, 1.0, 100)
    assert found.low == pytest.approx(-found.high)
    assert 0.01 < found.high < 0.05


def test_one_cluster_tells_nothing_of_others() -> None:
    found = paired_difference([1.0, 1.0], [0.0, 0.0], ["a", "a"])
    assert (found.low, found.high, found.p) == (-1.0, 1.0, 1.0)


@pytest.mark.parametrize(("first", "second"), [([1.0], [1.0, 0.0]), ([], [])])
def test_other_samples_are_refused(first: list[float], second: list[float]) -> None:
    with pytest.raises(ValueError, match="pair the same samples"):
        paired_difference(first, second)


def test_the_talks_gain_is_not_significant_alone() -> None:
    """55.5 against 51.2: z 0.78, from the counts and from the printed shares."""
    assert round(z_unpaired(91 / 164, 84 / 164, 164, 164), 2) == 0.78
    assert round(z_unpaired(0.555, 0.512, 164, 164), 2) == 0.78
    assert z_unpaired(91 / 164, 84 / 164, 164, 164) == pytest.approx(
        test_proportions_2indep(91, 164, 84, 164, method="wald").statistic
    )


@given(st.integers(0, 164), st.integers(0, 378))
def test_unpaired_interval_is_newcombes(first: int, second: int) -> None:
    found = unpaired_difference(wilson(first, 164), wilson(second, 378), 164)
    expected = confint_proportions_2indep(first, 164, second, 378, method="newcomb")
    assert (found.low, found.high) == pytest.approx(expected, abs=1e-9)
    assert found.low < found.high
    assert 0 <= found.p <= 1


@pytest.mark.parametrize(("first", "second", "z"), [(0.0, 0.0, 0.0), (1.0, 1.0, 0.0), (1.0, 0.0, 18.11)])
def test_z_at_the_ends_of_the_scale(first: float, second: float, z: float) -> None:
    assert z_unpaired(first, second, 164, 164) == pytest.approx(z, abs=0.01)


@settings(max_examples=12)
@given(st.lists(st.floats(0, 1), min_size=1, max_size=30))
def test_holm_is_statsmodels_holm(p_values: list[float]) -> None:
    assert holm(p_values) == pytest.approx(multipletests(p_values, method="holm")[1])


def test_holm_of_nothing() -> None:
    assert holm([]) == []
