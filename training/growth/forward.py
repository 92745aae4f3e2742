"""Computes a Phi's logits from its files layer by layer, with one layer's weights in memory at a time.

For checking models that do not fit into memory: the released sizes need under 2 GiB. The layers are
transformers' own; only the order of loading is ours.
Shape legend: B batch, T tokens, D width, V vocabulary.
"""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from training.growth.tensors import TensorFolder

if TYPE_CHECKING:
    import torch

EMBEDDING = "model.embed_tokens.weight"
HEAD_ROWS = 8192  # rows of the output matrix held at once


def logits(folder: Path, tokens_BT: "torch.Tensor", dtype: "torch.dtype") -> "torch.Tensor":
    """The logits (B, T, V) of a checkpoint folder with one model.safetensors or several shards."""
    import torch

    config, layer_of, rotary = _architecture(json.loads((folder / "config.json").read_text()))
    config._attn_implementation = "sdpa"
    read = WeightReader(folder, dtype)
    with torch.no_grad():
        hidden_BTD = read.rows(EMBEDDING, tokens_BT)
        places = torch.arange(tokens_BT.shape[1])[None]
        angles = rotary(config=config)(hidden_BTD, position_ids=places)
        for number in range(config.num_hidden_layers):
            with torch.device("meta"):
                layer = layer_of(config, number)
            prefix = f"model.layers.{number}."
            weights = {name: read.whole(prefix + name) for name in layer.state_dict()}
            layer.load_state_dict(weights, assign=True)
            layer.eval()
            hidden_BTD = layer(hidden_BTD, position_embeddings=angles, position_ids=places, attention_mask=None)
        if config.model_type == "phi3":
            epsilon, weight = config.rms_norm_eps, read.whole("model.norm.weight")
            hidden_BTD = hidden_BTD * torch.rsqrt(hidden_BTD.square().mean(-1, keepdim=True) + epsilon) * weight
            return read.head(hidden_BTD, EMBEDDING if config.tie_word_embeddings else "lm_head.weight")
        weight, bias = (read.whole(f"model.final_layernorm.{part}") for part in ("weight", "bias"))
        hidden_BTD = torch.nn.functional.layer_norm(
            hidden_BTD, (config.hidden_size,), weight, bias, config.layer_norm_eps
        )
        return read.head(hidden_BTD, "lm_head.weight") + read.whole("lm_head.bias")


def _architecture(plain: dict[str, Any]) -> tuple[Any, Any, Any]:
    """The configuration, the class of a layer, and the class of the rotary angles."""
    from training.model import read_config

    if plain["model_type"] == "phi3":
        from transformers.models.phi3.modeling_phi3 import Phi3DecoderLayer, Phi3RotaryEmbedding

        return read_config(plain), Phi3DecoderLayer, Phi3RotaryEmbedding
    from transformers.models.phi.modeling_phi import PhiDecoderLayer, PhiRotaryEmbedding

    return read_config(plain), PhiDecoderLayer, PhiRotaryEmbedding


class WeightReader:
    """Reads a folder's tensors by name, on demand, in the dtype of the computation."""

    def __init__(self, folder: Path, dtype: "torch.dtype") -> None:
        self.dtype, self.files = dtype, TensorFolder(folder)

    def whole(self, name: str) -> "torch.Tensor":
        """A whole tensor."""
        return self.files.read(name).to(self.dtype)

    def rows(self, name: str, index_BT: "torch.Tensor") -> "torch.Tensor":
        import torch

        unique, back = torch.unique(index_BT, return_inverse=True)
        tensor = torch.cat([self.files.read(name, int(row), int(row) + 1) for row in unique]).to(self.dtype)
        return tensor[back]

    def head(self, hidden_BTD: "torch.Tensor", name: str) -> "torch.Tensor":
        """The logits of hidden states under the matrix of that name, shape (B, T, V)."""
        import torch

        count = self.files.shape(name)[0]
        pieces = [
            hidden_BTD @ self.files.read(name, begin, begin + HEAD_ROWS).to(self.dtype).T
            for begin in range(0, count, HEAD_ROWS)
        ]
        return torch.cat(pieces, dim=-1)
