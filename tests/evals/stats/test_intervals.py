"""Intervals against statsmodels, against their definition, and by coverage over what occurs here."""

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from statsmodels.regression.linear_model import OLS
from statsmodels.stats.proportion import proportion_confint

from evals.stats.intervals import (
    cluster_totals,
    cluster_variance,
    clustered_interval,
    effective_n,
    mean_interval,
    recover_interval,
    satterthwaite,
    score_interval,
    strata_variance,
    totals_interval,
    wilson,
)
from tests.bench.simulate_coverage import MMLU, SQUAD, clusters_cover, strata_cover
from zoo.cli.output import coverage_note


@given(st.integers(1, 20000).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_wilson_is_statsmodels_wilson(case: tuple[int, int]) -> None:
    successes, n = case
    found = wilson(successes, n)
    assert (found.low, found.high) == pytest.approx(proportion_confint(successes, n, method="wilson"), abs=1e-12)
    assert 0 <= found.low <= found.value <= found.high <= 1
    assert found.low < found.high


def test_the_talks_counts() -> None:
    """docs/phi.md, HumanEval: 45.7, 47.6, 51.2, 53.7, 55.5 are 75, 78, 84, 88, 91 of 164; 91/164 is 47.8 to 62.9."""
    assert [round(100 * wilson(k, 164).value, 1) for k in (75, 78, 84, 88, 91)] == [45.7, 47.6, 51.2, 53.7, 55.5]
    assert [round(100 * end, 1) for end in (wilson(91, 164).low, wilson(91, 164).high)] == [47.8, 62.9]


def test_none_and_all_right_have_a_width() -> None:
    none, every = wilson(0, 164), wilson(164, 164)
    assert f"{100 * none.low:.1f}-{100 * none.high:.1f}" == "0.0-2.3"
    assert none.low == 0.0
    assert every.high == 1.0
    assert every.low == pytest.approx(1 - none.high)


@pytest.mark.parametrize(("successes", "n"), [(1, 0), (-1, 5), (6, 5), (0, 0), (float("nan"), 5), (1, float("inf"))])
def test_no_proportion_is_refused(successes: float, n: float) -> None:
    with pytest.raises(ValueError, match="no proportion"):
        wilson(successes, n)


def exact_coverage(n: int, shares: Sequence[float]) -> list[float]:
    """The chance that Wilson's interval of n samples holds the true share: a sum, not a simulation."""
    counts = np.arange(n + 1)
    ends = [(found.low, found.high) for found in (wilson(int(k), n) for k in counts)]
    low, high = np.array(ends).T
    return [float(stats.binom.pmf(counts, n, p)[(low <= p) & (p <= high)].sum()) for p in shares]


SHARES = np.linspace(0.03, 0.97, 471)  # finer than the teeth of the coverage at these n


@pytest.mark.parametrize("n", [80, 164, 228, 320, 378, 500, 1172, 1319])
def test_wilson_covers_94_to_96_around_every_share(n: int) -> None:
    """Averaged over shares within a standard error of p, which no score can tell from p."""
    coverage = np.array(exact_coverage(n, SHARES.tolist()))
    around = [coverage[np.abs(SHARES - p) <= max(np.sqrt(p * (1 - p) / n), 0.002)].mean() for p in SHARES]
    assert min(around) >= 0.94
    assert max(around) <= 0.96
    assert coverage.mean() == pytest.approx(0.95, abs=0.0015)


@pytest.mark.parametrize(
    ("n", "least", "most", "inside"),
    [(40, 0.925, 0.980, 0.65), (164, 0.936, 0.969, 0.95), (320, 0.939, 0.967, 0.98), (500, 0.936, 0.963, 0.98),
     (1172, 0.944, 0.957, 1.0), (1319, 0.944, 0.957, 1.0)],
)  # fmt: skip
def test_at_a_single_share_wilson_swings_since_counts_are_whole(
    n: int, least: float, most: float, inside: float
) -> None:
    """What docs/statistics.md says: at n of 164 a count moves coverage by up to 1.7 points, at 1,172 by half a one."""
    coverage = exact_coverage(n, SHARES.tolist())
    assert least <= min(coverage)
    assert max(coverage) <= most
    assert np.mean([0.94 <= share <= 0.96 for share in coverage]) >= inside


@pytest.mark.parametrize("draws", [2, 5, 20])
@pytest.mark.parametrize(("p", "correlation"), [(0.1, 0.6), (0.5, 0.2), (0.5, 0.9), (0.95, 0.6)])
def test_several_draws_cover_94_to_96(draws: int, p: float, correlation: float) -> None:
    assert 0.94 <= clusters_cover((draws,) * 164, p, correlation, 6000) <= 0.96


@pytest.mark.parametrize(("p", "correlation"), [(0.25, 0.003), (0.25, 0.05), (0.6, 0.01), (0.6, 0.1)])
def test_subjects_of_unlike_size_cover_94_to_96(p: float, correlation: float) -> None:
    assert 0.935 <= clusters_cover(MMLU, p, correlation, 6000) <= 0.965


@pytest.mark.parametrize("p", [0.25, 0.6])
@pytest.mark.parametrize("sizes", [SQUAD, (250,) * 27])
def test_few_articles_or_subtasks_cover_94_to_96(sizes: tuple[int, ...], p: float) -> None:
    assert 0.94 <= clusters_cover(sizes, p, 0.05, 6000) <= 0.96


@pytest.mark.parametrize(
    ("sizes", "p", "correlation"),
    [((20,) * 164, p, rho) for p in (0.005, 0.01, 0.02, 0.995) for rho in (0.1, 0.5, 0.9)]
    + [((20,) * 25, p, rho) for p in (0.005, 0.05, 0.98) for rho in (0.1, 0.9)]
    + [(SQUAD, p, rho) for p in (0.01, 0.05, 0.9) for rho in (0.1, 0.5)]
    + [((250,) * 27, 0.02, 0.5), (MMLU, 0.01, 0.3), (MMLU, 0.05, 0.1)]
    + [(sizes, p, rho) for sizes in ((20,) * 164, MMLU) for p in (0.1, 0.5) for rho in (0.1, 0.9)]
    + [((20,) * 164, 0.05, 0.9), ((250,) * 27, 0.1, 0.1), ((250,) * 27, 0.5, 0.9), (SQUAD, 0.5, 0.9)],
)
def test_clusters_cover_95_or_their_cell_says_otherwise(sizes: tuple[int, ...], p: float, correlation: float) -> None:
    """Few right answers in few clusters: a cluster that was not seen may hold most of them."""
    band = {"": (0.93, 0.9725), "covers 93–99%, not 95%": (0.93, 0.991), "covers 90–99%, not 95%": (0.93, 0.997)}
    low, high = band[coverage_note(p, len(sizes))]  # right to 0.4 points
    assert low <= clusters_cover(sizes, p, correlation, 3000) <= high


@pytest.mark.parametrize("p", [0.01, 0.25, 0.8])
@pytest.mark.parametrize("spread", [0.003, 0.3])
@pytest.mark.parametrize("size", [4, 20])
def test_fixed_strata_cover(size: int, p: float, spread: float) -> None:
    """Rates differ between 57 strata and stay as they are; Wilson on n would cover up to 99.9%."""
    assert 0.925 <= strata_cover((size,) * 57, p, spread, 600, seed=4) <= 0.985


def test_strata_are_nearly_independent_samples_and_clusters_are_not() -> None:
    generator = np.random.default_rng(5)
    strata = np.repeat(np.arange(57), MMLU)
    chances = generator.normal(0.4, 0.1, 57)
    values = (generator.random(len(strata)) < chances[strata]).astype(float).tolist()
    inside, between = mean_interval(values, strata=strata.tolist()), mean_interval(values, strata.tolist())
    alone = wilson(sum(values), len(values))
    assert 0.93 < (inside.high - inside.low) / (alone.high - alone.low) < 1.0
    assert between.high - between.low > 3 * (alone.high - alone.low)


def test_strata_variance_is_cochrans() -> None:
    """Sampling Techniques, equation 5.14, with the pull of one pseudo-score to the whole mean."""
    first, second = [1.0, 0.0, 1.0, 1.0, 0.0], [0.0, 0.0, 1.0]
    variance, freedom = strata_variance([*first, *second], [1] * 8, ["a"] * 5 + ["b"] * 3)
    mean = 0.5
    expected = 0.0
    for part in (first, second):
        size, centre = len(part), (sum(part) + mean) / (len(part) + 1)
        expected += size / (size - 1) * sum((value - centre) ** 2 for value in part) / 64
    assert variance == pytest.approx(expected)
    assert freedom == 6
    assert strata_variance([1.0, 0.0], [1, 1], ["a", "b"])[0] == pytest.approx(0.125)  # one each: against the whole


GROUPED = st.lists(st.tuples(st.integers(0, 1), st.integers(0, 5)), min_size=2, max_size=40)


@given(GROUPED)
def test_clusters_are_never_narrower_than_independent_samples(lines: list[tuple[int, int]]) -> None:
    values = [float(value) for value, _ in lines]
    found, alone = mean_interval(values, [group for _, group in lines]), wilson(sum(values), len(values))
    assert found.low <= alone.low + 1e-12
    assert found.high >= alone.high - 1e-12
    assert found.effective <= len(values) * (1 + 1e-9)


@given(GROUPED)
def test_right_and_wrong_are_mirror_images(lines: list[tuple[int, int]]) -> None:
    groups = [group for _, group in lines]
    right = clustered_interval([float(value) for value, _ in lines], groups)
    wrong = clustered_interval([1.0 - value for value, _ in lines], groups)
    assert (right.low, right.high) == pytest.approx((1 - wrong.high, 1 - wrong.low), abs=1e-9)


@given(st.integers(2, 30), st.integers(1, 20), st.data())
def test_more_right_answers_in_as_many_clusters_never_lower_the_ends(
    groups: int, size: int, data: st.DataObject
) -> None:
    """Clusters all right or all wrong: one more right cluster moves both ends up."""
    right = data.draw(st.integers(0, groups - 1))
    fewer, more = (
        totals_interval([float(size)] * count + [0.0] * (groups - count), [size] * groups)
        for count in (right, right + 1)
    )
    assert fewer.low <= more.low
    assert fewer.high <= more.high


@given(GROUPED)
def test_the_kept_ends_give_the_effective_number(lines: list[tuple[int, int]]) -> None:
    found = mean_interval([float(value) for value, _ in lines], [group for _, group in lines])
    kept = effective_n(found.value, found.low, found.high, len(lines))
    assert kept == pytest.approx(found.effective, rel=1e-3)


def test_equal_clusters_have_the_variance_of_statsmodels() -> None:
    generator = np.random.default_rng(1)
    values = generator.integers(0, 2, 60).astype(float)
    groups = np.repeat(np.arange(12), 5)
    sums, sizes = cluster_totals(values.tolist(), groups.tolist())
    variance, _ = cluster_variance(sums, sizes, values.mean(), values.var())
    robust = OLS(values, np.ones(60)).fit(cov_type="cluster", cov_kwds={"groups": groups})
    assert variance == pytest.approx(float(robust.cov_params()[0, 0]))


def test_unequal_clusters_have_cr2s_variance_and_freedom() -> None:
    """The matrices of Bell and McCaffrey 2002, built out, for the model with only a mean."""
    generator = np.random.default_rng(2)
    sizes = [3, 1, 7, 20, 4]
    n, groups = sum(sizes), np.repeat(np.arange(5), sizes)
    values = generator.random(n)
    hat = np.full((n, n), 1 / n)
    residuals = values - values.mean()
    scaled = []
    for g in range(5):
        inside = np.flatnonzero(groups == g)
        leverage = np.eye(len(inside)) - hat[np.ix_(inside, inside)]
        eigenvalues, vectors = np.linalg.eigh(leverage)
        root = vectors @ np.diag(eigenvalues**-0.5) @ vectors.T
        part = np.zeros(n)
        part[inside] = root @ np.ones(len(inside))
        scaled.append(part)
    sums, totals = cluster_totals(values.tolist(), groups.tolist())
    variance, freedom = cluster_variance(sums, totals, values.mean(), values.var())
    assert variance == pytest.approx(sum((part @ residuals) ** 2 for part in scaled) / n**2)
    weights = [1 / (1 - size / n) for size in sizes]
    vectors_out = np.array(scaled) @ (np.eye(n) - hat)
    for rho in (0.0, 0.3, 1.0):
        covariance = np.where(groups[:, None] == groups[None, :], rho, 0.0) + (1 - rho) * np.eye(n)
        moments = vectors_out @ covariance @ vectors_out.T
        satterthwaite_by_matrix = np.trace(moments) ** 2 / np.trace(moments @ moments)
        variances = [m * (1 + (m - 1) * rho) for m in sizes]
        assert satterthwaite(sizes, weights, variances) == pytest.approx(satterthwaite_by_matrix)
    assert satterthwaite(sizes, weights, [float(m * m) for m in sizes]) < freedom < 4


def test_samples_alone_get_wilson_and_others_the_clustered_one() -> None:
    assert mean_interval([1.0, 0.0, 1.0]) == wilson(2, 3)
    assert mean_interval([1.0, 0.0, 1.0], ["a", "b", "c"]) == wilson(2, 3)
    assert mean_interval([1.0, 0.0, 1.0], ["a", "b", "b"]) == clustered_interval([1.0, 0.0, 1.0], ["a", "b", "b"])


def test_draws_that_agree_count_once_and_independent_ones_each() -> None:
    agree = clustered_interval([1.0] * 10 * 20 + [0.0] * 10 * 20, [i // 10 for i in range(400)])
    alone = clustered_interval([float(i % 2) for i in range(400)], [i // 10 for i in range(400)])
    assert 36 < agree.effective < 39  # 40 clusters, one degree of freedom spent, and Student's quantile
    assert alone.effective == pytest.approx(400, rel=0.1)
    assert alone.effective <= 400  # never worth more than the draws themselves


@pytest.mark.parametrize("value", [0.0, 1.0])
def test_draws_all_alike_are_worth_their_problems(value: float) -> None:
    found = clustered_interval([value] * 820, [i // 5 for i in range(820)])
    assert found.effective == pytest.approx(164, rel=0.02)
    assert round(100 * (found.high - found.low), 1) == 2.3


@given(st.lists(st.tuples(st.floats(0, 1), st.integers(0, 5)), min_size=1, max_size=40))
def test_an_interval_holds_its_value_and_has_a_width(lines: list[tuple[float, int]]) -> None:
    found = mean_interval([value for value, _ in lines], [group for _, group in lines])
    assert 0 <= found.low <= found.value <= found.high <= 1
    assert found.low < found.high


def test_equal_fractions_have_a_small_width() -> None:
    found = mean_interval([0.5] * 500)
    assert 0 < found.high - found.low < 0.01


def test_fractions_follow_their_spread() -> None:
    """A t interval for a mean, as SciPy has it, at n where Wilson's pull to the middle is nothing."""
    values = np.random.default_rng(3).beta(4, 4, 2000)
    found = mean_interval(values.tolist())
    low, high = stats.t.interval(0.95, 1999, values.mean(), stats.sem(values))
    assert (found.low, found.high) == pytest.approx((low, high), abs=1e-4)


def test_one_cluster_alone_tells_almost_nothing() -> None:
    found = mean_interval([1.0, 0.0, 1.0, 0.0], ["a"] * 4)
    assert found.effective == 1
    assert found.high - found.low > 0.8


@pytest.mark.parametrize("values", [[], [1.5], [-0.1], [float("nan")]])
def test_what_is_no_score_is_refused(values: list[float]) -> None:
    with pytest.raises(ValueError, match="score"):
        mean_interval(values)


def test_each_value_needs_its_cluster() -> None:
    with pytest.raises(ValueError, match="give each value its cluster"):
        cluster_totals([1.0, 0.0], ["a"])


@given(st.integers(1, 5000).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_the_effective_number_is_found_again(case: tuple[int, int]) -> None:
    found = wilson(*case)
    assert recover_interval(found.value, found.low, found.high).effective == pytest.approx(case[1], rel=1e-6)


def test_no_interval_no_effective_number() -> None:
    with pytest.raises(ValueError, match="no score interval"):
        recover_interval(0.5, 0.5, 0.5)
    assert effective_n(0.5, 0.5, 0.5, 30) == 30


def test_a_wider_level_is_wider() -> None:
    assert wilson(50, 100, 0.99).low < wilson(50, 100).low
    assert score_interval(0.5, 100, 1.96).high == pytest.approx(wilson(50, 100).high, abs=1e-5)
