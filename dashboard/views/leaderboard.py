"""The leaderboard page: the question, its answer, both blocks of numbers, and the dialog of a cell.

The address holds the view, so that a sent address shows what its sender saw.
"""

import json
import shlex
from functools import partial
from typing import cast, get_args
from urllib.parse import urlencode

import streamlit as st

from dashboard.board.answer import answer_of, leading, leak_notes, left_out
from dashboard.board.blocks import Blocks, make_blocks
from dashboard.board.cells import Board
from dashboard.board.export import FORMATS
from dashboard.board.html_table import KEY, LEGEND, render_blocks
from dashboard.board.view import View, select
from dashboard.data import source
from dashboard.data.notes import LIFT
from dashboard.escape import html
from dashboard.views import evidence, question, style
from zoo.records import Subset

PAGE_ROWS = 100
SKELETON = '<div class="phizoo-skeleton" aria-hidden="true">' + "<i></i>" * 8 + "</div>"


def page() -> None:
    """Draws the leaderboard."""
    st.title("Leaderboard", anchor=False)
    waiting = st.empty()
    waiting.html(SKELETON)
    subset = st.query_params.get("subset", "all")
    board = style.load_board(cast(Subset, subset if subset in get_args(Subset) else "all"))
    view, problems = question.read_view(board)
    whole = st.query_params.get("rows") == "all"  # a row may have its only number in a column that is left out
    key = f"{view!r} {board.subset} {whole} {source.stamp()!r}"
    shown, blocks = _arrange(key, board, view, whole)
    waiting.empty()
    if missing := source.missing_zoo():
        st.warning(style.text(missing))
    for problem in problems:
        st.warning(style.text(problem))
    question.ask(board, view, partial(show_exports, shown, view))
    if not shown.rows:
        explain_empty(board, view)
        return
    show_answer(board, view, blocks)
    show_blocks(key, shown, view, blocks)
    show_notes(view, blocks)
    if cell := st.query_params.get("cell", ""):
        evidence.open_cell(board, cell)


@st.cache_resource(max_entries=32, show_spinner=False)
def _arrange(key: str, _board: Board, _view: View, whole: bool) -> tuple[Board, Blocks]:
    """The view's rows and blocks, kept: to open a cell draws the same table again. key: what names them."""
    shown = select(_board, _view)
    return shown, make_blocks(shown, _view, every_row=whole, every_column=whole)


@st.cache_resource(max_entries=32, show_spinner=False)
def _render(key: str, number: int, _shown: Board, _blocks: Blocks, _view: View) -> str:
    rows = _blocks.reported.rows[(number - 1) * PAGE_ROWS : number * PAGE_ROWS]
    return render_blocks(_shown, _blocks, _view, rows, ticks=True)


def show_answer(board: Board, view: View, blocks: Blocks) -> None:
    """Draws the answer in a sentence, what to know beside it, and the button that compares the models it names."""
    block = blocks.measured if blocks.measured.lead else blocks.reported
    rows = [row for row in block.rows if row.own or row.weights or block.origin == "measured"]
    notes, labels = list(left_out(board, view)), [row.label for row in rows if row.own][:2]
    text = "No model here has a score with an interval on this question."
    if column := leading([column for column in block.columns if column.key == block.lead], rows):
        said = answer_of(rows, column)
        leaders = [row for key in said.leaders for row in rows if row.key == key]
        text, notes = said.text, [*leak_notes(leaders, column), *notes]
        if len(leaders) > 1:
            labels = [row.label for row in leaders[:2] if row.own]
    body = "".join(f'<p class="note">{html(note)}</p>' for note in notes)
    with st.container(horizontal=True, vertical_alignment="center", key="answer"):
        st.html(f'<div class="phizoo-answer" role="status"><p>{html(text)}</p>{body}</div>', width="stretch")
        if len(labels) == 2:
            name = "Compare these two" if "cannot be told apart" in text else "Compare the first two"
            if st.button(name, type="primary", key="compare-pair", width="content"):
                open_compare(labels)


def open_compare(labels: list[str]) -> None:
    """Opens the comparison of these checkpoints, the last of them the baseline."""
    pages = st.session_state["pages"]
    st.switch_page(pages["compare"], query_params=[*(("with", label) for label in labels[:-1]), ("than", labels[-1])])


