"""Ranks by the step-down max-T test: the paired test for two rows, no more false claims than said, more rows no loss."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evals.stats.intervals import Interval, wilson
from evals.stats.paired import holm, mcnemar, paired_difference
from evals.stats.paired_ranks import PairedRanks, paired_ranks
from evals.stats.ranks import ranks

NAN = float("nan")


def ranked(scores: Any, clusters: list[int] | None = None) -> PairedRanks:
    rows = [
        Interval(value=float(np.nanmean(row)), low=0.0, high=1.0, effective=1)
        if np.isnan(row).any() or (row % 1).any()
        else wilson(float(row.sum()), len(row))
        for row in np.asarray(scores, dtype=float)
    ]
    return paired_ranks(rows, scores, list(range(len(scores[0]))) if clusters is None else clusters)


def separated(found: PairedRanks) -> set[tuple[int, int]]:
    size = len(found.ranks)
    return {(i, j) for i in range(size) for j in range(i + 1, size) if j not in found.ranks[i].alike}


def column(rows: int, n: int, generator: np.random.Generator, low: float = 0.3, high: float = 0.7) -> Any:
    """Right and wrong answers of rows from low to high that mostly agree which samples are easy."""
    hard = 0.7 * generator.random(n) + 0.3 * generator.random((rows, n))
    return (hard < np.linspace(low, high, rows)[:, None]).astype(float)


@given(st.integers(0, 60), st.integers(0, 60), st.integers(1, 9))
def test_two_rows_have_the_verdict_of_the_paired_test(wins: int, losses: int, size: int) -> None:
    first = [1.0] * wins + [0.0] * losses + [1.0] * 40
    second = [0.0] * wins + [1.0] * losses + [1.0] * 40
    for clusters in (list(range(len(first))), [i // size for i in range(len(first))]):
        found = ranked([first, second], clusters)
        assert (found.ranks[0].alike == ()) == (paired_difference(first, second, clusters).p <= 0.05)


@given(st.integers(2, 8), st.integers(1, 60), st.integers(0, 1000))
def test_a_range_holds_its_place(rows: int, n: int, seed: int) -> None:
    found = ranked(column(rows, n, np.random.default_rng(seed)))
    for index, rank in enumerate(found.ranks):
        assert 1 <= rank.first <= rank.place <= rank.last <= rows
        assert rank.last - rank.first == len(rank.alike)
        assert all(index in found.ranks[other].alike for other in rank.alike)


def test_sixty_rows_are_separated_as_forty_five_are() -> None:
    """Shares of draws, so that flips are drawn: with Holm, p of 1/20,001 separates nothing from 46 rows on."""
    generator = np.random.default_rng(0)
    scores = (column(60, 300, generator, 0.2, 0.8) + generator.random((60, 300))) / 2
    forty_five = list(range(0, 60, 4)) + [i for i in range(60) if i % 2]
    few, many = ranked(scores[forty_five]), ranked(scores)
    kept = {(min(a, b), max(a, b)) for a, b in ((forty_five[i], forty_five[j]) for i, j in separated(few))} - separated(
        many
    )
    assert many.flips == 9999
    assert len(separated(few)) > 600
    assert len(kept) < 0.03 * len(separated(few))  # a slightly higher limit for more pairs, not a collapse
    p = holm([1 / 20_001] * (46 * 45 // 2))
    assert min(p) > 0.05


def test_more_pairs_are_separated_than_by_holm() -> None:
    scores = column(46, 164, np.random.default_rng(1))
    wins = scores @ (1 - scores).T
    pairs = [(i, j) for i in range(46) for j in range(i + 1, 46)]
    p = holm([mcnemar(int(wins[i, j]), int(wins[j, i])) for i, j in pairs])
    by_holm = {pair for pair, adjusted in zip(pairs, p, strict=True) if adjusted <= 0.05}
    found = separated(ranked(scores))
    assert len(found) > len(by_holm)
    assert len(by_holm - found) < 0.02 * len(by_holm)


@pytest.mark.parametrize(("rows", "share", "size"), [(10, 0.5, 1), (10, 0.06, 1), (6, 0.5, 20)])
def test_equal_rows_are_seldom_separated(rows: int, share: float, size: int) -> None:
    generator = np.random.default_rng(2)
    wrong = 0
    for _ in range(300):
        hard = 0.7**0.5 * generator.normal(size=160)
        own = np.repeat(generator.normal(size=(rows, 160 // size)), size, axis=1)
        scores = (hard + 0.3**0.5 * own < np.quantile(generator.normal(size=10_000), share)).astype(float)
        wrong += bool(separated(ranked(scores, [i // size for i in range(160)])))
    assert wrong / 300 <= 0.05 + 2 * (0.05 * 0.95 / 300) ** 0.5


def test_five_clusters_separate_nothing_and_six_may() -> None:
    first, second = [1.0] * 120, [0.0] * 120
    for clusters, apart in ((5, False), (6, True)):
        found = ranked([first, second, first], [i * clusters // 120 for i in range(120)])
        assert found.exact
        assert found.flips == 2**clusters
        assert ((0, 1) in separated(found)) == apart


def test_all_flips_of_few_clusters_are_the_step_down_test_by_definition() -> None:
    generator = np.random.default_rng(5)
    for _ in range(40):
        totals = generator.normal(np.linspace(0, 2, 4)[:, None], 1, (4, 8)).round(3)
        scores = (totals - totals.min()) / (totals.max() - totals.min())
        pairs = [(i, j) for i in range(4) for j in range(i + 1, 4)]
        gaps = np.array([scores[i] - scores[j] for i, j in pairs])
        signs = np.array(np.meshgrid(*[[-1, 1]] * 8)).reshape(8, -1)
        scale = np.sqrt((gaps**2).sum(axis=1))
        flipped, seen = np.abs(gaps @ signs) / scale[:, None], np.abs(gaps.sum(axis=1)) / scale
        left, apart = set(range(6)), set()
        while left:
            largest = flipped[sorted(left)].max(axis=0)
            passed = {k for k in left if np.mean(largest >= seen[k] - 1e-9) <= 0.05}
            if not passed:
                break
            left, apart = left - passed, apart | passed
        assert separated(ranked(scores)) == {pairs[k] for k in apart}


def test_a_sample_that_one_row_lacks_leaves_the_others_paired() -> None:
    scores = column(8, 400, np.random.default_rng(6), 0.2, 0.8)
    whole = ranked(scores)
    scores[3, :3] = NAN
    found = ranked(scores)
    assert found.paired == tuple(range(8))
    assert len(separated(found) ^ separated(whole)) <= 1
    pair = ranked([scores[3], scores[7]])
    both = ~np.isnan(scores[3])
    p = paired_difference(scores[3][both].tolist(), scores[7][both].tolist()).p
    assert (separated(pair) == {(0, 1)}) == (p <= 0.05)


def test_a_row_without_samples_is_compared_by_its_interval() -> None:
    scores = column(6, 400, np.random.default_rng(6), 0.2, 0.8)
    rows = [wilson(float(row.sum()), 400) for row in scores]
    whole = paired_ranks(rows, scores, list(range(400)))
    scores[5] = NAN
    found = paired_ranks(rows, scores, list(range(400)))
    assert found.paired == (0, 1, 2, 3, 4)
    kept = {pair for pair in separated(whole) if 5 not in pair}
    assert {pair for pair in separated(found) if 5 not in pair} <= kept
    assert (0, 5) in separated(found)
    none = paired_ranks(rows, np.full((6, 400), NAN), list(range(400)))
    assert none.paired == ()
    assert list(none.ranks) == ranks(rows)


def test_no_rows_and_one_row() -> None:
    assert paired_ranks([], np.zeros((0, 0)), []).ranks == ()
    (rank,) = ranked([[1.0, 0.0]]).ranks
    assert (rank.first, rank.last) == (1, 1)
