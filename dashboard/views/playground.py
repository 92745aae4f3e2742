"""One prompt, one or two models side by side, streamed. Output is text: never run, never rendered as HTML."""

import os
from collections.abc import Iterator
from typing import Any, NamedTuple

import streamlit as st

from dashboard.data import playground, source
from dashboard.data.playground import EXAMPLES
from dashboard.escape import cut, plain_lines
from dashboard.server import PUBLIC
from dashboard.views import showcase, style
from evals.engines.transformers_local import TransformersLocal
from evals.records import GenerateRequest
from zoo.errors import ZooError

NOTHING, SERVER = "–", "a server's address"


class Side(NamedTuple):
    """One side of the page: where it writes, and a checkpoint's label or a server's address and model."""

    place: Any
    label: str = ""
    url: str = ""
    model: str = ""


def page() -> None:
    """Draws the prompt, the two sides and the texts that they write."""
    st.title("Playground", anchor=False)
    st.caption("A model's output is shown as text and never run. A single answer is not a measurement.")
    example = st.pills("Examples, after the talk's", list(EXAMPLES), key="example")
    if example and st.session_state.get("example-shown") != example:
        st.session_state["prompt"] = EXAMPLES[example]
    st.session_state["example-shown"] = example
    prompt = st.text_area("Prompt, byte for byte", key="prompt", height=160)
    left, middle, right = st.columns(3)
    tokens = left.number_input("Tokens at most", 1, 2048, 128)
    temperature = middle.number_input("Temperature (0: greedy)", 0.0, 2.0, 0.0, 0.1)
    seed = right.number_input("Seed", 0, 2**31 - 1, 0)
    columns = enumerate(st.columns(2))
    sides = [side for number, column in columns if (side := choose_side(column, number)) is not None]
    if st.button("Write", type="primary", disabled=not prompt or not sides):
        write(sides, playground.make_request(prompt, int(tokens), float(temperature), int(seed)))
    showcase.show()


def choose_side(column: Any, number: int) -> Side | None:
    """Draws the choice of one side; None when nothing is chosen."""
    own = [row.label for row in style.load_board(all_versions=True).rows if row.own]
    servers = [] if os.environ.get(PUBLIC) else [SERVER]  # a public page asks no address that a stranger typed
    title = "Model" if number == 0 else "Beside it"
    label = column.selectbox(title, [NOTHING, *own, *servers], format_func=cut, key=f"side-{number}")
    if label == NOTHING:
        return None
    if label != SERVER:
        return Side(column.empty(), label)
    url = column.text_input("OpenAI-compatible address", "http://127.0.0.1:8000/v1", key=f"url-{number}")
    model = column.text_input("Its model (empty: the only one)", key=f"model-{number}")
    return Side(column.empty(), url=url, model=model)


@st.cache_resource(max_entries=2, show_spinner="Loading the checkpoint")
def _open_checkpoint(digest: str, label: str) -> TransformersLocal:
    with source.open_zoo() as registry:
        if registry is None:
            raise ZooError("the zoo is gone")
        return playground.open_checkpoint(registry.path(label))


def open_stream(side: Side, request: GenerateRequest) -> Iterator[str]:
    """The stream of one side's text. A checkpoint is loaded before this returns."""
    if side.url:
        return playground.stream_from_server(side.url, side.model, request)
    with source.open_zoo() as registry:
        digest = registry.get(side.label).digest if registry is not None else ""
    return _open_checkpoint(digest, side.label).stream(request)


def write(sides: list[Side], request: GenerateRequest) -> None:
    """Streams all sides at once into their places; a fault is shown in the place of its own side."""
    texts, failed = ["" for _ in sides], [False for _ in sides]
    streams: list[Iterator[str]] = []
    for number, side in enumerate(sides):
        try:
            streams.append(open_stream(side, request))
        except Exception as error:  # a fault ends its own side, not the page
            side.place.error(style.text(str(playground.explain(error))))
            failed[number] = True
            streams.append(iter(()))
    for number, piece in playground.side_by_side(streams):
        if isinstance(piece, ZooError):
            sides[number].place.error(style.text(str(piece)))
            failed[number] = True
        else:
            texts[number] += piece
            sides[number].place.code(plain_lines(texts[number]), language=None, wrap_lines=True)
    for side, text, fault in zip(sides, texts, failed, strict=True):
        if not text and not fault:
            side.place.caption("The model wrote nothing: its first token ends the text.")
