"""The leaderboard: one table, its filters, and the evidence behind each cell. The address holds the view."""

import shlex
from collections.abc import Callable
from functools import partial
from typing import Any, cast, get_args
from urllib.parse import urlencode

import streamlit as st

from dashboard.board import address
from dashboard.board.cells import Board
from dashboard.board.export import FORMATS
from dashboard.board.html_table import LEGEND, table
from dashboard.board.view import SUITES, Shown, View, select
from dashboard.views import evidence, style
from zoo.records import Subset

PAGE_ROWS = 100  # rows drawn at once; more stand on the next page


def page() -> None:
    """Draws the leaderboard."""
    # before its widget has run, the address alone knows the subset
    subset = st.session_state.get("subset") or st.query_params.get("subset", "all")
    whole = style.board(cast(Subset, subset if subset in get_args(Subset) else "all"))
    st.title("Leaderboard", anchor=False)
    view = controls(whole)
    style.listed(style.notes(view.suite))
    shown = select(whole, view)
    if not shown.rows:
        empty(whole)
        return
    draw(shown, view)
    exports(shown, view)
    opened = st.query_params.get("cell", "")
    if opened:
        evidence.open_cell(whole, opened)


def controls(whole: Board) -> View:
    """The choices above the table, each kept in the address."""
    first, second = st.columns([3, 2], vertical_alignment="bottom")
    suite = first.segmented_control(
        "Suite", list(SUITES), default="talk", required=True, key="suite", bind="query-params", help=_about_suites()
    )
    search = second.text_input("Search models", key="search", bind="query-params", placeholder="name or family") or ""
    # closed and untouched they are not drawn at all: twenty widgets are half of the browser's work on a first view
    box = st.expander("Filters, columns and order", expanded=touched(), on_change="rerun", key="filters-open")
    told: dict[str, Any] = {}
    if box.open or touched():
        with box:
            told = filters(whole)
    return View(suite=suite or "talk", search=search, **told)


def touched() -> bool:
    """Whether the address or this session holds a choice that stands under the filters."""
    named = (*address.FILTERS, *address.ORDERED)
    return any(key in st.query_params or key in st.session_state for key in named)


def _about_suites() -> str:
    return "\n".join(f"- **{name}**: {suite.about}" for name, suite in SUITES.items())


def filters(whole: Board) -> dict[str, Any]:
    """The choices that are seldom made, as fields of a View."""
    one, two, three = st.columns(3)
    shown = choice(one, "Numbers", ["all", "measured", "reported"], "shown", required="all")
    choice(one, "Samples", ["all", "clean", "overlapping"], "subset", required="all")
    complete = one.toggle("Complete rows only", key="complete", bind="query-params")
    every = one.toggle("Every metric of a task", key="every", bind="query-params")
    sizes = two.select_slider("Parameters", address.SIZES, value=("any", "no limit"), key="size", bind="query-params")
    tokens = two.select_slider(
        "Training tokens", address.TOKENS, value=("any", "no limit"), key="seen", bind="query-params"
    )
    years = address.years(whole)
    since, until = two.select_slider("Date", years, value=(years[0], years[-1]), key="date", bind="query-params")
    families = three.multiselect(
        "Families", sorted({row.family for row in whole.rows}), key="family", bind="query-params"
    )
    weights = choice(three, "Weights", ["open", "closed"], "weights")
    kind = choice(three, "Kind", ["base", "chat"], "kind")
    columns = st.multiselect("Columns (in place of the suite's)", [column.key for column in whole.columns],
                             format_func=_column_name(whole), key="column", bind="query-params")  # fmt: skip
    pinned = st.multiselect(
        "Pinned models", [row.key for row in whole.rows], format_func=_row_name(whole), key="pin", bind="query-params"
    )
    sort, descending = order(whole)
    return {
        "shown": cast(Shown, shown or "all"),
        "complete": complete,
        "every_metric": every,
        "sizes": address.span(sizes),
        "tokens": address.span(tokens),
        "dates": address.dates(since, until, whole),
        "families": tuple(families),
        "weights": weights or "",
        "style": kind or "",
        "columns": tuple(columns),
        "pinned": tuple(pinned),
        "sort": sort,
        "descending": descending,
    }


def choice(where: Any, label: str, options: list[str], key: str, required: str | None = None) -> str | None:
    """One of a few, kept in the address under its key; a required one has a default."""
    chosen: str | None = where.segmented_control(
        label, options, default=required, required=required is not None, key=key, bind="query-params"
    )
    return chosen


def order(whole: Board) -> tuple[str, bool]:
    """The order and its direction; a header of the table sets both."""
    name = _column_name(whole)
    keys = [*address.ORDERS, *(column.key for column in whole.columns)]
    one, two = st.columns([3, 1], vertical_alignment="bottom")
    sort = one.selectbox(
        "Order", keys, format_func=lambda key: address.ORDERS.get(key) or name(key), key="sort", bind="query-params"
    )
    ascending = two.toggle("Ascending", key="ascending", bind="query-params")
    return sort or "board", not ascending


def _column_name(whole: Board) -> Callable[[str], str]:
    by_key = {column.key: column for column in whole.columns}
    return lambda key: address.column_name(by_key[key])


def _row_name(whole: Board) -> Callable[[str], str]:
    by_key = {row.key: row for row in whole.rows}
    return lambda key: address.row_name(by_key[key])


def draw(shown: Board, view: View) -> None:
    """The legend and one page of the table's rows."""
    pages = -(-len(shown.rows) // PAGE_ROWS)
    at = 1
    if pages > 1:
        at = style.page_number(pages, f"{len(shown.rows):,} models", "page")
    rows = shown.rows[(at - 1) * PAGE_ROWS : at * PAGE_ROWS]
    style.table(table(shown, view, rows), "board", on_open, on_sort)
    st.html(f'<div class="phizoo-legend">{LEGEND}</div>')


def on_open() -> None:
    """A cell or a model was chosen: the address says which, and the page opens it."""
    chosen = st.session_state["board"].get("opened")
    if chosen:
        st.query_params["cell"] = chosen


def on_sort() -> None:
    """A header was chosen: it sorts, once more turns the order around."""
    key = st.session_state["board"].get("sorted")
    if key:
        again = st.session_state.get("sort") == key
        st.session_state["ascending"] = not st.session_state.get("ascending") if again else key == "name"
        st.session_state["sort"] = key


def exports(shown: Board, view: View) -> None:
    """The view as files, and the command that writes the same one."""
    box = st.popover("Export this view", on_change="rerun", key="exports-open")
    if not box.open:
        return
    with box:
        notes = style.notes(view.suite)
        for ending, form in FORMATS.items():
            name = f"leaderboard{ending}"
            st.download_button(
                name, partial(form, shown, notes), file_name=name, on_click="ignore", key=f"export-{name}"
            )
        asked = [(key, value) for key in st.query_params for value in st.query_params.get_all(key) if key != "cell"]
        view_of = f" --view {shlex.quote('?' + urlencode(asked))}" if asked else ""
        st.code(f"phizoo leaderboard{view_of} --export leaderboard.html", language="bash", wrap_lines=True)


def empty(whole: Board) -> None:
    """What stands in the table's place when nothing passes."""
    if any(row.own for row in whole.rows) or whole.columns:
        st.info("No model passes these filters. Widen them, or choose another suite.")
    else:
        st.info("The zoo is empty. `phizoo quickstart` fills it: data, three small models, their scores.")
