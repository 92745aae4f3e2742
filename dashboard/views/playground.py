"""One prompt or a chat, one or two models side by side, streamed, thoughts folded away.

Output is text: never run, never rendered as HTML.
"""

import os
import time
from collections.abc import Mapping, Sequence
from contextlib import closing
from typing import Any, NamedTuple

import streamlit as st

from dashboard.data import playground, source
from dashboard.data.playground import EXAMPLES, Written
from dashboard.escape import cut, plain_lines
from dashboard.server import PUBLIC
from dashboard.views import showcase, style
from evals.engines.transformers_local import TransformersLocal
from evals.records import Decoding, GenerateRequest, TextStream
from evals.scoring.thought import SplitText
from zoo.errors import ZooError

NOTHING, SERVER = "–", "a server's address"
COMPLETION, CHAT = "Completion", "Chat"
TURNS = "playground-turns"  # of the session: side -> its chat, a Turn each
LAST = "playground-last"  # of the session: side -> the completion that it wrote last


class Turn(NamedTuple):
    """What was asked, the text that was written, its thought and answer, and how it ended."""

    message: str
    answer: SplitText
    ending: str


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
    own = {row.label: row.style for row in style.load_board(all_versions=True).rows if row.own}
    if "as" not in st.session_state:
        st.session_state["as"] = CHAT if own.get(_asked(0, own)) == "chat" else COMPLETION
    chat = st.segmented_control("Ask as", [COMPLETION, CHAT], required=True, key="as") == CHAT
    system = st.text_input("System text (empty: none)", key="system") if chat else ""
    prompt = st.text_area("Message" if chat else "Prompt (sent as typed, no chat template)", key="prompt", height=160)
    left, middle, right = st.columns(3)
    tokens = left.number_input("Tokens at most", 1, 2048, 128)
    temperature = middle.number_input("Temperature (0: greedy)", 0.0, 2.0, 0.0, 0.1)
    seed = right.number_input("Seed", 0, 2**31 - 1, 0)
    columns = enumerate(st.columns(2))
    sides = [side for number, column in columns if (side := choose_side(column, number, own, chat)) is not None]
    with st.container(horizontal=True):
        pressed = st.button("Generate", type="primary", disabled=not prompt or not sides)
        stop = st.empty()
        if chat:
            st.button("New chat", on_click=_forget, disabled=not st.session_state.get(TURNS))
    if pressed:
        stop.button("Stop", key="stop")  # pressing it runs the page anew, which ends the writing
        decoding = Decoding(max_tokens=int(tokens), temperature=float(temperature))
        requests = [
            playground.make_chat(system, read_turns(side), prompt, decoding, int(seed)) if chat
            else playground.make_request(prompt, int(tokens), float(temperature), int(seed))
            for side in sides
        ]  # fmt: skip
        write(sides, requests)
        stop.empty()
    showcase.show()


def _asked(number: int, own: Mapping[str, str]) -> str:
    """The model that a side starts with: the address's, else the first of the zoo on the first side."""
    asked = st.query_params.get_all("model")
    return asked[number] if number < len(asked) else next(iter(own), NOTHING) if number == 0 else NOTHING


def _preset(own: Mapping[str, str]) -> None:
    """Asks a newly chosen first model as it was trained to be asked."""
    if kind := own.get(st.session_state["side-0"]):
        st.session_state["as"] = CHAT if kind == "chat" else COMPLETION


def _forget() -> None:
    st.session_state.pop(TURNS, None)


def read_turns(side: Side) -> list[tuple[str, str]]:
    """The (message, answer) of each turn so far with the model of a side; a thought is no part of a later prompt."""
    return [(turn.message, turn.answer.answer) for turn in st.session_state.get(TURNS, {}).get(side.name, [])]


def show_turns(turns: Sequence[Turn]) -> None:
    """Draws the turns of a chat so far."""
    for turn in turns:
        st.caption("You")
        st.code(plain_lines(turn.message), language=None, wrap_lines=True)
        st.caption("Answer")
        show_answer(turn.answer)
        st.caption(style.text(turn.ending))


def show_answer(answer: SplitText) -> None:
    """Draws a text, with its thought folded away."""
    if answer.thought or answer.unfinished:
        name = "Thought, without an end: no answer" if answer.unfinished else "Thought"
        with st.expander(name, expanded=False):
            st.code(plain_lines(answer.thought), language=None, wrap_lines=True)
    if answer.answer:
        st.code(plain_lines(answer.answer), language=None, wrap_lines=True)


