"""Matrix products with weights laid out once: the same numbers as torch's own, at any number of rows."""

from types import SimpleNamespace
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from evals.engines.local import products
from evals.engines.local.products import can_pack, make_product


def make_layers(inputs: int, outputs: list[int], biases: list[bool], dtype: Any = torch.float32) -> list[Any]:
    torch.manual_seed(0)
    return [torch.nn.Linear(inputs, size, bias=bias).to(dtype) for size, bias in zip(outputs, biases, strict=True)]


@given(
    rows=st.integers(1, 70), inputs=st.integers(1, 40),
    parts=st.lists(st.tuples(st.integers(1, 40), st.booleans()), min_size=1, max_size=3), pack=st.booleans(),
)  # fmt: skip
def test_it_is_the_product_of_each_layer(rows: int, inputs: int, parts: list[tuple[int, bool]], pack: bool) -> None:
    layers = make_layers(inputs, [size for size, _ in parts], [bias for _, bias in parts])
    with torch.inference_mode():
        x_ND = torch.randn(rows, inputs)
        expected = torch.cat([layer(x_ND) for layer in layers], dim=-1)
        assert torch.allclose(make_product(layers, pack=pack)(x_ND), expected, atol=1e-5)


def test_bfloat16_rounds_as_torch_does() -> None:
    layers = make_layers(64, [32, 16], [True, False], torch.bfloat16)
    operations: Any = torch.ops.mkldnn  # a CPU without these instructions is never given packed weights, see can_pack
    with torch.inference_mode():
        x_ND = torch.randn(9, 64, dtype=torch.bfloat16)
        expected = torch.cat([layer(x_ND) for layer in layers], dim=-1)
        assert torch.allclose(
            make_product(layers, pack=operations._is_mkldnn_bf16_supported())(x_ND).float(),
            expected.float(),
            atol=0.02,
            rtol=0.02,
        )


@pytest.mark.parametrize(
    ("dtype", "device", "share", "expected"),
    [
        (torch.float32, "cpu", 8, True),
        (torch.float64, "cpu", 8, False),
        (torch.float32, "meta", 8, False),
        (torch.float32, "cpu", 10**15, False),
    ],
)
def test_weights_are_copied_where_memory_allows(
    dtype: Any, device: str, share: int, expected: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(products, "COPY_SHARE", share)
    layer = torch.nn.Linear(4, 4, dtype=dtype)
    model = SimpleNamespace(device=torch.device(device), dtype=dtype, parameters=layer.parameters)
    assert can_pack(model) is (expected and torch.backends.mkldnn.is_available())
