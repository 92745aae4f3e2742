"""Two to six checkpoints, paired on the same samples: differences, adjusted p, a forest plot, and what flipped."""

from typing import TYPE_CHECKING, Any

import streamlit as st

from dashboard import charts
from dashboard.board import benchmarks
from dashboard.data import source
from dashboard.data.comparison import MOST, Line, difference_text, lines
from dashboard.escape import cut, probability
from dashboard.views import samples, style
from evals.tasks import benchmark_of

if TYPE_CHECKING:
    from zoo.registry import Registry


FEW = 8  # flips shown without scrolling


def page() -> None:
    """Draws the comparison of the checkpoints that the address names; the first is the reference."""
    st.title("Compare", anchor=False)
    whole = style.board(all_versions=True)
    own = {row.label: row for row in whole.rows if row.own and row.cells}
    if len(own) < 2:
        st.info("Two checkpoints with scores are needed. `phizoo eval run NAME --tasks humaneval` makes one.")
        return
    chosen = st.multiselect("Checkpoints; the first is what the others are compared with", list(own),
                            max_selections=MOST, key="with", bind="query-params", format_func=cut)  # fmt: skip
    if len(chosen) < 2:
        st.info("Choose two to six checkpoints. They are compared on the same samples, protocol by protocol.")
        return
    with source.reading() as registry:
        found = compared(registry, tuple(chosen)) if registry is not None else ()
    if not found:
        st.warning("These checkpoints share no protocol: run the same tasks on each.")
        return
    rows = table(found)
    style.chart(charts.forest(found), "Differences with their intervals, as in the table above", rows, "comparison")
    flips(found)


def compared(registry: "Registry", labels: tuple[str, ...]) -> tuple[Line, ...]:
    """The comparison, cached until the zoo is written to."""
    return _compared(labels, repr(source.stamp()))


@st.cache_resource(ttl=600, max_entries=16, show_spinner="Comparing sample by sample")
def _compared(labels: tuple[str, ...], stamp: str) -> tuple[Line, ...]:
    with source.reading() as registry:
        return lines(registry, labels) if registry is not None else ()


def table(found: tuple[Line, ...]) -> list[dict[str, Any]]:
    """All differences, with p adjusted over all of them."""
    rows: list[dict[str, Any]] = [
        {
            "benchmark": benchmarks.title_of(benchmark_of(line.task)),
            "protocol": cut(line.column, 40),
            "checkpoint": cut(line.checkpoint, 48),
            "score": f"{100 * line.value:.1f}",
            "against": f"{100 * line.reference_value:.1f}",
            "difference [95%]": difference_text(line),
            "p (Holm)": probability(line.p).removeprefix("p ") if line.p is not None else "–",
            "significant": "yes" if line.p is not None and line.p < 0.05 else "no",
            "wins / losses / ties": f"{line.difference.wins} / {line.difference.losses} / {line.difference.ties}"
            if line.difference and line.kind == "paired"
            else line.kind,
            "n": line.difference.n if line.difference else None,
        }
        for line in found
    ]
    st.dataframe(rows, hide_index=True)
    st.caption(
        f"Against {style.text(found[0].reference)}, sample by sample; p two-sided and adjusted for {len(found)} "
        "comparisons (Holm). Not significant does not mean equal."
    )
    return rows


def flips(found: tuple[Line, ...]) -> None:
    """The samples on which a pair differs, side by side."""
    flipped = [line for line in found if line.flips]
    if not flipped:
        st.caption("No sample came out differently.")
        return
    st.subheader("What flipped", anchor=False)
    names = {
        f"{line.checkpoint}~{line.column}": cut(
            f"{line.checkpoint} · {benchmarks.title_of(benchmark_of(line.task))} · {line.column}", 110
        )
        for line in flipped
    }
    chosen = style.pick("Pair and benchmark", list(names), "pair", names.__getitem__)
    line = next(line for line in flipped if f"{line.checkpoint}~{line.column}" == chosen)
    won, lost = st.columns(2)
    for where, title, wanted in ((won, "won", True), (lost, "lost", False)):
        held = [flip for flip in line.flips if (flip.first > flip.second) is wanted]
        where.markdown(f"**{len(held):,} {title} by {style.text(cut(line.checkpoint, 48))}**")
        if held:
            rows = [{"sample": cut(flip.sample, 60), "it": flip.first, "reference": flip.second} for flip in held]
            where.dataframe(rows, hide_index=True, height="content" if len(held) < FEW else 35 * FEW)
    if len(line.runs) == 2:
        both(line)


def both(line: Line) -> None:
    """One flipped sample: what each of the two wrote, side by side."""
    ids = [flip.sample for flip in line.flips]
    chosen = style.pick("Read one side by side", ids, "flip", lambda name: cut(name, 90))
    with source.reading() as registry:
        held_by = [samples.held(registry, run) if registry is not None else None for run in line.runs]
    for where, label, run, results in zip(
        st.columns(2), (line.checkpoint, line.reference), line.runs, held_by, strict=True
    ):
        one = next((one for one in results or () if one.sample == chosen), None)
        with where:
            if one is None:
                st.caption("The result lines of this run are not kept in the zoo.")
                continue
            st.markdown(f"{samples.MARKS[one.verdict]} **{style.text(cut(label, 48))}**: {one.verdict}")
            samples.written(one)
            if one.detail:
                st.caption(style.text(cut(one.detail, 300)))
            st.page_link(
                st.session_state["pages"]["samples"], label="Its prompt and tests",
                query_params={"run": run, "sample": chosen},
            )  # fmt: skip