def choose_side(column: Any, number: int, own: Mapping[str, str], chat: bool) -> Side | None:
    """Draws the choice of one side, and what its model wrote so far; None when nothing is chosen.

    own  kind of each checkpoint, by its label
    """
    servers = [] if os.environ.get(PUBLIC) else [SERVER]  # a public page asks no address that a stranger typed
    title = "Model" if number == 0 else "Second model"
    options, start = [NOTHING, *own, *servers], _asked(number, own)
    if start not in options:
        style.warn_unknown("model", start, own, NOTHING)
        start = NOTHING
    label = column.selectbox(
        title, options, index=options.index(start), format_func=cut, key=f"side-{number}",
        **({"on_change": _preset, "args": (own,)} if number == 0 else {}),
    )  # fmt: skip
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
            show_turns(st.session_state.get(TURNS, {}).get(side.name, []))
    elif last := st.session_state.get(LAST, {}).get(side.name):
        with side.place.container():
            show_answer(last.answer)
        side.end.caption(style.text(last.ending))
    return side


@st.cache_resource(max_entries=2, show_spinner="Loading the checkpoint")
def _open_checkpoint(digest: str, label: str) -> TransformersLocal:
    with source.open_zoo() as registry:
        if registry is None:
            raise ZooError("the zoo is gone")
        return playground.open_checkpoint(registry.path(label))


def open_stream(side: Side, request: GenerateRequest) -> tuple[TextStream, GenerateRequest]:
    """The stream of one side's text, and the request as it was sent. A checkpoint is loaded before this returns."""
    if side.url:
        return playground.stream_from_server(side.url, side.model, request), request
    with source.open_zoo() as registry:
        digest = registry.get(side.label).digest if registry is not None else ""
        if registry is not None and request.messages:
            request = playground.render_chat(registry.path(side.label), request)
    return _open_checkpoint(digest, side.label).stream(request), request


def write(sides: list[Side], requests: list[GenerateRequest]) -> None:
    """Streams all sides at once into their places and keeps what they wrote, also where the reader stops them.

    A fault is shown in the place of its own side.
    """
    written = [Written() for _ in sides]
    streams: list[TextStream] = []
    for number, side in enumerate(sides):
        side.place.empty()
        side.end.empty()
        try:
            stream, requests[number] = open_stream(side, requests[number])
        except Exception as error:  # a fault ends its own side, not the page
            stream = _fail(error)
        streams.append(stream)
    # kept piece by piece: a pressed button begins the next run of the page before this one has noticed
    turns, last = st.session_state.setdefault(TURNS, {}), st.session_state.setdefault(LAST, {})
    keeps: list[tuple[Any, Any]] = []
    for side, text, request in zip(sides, written, requests, strict=True):
        if request.messages:
            chat = turns.setdefault(side.name, [])
            chat.append(_make_turn(text, request))
            keeps.append((chat, len(chat) - 1))
        else:
            keeps.append((last, side.name))
    began = time.monotonic()
    with closing(playground.side_by_side(streams)) as pieces:
        for number, piece in pieces:
            written[number] = written[number].add(piece, began)
            kept, key = keeps[number]
            kept[key] = _make_turn(written[number], requests[number])
            _draw(sides[number], written[number], requests[number], began)
    for (kept, key), text in reversed(list(zip(keeps, written, strict=True))):
        if text.fault:
            del kept[key]


def _fail(error: Exception) -> TextStream:
    """A stream that ends in this error."""
    yield from ()
    raise error


def _draw(side: Side, written: Written, request: GenerateRequest, began: float) -> None:
    """Draws a text so far into its place."""
    if written.fault:
        side.place.error(style.text(written.fault))
        side.end.empty()
        return
    with side.place.container():
        show_answer(playground.split_answer(written.text, request))
    if written.end is None:
        side.end.caption(f"Writing, {time.monotonic() - began:.0f} s")
        return
    side.end.caption(style.text(playground.ending_text(written, request.decoding.max_tokens)))
    if not written.text:
        side.place.caption("The model wrote nothing: its first token ends the text.")


def _make_turn(written: Written, request: GenerateRequest) -> Turn:
    """A text with what was asked, for the next run of the page."""
    message = request.messages[-1].content if request.messages else ""
    ending = playground.ending_text(written, request.decoding.max_tokens)
    return Turn(message, playground.split_answer(written.text, request), ending)
