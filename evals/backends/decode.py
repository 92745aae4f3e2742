"""Text generation in slots: a fixed number of rows, each refilled as soon as its text has ended.

Keys and values stand in one buffer, a row a slot, every row at its own length, so a finished row
gives its slot to the next prompt without moving the others. What is drawn depends on the request's
seed, the model and the prompt alone, never on which rows stand beside it (up to the rounding of the
engine's matrix products: `phizoo eval check-batch` measures that).

Letters in names: B slots, T tokens, V vocabulary.
"""

from collections.abc import Iterator, Sequence
from typing import Any

from evals.records import GenerateRequest, Generation
from evals.tokens import Prompt, Tokens

GROW_TOKENS = 128  # the buffer grows in such steps: few copies, little memory unused


class Text:
    """One text being written: its request, tokens so far, and when it ends."""

    def __init__(self, request: GenerateRequest, prompt: Prompt, tokens: Tokens, context_tokens: int) -> None:
        import numpy

        self.request, self.prompt, self.tokens = request, prompt, tokens
        self.heal = prompt.heal
        self.written: list[int] = []
        self.bytes = b""
        self.stops = [stop.encode() for stop in request.decoding.stop if stop]
        self.longest = max((len(stop) for stop in self.stops), default=1)
        self.room = min(request.decoding.max_tokens, context_tokens - len(prompt.tokens))
        self.finish = ""
        self.chance = numpy.random.Generator(numpy.random.PCG64(request.seed))

    def add(self, token: int) -> None:
        """Takes the next token; sets `finish` when the text ends with it."""
        if token == self.tokens.eos:
            self.finish = "stop"
            return
        piece = self.tokens.bytes_of[token] if token < self.tokens.size else b""
        self.written.append(token)
        if self.heal:  # these bytes stand in the prompt already
            taken = min(len(self.heal), len(piece))
            self.heal, piece = self.heal[taken:], piece[taken:]
        seen = max(0, len(self.bytes) - self.longest)
        self.bytes += piece
        ends = [at for stop in self.stops if (at := self.bytes.find(stop, seen)) >= 0]
        if ends:
            self.bytes, self.finish = self.bytes[: min(ends)], "stop"
        elif len(self.written) >= self.room:
            self.finish = "length"

    def generation(self) -> Generation:
        return Generation(
            sample=self.request.sample,
            draw=self.request.draw,
            text=self.bytes.decode("utf-8", "replace"),
            prompt_tokens=len(self.prompt.tokens),
            tokens=len(self.written),
            finish="stop" if self.finish == "stop" else "length",
            truncated=self.prompt.truncated,
        )


