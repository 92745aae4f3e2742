"""The blocks below a comparison: averages, all pairs of a task at a glance, and the task's samples. They only draw."""

import streamlit as st

from dashboard.board import benchmarks
from dashboard.data import decisions, source
from dashboard.data.decisions import TableRow
from dashboard.escape import cut
from dashboard.views import style
from evals.decisions.items import ItemTable, find_items
from evals.decisions.matrix import Matrix, all_pairs, summary
from evals.tasks import benchmark_of
from zoo.errors import ZooError

KINDS = ("suspect", "decides", "none pass", "all pass")
MEANING = {
    "suspect": "look mislabelled: weaker models do better, or the better ones agree on another answer. Read them.",
    "decides": "some models pass, some do not.",
    "none pass": "no model passes: they tell nothing apart.",
    "all pass": "every model passes: they tell nothing apart.",
}


def show(labels: tuple[str, ...], tasks: tuple[str, ...]) -> None:
    """Draws the blocks for these checkpoints (all of the zoo if fewer than two are chosen) on one of the tasks."""
    stamp = repr(source.stamp())
    if rows := _averages(labels, stamp):
        st.subheader("Averages", anchor=False)
        style.show_table(_cut(rows), "Averages")
        st.caption("Checkpoint minus the baseline, paired within each task; p is adjusted over the averages of a pair.")
    if not tasks:
        return
    task = style.pick("Task", list(tasks), "pairs", benchmark_title)
    chosen = labels if len(labels) > 1 else ()
    show_matrix(_matrix(chosen, task, stamp))
    show_items(_items(chosen, task, stamp))


def benchmark_title(task: str) -> str:
    """A task's benchmark as the board names it."""
    return benchmarks.title_of(benchmark_of(task))


def show_matrix(matrix: Matrix | None) -> None:
    """Draws all pairs of a task and offers them as files."""
    if matrix is None:
        return
    st.subheader("All pairs", anchor=False)
    st.caption(style.text(f"{cut(matrix.column, 90)}: row minus column; * holds after Holm over all pairs."))
    rows = decisions.matrix_rows(matrix)
    style.show_table(_cut(rows), "All pairs")
    st.caption(style.text(summary(matrix)))
    style.show_exports(rows, "pairs")


def show_items(table: ItemTable | None) -> None:
    """Draws which samples decide, and which look mislabelled."""
    if table is None:
        return
    st.subheader("Samples", anchor=False)
    counts = table.counts
    kind = style.pick("Samples that", list(KINDS), "items", lambda name: f"{name} ({counts[name]:,})")
    rows = decisions.item_rows(table, kind)
    st.caption(style.text(f"{len(table.models)} models, {len(table.items):,} samples. These {MEANING[kind]}"))
    if rows:
        style.show_table(_cut(rows), "Samples")
        style.show_exports(rows, "items")


def _cut(rows: list[TableRow]) -> list[TableRow]:
    """The rows with long texts cut for the screen."""
    return [{key: cut(value, 60) if isinstance(value, str) else value for key, value in row.items()} for row in rows]


@st.cache_resource(ttl=600, max_entries=16, show_spinner=False)
def _averages(labels: tuple[str, ...], stamp: str) -> list[TableRow]:
    with source.open_zoo() as registry:
        return decisions.average_rows(registry, labels) if registry is not None else []


@st.cache_resource(ttl=600, max_entries=16, show_spinner="Comparing all pairs")
def _matrix(labels: tuple[str, ...], task: str, stamp: str) -> Matrix | None:
    with source.open_zoo() as registry:
        try:
            return next(iter(all_pairs(registry, labels, (task,)))) if registry is not None else None
        except ZooError:  # fewer than two have this task
            return None


@st.cache_resource(ttl=600, max_entries=16, show_spinner=False)
def _items(labels: tuple[str, ...], task: str, stamp: str) -> ItemTable | None:
    with source.open_zoo() as registry:
        try:
            return find_items(registry, task, labels) if registry is not None else None
        except ZooError:  # fewer than two have their samples here
            return None
