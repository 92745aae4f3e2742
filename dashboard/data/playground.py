"""Text from one prompt, piece by piece, through the engines of the evaluation: a checkpoint or a server.

The text stays text: nothing here or on the page runs it or renders it as HTML.
"""

import queue
import threading
import time
import tomllib
from collections.abc import Generator, Sequence
from pathlib import Path

from msgspec.structs import replace

from evals.chat import ChatShape, folder_template, render_messages
from evals.engines import transformers_local
from evals.engines.http import openai
from evals.engines.http.endpoint import Limits, NoAnswer, Refused, check_url
from evals.engines.local.rows import is_out_of_memory
from evals.engines.transformers_local import TransformersLocal
from evals.records import Decoding, GenerateRequest, Message, StreamEnd, TextStream
from evals.scoring.thought import THINK, SplitText, ThoughtPlan, find_opened, find_tags, split_thought
from zoo.api_key import belongs
from zoo.errors import ZooError
from zoo.records import Record
from zoo.visible import plain

KEY = "PHIZOO_API_KEY"  # the only key that the page sends, and only to the server of PHIZOO_API_URL
WAKE_SECONDS = 0.2  # so often the page looks whether the reader has stopped it
PATIENCE = Limits(tries=1, timeout_seconds=60)
EXAMPLES: dict[str, str] = tomllib.loads(Path(__file__).with_name("examples.toml").read_text(encoding="utf-8"))


def make_request(prompt: str, max_tokens: int = 256, temperature: float = 0.0, seed: int = 0) -> GenerateRequest:
    """The request for one text after a prompt, byte for byte."""
    decoding = Decoding(max_tokens=max_tokens, temperature=temperature)
    return GenerateRequest(sample="playground", draw=0, prompt=prompt, decoding=decoding, seed=seed)


def make_chat(
    system: str, turns: Sequence[tuple[str, str]], message: str, decoding: Decoding, seed: int = 0
) -> GenerateRequest:
    """The request for the next answer of a chat, which a server's template or `render_chat` makes a prompt of.

    system  "" for none
    turns   (message, answer without its thought) of each turn so far
    """
    messages = [Message(role="system", content=system)] if system.strip() else []
    for question, answer in turns:
        messages += [Message(role="user", content=question), Message(role="assistant", content=answer)]
    messages.append(Message(role="user", content=message))
    return GenerateRequest(
        sample="playground", draw=0, prompt=message, decoding=decoding, seed=seed, messages=tuple(messages),
        thought=ThoughtPlan((THINK,)),
    )  # fmt: skip


def render_chat(folder: Path, request: GenerateRequest) -> GenerateRequest:
    """A chat's request with the prompt that the checkpoint's own template makes of it, and the tags of its thought.

    Raises  ZooError for a base model, which has no template, and as the template refuses
    """
    template = folder_template(folder)
    if template is None:
        raise ZooError("this checkpoint has no chat template: it is a base model; ask it as a completion")
    prompt, tags = render_messages(template, ChatShape(), request.messages), find_tags(template.text)
    plan = ThoughtPlan(tags, find_opened(prompt, tags, request.messages[-1].content))
    return replace(request, prompt=prompt, thought=plan)


def split_answer(text: str, request: GenerateRequest) -> SplitText:
    """A text so far as its thought and its answer; a completion is all answer."""
    plan = request.thought
    return SplitText("", text) if plan is None else split_thought(text, plan.tags, plan.opened)


def open_checkpoint(folder: Path) -> TransformersLocal:
    """The engine on a checkpoint's folder, loaded and checked as for an evaluation."""
    engine = transformers_local.connect(folder)
    _ = engine.model  # loads now
    return engine


def stream_from_server(url: str, model: str, request: GenerateRequest) -> TextStream:
    """The text that an OpenAI-compatible server streams.

    model   its name there; empty where the server has only one
    Raises  ZooError when it cannot be reached or refuses
    """
    url = check_url(url.strip())
    keys = (KEY,) if belongs(KEY, url) else ()
    engine = openai.connect(None, url=url, model=model, limits=PATIENCE, keys=keys)
    try:
        return (yield from engine.stream(request))
    except Refused as error:
        raise ZooError(f"{url} refuses the request: {error}") from None
    except NoAnswer as error:
        raise ZooError(f"{url}: {error.reason}; is the server up? phizoo serve NAME") from None


