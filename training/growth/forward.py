"""Computes a Phi's logits from its files layer by layer, with one layer's weights in memory at a time.

For checking models that do not fit into memory: the released sizes need under 2 GiB. The layers are
transformers' own; only the order of loading is ours.
Shape legend: B batch, T tokens, D width, V vocabulary.
"""

import json
from pathlib import Path
from typing import TYPE_CHECKING

from training.growth.tensors import TensorFolder

if TYPE_CHECKING:
    import torch

HEAD_ROWS = 8192  # rows of the output matrix held at once


def logits(folder: Path, tokens_BT: "torch.Tensor", dtype: "torch.dtype") -> "torch.Tensor":
    """The logits (B, T, V) of a checkpoint folder with one model.safetensors or several shards."""
    import torch
    from transformers import PhiConfig
    from transformers.models.phi.modeling_phi import PhiDecoderLayer, PhiRotaryEmbedding

    config = PhiConfig(**json.loads((folder / "config.json").read_text()))
    config._attn_implementation = "sdpa"
    read = WeightReader(folder, dtype)
    with torch.no_grad():
        hidden_BTD = read.rows("model.embed_tokens.weight", tokens_BT)
        places = torch.arange(tokens_BT.shape[1])[None]
        angles = PhiRotaryEmbedding(config=config)(hidden_BTD, position_ids=places)
        for number in range(config.num_hidden_layers):
            with torch.device("meta"):
                layer = PhiDecoderLayer(config, number)
            prefix = f"model.layers.{number}."
            weights = {name: read.whole(prefix + name) for name in layer.state_dict()}
            layer.load_state_dict(weights, assign=True)
            layer.eval()
            hidden_BTD = layer(hidden_BTD, position_embeddings=angles, position_ids=places, attention_mask=None)
        weight, bias = (read.whole(f"model.final_layernorm.{part}") for part in ("weight", "bias"))
        hidden_BTD = torch.nn.functional.layer_norm(
            hidden_BTD, (config.hidden_size,), weight, bias, config.layer_norm_eps
        )
        return read.head(hidden_BTD)


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

    def head(self, hidden_BTD: "torch.Tensor") -> "torch.Tensor":
        """The logits of hidden states, shape (B, T, V)."""
        import torch

        name, bias = "lm_head.weight", self.whole("lm_head.bias")
        count = self.files.shape(name)[0]
        pieces = [
            hidden_BTD @ self.files.read(name, begin, begin + HEAD_ROWS).to(self.dtype).T
            for begin in range(0, count, HEAD_ROWS)
        ]
        return torch.cat(pieces, dim=-1) + bias
