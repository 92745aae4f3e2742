"""Text generation in slots: a fixed number of rows, each refilled as soon as its text has ended.

Keys and values are in one buffer, a row a slot, every row at its own length. When a text ends, the last one
takes its slot, so that no step is computed for an empty slot, and new prompts follow behind. A draw depends
on the request's seed, the model and the prompt alone, never on the other rows (up to the rounding of the
engine's matrix products, which `phizoo eval check batch` measures).
A Phi on a CPU is read without padding (`evals.engines.local.phi_cpu`), any other model by its own forward pass.

Letters in names: B slots, T tokens, V vocabulary.
"""

from collections.abc import Iterator, Sequence
from typing import Any, Literal

from evals.engines.local import phi_cpu
from evals.engines.local.rows import find_likeliest, is_out_of_memory
from evals.engines.tokens import Prompt, Tokens
from evals.records import GenerateRequest, Generation
from evals.scoring.finite import NO_LOGITS

HEAD_TOKENS = 256  # a nucleus is first looked for among so many of the likeliest tokens
CONTEXT_SPELLED = 8  # tokens of the prompt on which the spelling of the next one may depend
GROW_TOKENS = 128  # the buffer grows in such steps: few copies, little memory unused


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
        self.stops = [stop.encode() for stop in request.decoding.stop if stop]
        self.longest = max((len(stop) for stop in self.stops), default=1)
        self.room = min(request.decoding.max_tokens, context_tokens - len(prompt.tokens))
        self.finish: Literal["", "stop", "length", "fault"] = ""
        self.fault = ""
        self.chance = numpy.random.Generator(numpy.random.PCG64(request.seed))

    def add(self, token: int) -> None:
        """Takes the next token; sets `finish` when the text ends with it. A text that has ended takes none."""
        if self.finish:
            return
        if token in self.tokens.ends:
            self.finish = "stop"
            return
        spelling = self.tokens.spelling
        piece = spelling.of(token, first=self.first)
        self.written.append(token)
        if not spelling.joins:
            self.bytes, piece = spelling.text(self.written, before=self.prompt.tokens[-CONTEXT_SPELLED:]), b""
        elif self.first:
            self.first = not spelling.of(token)
        if self.heal:  # the prompt ends in these bytes already
            count = min(len(self.heal), len(piece))
            self.heal, piece = self.heal[count:], piece[count:]
        seen = max(0, len(self.bytes) - self.longest)
        self.bytes += piece
        ends = [place for stop in self.stops if (place := self.bytes.find(stop, seen)) >= 0]
        if ends:
            self.bytes, self.finish = self.bytes[: min(ends)], "stop"
        elif len(self.written) >= self.room:
            self.finish = "length"

    def fail(self, fault: str) -> None:
        """Ends the text without an answer."""
        self.finish, self.fault, self.bytes = "fault", fault, b""

    def generation(self) -> Generation:
        """The text as a run keeps it."""
        return Generation(
            sample=self.request.sample, draw=self.request.draw, text=self.bytes.decode("utf-8", "replace"),
            prompt_tokens=len(self.prompt.tokens), tokens=len(self.written),
            finish=self.finish or "length", truncated=self.prompt.truncated, fault=self.fault,
        )  # fmt: skip


