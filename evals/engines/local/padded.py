"""Choice rows as a rectangle: padded to one length, with a tree mask, through transformers' own forward pass.

For any causal model and for GPUs. Letters in names: B rows, T tokens fed, P tokens of the shared beginning, D width.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from evals.engines.local.choices import Row


def encoded(model: Any, shared: Sequence[int], _room: int) -> list[tuple[Any, Any]]:
    """Keys and values of the shared beginning, one pair a layer, shape (1, heads, P, head size)."""
    import torch
    from transformers import DynamicCache

    cache: Any = DynamicCache(config=model.config)
    with torch.inference_mode():
        model.base_model(input_ids=torch.tensor([shared], device=model.device), past_key_values=cache, use_cache=True)
    return [(layer.keys, layer.values) for layer in cache.layers]


def _expanded(model: Any, cache: Sequence[tuple[Any, Any]], rows: int) -> Any:
    from transformers import DynamicCache

    grown: Any = DynamicCache(config=model.config)
    for layer, (keys, values) in zip(grown.layers, cache, strict=True):
        layer.lazy_initialization(keys, values)
        # set, not updated: a view of one row, copied once when the new tokens join it, not twice
        layer.keys, layer.values = keys.expand(rows, -1, -1, -1), values.expand(rows, -1, -1, -1)
    return grown


def spread(
    model: Any,
    batch: "Sequence[Row]",
    shared: int,
    cache: Sequence[tuple[Any, Any]] | None,
    wanted: Sequence[tuple[int, int]],
) -> Any:
    """One forward pass: the last layer at the places that are read, (row, place among its fed tokens): shape (U, D)."""
    import torch

    input_BT, place_BT, mask = _laid_out(batch, shared, model.device, model.dtype)
    past = _expanded(model, cache, len(batch)) if cache else None
    hidden_BTD = model.base_model(
        input_ids=input_BT, position_ids=place_BT, attention_mask=mask, past_key_values=past, use_cache=bool(cache)
    ).last_hidden_state
    rows, places = torch.tensor(wanted, device=model.device).unbind(1)
    return hidden_BTD[rows, places]


def _laid_out(batch: "Sequence[Row]", shared: int, device: Any, dtype: Any) -> tuple[Any, Any, Any]:
    """Tokens, positions and tree mask of a batch.

    mask is additive, shape (B, 1, T, shared + T): 0 where a token may look, the smallest number elsewhere.
    """
    import torch

    width = max(max(one.fed - shared for one in batch), 1)
    input_BT = torch.zeros((len(batch), width), dtype=torch.long)
    place_BT = torch.zeros((len(batch), width), dtype=torch.long)
    sees = torch.zeros((len(batch), width, shared + width), dtype=torch.bool)
    sees[:, :, :shared] = True
    causal = torch.ones((width, width), dtype=torch.bool).tril()
    for number, one in enumerate(batch):
        stem = len(one.stem) - shared
        input_BT[number, : one.fed - shared] = torch.tensor(one.tokens(shared), dtype=torch.long)
        place_BT[number, : one.fed - shared] = torch.tensor(one.places(shared), dtype=torch.long)
        sees[number, :stem, shared : shared + stem] = causal[:stem, :stem]
        at = stem
        for branch in one.branches:
            fed = len(branch.tokens) - 1
            end = at + fed
            sees[number, at:end, shared : shared + stem] = True
            sees[number, at:end, shared + at : shared + end] = causal[:fed, :fed]
            at = end
        sees[number, at:, shared] = True  # padding looks somewhere, so that its softmax is finite
    mask = torch.zeros(sees.shape, dtype=dtype, device=device).masked_fill_(~sees.to(device), torch.finfo(dtype).min)
    return input_BT.to(device), place_BT.to(device), mask[:, None]
