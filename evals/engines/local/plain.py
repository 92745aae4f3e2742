"""The plain path: transformers' own forward pass of the causal model, which defines every answer.

The model makes its own masks, positions and cache and applies its own head. Only sequences of equal length share a
batch, so that there is no padding, and no sequence's length (which decides the frequencies of some rotary positions)
can change its neighbour's result. It takes any causal family; the fast paths are compared with it
(`evals.engines.local.probe`).

Letters in names: B rows, T tokens, V vocabulary.
"""

import inspect
from collections.abc import Iterator, Sequence
from typing import Any

from evals.engines.local.generate import Text, draw
from evals.engines.local.rope import changes_frequencies
from evals.engines.tokens import Tokens

LOGIT_CELLS = 1 << 26  # numbers of logits held at once: 256 MB in fp32
GROUP_TOKENS = 1 << 14  # prompt tokens of the texts that are written in step


def takes(model: Any, option: str) -> bool:
    """Whether a model's forward pass has an option of this name."""
    return option in inspect.signature(model.forward).parameters


def vocabulary_rows(model: Any) -> int:
    """The width of the model's logits."""
    return int(model.config.get_text_config(decoder=True).vocab_size)


def read_logits(model: Any, sequences: Sequence[Sequence[int]], keep: int) -> Any:
    """Logits after each of the last `keep` tokens of sequences of equal length, fp32, shape (B, keep, V)."""
    import torch

    options: dict[str, Any] = {"logits_to_keep": keep} if takes(model, "logits_to_keep") else {}
    if takes(model, "use_cache"):
        options["use_cache"] = False
    input_BT = torch.tensor([list(sequence) for sequence in sequences], device=model.device)
    with torch.inference_mode():
        return model(input_ids=input_BT, **options).logits[:, -keep:].float()


def batches(lengths: Sequence[int], keeps: Sequence[int], vocabulary: int, budget: int) -> Iterator[list[int]]:
    """Batches of places whose lengths are equal, longest first, within a budget of tokens and of logits.

    keeps  for each place, the number of its last tokens whose logits are read
    """
    batch: list[int] = []
    for place in sorted(range(len(lengths)), key=lambda place: (-lengths[place], -keeps[place])):
        if batch:
            grown = len(batch) + 1
            too_many = grown * lengths[place] > budget or grown * keeps[batch[0]] * vocabulary > LOGIT_CELLS
            if lengths[place] != lengths[batch[0]] or too_many:
                yield batch
                batch = []
        batch.append(place)
    if batch:
        yield batch


class Reader:
    """Reads texts of equal length on, a token each at a time, in one batch.

    with_cache  keeps the model's own cache between tokens; without, every token reads the whole texts again
    """

    def __init__(self, model: Any, prompts: Sequence[Sequence[int]], *, with_cache: bool) -> None:
        import torch

        self.model, self.with_cache = model, with_cache
        self.input_BT = torch.tensor([list(prompt) for prompt in prompts], device=model.device)
        self._state: dict[str, Any] = {}

    def next_logits(self) -> Any:
        """Logits of each text's next token, fp32, shape (B, V)."""
        import torch

        if not self.with_cache:
            return read_logits(self.model, self.input_BT.tolist(), 1)[:, 0]
        if changes_frequencies(self.model.config, self.input_BT.shape[1]):
            self._state = {}  # keys in the cache were rotated by other frequencies
        first = not self._state
        options: dict[str, Any] = {"use_cache": True}
        if takes(self.model, "logits_to_keep"):
            options["logits_to_keep"] = 1
        with torch.inference_mode():
            inputs = self.model.prepare_inputs_for_generation(
                self.input_BT, next_sequence_length=None if first else 1, is_first_iteration=first,
                **(self._state or options),
            )  # fmt: skip
            outputs = self.model(**inputs, return_dict=True)
            self._state = self.model._update_model_kwargs_for_generation(outputs, self._state or options)
        return outputs.logits[:, -1].float()

    def append(self, tokens: Sequence[int]) -> None:
        """Adds one token to each text."""
        import torch

        column = torch.tensor(tokens, device=self.input_BT.device)[:, None]
        self.input_BT = torch.cat([self.input_BT, column], dim=1)

    def keep(self, rows: Sequence[int]) -> None:
        """Goes on with these rows alone. The cache is built again, since not every family's can be cut."""
        self.input_BT, self._state = self.input_BT[list(rows)], {}


def step_texts(
    model: Any, tokens: Tokens, texts: Sequence[Text], slots: int, *, with_cache: bool
) -> Iterator[list[Text]]:
    """Writes texts with prompts of equal length in step; yields after each step of the model those that ended."""
    lengths = [len(text.prompt.tokens) for text in texts]
    for places in batches(lengths, [1] * len(texts), 1, GROUP_TOKENS):
        group = [texts[place] for place in places]
        for begin in range(0, len(group), slots):
            yield from _step_group(model, tokens, group[begin : begin + slots], with_cache)


def _step_group(model: Any, tokens: Tokens, texts: list[Text], with_cache: bool) -> Iterator[list[Text]]:
    reader = Reader(model, [text.prompt.tokens for text in texts], with_cache=with_cache)
    while texts:
        logits_BV, writing = reader.next_logits(), [row for row, text in enumerate(texts) if not text.finish]
        drawn = draw(logits_BV[writing], [texts[row] for row in writing], tokens)
        last = [0] * len(texts)  # a text that has ended is read on with any token, and not looked at
        for row, token in zip(writing, drawn, strict=True):
            last[row] = token
            texts[row].add(token)
        yield [texts[row] for row in writing if texts[row].finish]
        reader.append(last)
        open_rows = [row for row, text in enumerate(texts) if not text.finish]
        if len(open_rows) * 2 <= len(texts):  # each text is read again at most log2(texts) times
            texts = [texts[row] for row in open_rows]
            reader.keep(open_rows)
