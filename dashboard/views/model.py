"""The page of one model: facts, scores, lineage, files, recipe, training curve, and code to load it."""

from typing import TYPE_CHECKING

import streamlit as st

from dashboard.board import benchmarks, facts
from dashboard.board.cells import Board, Row, cell_text
from dashboard.board.model_scores import score_lines
from dashboard.data import lineage, source
from dashboard.escape import cut, html
from dashboard.views import style
from zoo.cli.output import NONE, bytes_text, count
from zoo.errors import ZooError
from zoo.exchange.card import model_card
from zoo.records import Checkpoint
from zoo.visible import plain

if TYPE_CHECKING:
    from zoo.registry import Registry


def page() -> None:
    """Draws the page of the model in the address."""
    board = style.load_board(all_versions=True)
    by_key = {row.key: row for row in board.rows}
    st.title("Model", anchor=False)
    asked = st.query_params.get("name", "")
    if asked and asked not in by_key:  # a name without its version, or a published name
        newest = next((row.key for row in board.rows if asked in (row.name, row.label)), "")
        if newest:
            style.put("name", newest)
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
    """Draws a checkpoint of this zoo: facts, scores with their evidence, use, origin; the rest folded."""
    checkpoint = registry.get(row.label)
    pages = st.session_state["pages"]
    with st.container(horizontal=True):
        st.page_link(pages["compare"], label="Compare with its parent", query_params={"with": row.label})
        st.page_link(pages["playground"], label="Try it", query_params={"model": row.label})
        runs = [cell.run for cell in row.cells.values() if cell.run]
        if runs and "samples" in pages:
            st.page_link(pages["samples"], label="Read its samples", query_params={"run": runs[0]})
    show_facts(checkpoint, row.unique_tokens)
    st.subheader("Scores", anchor=False)
    show_scores(board, row)
    st.subheader("Use it", anchor=False)
    snippets = loading_snippets(checkpoint)
    for tab, (_, language, code) in zip(st.tabs([title for title, _, _ in snippets]), snippets, strict=True):
        tab.code(code, language=language, wrap_lines=True)
    st.subheader("Comes from", anchor=False)
    st.code(" → ".join(lineage.line_of(checkpoint, registry)), language=None, wrap_lines=True)
    with st.expander("Whole graph"):
        st.graphviz_chart(lineage.render_dot(checkpoint, registry, dark=style.is_dark()), width="content")
    show_curve(checkpoint, registry)
    with st.expander("Recipe"):
        show_recipe(checkpoint, registry)
    with st.expander(f"Files ({len(checkpoint.files)})"):
        files = [{"file": plain(f.path), "size": bytes_text(f.bytes), "sha256": f.sha256} for f in checkpoint.files]
        style.show_table(files, "Files")
    with st.expander("Model card, as published with the checkpoint"):
        st.code(model_card(registry, checkpoint.label), language=None, wrap_lines=True)


def show_facts(checkpoint: Checkpoint, unique_tokens: float | None) -> None:
    """Draws the main facts of a checkpoint. unique_tokens: the size of its training data."""
    licence = facts.known(checkpoint.licence) or f"unknown: {facts.LICENCES[facts.UNKNOWN]}"
    named = {
        "Parameters": count(checkpoint.parameters), "Unique tokens": count(unique_tokens),
        "Tokens seen": count(checkpoint.training_tokens),
        "Context": f"{checkpoint.context_tokens} tokens", "Size": bytes_text(checkpoint.bytes),
        "Training FLOPs": f"{checkpoint.training_flops:.3g}" if checkpoint.training_flops else NONE,
        "Kind": facts.kind_of(checkpoint), "Licence": licence, "Added": checkpoint.created[:10],
        **({"Quantisation": checkpoint.quantisation} if checkpoint.quantisation else {}),
    }  # fmt: skip
    items = "".join(f"<div><dt>{html(name)}</dt><dd>{html(value)}</dd></div>" for name, value in named.items())
    st.html(f'<dl class="phizoo-facts">{items}</dl>')
    st.html(f'<p class="phizoo-digest">{html(checkpoint.digest)}</p>')
    if checkpoint.notes:
        st.markdown(style.text(checkpoint.notes))


def show_scores(board: Board, row: Row) -> None:
    """Draws the main scores of a model, each with links to its evidence and samples or source; the others folded."""
    cells = [(column, row.cells[column.key]) for column in board.columns if column.key in row.cells]
    if not cells:
        st.info(f"No score yet. Measure the first: `phizoo eval run {row.name} --task humaneval`")
        return
    main = [(column, cell) for column, cell in cells if column.main]
    st.html(score_lines(board, row, main or cells))
    second = [pair for pair in cells if pair not in main] if main else []
    if second:
        with st.expander(f"Second metrics ({len(second)})"):
            st.html(score_lines(board, row, second))
    scores = [
        {
            "benchmark": benchmarks.title_of(column.benchmark), "score": cell_text(cell),
            "metric": plain(column.metric), "protocol": plain(cell.protocol or column.protocol),
            "source": plain(cell.source or f"run {cell.run[:12]}"),
        }
        for column, cell in cells
    ]  # fmt: skip
    style.show_exports(scores, "scores")


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
    """Draws a published model with its facts, and its scores with links to their sources."""
    st.markdown("**Reported elsewhere, not measured here.**")
    known = {
        "Parameters": count(row.parameters), "Unique tokens": count(row.unique_tokens),
        "Tokens seen": count(row.training_tokens), "Released": row.released, "Kind": row.style,
        "Licence": facts.known(row.licence), "Weights": row.weights, "Family": row.family,
    }  # fmt: skip
    items = "".join(
        f"<div><dt>{html(name)}</dt><dd>{html(value)}</dd></div>"
        for name, value in known.items()
        if value and value != NONE
    )
    st.html(f'<dl class="phizoo-facts">{items}</dl>')
    missing = [name.lower() for name, value in known.items() if not value or value == NONE]
    if missing:
        st.caption(f"Not known: {', '.join(missing)}.")
    show_scores(board, row)
    st.caption("Measure it here: `phizoo models add REPOSITORY --name NAME`, then `phizoo eval run NAME --task TASK`")
