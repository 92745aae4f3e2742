"""What the pages share: a little style, the cached board, and the table as a component."""

from collections.abc import Callable
from functools import partial
from typing import Any

import streamlit as st

from dashboard import charts
from dashboard.board.cells import Board
from dashboard.board.html_table import asset
from dashboard.data import source, table_files
from dashboard.escape import html, markdown, plain
from zoo.records import Subset

STYLE = asset("page.css")
MOUNT = """
export default function (component) {
  const { data, parentElement, setTriggerValue } = component;
  const root = parentElement.querySelector(".zoo"), scroll = root.querySelector(".scroll");
  const probe = root.querySelector(".probe"), ground = getComputedStyle(probe).backgroundColor;
  const parts = (ground.match(/[\\d.]+/g) || []).map(Number);
  theme(root, parts.length >= 3 && parts[0] + parts[1] + parts[2] < 382);
  if (root.drawn === data.html) return;
  root.drawn = data.html;
  scroll.innerHTML = data.html;
  const table = scroll.querySelector("table.board");
  if (!table) return;
  walk(table, (cell) => {
    const row = cell.closest("tr").dataset.row, column = heads(table)[cell.cellIndex].dataset.column;
    if (cell.matches("td.measured, td.reported")) setTriggerValue("opened", row + "~" + column);
    else if (cell.classList.contains("model")) setTriggerValue("opened", row + "~");
  });
  table.tHead.addEventListener("click", (event) => {
    const button = event.target.closest("button.sort");
    if (button) setTriggerValue("sorted", button.dataset.sort);
  });
}
"""
MARKUP = (
    '<div class="zoo"><span class="probe" style="background: var(--st-background-color)"></span>'
    '<div class="scroll" tabindex="0" role="region" aria-label="Leaderboard table"></div></div>'
)

# the table's markup comes from `dashboard.board.html_table`, where every name is escaped
_component = st.components.v2.component(
    "phizoo_board", html=MARKUP, css=asset("board.css"), js=asset("board.js") + MOUNT
)


def table(markup: str, key: str, opened: Callable[[], None], sorted_by: Callable[[], None]) -> Any:
    """Draws a table; `opened` and `sorted_by` are called when a cell or a header was chosen."""
    return _component(data={"html": markup}, key=key, on_opened_change=opened, on_sorted_change=sorted_by)


@st.cache_resource(max_entries=8, show_spinner=False)
def _board(subset: Subset, all_versions: bool, stamp: str) -> Board:
    with source.reading() as registry:
        return source.load(registry, subset, all_versions)


def board(subset: Subset = "all", all_versions: bool = False) -> Board:
    """The environment's board, read again when the zoo was written to."""
    return _board(subset, all_versions, repr(source.stamp()))


@st.cache_resource(max_entries=8, show_spinner=False)
def _notes(suite: str, stamp: str) -> tuple[str, ...]:
    return source.load_with_notes(suite, "all")[1]


def notes(suite: str) -> tuple[str, ...]:
    """The lines above a suite's table, cached as the board is."""
    return _notes(suite, repr(source.stamp()))


def pick(
    label: str, options: list[str], key: str, name: Callable[[str], str], hidden: bool = False, first: str = ""
) -> str:
    """One of many, kept in the address as it is (a bound widget would keep its printed name there)."""
    asked = st.query_params.get(key, first)
    chosen: str = st.selectbox(
        label, options, index=options.index(asked) if asked in options else 0, format_func=name, key=f"pick-{key}",
        label_visibility="collapsed" if hidden else "visible",
    )  # fmt: skip
    if chosen != asked:
        st.query_params[key] = chosen
    return chosen


def page_number(pages: int, held: str, key: str) -> int:
    """Which page of a long list to show, kept in the address; the last one where the list got shorter."""
    asked = st.query_params.get(key, "1")
    at = min(max(int(asked), 1), pages) if asked.isdecimal() else 1
    chosen = int(st.number_input(f"Page (of {pages}; {held})", 1, pages, at, key=f"{key}-of-{pages}"))
    if chosen == 1:
        st.query_params.pop(key, None)
    elif asked != str(chosen):
        st.query_params[key] = str(chosen)
    return chosen


def exported(rows: table_files.Lines, name: str, chart: Any = None) -> None:
    """A table's files, and the pictures of the chart that is made of it, made when they are asked for."""
    box = st.popover("Export", on_change="rerun", key=f"exports-{name}")
    if not box.open:
        return
    makers: dict[str, Callable[[], bytes]] = {
        f"{name}{end}": partial(form, rows) for end, form in table_files.FORMATS.items()
    }
    if chart is not None:
        makers |= {f"{name}.{form}": partial(charts.image, chart, form) for form in ("svg", "png")}
    for file, maker in makers.items():
        box.download_button(file, maker, file_name=file, on_click="ignore", key=f"export-{file}")


def chart(drawn: Any, alt: str, rows: table_files.Lines, name: str, height: int | None = None) -> None:
    """A chart with its description, and under it its numbers and pictures as files."""
    if height is None:
        st.altair_chart(drawn, width="stretch", alt=alt)
    else:
        st.altair_chart(drawn, width="stretch", height=height, alt=alt)
    exported(rows, name, drawn.properties(title=plain(alt)))


def listed(told: tuple[str, ...]) -> None:
    """Draws the notes above a table."""
    if told:
        st.html(f'<ul class="phizoo-notes">{"".join(f"<li>{html(line)}</li>" for line in told)}</ul>')


def scrolled(markup: str, label: str) -> None:
    """Draws long text, escaped already, in a box of its own that the keyboard can scroll too."""
    st.html(f'<pre class="phizoo-text" tabindex="0" role="region" aria-label="{html(label)}">{markup}</pre>')


def text(value: str) -> str:
    """Text for Streamlit's Markdown, shown as it is."""
    return markdown(value).replace(":", "\\:")
