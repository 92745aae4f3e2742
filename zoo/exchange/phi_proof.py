"""Checks that converted weights are the same model: two implementations give equal logits on a test batch.

The old logits are computed here from the old tensors in their own layout, by a plain float32 forward
pass with one layer in memory at a time; the new logits come from today's transformers.

Shapes: B sequences, T tokens, H heads, D head size, C width, V vocabulary.
Source: the Phi architecture as in Gunasekar et al. 2023, section 2.3: parallel attention and MLP
behind one LayerNorm, rotary (NeoX style) on the first dimensions of a head, biases everywhere.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from zoo.admission.config import read_json
from zoo.admission.safetensors_header import read_header
from zoo.errors import ZooError
from zoo.exchange.phi_convert import ROTARY, as_mixformer
from zoo.published.phi_variants import legacy_format
from zoo.shape import read_shape

if TYPE_CHECKING:
    import torch

TOLERANCE = 1e-4  # float32: two orders of summation differ by about 1e-5 on logits of size 10
BATCH, TOKENS = 2, 24


def largest_difference(source: Path, target: Path, config: dict[str, Any]) -> float:
    """The largest absolute difference of logits between an older folder and its conversion.

    config  today's
    Raises  ZooError if torch or transformers is not installed
    """
    try:
        import torch
        from transformers import PhiForCausalLM
    except ImportError as error:
        raise ZooError(f"the conversion cannot be checked without {error.name}: pip install 'phi-zoo[eval]'") from error
    ids = torch.randint(0, int(config["vocab_size"]), (BATCH, TOKENS), generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        model = PhiForCausalLM.from_pretrained(target, dtype=torch.float32, local_files_only=True)
        model.train(False)
        new = model(ids).logits
        del model
        old = old_logits(source, ids, forward_config(read_json(source / "config.json"), config))
    return float((new - old).abs().max())


def forward_config(legacy: dict[str, Any], today: dict[str, Any]) -> dict[str, Any]:
    """The forward pass that an older config describes, parsed independently of the conversion under test.

    legacy  the older config.json
    today   its conversion, for the sizes that the tensors' shapes confirm
    """
    mixformer = "n_head" in legacy
    heads = int(legacy["n_head"] if mixformer else legacy["num_attention_heads"])
    size = int(today["hidden_size"]) // heads
    rotary = int(legacy.get("rotary_dim") or min(ROTARY, size)) / size if mixformer else 0.5
    return today | {
        "num_attention_heads": heads,
        "num_key_value_heads": int(legacy.get("n_head_kv" if mixformer else "num_key_value_heads") or heads),
        "partial_rotary_factor": float(legacy.get("partial_rotary_factor") or rotary),
        "rope_theta": float(legacy.get("rope_theta") or 10000.0),
        "layer_norm_eps": float(legacy.get("layer_norm_epsilon" if mixformer else "layer_norm_eps") or 1e-5),
    }


def prove(source: Path, target: Path, config: dict[str, Any]) -> float:
    """The largest difference of logits. Raises ZooError if float32 summation order cannot explain it."""
    difference = largest_difference(source, target, config)
    if not difference <= TOLERANCE:  # also refuses NaN
        raise ZooError(
            f"{source}: the converted weights give different logits (largest difference {difference:.3g}, allowed "
            f"{TOLERANCE:g}), so nothing was added; check that config.json belongs to these weights."
        )
    return difference


class _LegacyTensors:
    """The old tensors by their mixformer or fused name, loaded on demand as float32."""

    def __init__(self, source: Path, layers: int) -> None:
        from safetensors import safe_open

        self.locations: dict[str, tuple[Any, str]] = {}
        names: list[str] = []
        for path in sorted(source.glob("*.safetensors")):
            names += [tensor.name for tensor in read_header(path).tensors]
        self.legacy = legacy_format(names)
        for path in sorted(source.glob("*.safetensors")):
            file = safe_open(path, framework="pt")
            for tensor in read_header(path).tensors:
                name = as_mixformer(tensor.name, layers) if self.legacy == "sequential" else tensor.name
                self.locations[name] = (file, tensor.name)

    def __call__(self, name: str) -> "torch.Tensor":
        file, stored = self.locations[name]
        tensor: torch.Tensor = file.get_tensor(stored).float()
        return tensor


def old_logits(source: Path, ids_BT: "torch.Tensor", config: dict[str, Any]) -> "torch.Tensor":
    """Logits of the old weights, shape (B, T, V), float32."""
    from torch.nn import functional as F

    tensors = _LegacyTensors(source, int(config["num_hidden_layers"]))
    fused = tensors.legacy == "fused"
    width, eps = (int(config["hidden_size"]),), float(config["layer_norm_eps"])

    def linear(x: "torch.Tensor", name: str) -> "torch.Tensor":
        return F.linear(x, tensors(f"{name}.weight"), tensors(f"{name}.bias"))

    def norm(x: "torch.Tensor", name: str) -> "torch.Tensor":
        return F.layer_norm(x, width, tensors(f"{name}.weight"), tensors(f"{name}.bias"), eps)

    x_BTC = F.embedding(ids_BT, tensors("model.embed_tokens.weight" if fused else "transformer.embd.wte.weight"))
    for layer in range(int(config["num_hidden_layers"])):
        prefix = f"model.layers.{layer}" if fused else f"transformer.h.{layer}"
        h_BTC = norm(x_BTC, f"{prefix}.input_layernorm" if fused else f"{prefix}.ln")
        qkv = linear(h_BTC, f"{prefix}.self_attn.query_key_value" if fused else f"{prefix}.mixer.Wqkv")
        mixed_BTC = _attention(qkv, fused, config)
        attention_BTC = linear(mixed_BTC, f"{prefix}.self_attn.dense" if fused else f"{prefix}.mixer.out_proj")
        inner = F.gelu(linear(h_BTC, f"{prefix}.mlp.fc1"), approximate="tanh")
        x_BTC = x_BTC + attention_BTC + linear(inner, f"{prefix}.mlp.fc2")
    x_BTC = norm(x_BTC, "model.final_layernorm" if fused else "lm_head.ln")
    return linear(x_BTC, "lm_head" if fused else "lm_head.linear")


def _attention(qkv: "torch.Tensor", fused: bool, config: dict[str, Any]) -> "torch.Tensor":
    """Causal attention on the fused projection, before the output projection: (B, T, C)."""
    import torch

    batch, tokens, _ = qkv.shape
    shape = read_shape(config)
    heads, key_heads, size = shape.heads, shape.key_heads, shape.head_size
    if fused:
        q, k, v = qkv.view(batch, tokens, heads, 3, size).unbind(3)
    else:
        q, k, v = torch.split(qkv, [heads * size, key_heads * size, key_heads * size], dim=-1)
    q, k, v = (part.reshape(batch, tokens, -1, size).transpose(1, 2) for part in (q, k, v))
    q, k = (_rotate(part, shape.rotary_dimensions, shape.rotary_theta) for part in (q, k))
    k, v = (part.repeat_interleave(heads // key_heads, dim=1) for part in (k, v))
    scores = q @ k.transpose(-1, -2) / size**0.5
    later = torch.ones(tokens, tokens, dtype=torch.bool).triu(1)
    mixed: torch.Tensor = scores.masked_fill(later, float("-inf")).softmax(-1) @ v
    return mixed.transpose(1, 2).reshape(batch, tokens, heads * size)


def _rotate(x_BHTD: "torch.Tensor", rotary: int, theta: float) -> "torch.Tensor":
    """Rotates the first `rotary` dimensions of each head by position, with paired halves (NeoX style)."""
    import torch

    frequency = theta ** (-torch.arange(0, rotary, 2).float() / rotary)
    angle = torch.arange(x_BHTD.shape[2]).float()[:, None] * frequency
    cos, sin = angle.cos(), angle.sin()
    first, second, rest = x_BHTD[..., : rotary // 2], x_BHTD[..., rotary // 2 : rotary], x_BHTD[..., rotary:]
    return torch.cat([first * cos - second * sin, second * cos + first * sin, rest], dim=-1)
