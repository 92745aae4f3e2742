"""Places: as the pairwise test has them, never narrower in large columns, ties grouped from the top."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dashboard import places
from dashboard.cells import Cell, Row
from evals.stats import ranks
from evals.stats.intervals import wilson

counts = st.lists(st.integers(0, 164), min_size=1, max_size=14)


def rows(passed: list[int]) -> list[Row]:
    told = []
    for number, right in enumerate(passed):
        span = wilson(right, 164)
        cell = Cell(origin="measured", value=100 * span.value, low=100 * span.low, high=100 * span.high, n=164)
        row = Row(key=f"{number:03}", label="", name="", own=True, parameters=None, training_tokens=None, date="",
                  family="", style="base", weights="open", cells={"k": cell})  # fmt: skip
        told.append(row)
    return told


@settings(deadline=None, max_examples=60)
@given(counts)
def test_places_are_those_of_the_pairwise_test(passed: list[int]) -> None:
    told = places.places(rows(passed), "k")
    expected = ranks.ranks([wilson(right, 164) for right in passed])
    assert [(told[f"{n:03}"].best, told[f"{n:03}"].worst) for n in range(len(passed))] == [
        (rank.first, rank.last) for rank in expected
    ]


@settings(deadline=None, max_examples=60)
@given(counts)
def test_a_large_columns_places_hold_those_of_the_pairwise_test(passed: list[int]) -> None:
    held = rows(passed)
    exact = places.places(held, "k")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(places, "EXACT", 1)
        places._places.cache_clear()
        wide = places.places(held, "k")
        places._places.cache_clear()
    for key, place in wide.items():
        assert place.best <= exact[key].best
        assert place.worst >= exact[key].worst


@settings(deadline=None, max_examples=60)
@given(counts)
def test_a_group_holds_what_is_not_proven_below_its_first(passed: list[int]) -> None:
    held = rows(passed)
    told = places.places(held, "k")
    best_first = sorted(held, key=lambda row: (-row.cells["k"].value, row.key))
    alike = {
        row.key: rank.alike
        for row, rank in zip(best_first, ranks.ranks([r.cells["k"] for r in best_first]), strict=True)
    }  # type: ignore[misc]
    groups = [told[row.key].group for row in best_first]
    assert groups[0] == 1
    for at, group in enumerate(groups):
        first = groups.index(group)
        assert at == first or first in alike[best_first[at].key]
        if at == first > 0:
            assert groups.index(group - 1) not in alike[best_first[at].key]


def test_two_hundred_rows_far_apart_have_a_place_each_and_close_ones_share() -> None:
    told = places.places(rows([160, 100, 98, 5]), "k")
    assert [places.place_text(told[f"{n:03}"]) for n in range(4)] == ["1", "2–3", "2–3", "4"]
    assert [told[f"{n:03}"].group for n in range(4)] == [1, 2, 2, 3]


def test_two_thousand_rows_cost_no_pairs() -> None:
    told = places.places(rows([n % 165 for n in range(2000)]), "k")
    assert len(told) == 2000
    assert told["164"].best == 1
    assert told["164"].worst < 2000
