"""Filters, order and ranks of the board."""

from types import SimpleNamespace

import pytest

from dashboard.board.build import build_board
from dashboard.board.cells import Board
from dashboard.board.view import SUITES, View, select
from tests.talk_table import talk_table
from zoo import published
from zoo.errors import ZooError


@pytest.fixture(scope="module")
def whole(made: SimpleNamespace) -> Board:
    small, large = made.checkpoint("small", 1), made.checkpoint("large", 2, parameters=5_000_000, prompt_style="chat")
    code, arc = made.protocol(), made.protocol("arc_easy", "lm-eval", metric="acc", decoding={})
    scores = [made.score(small, code, 0.1), made.score(large, code, 0.6), made.score(large, arc, 0.4)]
    protocols = {protocol.fingerprint: protocol for protocol in (code, arc)}
    return build_board([small, large], scores, protocols, reported=published.load())


def labels(board: Board) -> list[str]:
    return [row.label for row in board.rows]


def test_the_talk_is_own_and_the_whole_talk(whole: Board) -> None:
    shown = select(whole, View(suite="talk"))
    assert labels(shown) == ["large:1", "small:1", *(row.label for row in talk_table())]
    assert [(c.benchmark, c.origin) for c in shown.columns] == [
        ("humaneval", "measured"), ("humaneval", "reported"), ("mbpp", "reported"), ("arc_easy", "measured"),
    ]  # fmt: skip


def test_the_default_is_what_was_measured_here_and_beside_it_the_same_benchmarks(whole: Board) -> None:
    shown = select(whole, View())
    assert {column.benchmark for column in shown.columns} == {"humaneval", "arc_easy"}
    assert {column.origin for column in shown.columns} == {"measured", "reported"}


def test_where_nothing_was_measured_the_default_is_the_talk() -> None:
    published_only = build_board(reported=published.load())
    assert labels(select(published_only, View())) == labels(select(published_only, View(suite="talk")))


def test_headline_is_its_own_view(whole: Board) -> None:
    assert labels(select(whole, View(suite="headline"))) == ["Code Llama 34B", "Phi-1", "Phi-1 (WR + Tile)"]


@pytest.mark.parametrize("name", SUITES)
def test_every_suite_has_only_its_benchmarks(whole: Board, name: str) -> None:
    shown = select(whole, View(suite=name))
    wanted = SUITES[name].benchmarks
    assert shown.rows
    assert all(not wanted or column.benchmark in wanted for column in shown.columns)
    assert all(any(column.key in row.cells for row in shown.rows) for column in shown.columns)


@pytest.mark.parametrize(
    ("view", "expected"),
    [
        (View(suite="talk", search="code llama 34"), ["Code Llama 34B"]),
        (View(shown="measured"), ["large:1", "small:1"]),
        (View(sizes=(4e6, 1e8)), ["large:1"]),
        (View(sizes=(None, 2e6)), ["small:1"]),
        (View(shown="measured", style="chat"), ["large:1"]),
        (View(shown="measured", complete=True), ["large:1"]),
        (View(suite="talk", families=("CodeT5+",)), ["CodeT5+ 2B", "CodeT5+ 16B", "InstructCodeT5+ 16B"]),
        (View(weights="closed", search="codex"), ["Codex-300M", "Codex-12B"]),
        (View(tokens=(None, 2e6)), ["large:1", "small:1"]),
        (View(dates=("2022-03", "2022-03")), ["CodeGen-Mono-350M", "CodeGen-Mono-16.1B"]),
    ],
)
def test_filters(whole: Board, view: View, expected: list[str]) -> None:
    assert labels(select(whole, view)) == expected


def test_an_unknown_size_passes_only_an_open_filter(whole: Board) -> None:
    assert "GPT-4" in labels(select(whole, View()))
    assert "GPT-4" not in labels(select(whole, View(sizes=(1.0, None))))


def test_sorting_puts_missing_values_last_in_both_orders(whole: Board) -> None:
    key = next(c.key for c in whole.columns if c.benchmark == "mbpp" and c.talk)
    for descending in (True, False):
        shown = select(whole, View(sort=key, descending=descending))
        values = [row.cells[key].value for row in shown.rows if key in row.cells]
        assert values == sorted(values, reverse=descending)
        assert [key in row.cells for row in shown.rows] == sorted((key in r.cells for r in shown.rows), reverse=True)


def test_pinned_rows_stand_first_and_pass_filters(whole: Board) -> None:
    small = next(row for row in whole.rows if row.label == "small:1")
    assert labels(select(whole, View(search="codex", pinned=(small.key,)))) == ["small:1", "Codex-300M", "Codex-12B"]


def test_chosen_columns_stand_in_place_of_the_suites(whole: Board) -> None:
    key = next(c.key for c in whole.columns if c.benchmark == "hellaswag")
    shown = select(whole, View(columns=(key,)))
    assert [c.key for c in shown.columns] == [key]
    assert all(row.own or key in row.cells for row in shown.rows)


@pytest.mark.parametrize("view", [View(suite="phi-3"), View(columns=("nope",)), View(sort="nam")])
def test_unknown_names_are_errors_with_the_nearest(whole: Board, view: View) -> None:
    with pytest.raises(ZooError, match=r"no (suite|column|order) "):
        select(whole, view)


def test_clean_and_overlapping_bring_the_published_parts_along(made: SimpleNamespace) -> None:
    mini, under = made.checkpoint(), made.protocol()
    scores = [made.score(mini, under, 0.5), made.score(mini, under, 0.3, subset="clean", n=93)]
    for subset, part in (("all", None), ("clean", "non-similar"), ("overlapping", "similar")):
        board = build_board([mini], scores, {under.fingerprint: under}, reported=published.load(), subset=subset)  # type: ignore[arg-type]
        parts = [c.subset for c in select(board, View(suite="phi-1")).columns if " at tau" in c.subset]
        assert len(parts) == (4 if part else 0)
        assert all(part and subset_part.startswith(part) for subset_part in parts)
