"""Rules of weight reuse for phi-3's and phi-4-mini's block, for the methods that keep the parent's function.

What differs from `training.growth.rules`: RMSNorm has no mean and no bias, so pad-exact's new stream coordinates are 0;
queries, keys and values are one matrix, and gate and up another, so each part grows by itself; several heads share a
key head, so heads and key heads grow by one factor; the head may be the embedding. Then tile-exact's logits, n times
the small ones, are divided by n in the final norm.
"""

import math
from typing import TYPE_CHECKING

from training.growth.rules import EXACT, Growth, depth_map, generator_of, share_out
from training.recipe import Model
from zoo.errors import ZooError

if TYPE_CHECKING:
    import torch

# the outputs of each tensor of a layer, part after part, and its input; a norm has no input
LAYER: dict[str, tuple[tuple[str, ...], str]] = {
    "input_layernorm.weight": (("stream",), ""), "self_attn.qkv_proj.weight": (("heads", "keys", "keys"), "stream"),
    "self_attn.o_proj.weight": (("stream",), "heads"), "post_attention_layernorm.weight": (("stream",), ""),
    "mlp.gate_up_proj.weight": (("ffn", "ffn"), "stream"), "mlp.down_proj.weight": (("stream",), "ffn"),
}  # fmt: skip
EMBEDDING, NORM, HEAD = "model.embed_tokens.weight", "model.norm.weight", "lm_head.weight"
SILENT = ("self_attn.o_proj.weight", "mlp.down_proj.weight")  # the outputs of a layer's two halves


def head_size(model: Model) -> int:
    """Numbers in one head."""
    return model.width // model.heads


def size(kind: str, model: Model) -> int:
    """The length of an axis."""
    key_size = model.keys * head_size(model)
    return {"stream": model.width, "heads": model.width, "keys": key_size, "ffn": model.mlp}[kind]


def tensor_shapes(model: Model, vocabulary: int) -> dict[str, tuple[int, ...]]:
    """Name and shape of every tensor, in the order of the file."""
    shapes: dict[str, tuple[int, ...]] = {EMBEDDING: (vocabulary, model.width)}
    for layer in range(model.layers):
        for name, (outputs, read) in LAYER.items():
            rows = sum(size(kind, model) for kind in outputs)
            shapes[f"model.layers.{layer}.{name}"] = (rows, size(read, model)) if read else (rows,)
    shapes[NORM] = (model.width,)
    return shapes if model.tied else shapes | {HEAD: (vocabulary, model.width)}


def check_growth(old: Model, new: Model, growth: Growth) -> None:
    """Raises ZooError if a method cannot grow one shape into the other; `rules.check_growth` has checked the rest."""
    if growth.method not in (*EXACT, "scratch"):
        raise ZooError(
            f"{growth.method} is the talk's method for Phi's own block; this architecture grows by {' or '.join(EXACT)}"
        )
    if old.tied != new.tied:
        raise ZooError(
            f"model.tied differs ({old.tied}, {new.tied}); set model.tied={str(old.tied).lower()} in the target"
        )
    if old.heads * new.keys != new.heads * old.keys:
        raise ZooError(
            f"each key head serves {old.heads // old.keys} heads, in the target {new.heads // new.keys}: heads would "
            f"read other keys; --set model.key_heads={new.heads * old.keys // old.heads or 1}"
        )


def source_tensor(name: str, old: Model, new: Model, growth: Growth) -> tuple[str, float]:
    """The parent's tensor for a new tensor, and the factor for its layer's output (see `rules.source_tensor`)."""
    if not name.startswith("model.layers."):
        return name, 1.0
    layers = depth_map(new.layers, old.layers, growth.rounding)
    number, part = name.removeprefix("model.layers.").split(".", 1)
    taken = layers[int(number)]
    factor = 1.0
    if part in SILENT and growth.depth == "half":
        factor = 1.0 / layers.count(taken)
    elif part in SILENT and growth.depth == "zero" and layers.index(taken) != int(number):
        factor = 0.0
    return f"model.layers.{taken}.{part}", factor


