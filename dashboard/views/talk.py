"""The talk's figures from the zoo: what it prints beside what was measured here, never in one bar group."""

import re

import streamlit as st

from dashboard import charts
from dashboard.board.html_table import table
from dashboard.board.view import View, select
from dashboard.data import source
from dashboard.data import talk as figures
from dashboard.data.notes import LIFT
from dashboard.escape import cut, lined
from dashboard.views import evidence, style


def page() -> None:
    """Draws the figures."""
    st.title("The talk", anchor=False)
    st.caption("The Surprising Power of Small Language Models, NeurIPS 2023, beside what this zoo measured.")
    whole = style.board()
    st.subheader("Code Llama 34B, Phi-1, Phi-1 (WR + Tile)", anchor=False)
    style.listed(style.notes("headline"))
    view = View(suite="headline")
    style.table(table(select(whole, view), view), "headline", _open, _nothing)
    if opened := st.query_params.get("cell", ""):
        evidence.open_cell(whole, opened)
    st.subheader("Data: filtered, synthetic, exercises", anchor=False)
    printed, own = figures.data_ablation(whole)
    left, right = st.columns(2)
    draw(left, printed, "HumanEval, as printed in phi-1's figure 2.1")
    draw(right, own, "Mini exercises, measured here")
    if not own:
        right.info("The own three models are not measured yet: `phizoo quickstart`.")
    st.subheader("Weight reuse", anchor=False)
    left, right = st.columns(2)
    draw(left, figures.weight_reuse(whole), "HumanEval, the talk's chart (one run each)")
    with source.reading() as registry:
        grown = figures.grown(whole, registry)
        high, low = figures.filter_examples(registry) if registry is not None else ([], [])
    draw(right, grown, "Grown here, and what it was grown from")
    if not grown:
        right.info("No grown checkpoint with scores yet: `phizoo train grow --help`.")
    st.subheader("phi-1.5 → phi-2", anchor=False)
    left, right = st.columns(2)
    draw(left, figures.phi_steps(whole), "phi-2 as its blog prints it; phi-1.5's mean of its report's tables")
    left.caption(
        "Not one protocol: MMLU 2-shot against 5-shot, SQuAD against SQuAD v2, GSM8K by code against chain of thought. "
        "In the talk's own chart of weight reuse at this step, code went down (about 44 to 40, read off the chart)."
    )
    own = figures.own_groups(whole, (*LIFT, *(bar["name"].rsplit(":", 1)[0] for bar in grown)))
    draw(right, own, "The same groups measured here")
    if not own:
        right.info("Nothing measured here in these groups: `phizoo eval run NAME --tasks arc_easy,piqa`.")
    st.subheader("What the filter keeps and drops", anchor=False)
    examples(high, low)


def _open() -> None:
    if chosen := st.session_state["headline"].get("opened"):
        st.query_params["cell"] = chosen


def _nothing() -> None:
    """Three rows need no sorting."""


def draw(where: "st.delta_generator.DeltaGenerator", rows: list[figures.Bar], title: str) -> None:
    """One bar chart, if there is something to draw."""
    if rows:
        with where:
            st.markdown(f"**{style.text(title)}**")
            style.chart(charts.bars(rows), title, rows, "-".join(re.findall(r"[a-z0-9]+", title.lower())[:4]))


def examples(high: list[figures.Example], low: list[figures.Example]) -> None:
    """The filter's examples side by side, as text."""
    if not high and not low:
        st.info("No filtered dataset on this machine: `phizoo data filter --help`.")
        return
    for where, title, held in zip(st.columns(2), ("Kept", "Dropped"), (high, low), strict=True):
        where.markdown(f"**{title}**")
        for one in held:
            told = f"{one.source} " + (f"· score {one.score:.2f} " if one.score is not None else "") + one.reason
            where.caption(style.text(cut(told, 140)))
            with where:
                style.scrolled(lined(one.text), f"{title}: {cut(told, 140)}")
