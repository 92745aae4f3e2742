"""The page of one model: facts, scores, lineage, files, recipe, training curve, and code to load it."""

from typing import TYPE_CHECKING

import streamlit as st

from dashboard.board import benchmarks
from dashboard.board.cells import Board, Row, cell_text
from dashboard.data import lineage, source
from dashboard.escape import cut, html, plain
from dashboard.views import style
from zoo.cli.output import NONE, bytes_text, count
from zoo.errors import ZooError
from zoo.exchange.card import model_card
from zoo.records import Checkpoint

if TYPE_CHECKING:
    from zoo.registry import Registry


def page() -> None:
    """Draws the page of the model in the address."""
    board = style.load_board(all_versions=True)
    by_key = {row.key: row for row in board.rows}
    st.title("Model", anchor=False)
    chosen = style.pick("Model", list(by_key), "name", lambda key: _option(by_key[key]), hidden=True)
    row = by_key[chosen]
    if row.own:
        with source.open_zoo() as registry:
            if registry is not None:
                show_own(board, row, registry)
    else:
        show_published(board, row)


def _option(row: Row) -> str:
    return f"{'●' if row.own else '◇'} {cut(row.label)} · {count(row.parameters)}"


def show_own(board: Board, row: Row, registry: "Registry") -> None:
    """Draws a checkpoint of this zoo."""
    checkpoint = registry.get(row.label)
    show_facts(checkpoint, row.unique_tokens)
    st.subheader("Scores", anchor=False)
    show_scores(board, row)
    st.subheader("Lineage", anchor=False)
    with st.container(horizontal_alignment="left"):
        scores = [
            f"{benchmarks.title_of(column.benchmark)} {cell_text(row.cells[column.key])}"
            for column in board.columns
            if column.key in row.cells and column.main
        ]
        st.graphviz_chart(lineage.render_dot(checkpoint, registry, scores), width="content")
    left, right = st.columns(2)
    with left:
        st.subheader("Load", anchor=False)
        for title, language, code in loading_snippets(checkpoint):
            st.caption(title)
            st.code(code, language=language, wrap_lines=True)
    with right:
        st.subheader("Files", anchor=False)
        files = [{"file": plain(f.path), "size": bytes_text(f.bytes), "sha256": f.sha256} for f in checkpoint.files]
        st.dataframe(files, hide_index=True, column_config={"file": st.column_config.Column(width="medium")})
        show_recipe(checkpoint, registry)
    show_curve(checkpoint, registry)
    with st.expander("Model card, as published with the checkpoint"):
        st.code(model_card(registry, checkpoint.label), language=None, wrap_lines=True)


def show_facts(checkpoint: Checkpoint, unique_tokens: float | None) -> None:
    """Draws the main facts of a checkpoint. unique_tokens: the size of its training data."""
    facts = {
        "Parameters": count(checkpoint.parameters), "Unique tokens": count(unique_tokens),
        "Tokens seen": count(checkpoint.training_tokens),
        "Context": f"{checkpoint.context_tokens} tokens", "Size": bytes_text(checkpoint.bytes),
        "Training FLOPs": f"{checkpoint.training_flops:.3g}" if checkpoint.training_flops else NONE,
        "Licence": checkpoint.licence, "Prompt style": checkpoint.prompt_style, "Created": checkpoint.created[:10],
        **({"Quantisation": checkpoint.quantisation} if checkpoint.quantisation else {}),
    }  # fmt: skip
    items = "".join(f"<div><dt>{html(name)}</dt><dd>{html(value)}</dd></div>" for name, value in facts.items())
    st.html(f'<dl class="phizoo-facts">{items}</dl>')
    st.html(f'<p class="phizoo-digest">{html(checkpoint.digest)}</p>')
    if checkpoint.notes:
        st.markdown(style.text(checkpoint.notes))


def show_scores(board: Board, row: Row) -> None:
    """Draws every score of a model with its protocol."""
    scores = [
        {
            "benchmark": benchmarks.title_of(column.benchmark), "score": cell_text(row.cells[column.key]),
            "metric": plain(column.metric), "protocol": plain(row.cells[column.key].protocol or column.protocol),
            "source": plain(row.cells[column.key].source or f"run {row.cells[column.key].run[:12]}"),
        }
        for column in board.columns
        if column.key in row.cells
    ]  # fmt: skip
    if scores:
        st.dataframe(scores, hide_index=True)
        style.show_exports(scores, "scores")
    else:
        st.info(f"No score yet. Measure the first: `phizoo eval run {row.name} --task humaneval`")


def loading_snippets(checkpoint: Checkpoint) -> list[tuple[str, str, str]]:
    """The snippets that load a checkpoint, as (tool, language, code)."""
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


def show_recipe(checkpoint: Checkpoint, registry: "Registry") -> None:
    """Draws the resolved recipe, if it is stored."""
    st.subheader("Recipe", anchor=False)
    if checkpoint.recipe_digest is None:
        st.caption("No recipe is stored for this checkpoint.")
        return
    try:
        st.json(registry.recipe(checkpoint.recipe_digest), expanded=1)
    except ZooError as error:
        st.caption(style.text(str(error)))


def show_curve(checkpoint: Checkpoint, registry: "Registry") -> None:
    """Draws the training loss, if the checkpoint contains its curve."""
    lines = lineage.training_lines(checkpoint, registry)
    if lines:
        from dashboard import charts

        st.subheader("Training", anchor=False)
        fields = list(dict.fromkeys(key for line in lines for key in line))
        rows = [{key: line.get(key) for key in fields} for line in lines]
        style.show_chart(charts.training_chart(lines), "Loss against training step", rows, "training")


def show_published(board: Board, row: Row) -> None:
    """Draws a published model with its scores and their sources."""
    sizes = f"{count(row.parameters)} parameters, {count(row.unique_tokens)} unique tokens, "
    sizes += f"{count(row.training_tokens)} tokens seen, {row.date or 'no date'}"
    kind = f"{row.family}, {row.style}, {row.weights} weights"
    st.markdown(style.text(f"Reported elsewhere, not measured here. {sizes}, {kind}."))
    show_scores(board, row)
