"""Matrix products of a model's linear layers on a CPU, their weights laid out once as oneDNN's kernels read them.

A product of few rows spends much of its time on rearranging the weights, each time anew. Rearranged once they are read
1.1 times as fast in fp32 and 1.3 to 1.7 times in bf16 (64 rows, SmolLM2's sizes, one core with AVX-512 and AMX; MKL's
own packed product was 1.1 to 1.6 times as fast as torch's, but wants the number of rows that it was packed for).
Measured by tests/bench/try_products.py.
The copy takes as much memory as the weights; above a share of the machine's memory, or where torch has no oneDNN, the
product is torch's own. Both give the same numbers up to rounding.

Source: `torch.ops.mkldnn._linear_pointwise`, the operation that torch's own compiler (Inductor) emits for frozen
weights on a CPU. Letters in names: N rows, D width.
"""

import os
from collections.abc import Callable, Sequence
from typing import Any

COPY_SHARE = 8  # weights are copied where they are at most this part of the memory
PACK_ROWS = 64  # rows for which the layout is chosen; other numbers of rows read it as fast
Product = Callable[[Any], Any]  # x_ND -> its product with the weights, (N, outputs)


def can_pack(model: Any) -> bool:
    """Whether a model's weights are laid out anew: a CPU with oneDNN, a dtype that it computes, enough memory."""
    import torch

    operations: Any = torch.ops.mkldnn
    backend: Any = torch.backends.mkldnn
    if model.device.type != "cpu" or not backend.is_available():
        return False
    if not hasattr(operations, "_linear_pointwise") or model.dtype not in (torch.float32, torch.bfloat16):
        return False
    if model.dtype == torch.bfloat16 and not operations._is_mkldnn_bf16_supported():
        return False
    copied_bytes = sum(parameter.numel() * parameter.element_size() for parameter in model.parameters())
    return bool(copied_bytes * COPY_SHARE <= os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))


def make_product(layers: Sequence[Any], *, pack: bool) -> Product:
    """The product with one linear layer's weights, or with those of several side by side, biases added.

    layers  torch.nn.Linear, all of the same input
    pack    lays the weights out anew; otherwise they are the layers' own, and several are multiplied one by one
    """
    import torch
    from torch.nn.functional import linear

    if not pack:
        if len(layers) == 1:
            return lambda x_ND: linear(x_ND, layers[0].weight, layers[0].bias)
        return lambda x_ND: torch.cat([linear(x_ND, layer.weight, layer.bias) for layer in layers], dim=-1)
    weight = torch.cat([layer.weight.detach() for layer in layers])
    biases = [layer.bias for layer in layers if layer.bias is not None]
    bias = None
    if biases:
        zeros = [torch.zeros(len(layer.weight), dtype=weight.dtype) for layer in layers]
        parts = (zero if layer.bias is None else layer.bias.detach() for layer, zero in zip(layers, zeros, strict=True))
        bias = torch.cat(list(parts))
    packed = torch.ops.mkldnn._reorder_linear_weight(weight, PACK_ROWS)
    multiply = torch.ops.mkldnn._linear_pointwise
    return lambda x_ND: multiply(x_ND, packed, bias, "none", [], "")
