"""One text that a model writes, token by token: where it ends, and how its next token is drawn.

The same for every path and engine; `evals.engines.local.write` writes many texts. A draw depends on the request's
seed, the model and the prompt alone, never on the other rows (up to the rounding of the engine's matrix products,
which `phizoo eval check batch` measures).

Letters in names: B texts, V vocabulary.
"""

from collections.abc import Sequence
from typing import Any, Literal

from evals.engines.local.rows import find_likeliest
from evals.engines.local.thinking import Thinking
from evals.engines.tokens import Prompt, Tokens
from evals.records import GenerateRequest, Generation
from evals.scoring.finite import NO_LOGITS

HEAD_TOKENS = 256  # a nucleus is first looked for among so many of the likeliest tokens
CONTEXT_SPELLED = 8  # tokens of the prompt on which the spelling of the next one may depend


class Text:
    """One text being written: its request, tokens so far, and when it ends."""

    def __init__(self, request: GenerateRequest, prompt: Prompt, tokens: Tokens, context_tokens: int) -> None:
        import numpy

        self.request, self.prompt, self.tokens = request, prompt, tokens
        self.heal = prompt.heal
        # behind a prompt of marks alone the text's first token loses its space, where the tokenizer's decoder says so
        self.first = not prompt.heal and not any(map(tokens.spelling.of, prompt.tokens))
        self.written: list[int] = []
        self.bytes = b""
        self._spelled, self._before = 0, b""  # tokens and bytes up to the last mark, where texts are decoded whole
        self.stops = [stop.encode() for stop in request.decoding.stop if stop]
        self.longest = max((len(stop) for stop in self.stops), default=1)
        self.thinking = None if request.thought is None else Thinking(request.thought, tokens)
        closing = self.thinking.closing_tokens if self.thinking else 0
        self.room = min(request.decoding.max_tokens + closing, context_tokens - len(prompt.tokens))
        self.finish: Literal["", "stop", "length", "fault"] = ""
        self.fault = ""
        self.chance = numpy.random.Generator(numpy.random.PCG64(request.seed))

    def add(self, token: int) -> None:
        """Takes the next token; sets `finish` when the text ends with it. A text that has ended takes none."""
        if self.finish:
            return
        if token in self.tokens.ends and not self.forced:
            self.finish = "stop"
            return
        spelling = self.tokens.spelling
        piece = spelling.of(token, first=self.first)
        self.written.append(token)
        if self.thinking and token in self.thinking.marks:
            self.bytes, piece = self.bytes + self.thinking.marks[token], b""
            self._spelled, self._before, self.first = len(self.written), self.bytes, False
        elif not spelling.joins:
            before = self.prompt.tokens[-CONTEXT_SPELLED:]
            self.bytes, piece = self._before + spelling.text(self.written[self._spelled :], before=before), b""
        elif self.first:
            self.first = not spelling.of(token)
        if self.heal:  # the prompt ends in these bytes already
            count = min(len(self.heal), len(piece))
            self.heal, piece = self.heal[count:], piece[count:]
        # where a text is decoded whole, its end may change and a token may add more than a stop string's length
        seen = max(0, len(self.bytes) - self.longest) if spelling.joins else 0
        self.bytes += piece
        if self.thinking:
            self.thinking.step(self.bytes)
            seen = len(self.bytes) if self.thinking.inside else max(seen, self.thinking.behind)
        ends = [place for stop in self.stops if (place := self.bytes.find(stop, seen)) >= 0]
        if ends:
            self.bytes, self.finish = self.bytes[: min(ends)], "stop"
        elif len(self.written) >= self.limit:
            self.finish = "length"

    def add_forced(self) -> None:
        """Takes the tokens that close a thought, for an engine that draws several tokens at a time."""
        while self.forced and not self.finish:
            self.add(self.forced[0])

    def fail(self, fault: str) -> None:
        """Ends the text without an answer."""
        self.finish, self.fault, self.bytes = "fault", fault, b""

    @property
    def limit(self) -> int:
        """Tokens of the text at most. Those that close a thought are given on top of the protocol's own."""
        given = self.thinking.given + len(self.forced) if self.thinking else 0
        return min(self.room, self.request.decoding.max_tokens + given)

    @property
    def forced(self) -> list[int]:
        """The tokens that come next, whatever the model would write: they close a thought."""
        return self.thinking.forced if self.thinking else []

    def generation(self) -> Generation:
        """The text as a run keeps it."""
        answer, thought, thought_tokens, unfinished = self.bytes.decode("utf-8", "replace"), "", 0, False
        if self.thinking and not self.fault:
            answer, thought, thought_tokens, unfinished = self.thinking.split(self.bytes)
        return Generation(
            sample=self.request.sample, draw=self.request.draw, text=answer,
            prompt_tokens=len(self.prompt.tokens), tokens=len(self.written),
            finish=self.finish or "length", truncated=self.prompt.truncated, fault=self.fault,
            thought=thought, thought_tokens=thought_tokens, unfinished=unfinished,
        )  # fmt: skip


