"""Text from one prompt, piece by piece: from an OpenAI-compatible server or a checkpoint of the zoo.

What comes is text and stays text: nothing here or on the page runs it or renders it as HTML.
"""

import queue
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from zoo.errors import ZooError
from zoo.records import Record

# the talk's subjects, worded for completion models: a plain question with its answer begun
EXAMPLES = {
    "Logging": (
        "Question: My Python program calls logging.info(...) but nothing is printed. Why, and how do I fix it?\nAnswer:"
    ),
    "Tic-tac-toe": (
        'def winner(board: list[list[str]]) -> str | None:\n    """Return "X" or "O" if that player has three in a row '
        'on the 3x3 tic-tac-toe board, else None."""'
    ),
    "Rhyming proof": "Write a proof that there are infinitely many primes, such that every line rhymes.\n\n",
    "Unicorn in TikZ": "% Draw a unicorn in TikZ\n\\begin{tikzpicture}",
    "Skier": (
        "Question: A skier slides down a frictionless slope of height 40 m and length 80 m. "
        "What is the skier's speed at the bottom?\nAnswer:"
    ),
    "The wrong student": (
        "Question: A skier slides down a frictionless slope of height 40 m and length 80 m. A student found the speed "
        "at the bottom as v = sqrt(2 g L) = sqrt(2 * 9.8 * 80) = 39.6 m/s. What is the student's mistake?\nAnswer:"
    ),
}


class Wanted(Record, frozen=True):
    """What to generate: the prompt's exact text, how many tokens at most, how warm, with which seed."""

    prompt: str
    max_tokens: int = 256
    temperature: float = 0.0
    seed: int = 0


def checked_url(url: str) -> str:
    """The address of a server, if it is one. Raises ZooError with an example otherwise."""
    parts = urlsplit(url.strip())
    if parts.scheme not in ("http", "https") or not parts.netloc or parts.username:
        raise ZooError(f"{url[:80]!r} is no server's address; expected one such as http://127.0.0.1:8000/v1")
    return url.strip().rstrip("/")


def served(url: str, model: str, wanted: Wanted, key: str = "none") -> Iterator[str]:
    """The completion that an OpenAI-compatible server streams.

    model   empty: the server's first one
    Raises  ZooError when it cannot be reached or refuses.
    """
    from openai import OpenAI, OpenAIError

    try:
        with OpenAI(base_url=checked_url(url), api_key=key, timeout=60, max_retries=0) as client:
            name = model or next((one.id for one in client.models.list()), "")
            told = client.completions.create(
                model=name, prompt=wanted.prompt, max_tokens=wanted.max_tokens, temperature=wanted.temperature,
                seed=wanted.seed, stream=True,
            )  # fmt: skip
            for piece in told:
                if piece.choices and piece.choices[0].text:
                    yield piece.choices[0].text
    except OpenAIError as error:
        raise ZooError(f"{url}: {error}; is the server up? phizoo serve NAME") from error


def load(path: Path) -> tuple[Any, Any]:
    """A checkpoint's model and tokenizer, for `local`."""
    from transformers import AutoModelForCausalLM

    from evals.engines.tokens import folder_tokenizer

    tokenizer = folder_tokenizer(path)
    model = AutoModelForCausalLM.from_pretrained(path, trust_remote_code=False)
    model.eval()  # type: ignore[no-untyped-call]
    return model, tokenizer


def local(model: Any, tokenizer: Any, wanted: Wanted) -> Iterator[str]:
    """The completion of a loaded checkpoint, as it is generated."""
    import torch
    from transformers import TextIteratorStreamer

    streamer = TextIteratorStreamer(tokenizer, skip_prompt=True, skip_special_tokens=True, timeout=120)
    room = getattr(model.config, "max_position_embeddings", 2048) - 1
    ids = tokenizer(wanted.prompt, return_tensors="pt")["input_ids"][:, -room:]
    drawn = {"do_sample": True, "temperature": wanted.temperature} if wanted.temperature > 0 else {"do_sample": False}

    def generate() -> None:
        torch.manual_seed(wanted.seed)
        try:
            with torch.inference_mode():
                model.generate(
                    ids, attention_mask=torch.ones_like(ids), streamer=streamer,
                    max_new_tokens=max(1, min(wanted.max_tokens, room - ids.shape[1] + 1)),
                    pad_token_id=tokenizer.eos_token_id, **drawn,
                )  # fmt: skip
        finally:
            streamer.end()  # type: ignore[no-untyped-call]

    threading.Thread(target=generate, daemon=True).start()
    yield from streamer


def side_by_side(streams: Sequence[Iterator[str]]) -> Iterator[tuple[int, str | ZooError]]:
    """The pieces of several streams as they come: (which stream, the piece, or the error that ended it)."""
    waiting: queue.Queue[tuple[int, str | ZooError | None]] = queue.Queue()

    def pump(at: int, stream: Iterator[str]) -> None:
        try:
            for piece in stream:
                waiting.put((at, piece))
        except ZooError as error:
            waiting.put((at, error))
        except Exception as error:  # an engine's fault ends its own side, not the page
            waiting.put((at, ZooError(f"the engine failed: {type(error).__name__}: {error}")))
        finally:
            waiting.put((at, None))

    for at, stream in enumerate(streams):
        threading.Thread(target=pump, args=(at, stream), daemon=True).start()
    left = len(streams)
    while left:
        at, piece = waiting.get()
        if piece is None:
            left -= 1
        else:
            yield at, piece
