"""One model: card, scores, lineage, files, recipe, training curve, and how to load it."""

from typing import TYPE_CHECKING

import streamlit as st

from dashboard.board import benchmarks
from dashboard.board.cells import Board, Row, cell_text
from dashboard.data import lineage, source
from dashboard.escape import count, cut, html, plain, size
from dashboard.views import style
from zoo.errors import ZooError
from zoo.exchange.card import model_card
from zoo.records import Checkpoint

if TYPE_CHECKING:
    from zoo.registry import Registry


def page() -> None:
    """Draws the page of the model that the address names."""
    whole = style.board(all_versions=True)
    by_key = {row.key: row for row in whole.rows}
    st.title("Model", anchor=False)
    chosen = style.pick("Model", list(by_key), "name", lambda key: _option(by_key[key]), hidden=True)
    row = by_key[chosen]
    if row.own:
        with source.reading() as registry:
            if registry is not None:
                own(whole, row, registry)
    else:
        published(whole, row)


def _option(row: Row) -> str:
    return f"{'●' if row.own else '◇'} {cut(row.label)} · {count(row.parameters)}"


def own(whole: Board, row: Row, registry: "Registry") -> None:
    """A checkpoint of this zoo."""
    checkpoint = registry.get(row.label)
    card(checkpoint)
    st.subheader("Scores", anchor=False)
    scores(whole, row)
    st.subheader("Where it comes from", anchor=False)
    with st.container(horizontal_alignment="left"):
        told = [
            f"{benchmarks.title_of(column.benchmark)} {cell_text(row.cells[column.key])}"
            for column in whole.columns
            if column.key in row.cells and column.main
        ]
        st.graphviz_chart(lineage.dot(checkpoint, registry, told), width="content")
    left, right = st.columns(2)
    with left:
        st.subheader("Load it", anchor=False)
        for title, language, code in loading(checkpoint):
            st.caption(title)
            st.code(code, language=language, wrap_lines=True)
    with right:
        st.subheader("Files", anchor=False)
        files = [{"file": plain(f.path), "size": size(f.bytes), "sha256": f.sha256} for f in checkpoint.files]
        st.dataframe(files, hide_index=True, column_config={"file": st.column_config.Column(width="medium")})
        recipe(checkpoint, registry)
    curve(checkpoint, registry)
    with st.expander("Model card, as it is published with the checkpoint"):
        st.code(model_card(registry, checkpoint.label), language=None, wrap_lines=True)


def card(checkpoint: Checkpoint) -> None:
    """The facts at a glance."""
    flops = f"{checkpoint.training_flops:.3g}" if checkpoint.training_flops else "–"
    told = {
        "Parameters": count(checkpoint.parameters),
        "Tokens seen": count(checkpoint.training_tokens),
        "Context": f"{checkpoint.context_tokens} tokens",
        "Size": size(checkpoint.bytes),
        "Training FLOPs": flops,
        "Licence": checkpoint.licence,
        "Prompt style": checkpoint.prompt_style,
        "Created": checkpoint.created[:10],
    }
    items = "".join(f"<div><dt>{html(name)}</dt><dd>{html(value)}</dd></div>" for name, value in told.items())
    st.html(f'<dl class="phizoo-facts">{items}</dl>')
    st.html(f'<p class="phizoo-digest">{html(checkpoint.digest)}</p>')
    if checkpoint.notes:
        st.markdown(style.text(checkpoint.notes))


def scores(whole: Board, row: Row) -> None:
    """Every number of the model, with the protocol it stands under."""
    told = [
        {
            "benchmark": benchmarks.title_of(column.benchmark),
            "score": cell_text(row.cells[column.key]),
            "metric": plain(column.metric),
            "protocol": plain(row.cells[column.key].protocol or column.protocol),
            "source": plain(row.cells[column.key].source or f"run {row.cells[column.key].run[:12]}"),
        }
        for column in whole.columns
        if column.key in row.cells
    ]
    if told:
        st.dataframe(told, hide_index=True)
        style.exported(told, "scores")
    else:
        st.info(f"No score yet. `phizoo eval run {row.name} --tasks humaneval` gives the first one.")


def loading(checkpoint: Checkpoint) -> list[tuple[str, str, str]]:
    """How to load a checkpoint: (with what, language, text to copy)."""
    name = checkpoint.label
    return [
        (
            "transformers",
            "python",
            "from transformers import AutoModelForCausalLM, AutoTokenizer\n"
            "from zoo.registry import open_registry\n\n"
            f'with open_registry(readonly=True) as registry:\n    path = registry.path("{name}")\n'
            "model = AutoModelForCausalLM.from_pretrained(path)\ntokenizer = AutoTokenizer.from_pretrained(path)",
        ),
        ("vLLM", "python", "from vllm import LLM\n\nmodel = LLM(str(path))  # path as above"),
        ("an OpenAI-compatible server", "bash", f"phizoo serve {name}"),
        ("a shell", "bash", f"phizoo models path {name}"),
    ]  # fmt: skip


def recipe(checkpoint: Checkpoint, registry: "Registry") -> None:
    """The resolved recipe, where it is kept."""
    st.subheader("Recipe", anchor=False)
    if checkpoint.recipe_digest is None:
        st.caption("No recipe is kept for this checkpoint.")
        return
    try:
        st.json(registry.recipe(checkpoint.recipe_digest), expanded=1)
    except ZooError as error:
        st.caption(style.text(str(error)))


def curve(checkpoint: Checkpoint, registry: "Registry") -> None:
    """The training loss, where the trainer left it in the checkpoint."""
    lines = lineage.training_lines(checkpoint, registry)
    if lines:
        from dashboard import charts

        st.subheader("Training", anchor=False)
        fields = list(dict.fromkeys(key for line in lines for key in line))
        told = [{key: line.get(key) for key in fields} for line in lines]
        style.chart(charts.training(lines), "Loss against training step", told, "training")


def published(whole: Board, row: Row) -> None:
    """A published model: its numbers and where each stands."""
    told = (
        f"{count(row.parameters)} parameters, {count(row.training_tokens)} training tokens, {row.date or 'no date'}, "
    )
    st.markdown(
        style.text(f"Reported elsewhere, not measured here. {told}{row.family}, {row.style}, {row.weights} weights.")
    )
    scores(whole, row)
