"""What stands behind one cell, in a dialog: protocol, run, command, samples; or the source of a published number."""

from typing import Any

import streamlit as st

from dashboard.board import benchmarks
from dashboard.board.cells import Board, Cell, Column, Row, cell_text
from dashboard.data import evidence, source
from dashboard.escape import cut, plain
from dashboard.views.style import text
from zoo.errors import ZooError


def open_cell(whole: Board, chosen: str) -> None:
    """Opens the dialog of `row~column`, or the model's page for `row~`; an unknown one is said to be unknown."""
    row_key, _, column_key = chosen.partition("~")
    row = next((row for row in whole.rows if row.key == row_key), None)
    column = next((column for column in whole.columns if column.key == column_key), None)
    if row is not None and not column_key:
        model_dialog(row)
    elif row is None or column is None or column_key not in row.cells:
        st.warning("The cell in this address is not on the board of this zoo.")
    else:
        cell_dialog(row, column)


def closed() -> None:
    """The dialog was closed: the address forgets the cell."""
    st.query_params.pop("cell", None)


def model_dialog(row: Row) -> None:
    """A model's facts in short, and the way to its page."""

    @st.dialog(cut(row.label, 60), on_dismiss=closed)
    def show() -> None:
        st.markdown(text(f"{row.family}, {row.style}, {row.weights} weights, {row.date or 'no date'}"))
        st.page_link(_page("model"), label="Open its page", query_params={"name": row.key})

    show()


def _page(name: str) -> Any:
    return st.session_state["pages"][name]


def cell_dialog(row: Row, column: Column) -> None:
    """Everything behind one number."""
    cell = row.cells[column.key]

    @st.dialog(f"{benchmarks.title_of(column.benchmark)} · {cut(row.label, 50)}", width="large", on_dismiss=closed)
    def show() -> None:
        st.markdown(f"### {text(cell_text(cell))}")
        if cell.origin == "reported":
            reported(cell, column)
        else:
            measured(row, cell, column)

    show()


def reported(cell: Cell, column: Column) -> None:
    """Where a published number stands and how far it may be read."""
    st.markdown(f"**Reported elsewhere, not measured here.** {text(cell.source)}")
    st.markdown(f"**Protocol as stated:** {text(cell.protocol)}")
    if cell.derived:
        st.markdown(f"**Interval:** not published; derived here from {cell.n} problems (Wilson, 95%).")
    elif cell.low is None:
        st.markdown("**Interval:** none; the source does not say how many problems stand behind it.")
    st.info(text(column.comparable))


def measured(row: Row, cell: Cell, column: Column) -> None:
    """The protocol's bytes, the run and its command, and the way to its samples."""
    st.markdown(f"**Measured here** under {text(column.protocol)}")
    with source.reading() as registry:
        if registry is None:
            st.warning("The zoo is gone.")
            return
        try:
            header = registry.run(cell.run)
        except ZooError as error:
            st.warning(text(str(error)))
            return
        protocol = registry.protocols().get(column.fingerprint)
    st.markdown("**Again**")
    st.code(plain(evidence.again(header, row)), language="bash", wrap_lines=True)
    st.table({"": dict(evidence.run_facts(header, cell))})
    with st.expander("The run's header, whole"):
        st.json(header, expanded=1)
    if protocol is not None:
        st.markdown(f"**Prompt of the first sample**, byte by byte ({len(protocol.prompt.encode())} bytes)")
        st.code(protocol.prompt, language=None, wrap_lines=True)
        st.json({"decoding": protocol.decoding, "fingerprint": column.fingerprint}, expanded=False)
    if "samples" in st.session_state["pages"]:
        st.page_link(_page("samples"), label="Open its samples", query_params={"run": cell.run})
