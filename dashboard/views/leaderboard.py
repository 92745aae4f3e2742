"""The leaderboard: one table, its filters, and the evidence behind each cell. The address holds the view."""

from collections.abc import Callable
from functools import partial
from typing import Any, cast

import streamlit as st

from dashboard import facts
from dashboard.cells import Board
from dashboard.export import FORMATS, LONG, long
from dashboard.selection import SUITES, Shown, Span, View, select
from dashboard.table import LEGEND, table
from dashboard.text import count, cut
from dashboard.views import evidence, style
from zoo.checkpoint import Subset

SIZES = ("any", "10M", "50M", "100M", "350M", "1B", "1.5B", "3B", "7B", "13B", "34B", "70B", "no limit")
TOKENS = ("any", "1M", "100M", "1B", "10B", "100B", "300B", "1T", "3T", "10T", "no limit")
UNITS = {"M": 1e6, "B": 1e9, "T": 1e12}
PAGE_ROWS = 100  # rows drawn at once; more stand on the next page
ORDERS = {"board": "Own first", "name": "Name", "parameters": "Parameters", "tokens": "Tokens", "date": "Date"}


def page() -> None:
    """Draws the leaderboard."""
    whole = style.board(cast(Subset, st.session_state.get("subset") or "all"))
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
    with st.expander("Filters, columns and order", expanded=False):
        told = filters(whole)
    return View(suite=suite or "talk", search=search, **told)


def _about_suites() -> str:
    return "\n".join(f"- **{name}**: {suite.about}" for name, suite in SUITES.items())


def filters(whole: Board) -> dict[str, Any]:
    """The choices that are seldom made, as fields of a View."""
    one, two, three = st.columns(3)
    shown = choice(one, "Numbers", ["all", "measured", "reported"], "shown", required="all")
    choice(one, "Samples", ["all", "clean", "overlapping"], "subset", required="all")
    complete = one.toggle("Complete rows only", key="complete", bind="query-params")
    every = one.toggle("Every metric of a task", key="every", bind="query-params")
    sizes = two.select_slider("Parameters", SIZES, value=("any", "no limit"), key="size", bind="query-params")
    tokens = two.select_slider("Training tokens", TOKENS, value=("any", "no limit"), key="seen", bind="query-params")
    years = sorted({row.date[:4] for row in whole.rows if row.date}) or ["2026"]
    years = years if len(years) > 1 else [*years, str(int(years[-1]) + 1)]
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
        "sizes": span(sizes),
        "tokens": span(tokens),
        "dates": ("" if since == years[0] else since, "" if until == years[-1] else until),
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
    keys = [*ORDERS, *(column.key for column in whole.columns)]
    one, two = st.columns([3, 1], vertical_alignment="bottom")
    sort = one.selectbox(
        "Order", keys, format_func=lambda key: ORDERS.get(key) or name(key), key="sort", bind="query-params"
    )
    ascending = two.toggle("Ascending", key="ascending", bind="query-params")
    return sort or "board", not ascending


def span(ends: tuple[str, str]) -> Span:
    """What a slider's two ends ask for; an end at "any" or "no limit" is open.

    >>> span(("any", "1.5B"))
    (None, 1500000000.0)
    """
    low, high = (None if end in ("any", "no limit") else float(end[:-1]) * UNITS[end[-1]] for end in ends)
    return low, high


def _column_name(whole: Board) -> Any:
    by_key = {column.key: column for column in whole.columns}

    def name(key: str) -> str:
        column = by_key[key]
        mark = "●" if column.origin == "measured" else "◇"
        title = f"{facts.title_of(column.benchmark)} · {cut(column.title, 40)} · {cut(column.metric, 30)}"
        return f"{mark} {title} · {key[-6:]}"  # the end of the key tells two alike apart

    return name


def _row_name(whole: Board) -> Any:
    by_key = {row.key: row for row in whole.rows}
    return lambda key: f"{cut(by_key[key].label)} · {count(by_key[key].parameters)}"


def draw(shown: Board, view: View) -> None:
    """The legend and one page of the table's rows."""
    pages = -(-len(shown.rows) // PAGE_ROWS)
    at = 1
    if pages > 1:
        at = int(st.number_input(f"Page (of {pages}; {len(shown.rows)} models)", 1, pages, key="page"))
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
    """The view as files."""
    with st.popover("Export this view"):
        notes = style.notes(view.suite)
        makers = {f"leaderboard{ending}": partial(written, form, shown, notes) for ending, form in FORMATS.items()}
        for name, maker in {**makers, "leaderboard.parquet": partial(parquet, shown)}.items():
            st.download_button(name, maker, file_name=name, on_click="ignore", key=f"export-{name}")
        st.code(f"phizoo leaderboard --suite {view.suite} --export leaderboard.html", language="bash")


def written(form: Callable[[Board, tuple[str, ...]], str], shown: Board, notes: tuple[str, ...]) -> bytes:
    """The view in one format, as bytes."""
    return form(shown, notes).encode("utf-8", "replace")


def parquet(shown: Board) -> bytes:
    """The view cell by cell as a Parquet file."""
    import io

    import pandas as pd

    held = io.BytesIO()
    pd.DataFrame(long(shown), columns=list(LONG)).to_parquet(held, index=False)
    return held.getvalue()


def empty(whole: Board) -> None:
    """What stands in the table's place when nothing passes."""
    if any(row.own for row in whole.rows) or whole.columns:
        st.info("No model passes these filters. Widen them, or choose another suite.")
    else:
        st.info("The zoo is empty. `phizoo quickstart` fills it: data, three small models, their scores.")
