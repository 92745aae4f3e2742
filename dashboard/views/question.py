"""The line of questions above the leaderboard, and the view that its address asks for.

The address alone holds the view. A widget starts from it in every run and writes its change back; what an address asks
for and is not here is said, never dropped in silence.
"""

from collections.abc import Callable
from typing import Any

import streamlit as st

from dashboard.board import address, facts
from dashboard.board.cells import Board
from dashboard.board.front import AXES
from dashboard.board.view import DEFAULT, SUITES, View, select, standing_suite
from dashboard.escape import cut
from dashboard.views import style
from zoo.errors import ZooError

LICENCES = {
    "": "any licence", "permissive": "commercial use", "permissive|conditions": "commercial, or on conditions",
    "permissive|unknown": "commercial or unknown", "unknown": "unknown only",
}  # fmt: skip
NUMBERS = {"all": "both", "measured": "measured here", "reported": "reported"}
SUBSETS = {"all": "all", "clean": "unseen in training", "overlapping": "seen in training"}
# the parameters that have no widget in the line: each that is set stands as a chip
CHIPS = {
    "sort": "Sorted by", "subset": "Problems", "complete": "Only models with every column",
    "every": "Second metrics too", "seen": "Tokens", "date": "Date", "family": "Family", "weights": "Weights",
    "kind": "Kind", "quantised": "Quantised", "front": "On the front by", "where": "Where", "column": "Columns",
    "pin": "Pinned",
}  # fmt: skip


def read_view(board: Board) -> tuple[View, list[str]]:
    """The view that the address asks for, and what it asks for that is not here, in sentences."""
    kept, problems = {}, []
    for key in st.query_params:
        values = st.query_params.get_all(key)
        try:
            address.read({key: values}, board)
            kept[key] = values
        except ZooError as error:
            problems.append(f"{error}. Left out of this view.")
    view, _ = address.read(kept, board)
    try:
        if view.where:
            select(board, view)
    except ZooError as error:
        problems.append(f"{error}. Left out of this view.")
        view, _ = address.read({key: values for key, values in kept.items() if key != "where"}, board)
    return view, problems


def ask(board: Board, view: View, export: Callable[[], None]) -> None:
    """Draws the line: what for, which size, licence and numbers, a search, more filters; link and export at its end."""
    show = st.session_state
    with st.container(horizontal=True, vertical_alignment="bottom", key="question", gap="small"):
        suite = standing_suite(board, view.suite)
        named = [name for name, one in SUITES.items() if one.title or name == suite]
        show["suite"] = suite
        st.selectbox("For", named, key="suite", format_func=lambda name: SUITES[name].title or name, width=168,
                     on_change=style.put_widget, args=("suite", DEFAULT), help=_describe(named))  # fmt: skip
        show["size-text"] = "–".join(end for end in st.query_params.get_all("size") if end not in address.NO_BOUND)
        st.text_input("Size at most", key="size-text", placeholder="any, or 500M", width=120, on_change=_put_size)
        show["licence-choice"] = asked = "|".join(view.licences)
        st.selectbox("Licence", list(dict.fromkeys([*LICENCES, asked])), key="licence-choice", width=190,
                     format_func=lambda name: LICENCES.get(name, name.replace("|", " or ")), on_change=_put_licence,
                     help="\n".join(f"- **{name}**: {about}" for name, about in facts.LICENCES.items()))  # fmt: skip
        show["shown"] = view.shown
        st.selectbox("Numbers", list(NUMBERS), key="shown", format_func=NUMBERS.__getitem__, width=150,
                     on_change=style.put_widget, args=("shown", "all"))  # fmt: skip
        show["search"] = view.search
        st.text_input("Search", key="search", placeholder="name or family", width=124, on_change=style.put_widget,
                      args=("search",))  # fmt: skip
        more = sum(key in st.query_params for key in CHIPS if key != "sort")
        box = st.popover(f"More filters ({more})" if more else "More filters", on_change="rerun", key="more-open")
        if box.open:
            with box:
                pick_filters(board, view)
        style.show_link("board-link")
        export()
    show_chips(board, view)


def _describe(names: list[str]) -> str:
    return "\n".join(f"- **{SUITES[name].title or name}**: {SUITES[name].about}" for name in names)