def grow_tensor(
    name: str, tensor: "torch.Tensor", old: Model, new: Model, growth: Growth, spread: float,
    _out: "torch.Tensor | None" = None,
) -> "torch.Tensor":  # fmt: skip
    """Makes one tensor of the larger model, without the depth factor; arguments as in `rules.grow_tensor`."""
    import torch

    part = name.removeprefix("model.layers.").split(".", 1)[1] if name.startswith("model.layers.") else name
    if growth.method == "scratch":
        shape = tensor_shapes(new, len(tensor) if part in (EMBEDDING, HEAD) else 1)[name]
        if len(shape) == 1:
            return torch.ones(shape, dtype=tensor.dtype)
        return torch.randn(shape, generator=generator_of(name, growth), dtype=tensor.dtype) * spread
    if tensor.dim() == 1:
        return _norm(tensor, old, new, growth, part == NORM and old.tied)
    if part in (EMBEDDING, HEAD):
        return _table(name, part, tensor, old, new, growth, spread)
    outputs, read = LAYER[part]
    pieces = torch.split(tensor, [size(kind, old) for kind in outputs])
    part_of = ("query", "key", "value") if len(outputs) == 3 else ("", "")
    grown = [
        _matrix(f"{name}/{number}", part_of[number], (kind, read), piece, old, new, growth, spread)
        for number, (kind, piece) in enumerate(zip(outputs, pieces, strict=True))
    ]
    return torch.cat(grown)


def _norm(tensor: "torch.Tensor", old: Model, new: Model, growth: Growth, divides: bool) -> "torch.Tensor":
    """A norm's weight. divides: it is the final one, whose output n tied copies of the head add up."""
    import torch

    copies = new.width // old.width
    if growth.method == "tile-exact":
        return tensor.repeat(copies) / (copies if divides else 1)
    made = torch.ones(new.width, dtype=tensor.dtype)
    made[: old.width] = tensor * math.sqrt(old.width / new.width)
    return made


def _table(
    name: str, part: str, tensor: "torch.Tensor", old: Model, new: Model, growth: Growth, spread: float
) -> "torch.Tensor":  # fmt: skip
    """The embedding or the head: one row a token."""
    import torch

    copies = new.width // old.width
    if growth.method == "tile-exact":
        return tensor.repeat(1, copies) if part == EMBEDDING else share_out(name, tensor, copies, 1, growth, None)
    made = torch.zeros((len(tensor), new.width), dtype=tensor.dtype)
    if part == HEAD:  # it reads 0 in the new coordinates, so that its columns there are free
        made.normal_(0.0, spread, generator=generator_of(name, growth))
    made[:, : old.width] = tensor
    return made


def _kept(kind: str, old: Model, new: Model) -> list[int]:
    """The new positions of an axis' old coordinates under pad-exact: heads keep their place, and widen behind."""
    if kind not in ("heads", "keys"):
        return list(range(size(kind, old)))
    before, after = head_size(old), head_size(new)
    heads = old.heads if kind == "heads" else old.keys
    return [head * after + place for head in range(heads) for place in range(before)]


def _matrix(
    name: str, part: str, axes: tuple[str, str], tensor: "torch.Tensor", old: Model, new: Model, growth: Growth,
    spread: float,
) -> "torch.Tensor":  # fmt: skip
    """One part of a matrix: query, key, value or another. axes: its outputs' and its inputs'."""
    import torch

    if growth.method == "tile-exact":
        copies = new.width // old.width
        return share_out(name, tensor, copies, copies, growth, None)
    if part == "query":
        tensor = tensor * math.sqrt(head_size(new) / head_size(old))  # undoes the larger head's 1/sqrt(size)
    made = torch.zeros((size(axes[0], new), size(axes[1], new)), dtype=tensor.dtype)
    if axes[0] != "stream" and part != "key":
        # what reads the stream may be anything where the stream is 0, and new values and neurons are not read below
        made.normal_(0.0, spread, generator=generator_of(name, growth))
    rows, columns = (torch.tensor(_kept(axis, old, new)) for axis in axes)
    made[rows[:, None], columns[None]] = tensor
    if part == "key" and new.width > old.width:
        shape = (len(rows), new.width - old.width)
        made[rows, old.width :] = torch.randn(shape, generator=generator_of(name, growth), dtype=tensor.dtype) * spread
    return made


def epsilon(old: Model, new: Model, growth: Growth) -> float:
    """The grown model's RMSNorm epsilon; pad-exact shrinks the mean square by S/T and epsilon with it."""
    if growth.method == "pad-exact":
        return old.layer_norm_epsilon * old.width / new.width
    return new.layer_norm_epsilon if growth.method == "scratch" else old.layer_norm_epsilon
