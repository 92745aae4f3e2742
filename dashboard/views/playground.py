"""One prompt, one or two models side by side, streamed. Output is text: never run, never rendered as HTML."""

import os
from collections.abc import Iterator
from typing import Any

import streamlit as st

from dashboard.data import playground, source
from dashboard.data.playground import EXAMPLES, Wanted
from dashboard.escape import cut, plain_lines
from dashboard.server import PUBLIC
from dashboard.views import style
from zoo.errors import ZooError

KEY = "PHIZOO_API_KEY"
NOTHING, SERVER = "–", "a server's address"


def page() -> None:
    """Draws the prompt, the two sides and what they write."""
    st.title("Playground", anchor=False)
    st.caption("What a model writes is shown as text. It is not run, and a single answer is no measurement.")
    example = st.pills("Examples, after the talk's", list(EXAMPLES), key="example")
    if example and st.session_state.get("example-shown") != example:
        st.session_state["prompt"] = EXAMPLES[example]
    st.session_state["example-shown"] = example
    prompt = st.text_area("Prompt, byte for byte", key="prompt", height=160)
    one, two, three = st.columns(3)
    tokens = one.number_input("Tokens at most", 1, 2048, 128)
    temperature = two.number_input("Temperature (0: greedy)", 0.0, 2.0, 0.0, 0.1)
    seed = three.number_input("Seed", 0, 2**31 - 1, 0)
    sides = [side(where, number) for number, where in enumerate(st.columns(2))]
    chosen = [one for one in sides if one is not None]
    if st.button("Write", type="primary", disabled=not prompt or not chosen):
        wanted = Wanted(prompt=prompt, max_tokens=int(tokens), temperature=float(temperature), seed=int(seed))
        write(chosen, wanted)


def side(where: Any, number: int) -> tuple[Any, str, str, str] | None:
    """One side's choice: (where it writes, checkpoint label, server's address, server's model), or None."""
    own = [row.label for row in style.load_board(all_versions=True).rows if row.own]
    servers = [] if os.environ.get(PUBLIC) else [SERVER]  # a public page asks no address that a stranger typed
    first = "Model" if number == 0 else "Beside it"
    label = where.selectbox(first, [NOTHING, *own, *servers], format_func=cut, key=f"side-{number}")
    if label == NOTHING:
        return None
    if label != SERVER:
        return where.empty(), label, "", ""
    url = where.text_input("OpenAI-compatible address", "http://127.0.0.1:8000/v1", key=f"url-{number}")
    model = where.text_input("Its model (empty: the first)", key=f"model-{number}")
    return where.empty(), "", url, model


@st.cache_resource(max_entries=2, show_spinner="Loading the checkpoint")
def _loaded(digest: str, label: str) -> tuple[Any, Any]:
    with source.open_zoo() as registry:
        if registry is None:
            raise ZooError("the zoo is gone")
        return playground.load(registry.path(label))


def stream(label: str, url: str, model: str, wanted: Wanted) -> Iterator[str]:
    """What one side writes."""
    if url:
        return playground.served(url, model, wanted, os.environ.get(KEY, "none"))
    with source.open_zoo() as registry:
        digest = registry.get(label).digest if registry is not None else ""
    return playground.local(*_loaded(digest, label), wanted)


def write(chosen: list[tuple[Any, str, str, str]], wanted: Wanted) -> None:
    """Streams all sides at once into their places."""
    written = ["" for _ in chosen]
    streams: list[Iterator[str]] = []
    for where, label, url, model in chosen:
        try:
            streams.append(stream(label, url, model, wanted))
        except (ZooError, OSError, ValueError) as error:
            where.error(style.text(str(error)))
            streams.append(iter(()))
    for at, piece in playground.side_by_side(streams):
        where = chosen[at][0]
        if isinstance(piece, ZooError):
            where.error(style.text(str(piece)))
        else:
            written[at] += piece
            where.code(plain_lines(written[at]), language=None, wrap_lines=True)
