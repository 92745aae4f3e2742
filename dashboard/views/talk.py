"""The page of the talk's figures: the published numbers beside those measured here, in separate charts."""

import re

import streamlit as st

from dashboard import charts
from dashboard.board.blocks import make_blocks
from dashboard.board.html_table import render_blocks
from dashboard.board.view import View, select
from dashboard.data import source, talk
from dashboard.data.notes import LIFT
from dashboard.escape import cut, html_lines
from dashboard.views import evidence, style


def page() -> None:
    """Draws the talk's figures."""
    st.title("The talk", anchor=False)
    st.caption("The Surprising Power of Small Language Models, NeurIPS 2023, beside what this zoo measured.")
    board = style.load_board()
    st.subheader("Code Llama 34B, Phi-1, Phi-1 (WR + Tile)", anchor=False)
    style.show_notes(style.load_notes("headline"))
    view = View(suite="headline")
    shown = select(board, view)
    style.show_board(render_blocks(shown, make_blocks(shown, view), view), "headline", on_opened_change=_open_cell)
    if cell := st.query_params.get("cell", ""):
        evidence.open_cell(board, cell)
    st.subheader("Data: filtered, synthetic, exercises", anchor=False)
    printed, own = talk.data_ablation(board)
    left, right = st.columns(2)
    show_bars(left, printed, "HumanEval, as printed in phi-1's figure 2.1")
    show_bars(right, own, "Mini exercises, measured here")
    missing = [] if own else ["the quickstart's three models: `phizoo quickstart`"]
    st.subheader("Weight reuse", anchor=False)
    left, right = st.columns(2)
    show_bars(left, talk.weight_reuse_bars(board), "HumanEval, the talk's chart (one run each)")
    with source.open_zoo() as registry:
        grown = talk.grown_bars(board, registry)
        high, low = talk.filter_examples(registry) if registry is not None else ([], [])
    show_bars(right, grown, "Models grown here, and their parents")
    missing += [] if grown else ["a grown checkpoint with scores: `phizoo train grow --help`"]
    st.subheader("phi-1.5 → phi-2", anchor=False)
    left, right = st.columns(2)
    show_bars(
        left, talk.phi_step_bars(board), "phi-2 as its blog prints it; phi-1.5 as the mean of its report's tables"
    )
    left.caption(
        "Not one protocol: MMLU 2-shot against 5-shot, SQuAD against SQuAD v2, GSM8K by code against chain of thought. "
        "In the talk's own chart of weight reuse at this step, code went down (about 44 to 40, read off the chart)."
    )
    own = talk.own_group_bars(board, (*LIFT, *(bar["name"].rsplit(":", 1)[0] for bar in grown)))
    show_bars(right, own, "The same groups measured here")
    missing += [] if own else ["scores in phi-2's groups: `phizoo eval run NAME --task arc_easy,piqa`"]
    if high or low:
        st.subheader("Documents that the filter keeps and drops", anchor=False)
        show_examples(high, low)
    else:
        missing.append("a filtered dataset: `phizoo data filter --help`")
    if missing:
        with st.expander(f"Not on this machine yet ({len(missing)})"):
            st.markdown("\n".join(f"- {what}" for what in missing))


def _open_cell() -> None:
    if cell := st.session_state["headline"].get("opened"):
        st.query_params["cell"] = cell


def show_bars(column: "st.delta_generator.DeltaGenerator", rows: list[talk.Bar], title: str) -> None:
    """Draws a bar chart, unless it has no bars."""
    if rows:
        with column:
            st.markdown(f"**{style.text(title)}**")
            style.show_chart(charts.bar_chart(rows), title, rows, "-".join(re.findall(r"[a-z0-9]+", title.lower())[:4]))


def show_examples(high: list[talk.FilterExample], low: list[talk.FilterExample]) -> None:
    """Draws the filter's examples side by side, as text."""
    for column, title, examples in zip(st.columns(2), ("Kept", "Dropped"), (high, low), strict=True):
        column.markdown(f"**{title}**")
        for example in examples:
            score = f"· score {example.score:.2f} " if example.score is not None else ""
            caption = cut(f"{example.source} {score}{example.reason}", 140)
            column.caption(style.text(caption))
            if example.text:  # a filter of files keeps of what it drops the name and the reason
                with column:
                    style.show_text_box(html_lines(example.text), f"{title}: {caption}")
