"""The leaderboard page: the table, its filters, its exports and the dialog of a cell. The address holds the view."""

import shlex
from collections.abc import Callable
from functools import partial
from typing import Any, cast, get_args
from urllib.parse import urlencode

import streamlit as st

from dashboard.board import address
from dashboard.board.cells import Board
from dashboard.board.export import FORMATS
from dashboard.board.html_table import LEGEND, render_table
from dashboard.board.view import SUITES, Shown, View, select
from dashboard.views import evidence, style
from zoo.records import Subset

PAGE_ROWS = 100


def page() -> None:
    """Draws the leaderboard."""
    # until its widget has run, only the address has the subset
    subset = st.session_state.get("subset") or st.query_params.get("subset", "all")
    board = style.load_board(cast(Subset, subset if subset in get_args(Subset) else "all"))
    st.title("Leaderboard", anchor=False)
    view = pick_view(board)
    style.show_notes(style.load_notes(view.suite))
    shown = select(board, view)
    if not shown.rows:
        explain_empty(board)
        return
    show_table(shown, view)
    show_exports(shown, view)
    if cell := st.query_params.get("cell", ""):
        evidence.open_cell(board, cell)


def pick_view(board: Board) -> View:
    """Draws the choices above the table, each kept in the address."""
    first, second = st.columns([3, 2], vertical_alignment="bottom")
    suite = first.segmented_control(
        "Suite", list(SUITES), default="talk", required=True, key="suite", bind="query-params", help=_describe_suites()
    )
    search = second.text_input("Search models", key="search", bind="query-params", placeholder="name or family") or ""
    # drawn only when open or used: twenty widgets are half of the browser's work on a first view
    box = st.expander("Filters, columns and order", expanded=has_filters(), on_change="rerun", key="filters-open")
    filters: dict[str, Any] = {}
    if box.open or has_filters():
        with box:
            filters = pick_filters(board)
    return View(suite=suite or "talk", search=search, **filters)


def has_filters() -> bool:
    """Whether the address or this session has a value of any filter."""
    keys = (*address.FILTERS, *address.ORDERED)
    return any(key in st.query_params or key in st.session_state for key in keys)


def _describe_suites() -> str:
    return "\n".join(f"- **{name}**: {suite.about}" for name, suite in SUITES.items())


def pick_filters(board: Board) -> dict[str, Any]:
    """Draws the filters, the columns and the order, and gives back the fields of a View."""
    left, middle, right = st.columns(3)
    shown = pick_option(left, "Numbers", ["all", "measured", "reported"], "shown", required="all")
    pick_option(left, "Samples", ["all", "clean", "overlapping"], "subset", required="all")
    complete = left.toggle("Complete rows only", key="complete", bind="query-params")
    every = left.toggle("Every metric of a task", key="every", bind="query-params")
    sizes = middle.select_slider(
        "Parameters", address.SIZES, value=("any", "no limit"), key="size", bind="query-params"
    )
    tokens = middle.select_slider(
        "Tokens seen", address.TOKENS, value=("any", "no limit"), key="seen", bind="query-params"
    )
    years = address.years(board)
    since, until = middle.select_slider("Date", years, value=(years[0], years[-1]), key="date", bind="query-params")
    families = right.multiselect(
        "Families", sorted({row.family for row in board.rows}), key="family", bind="query-params"
    )
    weights = pick_option(right, "Weights", ["open", "closed"], "weights")
    kind = pick_option(right, "Kind", ["base", "chat"], "kind")
    columns = st.multiselect("Columns (instead of the suite's)", [column.key for column in board.columns],
                             format_func=_column_name(board), key="column", bind="query-params")  # fmt: skip
    pinned = st.multiselect(
        "Pinned models", [row.key for row in board.rows], format_func=_row_name(board), key="pin", bind="query-params"
    )
    sort, descending = pick_order(board)
    return {
        "shown": cast(Shown, shown or "all"), "complete": complete, "every_metric": every,
        "sizes": address.parse_bounds(sizes), "tokens": address.parse_bounds(tokens),
        "dates": address.date_bounds(since, until, board), "families": tuple(families), "weights": weights or "",
        "style": kind or "", "columns": tuple(columns), "pinned": tuple(pinned), "sort": sort,
        "descending": descending,
    }  # fmt: skip


def pick_option(column: Any, label: str, options: list[str], key: str, required: str | None = None) -> str | None:
    """Draws a choice kept in the address; `required` is the default of a choice that cannot be empty."""
    chosen: str | None = column.segmented_control(
        label, options, default=required, required=required is not None, key=key, bind="query-params"
    )
    return chosen


def pick_order(board: Board) -> tuple[str, bool]:
    """Draws the order and its direction; a click on a header of the table sets both."""
    name = _column_name(board)
    keys = [*address.ORDERS, *(column.key for column in board.columns)]
    left, right = st.columns([3, 1], vertical_alignment="bottom")
    sort = left.selectbox(
        "Order", keys, format_func=lambda key: address.ORDERS.get(key) or name(key), key="sort", bind="query-params"
    )
    ascending = right.toggle("Ascending", key="ascending", bind="query-params")
    return sort or "board", not ascending


def _column_name(board: Board) -> Callable[[str], str]:
    by_key = {column.key: column for column in board.columns}
    return lambda key: address.column_name(by_key[key])


def _row_name(board: Board) -> Callable[[str], str]:
    by_key = {row.key: row for row in board.rows}
    return lambda key: address.row_name(by_key[key])


def show_table(shown: Board, view: View) -> None:
    """Draws one page of the table's rows, and the legend."""
    pages = -(-len(shown.rows) // PAGE_ROWS)
    number = style.pick_page(pages, f"{len(shown.rows):,} models", "page") if pages > 1 else 1
    rows = shown.rows[(number - 1) * PAGE_ROWS : number * PAGE_ROWS]
    style.show_board(render_table(shown, view, rows), "board", open_cell, sort_column)
    st.html(f'<div class="phizoo-legend">{LEGEND}</div>')


def open_cell() -> None:
    """Puts the chosen cell or model into the address, so that the page opens it."""
    chosen = st.session_state["board"].get("opened")
    if chosen:
        st.query_params["cell"] = chosen


def sort_column() -> None:
    """Sorts by the chosen header, or reverses the order if the table is sorted by it."""
    key = st.session_state["board"].get("sorted")
    if key:
        same = st.session_state.get("sort") == key
        st.session_state["ascending"] = not st.session_state.get("ascending") if same else key == "name"
        st.session_state["sort"] = key


def show_exports(shown: Board, view: View) -> None:
    """Offers the view as files, and the command that writes the same files."""
    box = st.popover("Export this view", on_change="rerun", key="exports-open")
    if not box.open:
        return
    with box:
        notes = style.load_notes(view.suite)
        for ending, form in FORMATS.items():
            name = f"leaderboard{ending}"
            st.download_button(
                name, partial(form, shown, notes), file_name=name, on_click="ignore", key=f"export-{name}"
            )
        query = [(key, value) for key in st.query_params for value in st.query_params.get_all(key) if key != "cell"]
        option = f" --view {shlex.quote('?' + urlencode(query))}" if query else ""
        st.code(f"phizoo leaderboard{option} --out leaderboard.html", language="bash", wrap_lines=True)


def explain_empty(board: Board) -> None:
    """Says why there is no table."""
    if any(row.own for row in board.rows) or board.columns:
        st.info("No model passes these filters. Widen them, or choose another suite.")
    else:
        st.info("The zoo is empty. Fill it with data, three small models and their scores: `phizoo quickstart`")
