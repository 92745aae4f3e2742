"""The page that compares checkpoints sample by sample, or one by chat and as completions.

It has the differences, adjusted p, a forest plot, and the samples that flipped.
"""

from typing import Any

import streamlit as st

from dashboard import charts
from dashboard.board import benchmarks
from dashboard.data import source
from dashboard.data.comparison import MAX_CHECKPOINTS, CheckpointComparison, compare_checkpoints, difference_text
from dashboard.escape import cut
from dashboard.views import decisions, samples, style
from evals.tasks import benchmark_of
from zoo.cli.output import NONE, p_text
from zoo.metrics import metric_of

MAX_FLIPS = 8  # shown without scrolling


def page() -> None:
    """Draws the comparison of the checkpoints in the address; the first is the reference."""
    st.title("Compare", anchor=False)
    board = style.load_board(all_versions=True)
    own = [row.label for row in board.rows if row.own and row.cells]
    if not own:
        st.info("This page needs checkpoints with scores. Score one: `phizoo eval run NAME --task humaneval`")
        return
    chosen = st.multiselect(
        "Checkpoints; the others are compared with the first", own, max_selections=MAX_CHECKPOINTS, key="with",
        bind="query-params", format_func=cut,
    )  # fmt: skip
    comparisons = _compare(tuple(chosen), repr(source.stamp())) if chosen else ()
    tasks = tuple(dict.fromkeys(column.task for column in board.columns if column.main and column.origin == "measured"))
    if len(chosen) < 2 and not comparisons:
        st.info(
            "Choose two to six checkpoints. They are compared on the same samples, protocol by protocol. One alone is "
            "compared with itself, by chat and as completions."
        )
        decisions.show((), tasks)
        return
    if not comparisons:
        st.warning("These checkpoints share no protocol: run the same tasks on each.")
        return
    rows = show_table(comparisons)
    chart = charts.forest_chart(comparisons)
    style.show_chart(chart, "Differences with their intervals, as in the table above", rows, "comparison")
    show_flips(comparisons)
    decisions.show(tuple(chosen), tasks)


@st.cache_resource(ttl=600, max_entries=16, show_spinner="Comparing sample by sample")
def _compare(labels: tuple[str, ...], stamp: str) -> tuple[CheckpointComparison, ...]:
    with source.open_zoo() as registry:
        return compare_checkpoints(registry, labels) if registry is not None else ()


def _benchmark(pair: CheckpointComparison) -> str:
    return benchmarks.title_of(benchmark_of(pair.task))


def _unadjusted(pair: CheckpointComparison) -> str:
    return f"{p_text(pair.difference.p)}, unadjusted" if pair.difference else NONE


def show_table(comparisons: tuple[CheckpointComparison, ...]) -> list[dict[str, Any]]:
    """Draws all differences with adjusted p, and gives back the rows."""
    rows: list[dict[str, Any]] = [
        {
            "benchmark": _benchmark(pair), "protocol": cut(pair.column, 40) + metric_of(pair.metric).mark,
            "checkpoint": cut(pair.checkpoint, 48),
            "score": metric_of(pair.metric).text(pair.value),
            "against": metric_of(pair.metric).text(pair.reference_value),
            "difference [95%]": difference_text(pair), "p (Holm)": p_text(pair.p) or _unadjusted(pair),
            "significant": "yes" if pair.p is not None and pair.p < 0.05 else "no",
            "wins / losses / ties": f"{pair.difference.wins} / {pair.difference.losses} / {pair.difference.ties}"
            if pair.difference and pair.kind == "paired"
            else pair.kind,
            "n": pair.difference.n if pair.difference else None,
        }
        for pair in comparisons
    ]  # fmt: skip
    st.dataframe(rows, hide_index=True)
    st.caption(
        f"Compared with {style.text(comparisons[0].reference)}, sample by sample; p is two-sided and adjusted for "
        f"{sum(pair.p is not None for pair in comparisons)} comparisons (Holm), one reading of each task. "
        "Not significant does not mean equal. A is the checkpoint, B the one it is compared with."
    )
    for note in dict.fromkeys(f"{pair.column}: {pair.note}" for pair in comparisons if pair.note):
        st.caption(style.text(note))
    return rows


def show_flips(comparisons: tuple[CheckpointComparison, ...]) -> None:
    """Draws the samples that one checkpoint of a pair passes and the other fails."""
    flipped = {f"{pair.checkpoint}~{pair.column}": pair for pair in comparisons if pair.flips}
    if not flipped:
        st.caption("All samples have the same outcome.")
        return
    st.subheader("Samples that flipped", anchor=False)
    names = {key: cut(f"{pair.checkpoint} · {_benchmark(pair)} · {pair.column}", 110) for key, pair in flipped.items()}
    pair = flipped[style.pick("Pair and benchmark", list(names), "pair", names.__getitem__)]
    for column, title, wanted in zip(st.columns(2), ("won", "lost"), (True, False), strict=True):
        flips = [flip for flip in pair.flips if metric_of(pair.metric).is_better(flip.first, flip.second) is wanted]
        column.markdown(f"**{len(flips):,} {title} by {style.text(cut(pair.checkpoint, 48))}**")
        if flips:
            rows = [{"sample": cut(flip.sample, 60), "it": flip.first, "reference": flip.second} for flip in flips]
            column.dataframe(rows, hide_index=True, height="content" if len(flips) < MAX_FLIPS else 35 * MAX_FLIPS)
    if len(pair.runs) == 2:
        show_side_by_side(pair)


def show_side_by_side(pair: CheckpointComparison) -> None:
    """Draws the texts that both checkpoints wrote for one flipped sample."""
    ids = [flip.sample for flip in pair.flips]
    chosen = style.pick("Read one side by side", ids, "flip", lambda name: cut(name, 90))
    with source.open_zoo() as registry:
        results = [samples.load_results(registry, run) if registry is not None else None for run in pair.runs]
    labels = (pair.checkpoint, pair.reference)
    for column, label, run, of_run in zip(st.columns(2), labels, pair.runs, results, strict=True):
        # of a metric with several trials a sample, the flip names the trial: "id#2"
        names = (chosen, chosen.rpartition("#")[0])
        result = next((result for result in of_run or () if result.sample in names), None)
        with column:
            if result is None:
                st.caption(samples.NOT_STORED)
                continue
            st.markdown(f"{samples.MARKS[result.verdict]} **{style.text(cut(label, 48))}**: {result.verdict}")
            samples.show_text(result)
            if result.detail:
                st.caption(style.text(cut(result.detail, 300)))
            st.page_link(
                st.session_state["pages"]["samples"], label="Prompt and tests",
                query_params={"run": run, "sample": result.sample},
            )  # fmt: skip
