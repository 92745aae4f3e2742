"""The shape of a model, read from its config.json: layers, heads, widths, vocabulary, context, rotary share.

The one place that knows how each family of models names a size. It reads and judges nothing: a size that
the config does not state is 0, and each caller says what it cannot do without. Checks are in `zoo.admission`.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from zoo.records import Record

# size -> its keys in config.json; the first that is stated counts
KEYS = {
    "layers": ("num_hidden_layers", "n_layer"), "width": ("hidden_size", "n_embd", "d_model"),
    "heads": ("num_attention_heads", "n_head"), "key_heads": ("num_key_value_heads", "n_head_kv"),
    "head_size": ("head_dim",), "inner": ("intermediate_size", "n_inner"), "vocabulary": ("vocab_size",),
    "context_tokens": ("max_position_embeddings", "n_positions", "max_seq_len"),
}  # fmt: skip
PHI_ROTARY_FACTOR = 0.5  # PhiConfig's default; phi-1 and phi-1.5 have it
PHI_2_HEAD_SIZE, PHI_2_ROTARY_FACTOR = 80, 0.4  # phi-2 rotates 32 of its 80 dimensions (microsoft/phi-2, config.json)
ROTARY_THETA = 10000.0


class Shape(Record, frozen=True, kw_only=True):
    """The sizes of a model; 0 where unknown.

    head_size      numbers in one head
    inner          width inside the MLP
    rotary_factor  share of each head that is rotated; None: not stated
    tied           the head's matrix is the embedding's
    """

    family: str = ""
    layers: int
    width: int
    heads: int
    key_heads: int
    head_size: int
    inner: int
    vocabulary: int = 0
    context_tokens: int = 0
    rotary_factor: float | None = None
    rotary_theta: float = ROTARY_THETA
    tied: bool = False

    @property
    def rotary_dimensions(self) -> int:
        """Numbers of each head that are rotated, for a Phi."""
        default = 1.0 if self.family == "phi3" else PHI_ROTARY_FACTOR
        factor = default if self.rotary_factor is None else self.rotary_factor
        return round(factor * self.head_size)

    @property
    def cache_values(self) -> int:
        """Numbers kept for one token of context: a key and a value in each layer."""
        return 2 * self.layers * self.key_heads * self.head_size

    @property
    def lacks_phi_2_rotary(self) -> bool:
        """Whether this is a Phi with phi-2's heads and not phi-2's rotary factor, which gives wrong positions."""
        has_phi_2_heads = self.heads > 0 and self.width == PHI_2_HEAD_SIZE * self.heads
        return self.family == "phi" and has_phi_2_heads and self.rotary_factor != PHI_2_ROTARY_FACTOR


def stated_size(config: Mapping[str, Any], size: str) -> int | None:
    """A size of KEYS as a config states it; None where it does not.

    >>> stated_size({"n_layer": 12}, "layers"), stated_size({}, "layers")
    (12, None)
    """
    values = (config.get(key) for key in KEYS[size])
    return next((int(value) for value in values if value and isinstance(value, int | float)), None)


def read_shape(config: Mapping[str, Any]) -> Shape:
    """The shape that a config.json describes.

    >>> shape = read_shape({"hidden_size": 2560, "num_attention_heads": 32, "partial_rotary_factor": 0.4})
    >>> shape.head_size, shape.key_heads, shape.rotary_dimensions, shape.layers
    (80, 32, 32, 0)
    """
    sizes = {size: stated_size(config, size) or 0 for size in KEYS}
    heads = sizes["heads"]
    sizes["key_heads"] = sizes["key_heads"] or heads
    sizes["head_size"] = sizes["head_size"] or (sizes["width"] // heads if heads > 0 else 0)
    rope = config.get("rope_parameters")
    rope = rope if isinstance(rope, dict) else {}
    factor = rope.get("partial_rotary_factor", config.get("partial_rotary_factor"))
    return Shape(
        family=str(config.get("model_type") or ""),
        rotary_factor=None if factor is None else float(factor),
        rotary_theta=float(rope.get("rope_theta") or config.get("rope_theta") or ROTARY_THETA),
        tied=bool(config.get("tie_word_embeddings")),
        **sizes,
    )


def folder_shape(folder: Path) -> Shape:
    """The shape of a checkpoint's folder. Raises OSError or ValueError when its config.json cannot be read."""
    from zoo.admission.gguf import gguf_file, read_model  # commands that list need no shape of a folder

    file = gguf_file(folder)
    return read_shape(read_model(file).config if file else json.loads((folder / "config.json").read_bytes()))
