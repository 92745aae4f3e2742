"""Choice rows as a rectangle: padded to one length, with a tree mask, through transformers' own forward pass.

For any causal model and for GPUs. Letters in names: B rows, T tokens fed, P tokens of the shared beginning, D width.
"""

from collections.abc import Sequence
from typing import Any

from evals.engines.local.rows import ChoiceRow


def encode_shared(model: Any, shared: Sequence[int], _room: int) -> list[tuple[Any, Any]]:
    """Keys and values of the shared beginning, one pair a layer, shape (1, heads, P, head size)."""
    import torch
    from transformers import DynamicCache

    cache: Any = DynamicCache(config=model.config)
    with torch.inference_mode():
        model.base_model(input_ids=torch.tensor([shared], device=model.device), past_key_values=cache, use_cache=True)
    return [(layer.keys, layer.values) for layer in cache.layers]


def _expand(model: Any, cache: Sequence[tuple[Any, Any]], rows: int) -> Any:
    from transformers import DynamicCache

    expanded: Any = DynamicCache(config=model.config)
    for layer, (keys, values) in zip(expanded.layers, cache, strict=True):
        layer.lazy_initialization(keys, values)
        # set, not updated: a view of one row, copied once when the new tokens join it, not twice
        layer.keys, layer.values = keys.expand(rows, -1, -1, -1), values.expand(rows, -1, -1, -1)
    return expanded


def read_states(
    model: Any, batch: Sequence[ChoiceRow], shared: int, cache: Sequence[tuple[Any, Any]] | None,
    reads: Sequence[tuple[int, int]],
) -> Any:  # fmt: skip
    """One forward pass: the last layer at each read, a (row, place among its fed tokens): shape (U, D)."""
    import torch

    input_BT, position_BT, mask = _lay_out(batch, shared, model.device, model.dtype)
    past = _expand(model, cache, len(batch)) if cache else None
    hidden_BTD = model.base_model(
        input_ids=input_BT, position_ids=position_BT, attention_mask=mask, past_key_values=past, use_cache=bool(cache)
    ).last_hidden_state
    rows, places = torch.tensor(reads, device=model.device).unbind(1)
    return hidden_BTD[rows, places]


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
