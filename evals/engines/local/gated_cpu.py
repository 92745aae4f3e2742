"""A Llama's layers as a pass without padding (`evals.engines.local.side_by_side`).

RMS norms before attention and before a gated SiLU layer, rotary positions, key heads that groups of heads share. With
biases and norms of queries and keys where a family has them (Qwen), layers without positions (SmolLM3) and projections
that are one matrix (Phi-3). The arithmetic is transformers' Llama (models/llama/modeling_llama.py of 5.23). The table
(`zoo.families`) lists the families of this form, and the probe proves each model.

Letters in names: N tokens side by side, D width, H heads, K key heads, S head size.
"""

from collections.abc import Sequence
from typing import Any

from evals.engines.local.products import Product, can_pack, make_product
from evals.engines.local.side_by_side import Attend, LeanPass, compute_by_rows, find_angles, rotate
from zoo.families import FAMILIES
from zoo.records import Record


class GatedLayer(Record, frozen=True, kw_only=True):
    """One layer: its norms, those of queries and keys (or None), its products, and whether it has positions."""

    first: Any
    second: Any
    query: Any
    key: Any
    project: Product  # queries, keys and values side by side
    out: Product
    gate_up: Product
    down: Product
    rotates: bool


def fits(model: Any) -> bool:
    """Whether this pass may compute the model: a family of the table on a CPU, with the modules that it reads."""
    family = FAMILIES.get(str(model.config.model_type))
    if family is None or not family.gated or model.device.type != "cpu" or model.get_output_embeddings() is None:
        return False
    config = model.config
    if getattr(config, "hidden_act", None) not in ("silu", "swish"):
        return False
    body: Any = getattr(model, "model", None)
    return hasattr(body, "rotary_emb") and all(
        hasattr(layer, "post_attention_layernorm") and hasattr(layer.mlp, "down_proj") for layer in body.layers
    )


def open_gated(model: Any) -> LeanPass:
    """The pass of a model that `fits`."""
    body, config = model.model, model.config
    heads, key_heads = config.num_attention_heads, config.num_key_value_heads
    size = getattr(config, "head_dim", None) or config.hidden_size // heads
    pack = can_pack(model)
    layers = [_open_layer(layer, pack) for layer in body.layers]

    def forward(token_N: Any, position_N: Any, attend: Attend, reads: Any = None) -> Any:
        out_ND = body.embed_tokens(token_N)
        angles = find_angles(body, out_ND, position_N)
        for number, layer in enumerate(layers):
            mixed = layer.project(_normalise(out_ND, layer.first)).view(-1, heads + 2 * key_heads, size)
            if layer.query is not None:
                mixed[:, :heads] = _normalise(mixed[:, :heads], layer.query)
                mixed[:, heads : heads + key_heads] = _normalise(mixed[:, heads : heads + key_heads], layer.key)
            if layer.rotates:
                rotate(mixed[:, : heads + key_heads], angles)
            mixed_NHS = attend(number, *mixed.split([heads, key_heads, key_heads], dim=1))
            if reads is not None and number == len(layers) - 1:
                mixed_NHS, out_ND = mixed_NHS[reads], out_ND[reads]
            out_ND = layer.out(mixed_NHS.reshape(-1, heads * size)).add_(out_ND)
            out_ND = _apply_gate(layer, _normalise(out_ND, layer.second)).add_(out_ND)
        return _normalise(out_ND, body.norm)

    head = make_product([model.get_output_embeddings()], pack=pack)
    return LeanPass(
        forward=forward, head=head, layers=len(layers), heads=heads, key_heads=key_heads, head_size=size,
        dtype=model.dtype,
    )  # fmt: skip


def _open_layer(layer: Any, pack: bool) -> GatedLayer:
    attention, mlp = layer.self_attn, layer.mlp

    def parts(module: Any, joint: str, single: Sequence[str]) -> list[Any]:
        return [getattr(module, joint)] if hasattr(module, joint) else [getattr(module, name) for name in single]

    return GatedLayer(
        first=layer.input_layernorm, second=layer.post_attention_layernorm,
        query=getattr(attention, "q_norm", None), key=getattr(attention, "k_norm", None),
        project=make_product(parts(attention, "qkv_proj", ("q_proj", "k_proj", "v_proj")), pack=pack),
        out=make_product([attention.o_proj], pack=pack),
        gate_up=make_product(parts(mlp, "gate_up_proj", ("gate_proj", "up_proj")), pack=pack),
        down=make_product([mlp.down_proj], pack=pack), rotates=bool(getattr(attention, "use_rope", True)),
    )  # fmt: skip


def _normalise(x_ND: Any, norm: Any) -> Any:
    """The RMS norm as transformers rounds it: in fp32, and in the model's dtype before the weight."""
    import torch

    wide_ND = x_ND.float()
    scale_N1 = torch.linalg.vector_norm(wide_ND, dim=-1, keepdim=True).square_().div_(x_ND.shape[-1])
    scale_N1 = scale_N1.add_(norm.variance_epsilon).rsqrt_()
    return (wide_ND * scale_N1).to(x_ND.dtype).mul_(norm.weight)


def _apply_gate(layer: GatedLayer, normal_ND: Any) -> Any:
    from torch.nn.functional import silu

    def compute(rows: Any) -> Any:
        gate, up = layer.gate_up(rows).chunk(2, dim=-1)
        return layer.down(silu(gate).mul_(up))

    return compute_by_rows(compute, normal_ND)
