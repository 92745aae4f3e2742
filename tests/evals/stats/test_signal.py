"""A column's noise: the share it estimates, what its interval covers, and pairs as Holm separates them."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from statsmodels.stats.multitest import multipletests

from evals.stats.intervals import Interval, wilson
from evals.stats.paired import paired_difference
from evals.stats.ranks import ranks
from evals.stats.signal import PairTest, noise_of_pairs, noise_of_samples, noise_of_seeds, pairs_apart, signal_of


def interval(value: float, error: float) -> Interval:
    return Interval(value=value, low=value - 1.959963984540054 * error, high=value + 1.959963984540054 * error,
                    effective=100)  # fmt: skip


def pair_tests(scores: np.ndarray) -> list[PairTest]:
    tests = []
    for first in range(len(scores)):
        for second in range(first + 1, len(scores)):
            stat = paired_difference(scores[first].tolist(), scores[second].tolist())
            tests.append(PairTest(first=str(first), second=str(second), value=stat.value, low=stat.low, high=stat.high,
                                  p=stat.p, clusters=stat.clusters))  # fmt: skip
    return tests


@pytest.mark.parametrize(("true", "error"), [(0.0, 1.0), (1.0, 1.0), (3.0, 1.0)])
def test_the_interval_of_the_noise_holds_the_true_share(true: float, error: float) -> None:
    generator, share = np.random.default_rng(1), error**2 / (error**2 + true**2)
    within = 0
    for _ in range(1000):
        values = generator.normal(0, true, 6) + generator.normal(0, error, 6)
        noise = noise_of_samples([interval(value, error) for value in values.tolist()], [0] * 6)
        assert noise.low is not None and noise.high is not None
        within += noise.low <= share <= noise.high
    assert 930 <= within <= 1000 if true == 0 else 930 <= within <= 970


def test_the_noise_of_seeds_has_the_interval_of_an_analysis_of_variance() -> None:
    generator, within = np.random.default_rng(2), 0
    for _ in range(1000):
        runs = generator.normal(0, 1.0, (5, 1)) + generator.normal(0, 2.0, (5, 3))
        noise = noise_of_seeds(runs.tolist())
        assert noise is not None and noise.low is not None and noise.high is not None
        assert (noise.models, noise.runs, noise.source) == (5, 15, "seeds")
        within += noise.low <= (4 / 3) / (1 + 4 / 3) <= noise.high
    assert 930 <= within <= 970


def test_paired_samples_show_less_noise_than_the_intervals_of_the_same_models() -> None:
    generator = np.random.default_rng(3)
    shared = generator.normal(0, 1, 400)
    scores = np.array([0.5 + 0.1 * shared + 0.02 * model + generator.normal(0, 0.02, 400) for model in range(4)])
    means = scores.mean(axis=1).tolist()
    paired = noise_of_pairs(means, pair_tests(scores))
    alone = noise_of_samples([interval(mean, 0.1 / 20) for mean in means], [0] * 4)
    assert paired.share is not None and alone.share is not None
    assert paired.share < 0.2 * alone.share
    assert (paired.source, alone.source) == ("paired samples", "samples")


def test_pairs_of_models_that_share_nothing_show_the_noise_of_their_intervals() -> None:
    scores = np.random.default_rng(4).normal(0.5, 0.1, (5, 2000)) + 0.003 * np.arange(5)[:, None]
    means, errors = scores.mean(axis=1).tolist(), scores.std(axis=1, ddof=1) / 2000**0.5
    spans = [interval(mean, error) for mean, error in zip(means, errors.tolist(), strict=True)]
    alone = noise_of_samples(spans, [2000] * 5)
    paired = noise_of_pairs(means, pair_tests(scores))
    error = (errors**2).mean() / np.var(means, ddof=1)
    assert alone.share == pytest.approx(error, rel=0.01)
    assert paired.share == pytest.approx(error, rel=0.05)


def test_few_clusters_make_the_same_interval_a_smaller_error() -> None:
    numbers = [interval(value, 1.0) for value in (0.0, 4.0, 8.0)]
    many, few = (noise_of_samples(numbers, [count] * 3) for count in (0, 6))
    assert many.share == pytest.approx(1 / 16)
    assert few.share == pytest.approx(1 / 16 * (1.95996 / 2.570582) ** 2, rel=1e-4)


@settings(deadline=None, max_examples=40)
@given(st.lists(st.lists(st.integers(0, 1), min_size=30, max_size=30), min_size=2, max_size=5))
def test_pairs_are_those_of_holm_over_the_paired_tests(rows: list[list[int]]) -> None:
    scores = np.array(rows, dtype=float)
    tests = pair_tests(scores)
    spans = [wilson(int(row.sum()), 30) for row in scores]
    signal = signal_of(spans, [0] * len(spans), tests=tests)
    expected = multipletests([test.p for test in tests], alpha=0.05, method="holm")
    assert (signal.tests, signal.pairs, signal.resolved) == ("paired", len(tests), int(expected[0].sum()))
    assert signal.largest_p == pytest.approx(max(expected[1]))


@settings(deadline=None, max_examples=40)
@given(st.lists(st.integers(0, 164), min_size=2, max_size=9))
def test_pairs_by_intervals_are_those_of_the_ranks(passed: list[int]) -> None:
    spans = [wilson(right, 164) for right in passed]
    signal = signal_of(spans, [0] * len(spans))
    alike = sum(len(rank.alike) for rank in ranks(spans)) // 2
    assert (signal.tests, signal.resolved) == ("intervals", signal.pairs - alike)


def test_seeds_count_as_one_model_and_come_before_samples() -> None:
    spans = [interval(value, 1.0) for value in (10.0, 10.2, 20.0, 20.2)]
    signal = signal_of(spans, [0] * 4, ["a", "a", "b", "b"])
    assert (signal.noise.source, signal.noise.models, signal.noise.runs) == ("seeds", 2, 4)
    assert signal.noise.share == pytest.approx(0.01 / 50)
    # equal seeds are no proof that seeds do nothing
    equal = signal_of([interval(value, 1.0) for value in (10.0, 10.0, 20.0, 20.0)], [0] * 4, ["a", "a", "b", "b"])
    assert equal.noise.source == "samples"


def test_what_cannot_be_known_is_none_and_chance_is_counted() -> None:
    one = signal_of([interval(0.5, 0.1)], [0], chance=0.5)
    assert (one.pairs, one.resolved, one.noise.share, one.noise.models, one.guessed) == (0, 0, None, 1, 1)
    alike = signal_of([interval(0.5, 0.1)] * 3, [0] * 3, chance=0.9)
    assert (alike.noise.share, alike.resolved, alike.guessed, alike.guessable) == (None, 0, 0, 3)
    assert signal_of([], []).noise.models == 0
    test = PairTest(first="a", second="b", value=0.0, low=-1.0, high=1.0, p=1.0, clusters=9)
    with pytest.raises(ValueError, match="1 tests of 3 pairs"):
        signal_of([interval(0.5, 0.1)] * 3, [0] * 3, tests=[test])


def test_a_pair_is_apart_if_any_column_says_so_with_holm_over_all_columns() -> None:
    def column(*p_values: float) -> list[PairTest]:
        names = [("a", "b"), ("a", "c"), ("b", "c")]
        return [PairTest(first=first, second=second, value=0, low=0, high=0, p=p, clusters=9)
                for (first, second), p in zip(names, p_values, strict=True)]  # fmt: skip

    assert pairs_apart([column(0.001, 0.5, 0.5), column(0.5, 0.5, 0.001)]) == (2, 3)
    assert pairs_apart([column(0.001, 0.5, 0.5), column(0.001, 0.5, 0.5)]) == (1, 3)
    assert pairs_apart([column(0.01, 0.5, 0.5), column(0.5, 0.5, 0.5)]) == (0, 3)  # 6 x 0.01
    assert pairs_apart([]) == (0, 0)