def generate(
    model: Any, tokens: Tokens, requests: Sequence[GenerateRequest], context_tokens: int, slots: int,
    prompts: Sequence[Prompt] | None = None,
) -> Iterator[Generation]:  # fmt: skip
    """Generates every text and yields each as it ends; longest prompts first, so that the last ones are short.

    prompts  already encoded, one a request; by default each request's text under its boundary

    When memory runs out, the number of slots is halved and unfinished texts are begun again.
    """
    if prompts is None:
        prompts = [encode_prompt(request, tokens, context_tokens) for request in requests]
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
            if not is_out_of_memory(error) or slots == 1:
                raise
            slots = max(1, slots // 2)
            unfinished = [text for text in waiting if (text.request.sample, text.request.draw) not in done]
            waiting = [Text(text.request, text.prompt, tokens, context_tokens) for text in unfinished]


def encode_prompt(request: GenerateRequest, tokens: Tokens, context_tokens: int) -> Prompt:
    """A request's prompt in tokens. It keeps at least half of the context; the text has the rest."""
    room = max(context_tokens - request.decoding.max_tokens, context_tokens // 2)
    return tokens.prompt(request.prompt, request.decoding, room)


class _Layer:
    """One layer's keys and values for all slots, each row written at its own place: (slots, T, heads, size).

    Has the methods of a transformers cache layer: `update` gives the keys and values that attention reads.
    """

    def __init__(self, slots: "_Slots") -> None:
        self.slots, self.keys, self.values = slots, None, None  # type: _Slots, Any, Any
        self.is_sliding, self.is_initialized, self.is_compileable = False, True, False

    def write(self, keys_BHS: Any, values_BHS: Any) -> None:
        """The newest keys and values of every text, each at the end of its row."""
        rows, place = self.slots.rows, self.slots.lengths
        self.keys[rows, place] = keys_BHS
        self.values[rows, place] = values_BHS

    def update(self, keys: Any, values: Any, *_args: Any, **_kwargs: Any) -> tuple[Any, Any]:
        count, width = len(self.slots.texts), self.slots.width
        self.write(keys[:, :, 0], values[:, :, 0])
        return self.keys[:count, :width].transpose(1, 2), self.values[:count, :width].transpose(1, 2)

    def put(self, begin: int, keys_BTHS: Any, values_BTHS: Any) -> None:
        """Keys and values of new prompts into the slots from `begin` on (padding behind them is never read)."""
        self.room(keys_BTHS)
        rows, length = slice(begin, begin + len(keys_BTHS)), keys_BTHS.shape[1]
        self.keys[rows, :length] = keys_BTHS
        self.values[rows, :length] = values_BTHS

    def room(self, like: Any) -> None:
        """Grows to the slots' capacity; `like` is some keys (.., heads, size)."""
        capacity = self.slots.capacity
        if self.keys is not None and self.keys.shape[1] >= capacity:
            return
        for name in ("keys", "values"):
            old = getattr(self, name)
            new = _zeros((self.slots.count, capacity, *like.shape[-2:]), like)
            if old is not None:
                new[:, : old.shape[1]] = old
            setattr(self, name, new)

    def move(self, source: int, target: int, length: int) -> None:
        """Copies the text of one slot into another."""
        self.keys[target, :length] = self.keys[source, :length]
        self.values[target, :length] = self.values[source, :length]

    def get_seq_length(self) -> int:
        return int(self.slots.width) - 1

    def get_mask_sizes(self, query_length: int) -> tuple[int, int]:
        return int(self.slots.width), 0

    def get_max_length(self) -> int:
        return -1


def _zeros(shape: tuple[int, ...], like: Any) -> Any:
    """Zeros of a tensor's kind; on a CPU a page takes memory only when it is first written."""
    import numpy
    import torch

    if like.device.type == "cpu" and like.dtype == torch.float32:
        return torch.from_numpy(numpy.zeros(shape, dtype=numpy.float32))
    return torch.zeros(shape, dtype=like.dtype, device=like.device)


class _Slots:
    """The slots of one model: prompts in, finished texts out. Texts fill the first slots, without gaps."""

    def __init__(self, model: Any, tokens: Tokens, count: int) -> None:
        self.model, self.tokens, self.count, self.capacity = model, tokens, count, 0
        self.lean = phi_cpu.fits(model)
        self.texts: list[Text] = []
        self.layers: list[Any] = []  # of _Layer
        self.rows: Any = None
        self.lengths: Any = None  # of the texts so far, prompt and written
        self.last: Any = None  # each text's newest token, not fed yet
        self.width = 0

    def run(self, waiting: Sequence[Text]) -> Iterator[Text]:
        """Yields every text when it has ended."""
        import torch

        queue = list(waiting)
        self.count = min(self.count, len(queue))
        self.layers = [_Layer(self) for _ in range(self.model.config.num_hidden_layers)]
        self.lengths = torch.zeros(0, dtype=torch.long, device=self.model.device)
        self.last = self.lengths.clone()
        while queue or self.texts:
            free = self.count - len(self.texts)
            # one prompt costs almost as much as several: refill when a quarter of the slots is free
            if queue and (free * 4 >= self.count or not self.texts):
                new, queue = queue[:free], queue[free:]
                self._fill(new)
            yield from self._take_ended()
            if self.texts:
                self._step()

    def _fill(self, texts: Sequence[Text]) -> None:
        """Encodes new prompts into the slots behind those in use, and draws their first tokens."""
        import torch

        begin = len(self.texts)
        lengths = [len(text.prompt.tokens) for text in texts]
        longest = max([*lengths, *self.lengths.tolist()])
        self.capacity = max(self.capacity, -(-(longest + GROW_TOKENS) // GROW_TOKENS) * GROW_TOKENS)
        self.texts += texts
        with torch.inference_mode():
            encode = self._encode_side_by_side if self.lean else self._encode_padded
            logits = self.model.get_output_embeddings()(encode(begin, texts))
        device = self.model.device
        self.lengths = torch.cat([self.lengths, torch.tensor(lengths, device=device)])
        self.last = torch.cat([self.last, torch.zeros(len(texts), dtype=torch.long, device=device)])
        self._draw(begin, logits)

    def _encode_side_by_side(self, begin: int, texts: Sequence[Text]) -> Any:
        """The last layer at each prompt's end, prompts read without padding, some at a time."""
        import torch

        states = []
        while texts:
            prompts, size = [texts[0].prompt.tokens], len(texts[0].prompt.tokens)
            for text in texts[1:]:
                size += len(text.prompt.tokens)
                if size > phi_cpu.PASS_TOKENS:
                    break
                prompts.append(text.prompt.tokens)
            states.append(phi_cpu.encode_prompts(self.model, prompts, begin, self.layers))
            begin, texts = begin + len(prompts), texts[len(prompts) :]
        return torch.cat(states)

    def _encode_padded(self, begin: int, texts: Sequence[Text]) -> Any:
        """The last layer at each prompt's end for any model: right-padded, no real token sees the padding."""
        import torch
        from transformers import DynamicCache

        longest = max(len(text.prompt.tokens) for text in texts)
        input_BT = torch.zeros((len(texts), longest), dtype=torch.long)
        for number, text in enumerate(texts):
            input_BT[number, : len(text.prompt.tokens)] = torch.tensor(text.prompt.tokens)
        cache: Any = DynamicCache(config=self.model.config)
        hidden_BTD = self.model.base_model(
            input_ids=input_BT.to(self.model.device), past_key_values=cache, use_cache=True
        ).last_hidden_state
        for layer, filled in zip(self.layers, cache.layers, strict=True):
            layer.put(begin, filled.keys.transpose(1, 2), filled.values.transpose(1, 2))
        ends = torch.tensor([len(text.prompt.tokens) - 1 for text in texts], device=hidden_BTD.device)
        return hidden_BTD[torch.arange(len(texts), device=hidden_BTD.device), ends]

    def _step(self) -> None:
        """One more token for every text."""
        import torch

        self.width = int(self.lengths.max()) + 1
        if self.width > self.capacity:
            self.capacity += GROW_TOKENS
            for layer in self.layers:
                layer.room(layer.keys)
        self.rows = torch.arange(len(self.texts), device=self.model.device)
        with torch.inference_mode():
            hidden_BD = (
                phi_cpu.step(self.model, self.last, self.lengths, self.layers) if self.lean else self._plain_step()
            )
            logits = self.model.get_output_embeddings()(hidden_BD)
        self.lengths = self.lengths + 1
        self._draw(0, logits)

    def _plain_step(self) -> Any:
        """The last layer at the newest token of each text, by the model's own forward pass."""
        from transformers.cache_utils import Cache

        return self.model.base_model(
            input_ids=self.last[:, None],
            position_ids=self.lengths[:, None],
            attention_mask=phi_cpu.make_past_mask(self.lengths, self.width, self.model.dtype),
            past_key_values=Cache(layers=self.layers),
            use_cache=True,
        ).last_hidden_state[:, 0]

    def _draw(self, begin: int, logits_BV: Any) -> None:
        import torch

        drawn = draw(logits_BV, self.texts[begin:], self.tokens)
        for text, token in zip(self.texts[begin:], drawn, strict=True):
            text.add(token)
        self.last[begin:] = torch.tensor(drawn, device=self.last.device)

    def _take_ended(self) -> Iterator[Text]:
        """Removes the texts that have ended and yields them; the last text fills each gap."""
        import torch

        for slot in reversed(range(len(self.texts))):
            text = self.texts[slot]
            if not text.finish:
                continue
            last = len(self.texts) - 1
            if slot < last:
                length = int(self.lengths[last])
                with torch.inference_mode():
                    for layer in self.layers:
                        layer.move(last, slot, length)
                self.texts[slot] = self.texts[last]
                self.lengths[slot], self.last[slot] = self.lengths[last], self.last[last]
            self.texts.pop()
            self.lengths, self.last = self.lengths[:last], self.last[:last]
            yield text


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
