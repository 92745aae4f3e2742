"""Choice rows as a rectangle: padded to one length, with a tree mask, through the causal model's own forward pass.

The mask is ours, so a window of the model's own is not applied: `evals.engines.local.probe` says for which models and
up to which length this path may be taken. Letters in names: B rows, T tokens fed, P tokens of the shared beginning,
U reads, V vocabulary.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from evals.engines.local.rows import ChoiceRow


def encode_shared(model: Any, shared: Sequence[int]) -> list[tuple[Any, Any]]:
    """Keys and values of the shared beginning, one pair a layer, shape (1, heads, P, head size)."""
    import torch
    from transformers import DynamicCache

    cache: Any = DynamicCache()  # without the config: a layer with a window keeps all keys too
    input_BT = torch.tensor([shared], device=model.device)
    with torch.inference_mode(), read_head(model, [(0, len(shared) - 1)]):
        model(input_ids=input_BT, past_key_values=cache, use_cache=True)
    return [(layer.keys, layer.values) for layer in cache.layers]


def _expand(cache: Sequence[tuple[Any, Any]], rows: int) -> Any:
    from transformers import cache_utils

    made: Any = cache_utils.DynamicLayer
    layers: list[Any] = [made() for _ in cache]
    for layer, (keys, values) in zip(layers, cache, strict=True):
        layer.lazy_initialization(keys, values)
        # set, not updated: a view of one row, copied once when the new tokens join it, not twice
        layer.keys, layer.values = keys.expand(rows, -1, -1, -1), values.expand(rows, -1, -1, -1)
    return cache_utils.Cache(layers=layers)


@contextmanager
def read_head(model: Any, reads: Sequence[tuple[int, int]]) -> Iterator[None]:
    """Within it the model's logits are those of the reads alone, (row, place), shape (1, U, V).

    Only the states that are read go into the head; the model itself scales and caps what the head gives.
    """
    import torch

    rows, places = torch.tensor(reads, device=model.device).unbind(1)

    def select(_head: Any, states: tuple[Any, ...]) -> tuple[Any, ...]:
        return (states[0][rows, places][None],)

    handle = model.get_output_embeddings().register_forward_pre_hook(select)
    try:
        yield
    finally:
        handle.remove()


def read_logits(
    model: Any, batch: Sequence[ChoiceRow], shared: int, cache: Sequence[tuple[Any, Any]] | None,
    reads: Sequence[tuple[int, int]],
) -> Any:  # fmt: skip
    """One forward pass: the logits at each read, a (row, place among its fed tokens): shape (U, V)."""
    input_BT, position_BT, mask = _lay_out(batch, shared, model.device, model.dtype)
    past = _expand(cache, len(batch)) if cache else None
    with read_head(model, reads):
        return model(
            input_ids=input_BT, position_ids=position_BT, attention_mask=mask, past_key_values=past,
            use_cache=bool(cache),
        ).logits[0]  # fmt: skip


def _lay_out(batch: Sequence[ChoiceRow], shared: int, device: Any, dtype: Any) -> tuple[Any, Any, Any]:
    """Tokens, positions and tree mask of a batch.

    mask is additive, shape (B, 1, T, shared + T): 0 where a token may look, the smallest number elsewhere.
    """
    import torch

    width = max(max(row.fed - shared for row in batch), 1)
    input_BT = torch.zeros((len(batch), width), dtype=torch.long)
    position_BT = torch.zeros((len(batch), width), dtype=torch.long)
    sees = torch.zeros((len(batch), width, shared + width), dtype=torch.bool)
    sees[:, :, :shared] = True
    causal = torch.ones((width, width), dtype=torch.bool).tril()
    for number, row in enumerate(batch):
        stem = len(row.stem) - shared
        input_BT[number, : row.fed - shared] = torch.tensor(row.tokens(shared), dtype=torch.long)
        position_BT[number, : row.fed - shared] = torch.tensor(row.positions(shared), dtype=torch.long)
        sees[number, :stem, shared : shared + stem] = causal[:stem, :stem]
        begin = stem
        for branch in row.branches:
            fed = len(branch.tokens) - 1
            end = begin + fed
            sees[number, begin:end, shared : shared + stem] = True
            sees[number, begin:end, shared + begin : shared + end] = causal[:fed, :fed]
            begin = end
        sees[number, begin:, shared] = True  # padding attends to one token, so that its softmax is finite
    mask = torch.zeros(sees.shape, dtype=dtype, device=device).masked_fill_(~sees.to(device), torch.finfo(dtype).min)
    return input_BT.to(device), position_BT.to(device), mask[:, None]