def encode_prompt(request: GenerateRequest, tokens: Tokens, context_tokens: int) -> Prompt:
    """A request's prompt in tokens. It keeps at least half of the context; the text has the rest."""
    room = max(context_tokens - request.decoding.max_tokens, context_tokens // 2)
    return tokens.prompt(request.prompt, request.decoding, room)


def draw(logits_BV: Any, texts: Sequence[Text], tokens: Tokens) -> list[int]:
    """Draws the next token of each text: the likeliest at temperature 0, else one from the nucleus.

    Ids above the tokenizer's are padding rows of the embedding and never drawn; a healed prompt allows
    only tokens that spell its bytes. A text whose logits are not finite fails.
    """
    import torch

    logits_BV = logits_BV[:, : tokens.size].float()
    if any(text.heal for text in texts):
        logits_BV = logits_BV.clone()
    for number, text in enumerate(texts):
        if text.heal:
            allowed = torch.zeros(logits_BV.shape[1], dtype=torch.bool, device=logits_BV.device)
            allowed[healing_tokens(text.heal, tokens)] = True
            logits_BV[number].masked_fill_(~allowed, -torch.inf)
    best_B = find_likeliest(logits_BV)
    best: list[int] = best_B.tolist()
    # NaN and infinity are the largest of their row
    finite = torch.isfinite(logits_BV.gather(1, best_B.to(logits_BV.device)[:, None]))[:, 0].tolist()
    for number, text in enumerate(texts):
        if text.forced:
            best[number] = text.forced[0]
            continue
        if not finite[number]:
            text.fail(NO_LOGITS)
            continue
        decoding = text.request.decoding
        if decoding.temperature > 0.0:
            chances = torch.softmax(logits_BV[number].double() / decoding.temperature, dim=-1)
            best[number] = draw_nucleus(chances, decoding.top_p, float(text.chance.random()))
    return best


def draw_nucleus(chances: Any, top_p: float, point: float) -> int:
    """The token at `point` in 0..1 of the nucleus, the likeliest tokens that together have a chance of top_p.

    Source: Holtzman et al. 2020, arXiv:1904.09751, section 3.1. Drawn through the inverse distribution
    function, so that one number of the text's own generator makes one token.
    """
    if top_p < 1.0 and len(chances) > 2 * HEAD_TOKENS:
        # the nucleus is mostly a few tokens: sorting 51200 took 5 ms a token, this 0.3
        likely = (chances >= chances.topk(HEAD_TOKENS).values[-1]).nonzero()[:, 0]
        if float(chances[likely].sum()) > top_p + 1e-9:
            return int(likely[_draw_sorted(chances[likely], top_p, point)])
    return _draw_sorted(chances, top_p, point)


def _draw_sorted(chances_V: Any, top_p: float, point: float) -> int:
    ordered_V, index_V = chances_V.sort(descending=True, stable=True)
    summed_V = ordered_V.cumsum(0)
    kept = int((summed_V - ordered_V < top_p).sum())  # up to and with the token that reaches top_p
    place = int((summed_V[:kept] <= point * float(summed_V[kept - 1])).sum())
    return int(index_V[min(place, kept - 1)])


def healing_tokens(heal: bytes, tokens: Tokens) -> list[int]:
    """The tokens compatible with the bytes removed from the prompt (token healing)."""
    return [
        n for n, piece in enumerate(tokens.bytes_of) if piece and (piece.startswith(heal) or heal.startswith(piece))
    ]
