"""One prompt or a chat, one or two models side by side, streamed, thoughts folded away.

Output is text: never run, never rendered as HTML.
"""

import os
import time
from collections.abc import Iterator
from typing import Any, NamedTuple

import streamlit as st

from dashboard.data import playground, source
from dashboard.data.playground import EXAMPLES
from dashboard.escape import cut, plain_lines
from dashboard.server import PUBLIC
from dashboard.views import showcase, style
from evals.engines.transformers_local import TransformersLocal
from evals.records import Decoding, GenerateRequest
from evals.scoring.thought import SplitText
from zoo.errors import ZooError

NOTHING, SERVER = "–", "a server's address"
COMPLETION, CHAT = "Completion", "Chat"
TURNS = "playground-turns"  # of the session: the chat with each model, its turns as (message, answer)


class Side(NamedTuple):
    """One side of the page: its places for text and last line, a checkpoint's label or a server's address."""

    place: Any
    end: Any
    label: str = ""
    url: str = ""
    model: str = ""

    @property
    def name(self) -> str:
        """The model by a name of its own, under which its chat is kept."""
        return f"{self.label} {self.url} {self.model}"


def page() -> None:
    """Draws the prompt, the two sides and the texts that they write."""
    st.title("Try", anchor=False)
    st.caption("A model's output is shown as text and never run. A single answer is not a measurement.")
    example = st.pills("Examples, after the talk's", list(EXAMPLES), key="example")
    if example and st.session_state.get("example-shown") != example:
        st.session_state["prompt"] = EXAMPLES[example]
    st.session_state["example-shown"] = example
    chat = st.segmented_control("Ask as", [COMPLETION, CHAT], default=COMPLETION, required=True, key="as") == CHAT
    system = st.text_input("System text (empty: none)", key="system") if chat else ""
    prompt = st.text_area("Message" if chat else "Prompt (sent as typed, no chat template)", key="prompt", height=160)
    left, middle, right = st.columns(3)
    tokens = left.number_input("Tokens at most", 1, 2048, 128)
    temperature = middle.number_input("Temperature (0: greedy)", 0.0, 2.0, 0.0, 0.1)
    seed = right.number_input("Seed", 0, 2**31 - 1, 0)
    columns = enumerate(st.columns(2))
    sides = [side for number, column in columns if (side := choose_side(column, number, chat)) is not None]
    with st.container(horizontal=True):
        pressed = st.button("Generate", type="primary", disabled=not prompt or not sides)
        if chat:
            st.button("New chat", on_click=_forget, disabled=not st.session_state.get(TURNS))
    if pressed and not chat:
        request = playground.make_request(prompt, int(tokens), float(temperature), int(seed))
        write(sides, [request] * len(sides))
    elif pressed:
        decoding = Decoding(max_tokens=int(tokens), temperature=float(temperature))
        requests = [playground.make_chat(system, read_turns(side), prompt, decoding, int(seed)) for side in sides]
        answers = write(sides, requests)
        for side, answer in zip(sides, answers, strict=True):
            if answer is not None:
                st.session_state.setdefault(TURNS, {}).setdefault(side.name, []).append((prompt, answer))
    showcase.show()


def _forget() -> None:
    st.session_state.pop(TURNS, None)


def read_turns(side: Side) -> list[tuple[str, str]]:
    """The (message, answer) of each turn so far with the model of a side; a thought is no part of a later prompt."""
    turns: list[tuple[str, SplitText]] = st.session_state.get(TURNS, {}).get(side.name, [])
    return [(message, answer.answer) for message, answer in turns]


def show_turns(side: Side) -> None:
    """Draws the turns so far with the model of a side."""
    for message, answer in st.session_state.get(TURNS, {}).get(side.name, []):
        st.caption("You")
        st.code(plain_lines(message), language=None, wrap_lines=True)
        st.caption("Answer")
        show_answer(answer)


