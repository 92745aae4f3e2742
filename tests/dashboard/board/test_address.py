"""A view's address: read back as the page's widgets write it, wrong values refused with the nearest."""

from types import SimpleNamespace

import pytest

from dashboard.board import address
from dashboard.board.build import build_board
from dashboard.board.cells import Board
from dashboard.board.view import View
from zoo import published
from zoo.errors import ZooError


@pytest.fixture(scope="module")
def whole(made: SimpleNamespace) -> Board:
    mini, under = made.checkpoint(), made.protocol()
    return build_board([mini], [made.score(mini, under, 0.5)], {under.fingerprint: under}, reported=published.load())


def test_an_empty_address_is_the_default_view(whole: Board) -> None:
    assert address.read(address.parameters("http://127.0.0.1:8501/"), whole) == (View(), "all")
    assert address.read({}, whole) == (View(), "all")


def test_every_parameter_reaches_the_view(whole: Board) -> None:
    column, row = whole.columns[0], whole.rows[0]
    query = {
        "suite": ["phi-1"], "search": ["phi"], "shown": ["measured"], "subset": ["clean"], "complete": ["true"],
        "every": ["true"], "size": ["10M", "1.5B"], "seen": ["any", "1T"], "date": ["2022", "2023"], "family": ["phi"],
        "weights": ["open"], "kind": ["base"], "column": [address.column_name(column)], "pin": [address.row_name(row)],
        "sort": [address.column_name(column)], "ascending": ["true"],
    }  # fmt: skip
    assert set(query) == {"suite", "search", *address.FILTERS, *address.ORDERED}
    view, subset = address.read(query, whole)
    assert subset == "clean"
    assert view == View(
        suite="phi-1", search="phi", shown="measured", complete=True, every_metric=True, sizes=(1e7, 1.5e9),
        tokens=(None, 1e12), dates=("2022", "2023"), families=("phi",), weights="open", style="base",
        columns=(column.key,), pinned=(row.key,), sort=column.key, descending=False,
    )  # fmt: skip


def test_keys_do_as_well_as_printed_names(whole: Board) -> None:
    view, _ = address.read(address.parameters(f"?sort={whole.columns[0].key}&pin={whole.rows[0].key}"), whole)
    assert (view.sort, view.pinned) == (whole.columns[0].key, (whole.rows[0].key,))


@pytest.mark.parametrize(
    "query", ["suite=phi1", "size=1X&size=2B", "column=nope", "family=fi", "kind=chta", "subset=cl"]
)
def test_wrong_values_are_errors(whole: Board, query: str) -> None:
    with pytest.raises(ZooError, match=r"no \w+ "):
        address.read(address.parameters(query), whole)