def generate(
    model: Any,
    tokens: Tokens,
    requests: Sequence[GenerateRequest],
    context_tokens: int,
    slots: int,
    prompts: Sequence[Prompt] | None = None,
) -> Iterator[Generation]:
    """Every request's generation, as each ends; longest prompts first, so that the last ones are short.

    prompts  already encoded, one a request; by default each request's text under its boundary

    When memory runs out, the number of slots is halved and unfinished texts are begun again.
    """
    from evals.backends.tree import out_of_memory

    if prompts is None:
        prompts = [encoded(request, tokens, context_tokens) for request in requests]
    waiting = [Text(*pair, tokens, context_tokens) for pair in zip(requests, prompts, strict=True)]
    waiting.sort(key=lambda text: (-len(text.prompt.tokens), text.request.sample, text.request.draw))
    while waiting:
        done: set[tuple[str, int]] = set()
        try:
            for text in _Slots(model, tokens, slots).run(waiting):
                done.add((text.request.sample, text.request.draw))
                yield text.generation()
            return
        except (MemoryError, RuntimeError) as error:
            if not out_of_memory(error) or slots == 1:
                raise
            slots = max(1, slots // 2)
            left = [text for text in waiting if (text.request.sample, text.request.draw) not in done]
            waiting = [Text(text.request, text.prompt, tokens, context_tokens) for text in left]


def encoded(request: GenerateRequest, tokens: Tokens, context_tokens: int) -> Prompt:
    """A request's prompt in tokens: it keeps at least half of the context, what is written has the rest."""
    room = max(context_tokens - request.decoding.max_tokens, context_tokens // 2)
    return tokens.prompt(request.prompt, request.decoding, room)


class _Layer:
    """One layer's keys and values for all slots, each row written at its own place.

    Quacks like a transformers cache layer: `update` gives what attention shall look at.
    """

    def __init__(self, slots: "_Slots") -> None:
        self.slots, self.keys, self.values = slots, None, None  # type: _Slots, Any, Any
        self.is_sliding, self.is_initialized, self.is_compileable = False, True, False

    def update(self, keys: Any, values: Any, *_args: Any, **_kwargs: Any) -> tuple[Any, Any]:
        rows, place, width = self.slots.rows, self.slots.lengths, self.slots.width
        self.keys[rows, :, place] = keys[:, :, 0]
        self.values[rows, :, place] = values[:, :, 0]
        return self.keys[:, :, :width], self.values[:, :, :width]

    def put(self, rows: Any, keys: Any, values: Any) -> None:
        """Keys and values of new prompts (n, heads, T, size) into the slots `rows`."""
        import torch

        capacity, length = self.slots.capacity, keys.shape[2]
        if self.keys is None or self.keys.shape[2] < capacity:
            shape = (self.slots.count, keys.shape[1], capacity, keys.shape[3])
            for name in ("keys", "values"):
                old, new = getattr(self, name), torch.zeros(shape, dtype=keys.dtype, device=keys.device)
                if old is not None:
                    new[:, :, : old.shape[2]] = old
                setattr(self, name, new)
        if length:
            self.keys[rows, :, :length] = keys
            self.values[rows, :, :length] = values

    def keep(self, rows: Any) -> None:
        """Only these slots stay, in this order."""
        self.keys, self.values = self.keys[rows], self.values[rows]

    def get_seq_length(self) -> int:
        return int(self.slots.width) - 1

    def get_mask_sizes(self, query_length: int) -> tuple[int, int]:
        return int(self.slots.width), 0

    def get_max_length(self) -> int:
        return -1


class _Slots:
    """The slots of one model: prompts in, finished texts out."""

    def __init__(self, model: Any, tokens: Tokens, count: int) -> None:
        self.model, self.tokens, self.count, self.capacity = model, tokens, count, 0
        self.texts: list[Text | None] = []
        self.layers: list[Any] = []  # of _Layer
        self.rows: Any = None
        self.lengths: Any = None
        self.width = 0

    def run(self, waiting: Sequence[Text]) -> Iterator[Text]:
        """Yields every text when it has ended."""
        import torch

        queue = list(waiting)
        self.count = min(self.count, len(queue))
        self.texts = [None] * self.count
        self.layers = [_Layer(self) for _ in range(self.model.config.num_hidden_layers)]
        self.lengths = torch.zeros(self.count, dtype=torch.long, device=self.model.device)
        self.last = torch.zeros(self.count, dtype=torch.long, device=self.model.device)
        while True:
            free = [slot for slot, text in enumerate(self.texts) if text is None]
            # a prompt alone costs almost as much as several: refill when a quarter of the slots is free
            if queue and (len(free) * 4 >= self.count or len(free) == self.count):
                new, queue = queue[: len(free)], queue[len(free) :]
                self._fill(free[: len(new)], new)
            yield from self._ended()
            active = [slot for slot, text in enumerate(self.texts) if text is not None]
            if not active:
                if not queue:
                    return
                continue
            if not queue and len(active) <= self.count // 2:
                self._shrink(active)
            self._step()

    def _fill(self, slots: Sequence[int], texts: Sequence[Text]) -> None:
        """Encodes new prompts, right-padded (no real token sees the padding), and draws their first tokens."""
        import torch
        from transformers import DynamicCache

        longest = max(len(text.prompt.tokens) for text in texts)
        input_BT = torch.zeros((len(texts), longest), dtype=torch.long)
        for number, text in enumerate(texts):
            input_BT[number, : len(text.prompt.tokens)] = torch.tensor(text.prompt.tokens)
        lengths = torch.tensor([len(text.prompt.tokens) for text in texts], device=self.model.device)
        cache: Any = DynamicCache(config=self.model.config)
        with torch.no_grad():
            hidden = self.model.base_model(
                input_ids=input_BT.to(self.model.device), past_key_values=cache, use_cache=True
            ).last_hidden_state
            last = hidden[torch.arange(len(texts), device=hidden.device), lengths - 1]
            logits = self.model.get_output_embeddings()(last)
        held = max([longest, *(int(self.lengths[s]) for s, text in enumerate(self.texts) if text is not None)])
        self.capacity = max(self.capacity, -(-(held + GROW_TOKENS) // GROW_TOKENS) * GROW_TOKENS)
        rows = torch.tensor(slots, device=self.model.device)
        for layer, filled in zip(self.layers, cache.layers, strict=True):
            layer.put(rows, filled.keys, filled.values)
        self.lengths[rows] = lengths
        for number, slot in enumerate(slots):
            self.texts[slot] = texts[number]
        self._draw(list(slots), logits)

    def _step(self) -> None:
        """One more token for every slot; a free slot writes at place 0 and is not read."""
        import torch
        from transformers.cache_utils import Cache

        active = [slot for slot, text in enumerate(self.texts) if text is not None]
        self.width = int(self.lengths.max()) + 1
        if self.width > self.capacity:
            self.capacity += GROW_TOKENS
            for layer in self.layers:
                layer.put(torch.empty(0, dtype=torch.long), layer.keys[:0, :, :0], layer.values[:0, :, :0])
        self.rows = torch.arange(self.count, device=self.model.device)
        sees = torch.arange(self.width, device=self.model.device)[None] <= self.lengths[:, None]
        mask = torch.zeros(sees.shape, dtype=self.model.dtype, device=self.model.device)
        mask.masked_fill_(~sees, torch.finfo(self.model.dtype).min)
        with torch.no_grad():
            hidden = self.model.base_model(
                input_ids=self.last[:, None],
                position_ids=self.lengths[:, None],
                attention_mask=mask[:, None, None],
                past_key_values=Cache(layers=self.layers),
                use_cache=True,
            ).last_hidden_state
            chosen = torch.tensor(active, device=self.model.device)
            logits = self.model.get_output_embeddings()(hidden[chosen, 0])
        self.lengths[chosen] += 1
        self._draw(active, logits)

    def _draw(self, slots: Sequence[int], logits_BV: Any) -> None:
        import torch

        texts = [self.texts[slot] for slot in slots]
        drawn = draw(logits_BV, [text for text in texts if text is not None], self.tokens)
        for slot, token in zip(slots, drawn, strict=True):
            text = self.texts[slot]
            if text is not None:
                text.add(token)
        self.last[torch.tensor(slots, device=self.last.device)] = torch.tensor(drawn, device=self.last.device)

    def _ended(self) -> Iterator[Text]:
        for slot, text in enumerate(self.texts):
            if text is not None and text.finish:
                self.texts[slot] = None
                self.lengths[slot] = 0
                yield text

    def _shrink(self, active: Sequence[int]) -> None:
        """Drops the free slots when nobody waits for them."""
        import torch

        rows = torch.tensor(active, device=self.model.device)
        for layer in self.layers:
            layer.keep(rows)
        self.lengths, self.last = self.lengths[rows], self.last[rows]
        self.texts = [self.texts[slot] for slot in active]
        self.count = len(active)


def draw(logits_BV: Any, texts: Sequence[Text], tokens: Tokens) -> list[int]:
    """The next token of each text: the likeliest at temperature 0, else one draw from the nucleus.

    Ids above the tokenizer's are padding rows of the embedding and never drawn; a healed prompt allows
    only tokens that spell its bytes.
    """
    import torch

    logits_BV = logits_BV.float().clone()
    logits_BV[:, tokens.size :] = -torch.inf
    for number, text in enumerate(texts):
        if text.heal:
            allowed = torch.zeros(logits_BV.shape[1], dtype=torch.bool, device=logits_BV.device)
            allowed[spelling(text.heal, tokens)] = True
            logits_BV[number].masked_fill_(~allowed, -torch.inf)
    best: list[int] = logits_BV.argmax(dim=-1).tolist()
    for number, text in enumerate(texts):
        decoding = text.request.decoding
        if decoding.temperature > 0.0:
            chances = torch.softmax(logits_BV[number].double() / decoding.temperature, dim=-1)
            best[number] = nucleus(chances, decoding.top_p, float(text.chance.random()))
    return best


def nucleus(chances_V: Any, top_p: float, point: float) -> int:
    """The token at `point` in 0..1 of the nucleus: the likeliest tokens that hold top_p of the chance.

    Source: Holtzman et al. 2020, arXiv:1904.09751, section 3.1. By inverse distribution function, so
    that one number of the text's own generator makes one token.
    """
    ordered_V, index_V = chances_V.sort(descending=True, stable=True)
    summed_V = ordered_V.cumsum(0)
    kept = int((summed_V - ordered_V < top_p).sum())  # up to and with the token that reaches top_p
    place = int((summed_V[:kept] <= point * float(summed_V[kept - 1])).sum())
    return int(index_V[min(place, kept - 1)])


def spelling(heal: bytes, tokens: Tokens) -> list[int]:
    """The tokens that go on spelling the bytes taken back: those that begin them or begin with them."""
    return [
        n for n, piece in enumerate(tokens.bytes_of) if piece and (piece.startswith(heal) or heal.startswith(piece))
    ]
