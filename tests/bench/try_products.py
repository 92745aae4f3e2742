"""Ways to compute SmolLM2's products and a step's attention on this CPU, one thread: processor time of each.

    python tests/bench/try_products.py

The figures are those of docs/benchmarks.md, "A real small model"; random weights, twelve of each shape in turn, so that
they do not stay in a core's cache, and the best of five passes.
"""

import time
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch.nn.functional import linear, scaled_dot_product_attention, silu

SHAPES = ((576, 960), (576, 576), (576, 3072), (1536, 576))  # inputs and outputs of a layer's products
WEIGHTS, PASSES = 12, 5
TEXTS, KEY_HEADS, GROUP, SIZE, TOKENS = 64, 3, 3, 64, 176  # of a step's attention


def best_seconds(compute: Callable[[], Any]) -> float:
    """The least processor time of a few passes, after one that is not counted."""
    compute()
    seconds = float("inf")
    for _ in range(PASSES):
        began = time.process_time()
        compute()
        seconds = min(seconds, time.process_time() - began)
    return seconds


def time_layouts(rows: int, dtype: Any) -> None:
    """torch's own product, and weights laid out once by oneDNN or (in fp32) by MKL."""
    operations: Any = torch.ops
    pointwise = operations.mkldnn._linear_pointwise
    for inputs, outputs in SHAPES:
        x_ND = torch.randn(rows, inputs).to(dtype)
        weights = [torch.randn(outputs, inputs).to(dtype) for _ in range(WEIGHTS)]
        packed = [operations.mkldnn._reorder_linear_weight(weight, 64) for weight in weights]
        own = _time_each(lambda weight, x=x_ND: linear(x, weight), weights)
        onednn = _time_each(lambda weight, x=x_ND: pointwise(x, weight, None, "none", [], ""), packed)
        line = f"{dtype} {rows} rows, {inputs} x {outputs}: oneDNN {own / onednn:.2f} times as fast"
        if dtype == torch.float32 and hasattr(operations.mkl, "_mkl_linear"):
            pairs = [(operations.mkl._mkl_reorder_linear_weight(weight, rows), weight) for weight in weights]
            mkl = _time_each(lambda pair, x=x_ND: operations.mkl._mkl_linear(x, *pair, None, rows), pairs)
            line += f", MKL {own / mkl:.2f}"
        print(line, flush=True)


def _time_each(multiply: Callable[[Any], Any], weights: Sequence[Any]) -> float:
    return best_seconds(lambda: [multiply(weight) for weight in weights])


def time_gate(rows: int) -> None:
    """SiLU and its product inside oneDNN's operation, against after it."""
    operations: Any = torch.ops.mkldnn
    x_ND, gate, up = torch.randn(rows, 576), torch.randn(1536, 576), torch.randn(1536, 576)
    one, other, joint = (operations._reorder_linear_weight(w, 64) for w in (gate, up, torch.cat([gate, up])))

    def fused() -> Any:
        gated = operations._linear_pointwise(x_ND, one, None, "swish", [], "")
        return operations._linear_pointwise.binary(x_ND, gated, other, None, "mul")

    def after() -> Any:
        gated, raised = operations._linear_pointwise(x_ND, joint, None, "none", [], "").chunk(2, dim=-1)
        return silu(gated).mul_(raised)

    print(f"SiLU inside, {rows} rows: {best_seconds(after) / best_seconds(fused):.2f} times as fast", flush=True)


def time_attention(dtype: Any) -> None:
    """A step's attention: heads of one key head as its queries, torch's own grouping, or batched products."""
    shape = (TEXTS, TOKENS, KEY_HEADS, SIZE)
    layers = [[torch.randn(shape).to(dtype).transpose(1, 2) for _ in range(2)] for _ in range(4)]
    query = torch.randn(TEXTS, KEY_HEADS, GROUP, SIZE).to(dtype)
    apart = query.reshape(TEXTS, KEY_HEADS * GROUP, 1, SIZE)

    def products(keys: Any, values: Any) -> Any:
        return torch.matmul(torch.softmax(torch.matmul(query, keys.transpose(2, 3)) * SIZE**-0.5, -1), values)

    ours = best_seconds(lambda: [scaled_dot_product_attention(query, keys, values) for keys, values in layers])
    torchs = best_seconds(
        lambda: [scaled_dot_product_attention(apart, keys, values, enable_gqa=True) for keys, values in layers]
    )
    batched = best_seconds(lambda: [products(keys, values) for keys, values in layers])
    print(
        f"attention {dtype}: {1e3 * ours / 4:.1f} ms a layer, torch's own grouping {torchs / ours:.2f} times as long, "
        f"batched products {batched / ours:.2f}", flush=True,
    )  # fmt: skip


if __name__ == "__main__":
    torch.set_num_threads(1)
    with torch.inference_mode():
        for rows in (64, 512):
            for dtype in (torch.float32, torch.bfloat16):
                time_layouts(rows, dtype)
            time_gate(rows)
        for dtype in (torch.float32, torch.bfloat16):
            time_attention(dtype)
