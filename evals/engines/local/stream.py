"""Writes one text token by token, each with its log-probability, for a server that streams.

For many texts at once there is `evals.engines.local.write`; `Text` and `draw` are the same, so the tokens are too.
Log-probabilities are the model's own: before temperature, and over the whole vocabulary.

Letters in names: V vocabulary.
"""

from collections.abc import Iterator, Sequence
from typing import Any, Protocol

from evals.engines.local.generate import Text, draw
from evals.engines.local.paths import CACHE, Paths
from evals.engines.local.plain import Reader
from evals.engines.tokens import Tokens
from zoo.records import Record


class TokenStep(Record, frozen=True, kw_only=True):
    """One token drawn: its log-probability (nats), and the likeliest tokens there with theirs."""

    token: int
    logprob: float
    top: tuple[tuple[int, float], ...]


def write_steps(model: Any, tokens: Tokens, paths: Paths, text: Text, likeliest: int) -> Iterator[TokenStep]:
    """Writes a text to its end by the plain path and yields each token as it comes, but not the end-of-text token.

    likeliest  how many of the likeliest tokens to give with each, 0 or more
    """
    with_cache = CACHE in (paths.texts, paths.longer_texts)
    return read_steps(Reader(model, [text.prompt.tokens], with_cache=with_cache), tokens, text, likeliest)


class NextLogits(Protocol):
    """Reads one text on."""

    def next_logits(self) -> Any:
        """Logits of its next token, fp32, shape (1, V)."""

    def append(self, tokens: Sequence[int]) -> None:
        """Adds the token that was drawn."""


def read_steps(reader: NextLogits, tokens: Tokens, text: Text, likeliest: int) -> Iterator[TokenStep]:
    """Writes a text to its end from any reader of it; as `write_steps`."""
    import torch

    while not text.finish:
        logits_V = reader.next_logits()[0]
        token = draw(logits_V[None], [text], tokens)[0]
        logprobs_V = torch.log_softmax(logits_V, dim=-1)
        best = logprobs_V[: tokens.size].topk(min(likeliest, tokens.size))
        top = tuple(zip(best.indices.tolist(), best.values.tolist(), strict=True))
        written = len(text.written)
        text.add(token)
        if len(text.written) > written:
            yield TokenStep(token=token, logprob=float(logprobs_V[token]), top=top)
        reader.append([token])


class Pieces:
    """The part of a text that is safe to stream: complete characters, no possible beginning of a stop string."""

    def __init__(self, text: Text) -> None:
        self.text, self.sent = text, 0

    def new(self) -> str:
        """The text that became safe since the last call; the whole rest once the text has ended."""
        whole = self.text.bytes
        end = len(whole)
        if not self.text.finish:
            unsure = max(
                (n for stop in self.text.stops for n in range(1, len(stop)) if whole.endswith(stop[:n])), default=0
            )
            end = max(self.sent, end - unsure)
            if not self.text.tokens.spelling.joins:  # the next token may change the last word
                end = max(self.sent, whole.rfind(b" ", 0, end))
            end = max(self.sent, end - _cut_character(whole[self.sent : end]))
        piece, self.sent = whole[self.sent : end], end
        return piece.decode("utf-8", "replace")


def _cut_character(piece: bytes) -> int:
    """How many bytes at the end belong to a character that is not complete yet.

    >>> _cut_character("é".encode()[:1]), _cut_character("é".encode()), _cut_character(b"")
    (1, 0, 0)
    """
    for back in range(1, min(3, len(piece)) + 1):
        first = piece[-back]
        if first >= 0xC0:
            needs = 2 if first < 0xE0 else 3 if first < 0xF0 else 4
            return back if needs > back else 0
        if first < 0x80:
            return 0
    return 0
