"""Text from one prompt, piece by piece, through the engines of the evaluation: a checkpoint or a server.

The text stays text: nothing here or on the page runs it or renders it as HTML.
"""

import queue
import threading
import tomllib
from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec

from evals.chat import ChatShape, folder_template, render_messages
from evals.engines import transformers_local
from evals.engines.http import openai
from evals.engines.http.endpoint import Limits, NoAnswer, Refused, check_url
from evals.engines.local.rows import is_out_of_memory
from evals.engines.transformers_local import TransformersLocal
from evals.records import Decoding, GenerateRequest, Message
from evals.scoring.thought import THINK, SplitText, ThoughtPlan, find_opened, find_tags, split_thought
from zoo.api_key import belongs
from zoo.errors import ZooError

KEY = "PHIZOO_API_KEY"  # the only key that the page sends, and only to the server of PHIZOO_API_URL
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
    return msgspec.structs.replace(request, prompt=prompt, thought=plan)


def split_answer(text: str, request: GenerateRequest) -> SplitText:
    """A text so far as its thought and its answer; a completion is all answer."""
    plan = request.thought
    return SplitText("", text) if plan is None else split_thought(text, plan.tags, plan.opened)


def open_checkpoint(folder: Path) -> TransformersLocal:
    """The engine on a checkpoint's folder, loaded and checked as for an evaluation."""
    engine = transformers_local.connect(folder)
    _ = engine.model  # loads now
    return engine


def stream_from_server(url: str, model: str, request: GenerateRequest) -> Iterator[str]:
    """The text that an OpenAI-compatible server streams.

    model   its name there; empty where the server has only one
    Raises  ZooError when it cannot be reached or refuses
    """
    url = check_url(url.strip())
    keys = (KEY,) if belongs(KEY, url) else ()
    engine = openai.connect(None, url=url, model=model, limits=PATIENCE, keys=keys)
    try:
        yield from engine.stream(request)
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


def side_by_side(streams: Sequence[Iterator[str]]) -> Iterator[tuple[int, str | ZooError]]:
    """The pieces of several streams as they come: (number of the stream, the piece or the error that ended it)."""
    waiting: queue.Queue[tuple[int, str | ZooError | None]] = queue.Queue()

    def pump(number: int, stream: Iterator[str]) -> None:
        try:
            for piece in stream:
                waiting.put((number, piece))
        except Exception as error:  # a fault ends its own side, not the page
            waiting.put((number, explain(error)))
        finally:
            waiting.put((number, None))

    for number, stream in enumerate(streams):
        threading.Thread(target=pump, args=(number, stream), daemon=True).start()
    running = len(streams)
    while running:
        number, piece = waiting.get()
        if piece is None:
            running -= 1
        else:
            yield number, piece
