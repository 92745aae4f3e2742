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
        "sort": [address.column_name(column)], "ascending": ["true"], "licence": ["permissive", "unknown"],
        "quantised": ["no"], "where": ["parameters <= 500M"], "front": ["tokens"],
    }  # fmt: skip
    assert set(query) == {"suite", "search", *address.FILTERS, *address.ORDERED}
    view, subset = address.read(query, whole)
    assert subset == "clean"
    assert view == View(
        suite="phi-1", search="phi", shown="measured", complete=True, every_metric=True, sizes=(1e7, 1.5e9),
        tokens=(None, 1e12), dates=("2022", "2023"), families=("phi",), weights="open", style="base",
        columns=(column.key,), pinned=(row.key,), sort=column.key, descending=False,
        licences=("permissive", "unknown"), quantised="no", where="parameters <= 500M", front="tokens",
    )  # fmt: skip


def test_keys_do_as_well_as_printed_names(whole: Board) -> None:
    view, _ = address.read(address.parameters(f"?sort={whole.columns[0].key}&pin={whole.rows[0].key}"), whole)
    assert (view.sort, view.pinned) == (whole.columns[0].key, (whole.rows[0].key,))
    column = next(column for column in whole.columns if column.main)
    view, _ = address.read({"sort": [column.benchmark]}, whole)
    assert next(one.benchmark for one in whole.columns if one.key == view.sort) == column.benchmark


@pytest.mark.parametrize(
    "query",
    [
        "suite=phi1",
        "size=1X&size=2B",
        "column=nope",
        "family=fi",
        "kind=chta",
        "subset=cl",
        "licence=mti",
        "size=many",
        "quantised=Q4",
    ],
)
def test_wrong_values_are_errors(whole: Board, query: str) -> None:
    with pytest.raises(ZooError, match=r"no \w+ |is no number; write it as 500M"):
        address.read(address.parameters(query), whole)


@pytest.mark.parametrize(
    ("query", "sizes"),
    [
        ("size=500M", (None, 5e8)), ("size=any&size=500m", (None, 5e8)), ("size=135000000&size=no+limit", (1.35e8, None)),
        ("size=1&size=2&size=3", (None, None)), ("", (None, None)),
    ],
)  # fmt: skip
def test_a_size_is_any_number_and_one_alone_is_the_largest(
    whole: Board, query: str, sizes: tuple[float | None, ...]
) -> None:
    assert address.read(address.parameters(f"?{query}"), whole)[0].sizes == sizes