def _put_size() -> None:
    text = str(st.session_state["size-text"] or "").strip().lstrip("≤<= ")
    ends = [end.strip() for end in text.replace("..", "–").replace("-", "–").split("–") if end.strip()]
    if ends:
        st.query_params["size"] = ends
    else:
        st.query_params.pop("size", None)


def _put_licence() -> None:
    chosen = [name for name in st.session_state["licence-choice"].split("|") if name]
    if chosen:
        st.query_params["licence"] = chosen
    else:
        st.query_params.pop("licence", None)


def show_chips(board: Board, view: View) -> None:
    """Draws what is set beside the line's own widgets, each with a button that takes it back."""
    names = {column.key: address.column_name(column).rpartition(" · ")[0][2:] for column in board.columns}
    names |= {row.key: row.label for row in board.rows} | address.ORDERS
    chips = [key for key in CHIPS if key in st.query_params]
    if not chips:
        return
    with st.container(horizontal=True, gap="small"):
        for key in chips:
            values = [names.get(value, value) for value in st.query_params.get_all(key) if value != "true"]
            direction = " ↑" if key == "sort" and not view.descending else ""
            text = f"{CHIPS[key]} {cut(', '.join(values), 60)}{direction}".strip()
            st.button(f"{style.text(text)} ✕", key=f"chip-{key}", on_click=_take_back, args=(key,))


def _take_back(key: str) -> None:
    style.put(key)
    if key == "sort":
        style.put("ascending")


def pick_filters(board: Board, view: View) -> None:
    """Draws the filters that are seldom needed; each writes the address."""
    left, right = st.columns(2)
    with left:
        _choose("Problems", SUBSETS, "subset", board.subset, "all")
        _choose("Weights", {"": "any"} | {name: name for name in facts.WEIGHTS}, "weights", view.weights)
        _choose("Kind", {"": "any"} | {name: name for name in facts.KINDS}, "kind", view.style)
        _choose("Pareto front", {"": "all models"} | {name: f"by {name}" for name in AXES}, "front", view.front)
        _choose("Quantised", {"": "any"} | {name: name for name in facts.QUANTISED}, "quantised", view.quantised)
    with right:
        _flag("Only models with every column", "complete", view.complete)
        _flag("Second metrics too", "every", view.every_metric)
        _slide("Tokens seen", address.TOKENS, "seen", ("any", "no limit"))
        years = address.years(board)
        _slide("Date", years, "date", (years[0], years[-1]))
        st.session_state["where"] = view.where
        st.text_input("Where", key="where", placeholder="parameters < 2B and humaneval.low > 0.2",
                      on_change=style.put_widget, args=("where",))  # fmt: skip
    column_names = {column.key: address.column_name(column) for column in board.columns}
    row_names = {row.key: address.row_name(row) for row in board.rows}
    families = sorted({row.family for row in board.rows})
    _choose_many("Families", {name: name for name in families}, "family", view.families)
    _choose_many("Columns (instead of those chosen for you)", column_names, "column", view.columns)
    _choose_many("Pinned models", row_names, "pin", view.pinned)
    _choose("Order", address.ORDERS | column_names, "sort", view.sort, "board")
    _flag("Ascending", "ascending", not view.descending)


def _choose(label: str, options: dict[str, str], key: str, value: str, default: str = "") -> None:
    st.session_state[key] = value
    st.selectbox(label, options, key=key, format_func=options.__getitem__, on_change=style.put_widget,
                 args=(key, default))  # fmt: skip


def _choose_many(label: str, options: dict[str, str], key: str, values: tuple[str, ...]) -> None:
    st.session_state[key] = list(values)
    st.multiselect(label, options, key=key, format_func=options.__getitem__, on_change=style.put_widget, args=(key,))


def _flag(label: str, key: str, value: bool) -> None:
    st.session_state[key] = value
    st.toggle(label, key=key, on_change=style.put_widget, args=(key,))


def _slide(label: str, stops: Any, key: str, limits: tuple[str, str]) -> None:
    ends = tuple(st.query_params.get_all(key))
    st.session_state[key] = ends if len(ends) == 2 and set(ends) <= set(stops) else limits
    st.select_slider(label, stops, key=key, on_change=_put_ends, args=(key, limits))


def _put_ends(key: str, limits: tuple[str, str]) -> None:
    ends = tuple(st.session_state[key])
    if ends == limits:
        st.query_params.pop(key, None)
    else:
        st.query_params[key] = list(ends)
