"""Text generation in slots: a fixed number of rows, each refilled as soon as its text has ended.

Keys and values are in one buffer, a row a slot, every row at its own length. When a text ends, the last one
takes its slot, so that no step is computed for an empty slot, and new prompts follow behind. The mask is ours, so a
window of the model's own is not applied: `evals.engines.local.probe` says for which models and up to which length this
path may be taken. A Phi or a Llama on a CPU is read without padding (`evals.engines.local.lean`), any other model by
its own forward pass.

Letters in names: B slots, T tokens, V vocabulary.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from evals.engines.local import side_by_side
from evals.engines.local.generate import Text, draw
from evals.engines.local.padded import read_head
from evals.engines.local.side_by_side import LeanPass
from evals.engines.tokens import Tokens

Draw = Callable[[Any, Sequence[Text], Tokens], list[int]]  # logits, texts, tokenizer -> the next token of each
GROW_TOKENS = 128  # the buffer grows in such steps: few copies, little memory unused


class SlotLayer:
    """One layer's keys and values for all slots, each row written at its own place: (slots, T, heads, size).

    Has the methods of a transformers cache layer: `update` gives the keys and values that attention reads.
    """

    supports_early_init = False

    def __init__(self, slots: "Slots") -> None:
        self.slots, self.keys, self.values = slots, None, None  # type: Slots, Any, Any
        self.is_sliding, self.is_initialized, self.is_compileable = False, True, False

    def write(self, keys_BHS: Any, values_BHS: Any) -> None:
        """The newest keys and values of every text, each at the end of its row."""
        rows, place = self.slots.rows, self.slots.lengths
        self.keys[rows, place] = keys_BHS
        self.values[rows, place] = values_BHS

    def update(self, keys: Any, values: Any, *_args: Any, **_kwargs: Any) -> tuple[Any, Any]:
        """Keeps the newest keys and values, and gives those of all texts."""
        count, width = len(self.slots.texts), self.slots.width
        self.write(keys[:, :, 0], values[:, :, 0])
        return self.keys[:count, :width].transpose(1, 2), self.values[:count, :width].transpose(1, 2)

    def put(self, begin: int, keys_BTHS: Any, values_BTHS: Any) -> None:
        """Keys and values of new prompts into the slots from `begin` on (padding behind them is never read)."""
        self.room(keys_BTHS, values_BTHS)
        rows, length = slice(begin, begin + len(keys_BTHS)), keys_BTHS.shape[1]
        self.keys[rows, :length] = keys_BTHS
        self.values[rows, :length] = values_BTHS

    def room(self, keys: Any, values: Any) -> None:
        """Grows to the slots' capacity; the arguments are some keys and values (.., heads, size)."""
        capacity = self.slots.capacity
        if self.keys is not None and self.keys.shape[1] >= capacity:
            return
        for name, like in (("keys", keys), ("values", values)):
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
        """The number of tokens of the longest text so far."""
        return int(self.slots.width) - 1

    def get_mask_sizes(self, query_length: int) -> tuple[int, int]:
        """The width of the mask, and where it begins."""
        return int(self.slots.width), 0

    def get_max_length(self) -> int:
        """No limit."""
        return -1


def _zeros(shape: tuple[int, ...], like: Any) -> Any:
    """Zeros of a tensor's kind; on a CPU a page takes memory only when it is first written."""
    import numpy
    import torch

    if like.device.type == "cpu" and like.dtype == torch.float32:
        return torch.from_numpy(numpy.zeros(shape, dtype=numpy.float32))
    return torch.zeros(shape, dtype=like.dtype, device=like.device)


