"""The dialog of one cell: its protocol, run, commands and samples, or the source of a published number."""

from typing import Any

import streamlit as st

from dashboard.board import benchmarks, facts
from dashboard.board.cells import Board, Cell, Column, Row, cell_text, size_text
from dashboard.data import evidence, source
from dashboard.escape import cut
from dashboard.views import style
from dashboard.views.style import text
from zoo.cli.output import count
from zoo.errors import ZooError
from zoo.visible import plain


def open_cell(board: Board, address: str) -> None:
    """Opens the dialog of the cell `row~column` or of the model `row~`; warns if the board has no such cell."""
    row_key, _, column_key = address.partition("~")
    row = next((row for row in board.rows if row.key == row_key), None)
    column = next((column for column in board.columns if column.key == column_key), None)
    if row is not None and not column_key:
        show_model(row)
    elif row is None or column is None or column_key not in row.cells:
        st.warning("The cell in this address is not on the board of this zoo.")
    else:
        show_cell(row, column)


def close_cell() -> None:
    """Removes the cell from the address when its dialog is closed."""
    st.query_params.pop("cell", None)


def show_model(row: Row) -> None:
    """Opens a dialog with a model's main facts and a link to its page."""

    @st.dialog(cut(row.label, 60), on_dismiss=close_cell)
    def show() -> None:
        known = {
            "Licence": facts.known(row.licence), "Kind": row.style, "Weights": row.weights, "Released": row.released,
            "Size": size_text(row), "Unique tokens": count(row.unique_tokens),
            "Tokens seen": count(row.training_tokens), "Family": row.family,
            **({"Added": row.date} if row.own else {}),
        }  # fmt: skip
        st.table({"": {name: value or facts.UNKNOWN for name, value in known.items()}})
        st.page_link(_page("model"), label="Open the model's page", query_params={"name": row.key})

    show()


def _page(name: str) -> Any:
    return st.session_state["pages"][name]


def show_cell(row: Row, column: Column) -> None:
    """Opens a dialog with the evidence of one number."""
    cell = row.cells[column.key]

    @st.dialog(f"{benchmarks.title_of(column.benchmark)} · {cut(row.label, 50)}", width="large", on_dismiss=close_cell)
    def show() -> None:
        st.markdown(f"### {text(cell_text(cell))}")
        if cell.origin == "reported":
            show_published(cell, column)
        else:
            show_measured(row, cell, column)

    show()


def show_published(cell: Cell, column: Column) -> None:
    """Draws the source and protocol of a published number, and whether it may be compared."""
    st.markdown(f"**Reported elsewhere, not measured here.** {text(cell.source)}")
    st.markdown(f"[{text(cell.address)}]({cell.address}), read on {cell.accessed}")
    st.markdown(f"**Protocol as stated:** {text(cell.protocol)}")
    if cell.derived:
        st.markdown(f"**Interval:** not published; derived here from {cell.n} problems (Wilson, 95%).")
    elif cell.low is None:
        reason = "is no share of independent questions" if cell.n else "has no stated number of problems"
        st.markdown(f"**Interval:** none; the number {reason}.")
    st.info(text(column.comparable))


def show_measured(row: Row, cell: Cell, column: Column) -> None:
    """Draws the run, the commands that reproduce it, the protocol's prompt, and a link to the samples."""
    place = f"Measured elsewhere ({text(cell.measured_at)})" if cell.measured_at else "Measured here"
    st.markdown(f"**{place}** under {text(column.protocol)}")
    with source.open_zoo() as registry:
        if registry is None:
            st.warning("The zoo no longer exists.")
            return
        try:
            header = registry.run(cell.run)
        except ZooError as error:
            st.warning(text(str(error)))
            return
        protocol = registry.protocols().get(column.fingerprint)
        history = evidence.history_rows(registry, row.digest, column) if row.digest else []
    show_commands(evidence.reproduction_commands(header, row))
    st.table({"": dict(evidence.run_facts(header, cell))})
    if len(history) > 1:
        with st.expander(f"Every run of this cell ({len(history)})"):
            style.show_table(history, "Every run of this cell")
    with st.expander("All facts of the run"):
        st.json(header, expanded=1)
    if protocol is not None:
        st.markdown(f"**Prompt of the first sample**, byte by byte ({len(protocol.prompt.encode())} bytes)")
        st.code(protocol.prompt, language=None, wrap_lines=True)
        st.json({"decoding": protocol.decoding, "fingerprint": column.fingerprint}, expanded=False)
    if "samples" in st.session_state["pages"]:
        st.page_link(_page("samples"), label="Open the samples", query_params={"run": cell.run})


def show_commands(commands: list[str]) -> None:
    """Draws how to make the number again: a box, and so a copy button, for each command."""
    st.markdown("**Make this number again**")
    titles = ("Check the kept run: score its answers anew", "Run it anew")
    for title, command in zip((*titles, *("" for _ in commands[2:])), commands, strict=False):
        if title:
            st.caption(title)
        st.code(plain(command), language="bash", wrap_lines=True)
