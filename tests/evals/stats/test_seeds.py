"""Runs that differ by seed: mean squares as in statsmodels' analysis of variance, and coverage."""

import numpy as np
import pandas as pd
import pytest
from statsmodels.formula.api import ols
from statsmodels.stats.anova import anova_lm

from evals.stats.intervals import mean_interval, wilson
from evals.stats.seeds import combine, combined_difference


def test_variances_are_those_of_the_analysis_of_variance() -> None:
    scores = np.random.default_rng(0).random((3, 20))
    table = pd.DataFrame(
        [(scores[r, q], r, q) for r in range(3) for q in range(20)], columns=["score", "run", "problem"]
    )
    squares = anova_lm(ols("score ~ C(run) + C(problem)", table).fit())["mean_sq"]
    found = combine(scores.tolist())
    assert found.between == pytest.approx(squares["C(run)"] / 20)
    assert found.between == pytest.approx(np.var(scores.mean(axis=1), ddof=1))
    assert found.within == pytest.approx(np.mean(np.var(scores, axis=1, ddof=1) / 20))
    variance = max(squares["C(run)"] + squares["C(problem)"] - squares["Residual"], squares["C(problem)"]) / 60
    assert (found.high - found.low) / 2 == pytest.approx(2.1 * np.sqrt(variance), rel=0.1)


def coverage(runs: int, between: float) -> float:
    """A seed moves every problem by normal noise; problems differ; each cell is drawn right or wrong."""
    generator = np.random.default_rng(1)
    hits = []
    for _ in range(2000):
        problem = generator.uniform(0.2, 0.8, 164)
        seed = generator.normal(0, between, (runs, 1))
        found = combine((generator.random((runs, 164)) < problem + seed).astype(float).tolist())
        hits.append(found.low <= 0.5 <= found.high)
    return float(np.mean(hits))


@pytest.mark.parametrize("between", [0.0, 0.02, 0.05, 0.1])
@pytest.mark.parametrize("runs", [3, 5])
def test_the_interval_covers_new_seeds_and_new_problems(runs: int, between: float) -> None:
    """Up to 97% where seeds move nothing: a variance between them is never taken as below 0."""
    assert 0.93 <= coverage(runs, between) <= 0.975


def test_two_seeds_are_too_few_when_seeds_matter() -> None:
    assert coverage(2, 0.02) >= 0.94
    assert coverage(2, 0.1) < 0.9


def test_seeds_that_differ_widen_the_interval() -> None:
    alike = combine([[1.0] * 50 + [0.0] * 50] * 3)
    apart = combine([[1.0] * k + [0.0] * (100 - k) for k in (30, 50, 70)])
    assert alike.between == 0.0
    assert apart.between == pytest.approx(0.04)
    assert apart.high - apart.low > alike.high - alike.low


def test_clusters_are_carried() -> None:
    """Three runs of 16 articles at ±3.5 do not make ±0.75."""
    generator = np.random.default_rng(2)
    units = np.repeat(np.arange(16), 60).tolist()
    chances = np.repeat(generator.beta(5, 5, 16), 60)
    runs = (generator.random((3, 960)) < chances).astype(float).tolist()
    single, found, alone = mean_interval(runs[0], units), combine(runs, units), combine(runs)
    assert found.clusters == 16
    assert found.high - found.low > 0.85 * (single.high - single.low)
    assert found.high - found.low > 2 * (alone.high - alone.low)


def test_strata_are_carried() -> None:
    generator = np.random.default_rng(3)
    strata = np.repeat(np.arange(20), 30).tolist()
    runs = (generator.random((3, 600)) < np.repeat(generator.uniform(0.1, 0.9, 20), 30)).astype(float).tolist()
    found, alone, clustered = combine(runs, strata=strata), combine(runs), combine(runs, strata)
    assert found.clusters == 600
    assert found.high - found.low < alone.high - alone.low < clustered.high - clustered.low


@pytest.mark.parametrize("between", [0.0, 0.05])
def test_combined_clusters_cover(between: float) -> None:
    generator = np.random.default_rng(4)
    units = np.repeat(np.arange(16), 10).tolist()
    hits = []
    for _ in range(500):
        chances = np.repeat(generator.uniform(0.2, 0.8, 16), 10) + generator.normal(0, between, (3, 1))
        found = combine((generator.random((3, 160)) < chances).astype(float).tolist(), units)
        hits.append(found.low <= 0.5 <= found.high)
    assert 0.925 <= np.mean(hits) <= 0.985


def test_equal_runs_are_one_run() -> None:
    """The same answers again say nothing new about other problems."""
    found = combine([[1.0] * 91 + [0.0] * 73] * 3)
    single = wilson(91, 164)
    assert found.value == pytest.approx(single.value)
    assert (found.low, found.high) == pytest.approx((single.low, single.high), abs=0.002)


@pytest.mark.parametrize("score", [0.0, 1.0])
def test_all_wrong_and_all_right_have_a_width(score: float) -> None:
    found = combine([[score] * 164] * 2)
    assert found.value == score
    assert found.high - found.low == pytest.approx(wilson(0, 164).high)


@pytest.mark.parametrize("runs", [[], [[1.0, 0.0]], [[1.0], [0.0]], [[1.0, 0.0], [1.0]]])
def test_what_cannot_be_combined_is_refused(runs: list[list[float]]) -> None:
    with pytest.raises(ValueError, match="two or more runs"):
        combine(runs)


@pytest.mark.parametrize(("seeds", "seed_spread", "sample_spread"), [(3, 0.02, 0.1), (3, 0.0, 0.2), (5, 0.05, 0.02)])
def test_the_interval_of_a_difference_covers_seeds_and_problems(
    seeds: int, seed_spread: float, sample_spread: float
) -> None:
    generator, within, false = np.random.default_rng(5), 0, 0
    for trial in range(400):
        true = 0.0 if trial % 2 else 0.3
        problems = generator.normal(true, sample_spread, 60)  # the true difference differs from problem to problem
        shared = generator.normal(2.0, 1.0, (seeds, 60))
        gaps = problems + generator.normal(0, seed_spread, (seeds, 1)) + generator.normal(0, 0.05, (seeds, 60))
        stat = combined_difference((shared + gaps).tolist(), shared.tolist())
        within += stat.low <= true <= stat.high
        false += true == 0 and stat.p <= 0.05
        assert (stat.p <= 0.05) == (stat.low > 0 or stat.high < 0)
    assert 0.91 * 400 <= within <= 0.985 * 400
    assert false <= 0.09 * 200


def test_a_difference_needs_the_same_seeds_and_problems() -> None:
    for first, second in (([[1.0, 2.0]], [[1.0, 2.0]]), ([[1.0, 2.0]] * 2, [[1.0, 2.0, 3.0]] * 2), ([[1.0]] * 2,) * 2):
        with pytest.raises(ValueError, match="same two or more seeds"):
            combined_difference(first, second)
    assert combined_difference([[1.0, 2.0]] * 2, [[1.0, 2.0]] * 2).p == 1.0
