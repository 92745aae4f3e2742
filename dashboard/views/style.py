"""The parts that all pages share: style, cached board and notes, the table component, exports."""

from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Any

import streamlit as st

from dashboard import charts
from dashboard.board.cells import Board
from dashboard.board.html_table import read_asset
from dashboard.data import source, table_files
from dashboard.data.notes import board_notes
from dashboard.escape import cut, html, markdown
from zoo.errors import nearest
from zoo.records import Subset
from zoo.visible import plain

STYLE = read_asset("page.css")
MOST_ROWS = 200  # of a table that is drawn as HTML; above, the grid draws those alone that are in view
MARKUP = (
    '<div class="zoo"><span class="probe" style="background: var(--st-background-color)"></span>'
    '<label class="picking" hidden>Benchmark <select class="pick"></select></label>'
    '<div class="body"></div><div class="chosen" role="status" hidden><span></span> '
    '<button type="button" class="plain" data-go="compare">Compare</button> '
    '<button type="button" class="plain" data-go="try">Try both</button> '
    '<button type="button" class="plain" data-go="clear">Clear</button></div></div>'
)

# the table's markup comes from `dashboard.board.html_table`, which escapes every name
_component = st.components.v2.component(
    "phizoo_board", html=MARKUP, css=read_asset("board.css"), js=read_asset("board.js") + read_asset("mount.js")
)


def show_board(markup: str, key: str, **actions: Any) -> Any:
    """Draws the board; `on_opened_change` is called when a cell is opened, `on_sorted_change` by a header,
    `on_chosen_change` when the ticked rows go to another page."""
    return _component(data={"html": markup}, key=key, **actions)


_comparison = st.components.v2.component(
    "phizoo_comparison", css=read_asset("board.css") + read_asset("compare.css"), js=read_asset("compare.js"),
    html='<div class="zoo"><span class="probe" style="background: var(--st-background-color)"></span>'
    '<div class="body"></div></div>',
)  # fmt: skip
_link = st.components.v2.component(
    "phizoo_link", css=read_asset("board.css"), js=read_asset("link.js"),
    html='<div class="zoo"><span class="probe" style="background: var(--st-background-color)"></span>'
    '<button type="button" class="plain" aria-live="polite">Copy link</button></div>',
)  # fmt: skip
_samples = st.components.v2.component(
    "phizoo_samples", css=read_asset("board.css") + read_asset("samples.css"), js=read_asset("samples.js"),
    html='<div class="zoo"><span class="probe" style="background: var(--st-background-color)"></span>'
    '<div class="list" role="listbox" tabindex="0"><div class="space"></div></div></div>',
)  # fmt: skip


_watch = st.components.v2.component("phizoo_watch", html="<i hidden></i>", js=read_asset("watch.js"))


def watch_server() -> None:
    """Lets the page say so when its server has ended; draws nothing while it runs."""
    with st.container(key="watch"):
        _watch(key="watch-server")


def show_comparison(markup: str, key: str, on_press: Callable[[], None]) -> Any:
    """Draws a comparison's table; calls `on_press` when one of its buttons is pressed."""
    return _comparison(data={"html": markup}, key=key, on_pressed_change=on_press)


def show_samples(rows: Sequence[tuple[str, ...]], at: int, label: str, key: str, on_open: Callable[[], None]) -> None:
    """Draws the list of samples, each (marks, name, question, reason, id); calls `on_open` when one is opened.

    at  the position of the open one; -1: none is open
    """
    _samples(data={"rows": rows, "at": at, "label": label}, key=key, on_opened_change=on_open)


def show_link(key: str) -> None:
    """Draws a button that copies the page's address, which holds the whole view."""
    _link(key=key)


@st.cache_resource(max_entries=8, show_spinner=False)
def _board(subset: Subset, all_versions: bool, stamp: str) -> Board:
    with source.open_zoo() as registry:
        return source.load_board(registry, subset, all_versions)


def load_board(subset: Subset = "all", all_versions: bool = False) -> Board:
    """The environment's board, cached until the zoo changes."""
    return _board(subset, all_versions, repr(source.stamp()))


@st.cache_resource(max_entries=8, show_spinner=False)
def _notes(suite: str, stamp: str) -> tuple[str, ...]:
    with source.open_zoo() as registry:
        return board_notes(suite, load_board(), registry)


def load_notes(suite: str) -> tuple[str, ...]:
    """The notes above a suite's table, cached until the zoo changes."""
    return _notes(suite, repr(source.stamp()))


