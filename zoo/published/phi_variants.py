"""The Phi models of the talk: architecture, exact size and published repository.

Sizes follow from the configuration alone: 12 d² L + 11 d L + 2 V d + V + 2 d. They are counted tensor by
tensor here, so that the same table can check a file's tensors against its config.

Source: Gunasekar et al. 2023 (arXiv:2306.11644) section 2.3; Li et al. 2023 (arXiv:2309.05463);
the published config.json files of microsoft/phi-1, phi-1_5 and phi-2. The table is in phi_variants.csv.
"""

import csv
import re
from collections.abc import Iterable
from math import prod
from pathlib import Path
from typing import Any

import msgspec

from zoo.errors import unknown
from zoo.records import Record
from zoo.shape import Shape, read_shape

FILE = Path(__file__).with_name("phi_variants.csv")


class Variant(Record, frozen=True):
    """One Phi model. `repository` has its published weights, "" if there are none."""

    name: str
    layers: int
    width: int
    heads: int
    rotary_factor: float
    repository: str = ""
    training_tokens: int | None = None
    about: str = ""

    @property
    def config(self) -> dict[str, Any]:
        """Its config.json for today's transformers and vLLM, with explicit token ids and rotary factor."""
        return {
            "architectures": ["PhiForCausalLM"], "model_type": "phi", "vocab_size": 51200, "hidden_size": self.width,
            "intermediate_size": 4 * self.width, "num_hidden_layers": self.layers, "num_attention_heads": self.heads,
            "num_key_value_heads": self.heads, "hidden_act": "gelu_new", "max_position_embeddings": 2048,
            "layer_norm_eps": 1e-5, "initializer_range": 0.02, "partial_rotary_factor": self.rotary_factor,
            "rope_theta": 10000.0, "qk_layernorm": False, "tie_word_embeddings": False, "bos_token_id": 50256,
            "eos_token_id": 50256,
        }  # fmt: skip

    @property
    def parameters(self) -> int:
        """The exact number of parameters, from the configuration alone."""
        return sum(prod(shape) for shape in phi_shapes(self.config).values())

    @property
    def shape(self) -> Shape:
        """Its sizes."""
        return read_shape(self.config)


def _read_variants() -> dict[str, Variant]:
    lines = csv.DictReader(FILE.read_text(encoding="utf-8").splitlines(), strict=True)
    rows = ({key: value for key, value in line.items() if value} for line in lines)
    return {row["name"]: msgspec.convert(row, Variant, strict=False) for row in rows}


VARIANTS = _read_variants()


def get_variant(name: str) -> Variant:
    """The variant of a name. Raises ZooError with the nearest."""
    if name not in VARIANTS:
        raise unknown("variant", name, VARIANTS, "phizoo models variants")
    return VARIANTS[name]


def phi_shapes(config: dict[str, Any]) -> dict[str, tuple[int, ...]]:
    """The name, as in transformers, and shape of every tensor of a Phi model, from its config.

    Raises KeyError, TypeError or ValueError if the config does not describe a Phi model.
    """
    width, inner = int(config["hidden_size"]), int(config["intermediate_size"])
    heads, vocabulary = int(config["num_attention_heads"]), int(config["vocab_size"])
    key_heads = int(config.get("num_key_value_heads") or heads)
    if heads < 1 or width % heads:
        raise ValueError(f"{heads} heads do not divide a width of {width}")
    size = width // heads
    linear = {
        "self_attn.q_proj": (heads * size, width), "self_attn.k_proj": (key_heads * size, width),
        "self_attn.v_proj": (key_heads * size, width), "self_attn.dense": (width, heads * size),
        "mlp.fc1": (inner, width), "mlp.fc2": (width, inner),
    }  # fmt: skip
    shapes: dict[str, tuple[int, ...]] = {"model.embed_tokens.weight": (vocabulary, width)}
    for layer in range(int(config["num_hidden_layers"])):
        prefix = f"model.layers.{layer}"
        for part in ("weight", "bias"):
            shapes[f"{prefix}.input_layernorm.{part}"] = (width,)
            if config.get("qk_layernorm"):
                shapes[f"{prefix}.self_attn.q_layernorm.{part}"] = (size,)
                shapes[f"{prefix}.self_attn.k_layernorm.{part}"] = (size,)
        for name, shape in linear.items():
            shapes[f"{prefix}.{name}.weight"] = shape
            shapes[f"{prefix}.{name}.bias"] = shape[:1]
    shapes |= {"model.final_layernorm.weight": (width,), "model.final_layernorm.bias": (width,)}
    return shapes | {"lm_head.weight": (vocabulary, width), "lm_head.bias": (vocabulary,)}


def legacy_format(names: Iterable[str]) -> str:
    """The older Phi format of a set of tensor names, "" for today's.

    >>> legacy_format(["transformer.h.0.mixer.Wqkv.weight"]), legacy_format(["model.layers.0.mlp.fc1.bias"])
    ('mixformer', '')
    """
    for name in names:
        if re.fullmatch(r"transformer\.h\.\d+\.mixer\.Wqkv\.weight", name):
            return "mixformer"
        if re.fullmatch(r"layers\.\d+\.mixer\.Wqkv\.weight", name):
            return "sequential"
        if re.fullmatch(r"model\.layers\.\d+\.self_attn\.query_key_value\.weight", name):
            return "fused"
    return ""
