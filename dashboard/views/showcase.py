"""A section of the page "Try": the talk's prompts, and what each chat model wrote. Answers are text, never drawn."""

import streamlit as st

from dashboard.data import showcase
from dashboard.data.showcase import COMMAND, ShowcaseRow
from dashboard.escape import cut, html_lines
from dashboard.views import style
from evals.showcase import ShowcaseAnswer, verdict_text

BESIDE = 3  # models in one line of the page


def show() -> None:
    """Draws the section."""
    st.subheader("Showcase: the talk's prompts", anchor=False)
    rows = showcase.load_rows()
    if not rows:
        st.caption(f"No chat model was asked on this machine yet: `{COMMAND}`")
        return
    st.caption(f"Kept answers, one of each model; no measurement. Ask more models: `{COMMAND} NAME`")
    titles = {row.prompt.name: row.prompt.title for row in rows}
    chosen = st.pills("Prompt of the talk", list(titles), format_func=titles.__getitem__, default=rows[0].prompt.name)
    row = next((row for row in rows if row.prompt.name == chosen), rows[0])
    show_row(row)


def show_row(row: ShowcaseRow) -> None:
    """Draws one prompt with its answers side by side."""
    st.markdown(f"**Asked:** {style.text(row.prompt.question)}")
    if row.prompt.answer:
        st.markdown(f"**Right:** {style.text(row.prompt.answer)}")
    beside = min(BESIDE, len(row.answers))
    for begin in range(0, len(row.answers), beside):
        for column, answer in zip(st.columns(beside), row.answers[begin : begin + beside], strict=False):
            with column:
                show_answer(answer)


def show_answer(answer: ShowcaseAnswer) -> None:
    """Draws one answer: its model, its verdict, its thought folded away, its text."""
    heading = cut(showcase.heading(answer), 90)
    st.markdown(f"**{style.text(heading)}**")
    st.caption(style.text(cut(verdict_text(answer), 300)))
    if answer.thought:
        with st.expander(f"Its thought, {len(answer.thought.split()):,} words"):
            style.show_text_box(html_lines(answer.thought), f"{heading}: thought")
    style.show_text_box(html_lines(answer.text.strip() or "(nothing)"), heading)
