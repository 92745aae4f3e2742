"""A Phi's layers as a pass without padding (`evals.engines.local.side_by_side`).

The arithmetic is transformers' Phi (models/phi/modeling_phi.py of 5.23), so log-probabilities agree to rounding.

Letters in names: N tokens side by side, D width, H heads, S head size.
"""

from functools import partial
from typing import Any

from evals.engines.local.products import Product, can_pack, make_product
from evals.engines.local.side_by_side import Attend, LeanPass, compute_by_rows, find_angles, rotate


def fits(model: Any) -> bool:
    """Whether this pass computes the model: a plain Phi on a CPU, with as many key heads as heads."""
    config = model.config
    rope = getattr(config, "rope_parameters", None) or {}
    return (
        type(model).__name__ == "PhiForCausalLM"
        and model.device.type == "cpu"
        and not getattr(config, "qk_layernorm", False)
        and config.hidden_act == "gelu_new"
        and rope.get("rope_type", "default") == "default"
        and config.num_key_value_heads == config.num_attention_heads
    )


def open_phi(model: Any) -> LeanPass:
    """The pass of a Phi that `fits`."""
    from torch.nn.functional import gelu, layer_norm

    body, config = model.model, model.config
    heads = config.num_attention_heads
    size = config.hidden_size // heads
    pack = can_pack(model)
    layers = []
    for layer in body.layers:
        attention, mlp = layer.self_attn, layer.mlp
        parts = ([attention.q_proj, attention.k_proj, attention.v_proj], [attention.dense], [mlp.fc1], [mlp.fc2])
        layers.append((layer.input_layernorm, *(make_product(part, pack=pack) for part in parts)))

    def normalise(x_ND: Any, norm: Any) -> Any:
        return layer_norm(x_ND, norm.normalized_shape, norm.weight, norm.bias, norm.eps)

    def apply_inner(inner: Product, outer: Product, rows: Any) -> Any:
        return outer(gelu(inner(rows), approximate="tanh"))

    def forward(token_N: Any, position_N: Any, attend: Attend, reads: Any = None) -> Any:
        out_ND = body.embed_tokens(token_N)
        angles = find_angles(body, out_ND, position_N)
        for number, (norm, project, dense, inner, outer) in enumerate(layers):
            normal_ND = normalise(out_ND, norm)
            mixed = project(normal_ND).view(-1, 3, heads, size)
            rotate(mixed[:, :2], angles)
            mixed_NHS = attend(number, *mixed.unbind(1))
            if reads is not None and number == len(layers) - 1:
                mixed_NHS, normal_ND, out_ND = mixed_NHS[reads], normal_ND[reads], out_ND[reads]
            sum_ND = dense(mixed_NHS.reshape(-1, heads * size))
            sum_ND += compute_by_rows(partial(apply_inner, inner, outer), normal_ND)
            out_ND = sum_ND.add_(out_ND)
        return normalise(out_ND, body.final_layernorm)

    head = make_product([model.get_output_embeddings()], pack=pack)
    return LeanPass(
        forward=forward, head=head, layers=len(layers), heads=heads, key_heads=heads, head_size=size, dtype=model.dtype
    )