class Slots:
    """The slots of one model: prompts in, finished texts out. Texts fill the first slots, without gaps."""

    def __init__(self, model: Any, tokens: Tokens, count: int, *, lean: LeanPass | None, draw: Draw = draw) -> None:
        self.model, self.tokens, self.count, self.capacity = model, tokens, count, 0
        self.lean, self.draw = lean, draw  # lean: on a CPU, without padding
        self.texts: list[Text] = []
        self.layers: list[Any] = []  # of SlotLayer
        self.rows: Any = None
        self.lengths: Any = None  # of the texts so far, prompt and written
        self.last: Any = None  # each text's newest token, not fed yet
        self.width = 0

    def steps(self, waiting: Sequence[Text]) -> Iterator[list[Text]]:
        """Yields after each step of the model the texts that ended with it."""
        import torch
        from transformers.cache_utils import CacheLayerMixin

        CacheLayerMixin.register(SlotLayer)  # some families look for an attention layer among the cache's
        queue = list(waiting)
        self.count = min(self.count, len(queue))
        self.layers = [SlotLayer(self) for _ in range(self.model.config.num_hidden_layers)]
        self.lengths = torch.zeros(0, dtype=torch.long, device=self.model.device)
        self.last = self.lengths.clone()
        while queue or self.texts:
            free = self.count - len(self.texts)
            # one prompt costs almost as much as several: refill when a quarter of the slots is free
            if queue and (free * 4 >= self.count or not self.texts):
                new, queue = queue[:free], queue[free:]
                self._fill(new)
            yield list(self._take_ended())
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
            logits = encode(begin, texts)
        device = self.model.device
        self.lengths = torch.cat([self.lengths, torch.tensor(lengths, device=device)])
        self.last = torch.cat([self.last, torch.zeros(len(texts), dtype=torch.long, device=device)])
        self._draw(begin, logits)

    def _encode_side_by_side(self, begin: int, texts: Sequence[Text]) -> Any:
        """The logits at each prompt's end, prompts read without padding, some at a time."""
        import torch

        assert self.lean is not None
        states = []
        while texts:
            prompts, size = [texts[0].prompt.tokens], len(texts[0].prompt.tokens)
            for text in texts[1:]:
                size += len(text.prompt.tokens)
                if size > side_by_side.PASS_TOKENS:
                    break
                prompts.append(text.prompt.tokens)
            states.append(side_by_side.encode_prompts(self.lean, prompts, begin, self.layers))
            begin, texts = begin + len(prompts), texts[len(prompts) :]
        return self.lean.head(torch.cat(states))

    def _encode_padded(self, begin: int, texts: Sequence[Text]) -> Any:
        """The logits at each prompt's end for any model: right-padded, no real token sees the padding."""
        import torch
        from transformers import DynamicCache

        longest = max(len(text.prompt.tokens) for text in texts)
        input_BT = torch.zeros((len(texts), longest), dtype=torch.long)
        for number, text in enumerate(texts):
            input_BT[number, : len(text.prompt.tokens)] = torch.tensor(text.prompt.tokens)
        cache: Any = DynamicCache()  # without the config: a layer with a window keeps all keys too
        with read_head(self.model, [(row, len(text.prompt.tokens) - 1) for row, text in enumerate(texts)]):
            logits_BV = self.model(
                input_ids=input_BT.to(self.model.device), past_key_values=cache, use_cache=True
            ).logits[0]
        for layer, filled in zip(self.layers, cache.layers, strict=True):
            layer.put(begin, filled.keys.transpose(1, 2), filled.values.transpose(1, 2))
        return logits_BV

    def _step(self) -> None:
        """One more token for every text."""
        import torch

        self.width = int(self.lengths.max()) + 1
        if self.width > self.capacity:
            self.capacity += GROW_TOKENS
            for layer in self.layers:
                layer.room(layer.keys, layer.values)
        self.rows = torch.arange(len(self.texts), device=self.model.device)
        with torch.inference_mode():
            logits = self._step_side_by_side() if self.lean else self._step_padded()
        self.lengths = self.lengths + 1
        self._draw(0, logits)

    def _step_side_by_side(self) -> Any:
        """The logits after the newest token of each text, by the pass without padding."""
        assert self.lean is not None
        return self.lean.head(side_by_side.step(self.lean, self.last, self.lengths, self.layers))

    def _step_padded(self) -> Any:
        """The logits after the newest token of each text, by the model's own forward pass."""
        from transformers.cache_utils import Cache

        return self.model(
            input_ids=self.last[:, None],
            position_ids=self.lengths[:, None],
            attention_mask=side_by_side.make_past_mask(self.lengths, self.width, self.model.dtype),
            past_key_values=Cache(layers=self.layers),
            use_cache=True,
        ).logits[:, 0]

    def _draw(self, begin: int, logits_BV: Any) -> None:
        import torch

        drawn = self.draw(logits_BV, self.texts[begin:], self.tokens)
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