def pick(
    label: str, options: list[str], key: str, name: Callable[[str], str], hidden: bool = False, first: str = ""
) -> str:
    """Lets the reader pick an option and keeps it in the address (a bound widget would keep its display name).

    An address that asks for something else says so, and keeps what it asks for until the reader picks.
    """
    current = st.query_params.get(key, first)
    chosen: str = st.selectbox(
        label, options, index=options.index(current) if current in options else 0, format_func=name, key=f"pick-{key}",
        label_visibility="collapsed" if hidden else "visible", on_change=_put_picked, args=(key,),
    )  # fmt: skip
    if current and current not in options:
        warn_unknown(label, current, options, name(chosen))
    elif chosen != st.query_params.get(key):
        st.query_params[key] = chosen
    return chosen


def _put_picked(key: str) -> None:
    st.query_params[key] = st.session_state[f"pick-{key}"]


def put(key: str, *values: str) -> None:
    """Writes a choice to the address, or removes it; the widget with this key starts from the address again."""
    st.session_state.pop(key, None)
    if values:
        st.query_params[key] = list(values)
    else:
        st.query_params.pop(key, None)


def put_widget(key: str, default: str = "") -> None:
    """Writes what a widget has to the address under the widget's key; nothing for its default."""
    value = st.session_state[key]
    values = value if isinstance(value, list | tuple) else [] if value in (None, "", False, default) else [value]
    if values:
        st.query_params[key] = ["true" if one is True else str(one) for one in values]
    else:
        st.query_params.pop(key, None)


def warn_unknown(kind: str, asked: str, known: Iterable[str], shown: str) -> None:
    """Says that an address asks for what is not here, and what is shown in its place."""
    close = nearest(asked, known)
    st.warning(text(f"Nothing here is called {cut(asked, 60)}{close} ({kind.lower()}). Shown instead: {shown}."))


def pick_page(pages: int, length: str, key: str) -> int:
    """Lets the reader pick a page of a long list and keeps it in the address, within the number of pages."""
    current = st.query_params.get(key, "1")
    number = min(max(int(current), 1), pages) if current.isdecimal() else 1
    chosen = int(st.number_input(f"Page (of {pages}; {length})", 1, pages, number, key=f"{key}-of-{pages}"))
    if chosen == 1:
        st.query_params.pop(key, None)
    elif current != str(chosen):
        st.query_params[key] = str(chosen)
    return chosen


def show_exports(rows: table_files.TableRows, name: str, chart: Any = None) -> None:
    """Offers a table as files, and its chart as pictures; each is made when it is downloaded."""
    box = st.popover("Export", on_change="rerun", key=f"exports-{name}")
    if not box.open:
        return
    makers: dict[str, Callable[[], bytes]] = {
        f"{name}{end}": partial(form, rows) for end, form in table_files.FORMATS.items()
    }
    if chart is not None:
        makers |= {f"{name}.{form}": partial(charts.render_chart, chart, form) for form in ("svg", "png")}
    for file, maker in makers.items():
        box.download_button(file, maker, file_name=file, on_click="ignore", key=f"export-{file}")


def show_table(rows: table_files.TableRows, label: str) -> None:
    """Draws a table that fits its page, on a phone as cards; one of very many rows in Streamlit's own grid."""
    if len(rows) > MOST_ROWS:
        st.dataframe(rows, hide_index=True, alt=label)
    elif rows:
        table = table_files.html_table(rows)
        st.html(f'<div class="phizoo-wide" tabindex="0" role="region" aria-label="{html(label)}">{table}</div>')


def is_dark() -> bool:
    """Whether the reader's theme is dark."""
    return getattr(st.context.theme, "type", "light") == "dark"


def draw_chart(chart: Any, alt: str, **sizes: Any) -> None:
    """Draws a chart with its description."""
    st.altair_chart(charts.with_ink(chart, is_dark()), width="stretch", alt=alt, **sizes)


def show_chart(chart: Any, alt: str, rows: table_files.TableRows, name: str) -> None:
    """Draws a chart with its description, and offers its numbers and pictures as files."""
    draw_chart(chart, alt)
    show_exports(rows, name, chart.properties(title=plain(alt)))


def show_notes(notes: tuple[str, ...]) -> None:
    """Draws the notes above a table."""
    if notes:
        st.html(f'<ul class="phizoo-notes">{"".join(f"<li>{html(note)}</li>" for note in notes)}</ul>')


def show_text_box(markup: str, label: str) -> None:
    """Draws long text, already escaped, in a box that the keyboard can scroll."""
    st.html(f'<pre class="phizoo-text" tabindex="0" role="region" aria-label="{html(label)}">{markup}</pre>')


def text(value: str) -> str:
    """The text as literal Markdown for Streamlit."""
    return markdown(value).replace(":", "\\:")