def explain(error: Exception) -> ZooError:
    """The one line to show for a fault of an engine."""
    if isinstance(error, ZooError):
        return error
    if isinstance(error, ImportError):
        return ZooError(f"{error.name} is not installed: pip install 'phi-zoo[eval]'")
    if is_out_of_memory(error):
        return ZooError("the engine ran out of memory; take fewer tokens, or a smaller model")
    return ZooError(f"the engine failed: {type(error).__name__}: {error}")


Piece = str | StreamEnd | ZooError  # of a text: its next part, how it ended, or the error that ended it


def side_by_side(streams: Sequence[TextStream]) -> Generator[tuple[int, Piece], None, None]:
    """The pieces of several streams as they come, by the stream's number; an empty one where none came for a while.

    Closing this iterator ends the streams: each writes no more than the token that it is at.
    """
    waiting: queue.Queue[tuple[int, Piece | None]] = queue.Queue()
    closed = threading.Event()

    def pump(number: int, stream: TextStream) -> None:
        try:
            while not closed.is_set():
                waiting.put((number, next(stream)))
            stream.close()
        except StopIteration as ended:
            waiting.put((number, ended.value))
        except Exception as error:  # a fault ends its own side, not the page
            waiting.put((number, explain(error)))
        finally:
            waiting.put((number, None))

    for number, stream in enumerate(streams):
        threading.Thread(target=pump, args=(number, stream), daemon=True).start()
    running = len(streams)
    try:
        while running:
            try:
                number, piece = waiting.get(timeout=WAKE_SECONDS)
            except queue.Empty:
                yield 0, ""
                continue
            if piece is None:
                running -= 1
            else:
                yield number, piece
    finally:
        closed.set()


class Written(Record, frozen=True, kw_only=True):
    """One side's text so far, for as long as its request was answered.

    end      how it ended; None while it is written, or where the reader stopped it
    fault    the error that ended it
    seconds  from the request to the last piece, after loading
    """

    text: str = ""
    end: StreamEnd | None = None
    fault: str = ""
    seconds: float = 0.0

    def add(self, piece: Piece, began: float) -> "Written":
        """The text with the next piece, which came now."""
        seconds = time.monotonic() - began
        if isinstance(piece, str):
            return replace(self, text=self.text + piece, seconds=seconds if piece else self.seconds)
        if isinstance(piece, StreamEnd):
            return replace(self, end=piece, seconds=seconds)
        return replace(self, fault=str(piece))


def ending_text(written: Written, most: int) -> str:
    """Why a text ended, its tokens (characters, where they are not counted) and the seconds that it took.

    most  the tokens that were asked for

    >>> ending_text(Written(text="ab", end=StreamEnd(finish="length", tokens=12), seconds=4), 12)
    'Ended by the limit of 12 tokens · 12 tokens in 4.0 s, 3.0 a second, after loading'
    >>> ending_text(Written(text="ab", seconds=4), 12)
    'Stopped by you · 2 characters in 4.0 s, after loading'
    """
    end = written.end
    if end is None:
        why = "Stopped by you"
    elif end.finish == "length":
        early = end.tokens is not None and end.tokens < most
        why = f"Ended before {most:,} tokens, where the context or the server's own limit is reached" if early else ""
        why = why or f"Ended by the limit of {most:,} tokens"
    elif end.finish in ("stop", ""):
        why = "Ended by the model" if end.finish else "Ended; the server does not say why"
    else:
        why = f"Ended by the server: {plain(end.finish)[:40]}"
    if end is None or end.tokens is None:
        return f"{why} · {len(written.text):,} characters in {written.seconds:.1f} s, after loading"
    rate = f", {end.tokens / written.seconds:.1f} a second" if written.seconds else ""
    return f"{why} · {end.tokens:,} token{'s' * (end.tokens != 1)} in {written.seconds:.1f} s{rate}, after loading"