def show_blocks(key: str, shown: Board, view: View, blocks: Blocks) -> None:
    """Draws the key, the two blocks, and the buttons that unfold what they leave out."""
    st.html(f'<div class="phizoo-key">{KEY}</div>')
    rows = blocks.reported.rows
    pages = -(-len(rows) // PAGE_ROWS)
    number = style.pick_page(pages, f"{len(rows):,} reported models", "page") if pages > 1 else 1
    markup = _render(key, number, shown, blocks, view)
    style.show_board(markup, "board", on_opened_change=open_cell, on_sorted_change=partial(sort_column, view),
                     on_chosen_change=lambda: None)  # fmt: skip
    if chosen := st.session_state["board"].get("chosen"):
        go, _, labels = chosen.partition("~")
        if go == "compare":
            open_compare(json.loads(labels))
        st.switch_page(
            st.session_state["pages"]["playground"], query_params=[("model", one) for one in json.loads(labels)]
        )
    unfold(blocks)


def unfold(blocks: Blocks) -> None:
    """Draws the buttons that show the reported rows and the columns that are left out."""
    block = blocks.reported
    with st.container(horizontal=True):
        if block.more_rows:
            studies = f"{block.studies} of them with weights that are nowhere known" if block.studies else None
            st.button(f"Show {block.more_rows:,} more reported rows", key="all-rows", on_click=style.put,
                      args=("rows", "all"), help=studies)  # fmt: skip
        elif st.query_params.get("rows") == "all":
            st.button("Fold the reported rows", key="fold-rows", on_click=style.put, args=("rows",))
        if more := blocks.measured.more_columns + block.more_columns:
            name = f"Show {more} more column{'s' * (more > 1)}"
            st.button(name, key="all-columns", on_click=style.put, args=("every", "true"))


def open_cell() -> None:
    """Puts the chosen cell or model into the address, so that the page opens it."""
    chosen = st.session_state["board"].get("opened")
    if chosen:
        st.query_params["cell"] = chosen


def sort_column(view: View) -> None:
    """Sorts by the chosen header, or reverses the order if the table is sorted by it; the address holds both."""
    key = st.session_state["board"].get("sorted")
    if key:
        ascending = view.descending if view.sort == key else key == "name"
        style.put("sort", key)
        style.put("ascending", *(["true"] if ascending else []))


def show_notes(view: View, blocks: Blocks) -> None:
    """Draws the notes on the quickstart's models, folded, where one of them is in view."""
    if any(row.name in LIFT for row in blocks.measured.rows) or view.suite in ("talk", "headline"):
        with st.expander("Is each step of the quickstart's models, and the talk's headline, proven?"):
            style.show_notes(style.load_notes(view.suite))


def show_exports(shown: Board, view: View) -> None:
    """Offers how to read the table, the view as files, and the command that writes the same files."""
    with st.popover("How to read", width="content"):
        st.html(f'<div class="phizoo-legend">{LEGEND}</div>')
    box = st.popover("Export", on_change="rerun", key="exports-open")
    if not box.open:
        return
    with box:
        notes = style.load_notes(view.suite)
        for ending, form in FORMATS.items():
            name = f"leaderboard{ending}"
            st.download_button(
                name, partial(form, shown, notes), file_name=name, on_click="ignore", key=f"export-{name}"
            )
        query = [(key, value) for key in st.query_params for value in st.query_params.get_all(key)
                 if key not in ("cell", "rows", "page")]  # fmt: skip
        option = f" --view {shlex.quote('?' + urlencode(query))}" if query else ""
        st.code(f"phizoo leaderboard{option} --out leaderboard.html", language="bash", wrap_lines=True)


def explain_empty(board: Board, view: View) -> None:
    """Says why there is no table, and how many rows the search finds among everything."""
    if view.search:
        everywhere = len(select(board, View(suite="all", search=view.search)).rows)
        st.info(f"No model here matches “{style.text(view.search)}”. In everything: {everywhere}.")
        if everywhere:
            st.button("Search in everything", on_click=_search_everything, args=(view.search,))
    elif any(row.own for row in board.rows) or board.columns:
        why = " ".join(left_out(board, view))
        st.info(f"No model passes these filters. Widen them, or choose another question. {why}")
    else:
        st.info("The zoo is empty. Fill it with data, three small models and their scores: `phizoo quickstart`")


def _search_everything(search: str) -> None:
    st.query_params.clear()
    style.put("suite", "all")
    style.put("search", search)