def show_answer(answer: SplitText) -> None:
    """Draws a text, with its thought folded away."""
    if answer.thought or answer.unfinished:
        name = "Thought, without an end: no answer" if answer.unfinished else "Thought"
        with st.expander(name, expanded=False):
            st.code(plain_lines(answer.thought), language=None, wrap_lines=True)
    if answer.answer:
        st.code(plain_lines(answer.answer), language=None, wrap_lines=True)


def choose_side(column: Any, number: int, chat: bool) -> Side | None:
    """Draws the choice of one side and its chat so far; None when nothing is chosen."""
    own = [row.label for row in style.load_board(all_versions=True).rows if row.own]
    servers = [] if os.environ.get(PUBLIC) else [SERVER]  # a public page asks no address that a stranger typed
    title = "Model" if number == 0 else "Second model"
    options = [NOTHING, *own, *servers]
    asked = st.query_params.get_all("model")
    start = asked[number] if number < len(asked) else own[0] if number == 0 and own else NOTHING
    if start not in options:
        style.warn_unknown("model", start, own, NOTHING)
        start = NOTHING
    label = column.selectbox(title, options, index=options.index(start), format_func=cut, key=f"side-{number}")
    if label == NOTHING:
        return None
    url = model = ""
    if label == SERVER:
        label = ""
        url = column.text_input("OpenAI-compatible address", "http://127.0.0.1:8000/v1", key=f"url-{number}")
        model = column.text_input("Its model (empty: the only one)", key=f"model-{number}")
    turns = column.container()
    side = Side(column.empty(), column.empty(), label, url, model)
    if chat:
        with turns:
            show_turns(side)
    return side


@st.cache_resource(max_entries=2, show_spinner="Loading the checkpoint")
def _open_checkpoint(digest: str, label: str) -> TransformersLocal:
    with source.open_zoo() as registry:
        if registry is None:
            raise ZooError("the zoo is gone")
        return playground.open_checkpoint(registry.path(label))


def open_stream(side: Side, request: GenerateRequest) -> tuple[Iterator[str], GenerateRequest]:
    """The stream of one side's text, and the request as it was sent. A checkpoint is loaded before this returns."""
    if side.url:
        return playground.stream_from_server(side.url, side.model, request), request
    with source.open_zoo() as registry:
        digest = registry.get(side.label).digest if registry is not None else ""
        if registry is not None and request.messages:
            request = playground.render_chat(registry.path(side.label), request)
    return _open_checkpoint(digest, side.label).stream(request), request


def write(sides: list[Side], requests: list[GenerateRequest]) -> list[SplitText | None]:
    """Streams all sides at once into their places; a fault is shown in the place of its own side, which gives None."""
    texts, failed = ["" for _ in sides], [False for _ in sides]
    streams: list[Iterator[str]] = []
    for number, side in enumerate(sides):
        try:
            stream, requests[number] = open_stream(side, requests[number])
            streams.append(stream)
        except Exception as error:  # a fault ends its own side, not the page
            side.place.error(style.text(str(playground.explain(error))))
            failed[number] = True
            streams.append(iter(()))
    began = time.monotonic()
    ended = [began for _ in sides]
    for number, piece in playground.side_by_side(streams):
        ended[number] = time.monotonic()
        if isinstance(piece, ZooError):
            sides[number].place.error(style.text(str(piece)))
            failed[number] = True
        else:
            texts[number] += piece
            with sides[number].place.container():
                show_answer(playground.split_answer(texts[number], requests[number]))
    for side, text, fault, end in zip(sides, texts, failed, ended, strict=True):
        if not text and not fault:
            side.place.caption("The model wrote nothing: its first token ends the text.")
        elif not fault:
            side.end.caption(f"{len(text):,} characters in {end - began:.1f} s, after loading")
    return [
        None if fault else playground.split_answer(text, request)
        for text, request, fault in zip(texts, requests, failed, strict=True)
    ]
