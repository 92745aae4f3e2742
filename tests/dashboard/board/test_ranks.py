"""The ranks of a column are the simultaneous ranks of `evals.stats`, with ties grouped from the top."""

from hypothesis import given, settings
from hypothesis import strategies as st

from dashboard.board.cells import Cell, Row
from dashboard.board.ranks import column_ranks
from evals.stats import ranks
from evals.stats.intervals import wilson

counts = st.lists(st.integers(0, 164), min_size=1, max_size=14)


def rows(passed: list[int]) -> list[Row]:
    made = []
    for number, right in enumerate(passed):
        span = wilson(right, 164)
        cell = Cell(origin="measured", value=100 * span.value, low=100 * span.low, high=100 * span.high, n=164)
        row = Row(key=f"{number:03}", label="", name="", own=True, parameters=None, training_tokens=None, date="",
                  family="", style="base", weights="open", cells={"k": cell})  # fmt: skip
        made.append(row)
    return made


@settings(deadline=None, max_examples=60)
@given(counts)
def test_places_are_those_of_the_pairwise_test(passed: list[int]) -> None:
    standings = column_ranks(rows(passed), "k")
    expected = ranks.ranks([wilson(right, 164) for right in passed])
    assert [(standings[f"{n:03}"].first, standings[f"{n:03}"].last) for n in range(len(passed))] == [
        (rank.first, rank.last) for rank in expected
    ]


@settings(deadline=None, max_examples=60)
@given(counts)
def test_a_group_holds_rows_not_significantly_below_its_first(passed: list[int]) -> None:
    made = rows(passed)
    standings = column_ranks(made, "k")
    best_first = sorted(made, key=lambda row: (-row.cells["k"].value, row.key))
    expected = ranks.ranks([row.cells["k"] for row in best_first])  # type: ignore[misc]
    alike = {row.key: rank.alike for row, rank in zip(best_first, expected, strict=True)}
    groups = [standings[row.key].group for row in best_first]
    assert groups[0] == 1
    for at, group in enumerate(groups):
        first = groups.index(group)
        assert at == first or first in alike[best_first[at].key]
        if at == first > 0:
            assert groups.index(group - 1) not in alike[best_first[at].key]


def test_two_hundred_rows_far_apart_have_a_place_each_and_close_ones_share() -> None:
    standings = column_ranks(rows([160, 100, 98, 5]), "k")
    assert [(standings[f"{n:03}"].first, standings[f"{n:03}"].last) for n in range(4)] == [
        (1, 1),
        (2, 3),
        (2, 3),
        (4, 4),
    ]
    assert [standings[f"{n:03}"].group for n in range(4)] == [1, 2, 2, 3]


def test_a_large_column_has_the_same_ranks_as_the_pairwise_test() -> None:
    made = rows([n % 165 for n in range(500)])
    standings = column_ranks(made, "k")
    expected = ranks.ranks([row.cells["k"] for row in made])  # type: ignore[misc]
    assert [(standings[row.key].first, standings[row.key].last) for row in made] == [
        (rank.first, rank.last) for rank in expected
    ]
