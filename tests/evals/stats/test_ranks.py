"""Rank intervals: all hold at once 95 times in 100, Holm as in statsmodels, groups that make sense."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from statsmodels.stats.multitest import multipletests

from evals.stats.intervals import Interval, wilson
from evals.stats.ranks import Rank, pair_p_values, ranks, standings

COUNTS = st.lists(st.integers(0, 164), min_size=1, max_size=12)


def missed(found: list[Rank], truth: list[float]) -> bool:
    """Whether any rank interval leaves out every rank that the true values allow its row."""
    for rank, own in zip(found, truth, strict=True):
        best = 1 + sum(other > own for other in truth)
        worst = sum(other >= own for other in truth)
        if rank.last < best or rank.first > worst:
            return True
    return False


@pytest.mark.parametrize("truth", [[0.5] * 10, [0.5] * 5 + [0.55] * 5, [0.1, 0.1, 0.12, 0.3, 0.3, 0.5, 0.5, 0.9]])
def test_all_ranks_of_a_column_hold_at_once(truth: list[float]) -> None:
    generator = np.random.default_rng(0)
    boards = generator.binomial(164, truth, (1500, len(truth)))
    wrong = [missed(ranks([wilson(int(k), 164) for k in board]), truth) for board in boards]
    assert np.mean(wrong) <= 0.05


def test_clear_differences_are_told_apart() -> None:
    board = [wilson(k, 164) for k in (91, 84, 88, 20, 75)]
    assert [(r.place, r.first, r.last) for r in ranks(board)] == [
        (1, 1, 4),
        (3, 1, 4),
        (2, 1, 4),
        (5, 5, 5),
        (4, 1, 4),
    ]
    assert [r.alike for r in ranks(board)] == [(1, 2, 4), (0, 2, 4), (0, 1, 4), (), (0, 1, 2)]


@given(COUNTS)
def test_an_interval_holds_its_place_and_agrees_with_its_group(counts: list[int]) -> None:
    found = ranks([wilson(k, 164) for k in counts])
    for index, rank in enumerate(found):
        assert 1 <= rank.first <= rank.place <= rank.last <= len(counts)
        assert rank.last - rank.first == len(rank.alike)
        assert all(index in found[other].alike for other in rank.alike)


@given(COUNTS)
def test_equal_values_have_equal_ranks_whatever_their_order(counts: list[int]) -> None:
    board = [wilson(k, 164) for k in counts]
    forward = [(r.place, r.first, r.last) for r in ranks(board)]
    backward = [(r.place, r.first, r.last) for r in ranks(board[::-1])][::-1]
    assert forward == backward
    by_count = dict(zip(counts, forward, strict=True))
    assert all(by_count[k] == told for k, told in zip(counts, forward, strict=True))


@settings(max_examples=12)
@given(st.lists(st.integers(0, 164), min_size=2, max_size=9))
def test_rejections_are_statsmodels_holm(counts: list[int]) -> None:
    board = [wilson(k, 164) for k in counts]
    found, p = ranks(board), pair_p_values(board)
    pairs = [(i, j) for i in range(len(board)) for j in range(i + 1, len(board))]
    rejected = multipletests([p[pair] for pair in pairs], 0.05, method="holm")[0]
    for (i, j), apart in zip(pairs, rejected, strict=True):
        assert (j not in found[i].alike) == apart


def test_few_clusters_are_judged_by_students_distribution() -> None:
    """Twenty equal rows of four clusters: judged as normal, more than 5 columns in 100 separate a pair."""
    generator = np.random.default_rng(1)
    wrong = {False: 0, True: 0}
    for _ in range(400):
        totals = generator.normal(0.5, 0.05, (20, 4))
        half = 3.182 * totals.std(axis=1, ddof=1) / 2
        ends = zip(totals.mean(axis=1), half, strict=True)
        board = [Interval(value=v, low=v - h, high=v + h, effective=1) for v, h in ends]
        for few in wrong:
            found = ranks(board, clusters=[4] * 20 if few else None)
            wrong[few] += any(len(rank.alike) < 19 for rank in found)
    assert wrong[True] / 400 <= 0.05 < wrong[False] / 400
    many = [wilson(k, 164) for k in (100, 70, 20)]
    assert ranks(many, clusters=[0] * 3) == ranks(many)


@settings(max_examples=150)
@given(
    st.lists(st.tuples(st.integers(0, 300), st.sampled_from([5, 164, 300])), min_size=1, max_size=90),
    st.sampled_from([1, 7, 64]),
    st.sampled_from([None, 8, 200]),
)
def test_standings_are_the_ranks(rows: list[tuple[int, int]], block: int, clusters: int | None) -> None:
    """Whatever is counted together, copies or sure pairs, in blocks of any size."""
    board = [wilson(min(k, n), n) for k, n in rows]
    groups = clusters and [clusters + i % 3 for i in range(len(board))]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("evals.stats.ranks.BLOCK", block)
        told = standings(board, clusters=groups)
    assert [(one.first, one.last) for one in told] == [(one.first, one.last) for one in ranks(board, clusters=groups)]


def test_standings_of_many_rows_are_the_ranks() -> None:
    values = np.random.default_rng(0).beta(4, 3, 700)
    board = [wilson(1000 * value, 1000) for value in values]
    assert [(one.first, one.last) for one in standings(board)] == [(one.first, one.last) for one in ranks(board)]


def test_groups_begin_where_a_row_is_told_to_be_below_the_first_of_the_last() -> None:
    board = [wilson(k, 164) for k in (5, 160, 98, 100, 155, 98)]
    assert [one.group for one in standings(board)] == [3, 1, 2, 2, 1, 2]
    assert standings([]) == []


def test_no_rows_and_one_row() -> None:
    assert ranks([]) == []
    assert ranks([wilson(3, 10)]) == [Rank(place=1, first=1, last=1, alike=())]


def test_the_ends_of_the_scale() -> None:
    found = ranks([wilson(0, 164), wilson(0, 14042), wilson(164, 164)])
    assert [(r.first, r.last) for r in found] == [(2, 3), (2, 3), (1, 1)]


def test_wide_intervals_tell_less() -> None:
    narrow = [Interval(value=v, low=v - 0.01, high=v + 0.01, effective=1) for v in (0.5, 0.55)]
    wide = [Interval(value=v, low=v - 0.1, high=v + 0.1, effective=1) for v in (0.5, 0.55)]
    assert [r.first for r in ranks(narrow)] == [2, 1]
    assert [r.first for r in ranks(wide)] == [1, 1]
