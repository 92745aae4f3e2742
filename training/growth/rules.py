"""Rules of weight reuse: how each tensor of a larger Phi is made from a smaller one's.

Pure functions of tensors; `training.growth.grow` applies them file by file and checks the result.
Source: the talk (docs/phi.md) for `corner` and `tile` (periodic repetition, no scale); the exact methods follow
from two invariants of a Phi block with one shared LayerNorm and an untied head:
  tile-exact  the residual stream is n copies of the small one's (LayerNorm gives n copies of its
              output, so a matrix whose input is tiled takes W/n in each block)
  pad-exact   the new stream coordinates always hold the mean of the old ones (LayerNorm's output is
              0 there, so what reads them is free; variance shrinks by S/T, undone in gamma and eps)
HyperCloning (arXiv:2409.12903) and LEMON (arXiv:2310.07999) derive the same ideas for other blocks.

Letters in names: S and T a size before and after, n = T/S for integer growth.
"""

import itertools
import math
from typing import TYPE_CHECKING, Literal

from training.recipe import Model
from zoo.errors import ZooError
from zoo.records import Record

if TYPE_CHECKING:
    import torch

Method = Literal["scratch", "corner", "tile", "tile-exact", "pad-exact", "structured-tile"]
Depth = Literal["copy", "half", "zero"]
Rounding = Literal["half-even", "half-up", "floor"]
STRIPE = 1 << 18  # numbers computed at a time
NOISE_SPREAD = math.sqrt((256**2 - 1) / 12)  # the standard deviation of a byte

METHODS: tuple[Method, ...] = ("scratch", "corner", "tile", "tile-exact", "pad-exact", "structured-tile")
EXACT: tuple[Method, ...] = ("tile-exact", "pad-exact")

# the axes of each tensor, output first. stream: the residual; heads: head by head; ffn: inside the MLP
AXES: dict[str, tuple[str, ...]] = {
    "model.embed_tokens.weight": ("token", "stream"), "input_layernorm.weight": ("stream",),
    "input_layernorm.bias": ("stream",), "self_attn.q_proj.weight": ("heads", "stream"),
    "self_attn.q_proj.bias": ("heads",), "self_attn.k_proj.weight": ("heads", "stream"),
    "self_attn.k_proj.bias": ("heads",), "self_attn.v_proj.weight": ("heads", "stream"),
    "self_attn.v_proj.bias": ("heads",), "self_attn.dense.weight": ("stream", "heads"),
    "self_attn.dense.bias": ("stream",), "mlp.fc1.weight": ("ffn", "stream"), "mlp.fc1.bias": ("ffn",),
    "mlp.fc2.weight": ("stream", "ffn"), "mlp.fc2.bias": ("stream",), "model.final_layernorm.weight": ("stream",),
    "model.final_layernorm.bias": ("stream",), "lm_head.weight": ("token", "stream"), "lm_head.bias": ("token",),
}  # fmt: skip


class Growth(Record, frozen=True, kw_only=True):
    """How to grow. noise: antisymmetric noise as a share of a matrix's own spread; split: unequal shares.

    noise and split break the symmetry of tile-exact's copies without changing the function.
    """

    method: Method
    depth: Depth = "zero"
    rounding: Rounding = "half-even"
    noise: float = 0.0
    split: float = 0.0
    seed: int = 0


def depth_map(new: int, old: int, rounding: Rounding = "half-even") -> list[int]:
    """The old layer for each new layer: round(i / new * old), at most the last one.

    Source  the talk's `round_int(range(new)/new*old)`; numpy and torch round half-even; a
            re-implementation of Gopher G.3.3 uses floor.

    >>> depth_map(24, 20)[:5], depth_map(24, 20, "half-up")[:5], depth_map(4, 2, "floor")
    ([0, 1, 2, 2, 3], [0, 1, 2, 3, 3], [0, 0, 1, 1])
    """
    layers = []
    for place in range(new):
        whole, rest = divmod(place * old, new)  # exact integers, so that no float decides a tie
        if rounding != "floor" and (2 * rest > new or (2 * rest == new and (rounding == "half-up" or whole % 2))):
            whole += 1
        layers.append(min(whole, old - 1))
    return layers


def check_growth(old: Model, new: Model, growth: Growth) -> None:
    """Raises ZooError if a method cannot grow one shape into the other, and names a method that can."""
    if old.kind != new.kind:
        raise ZooError(f"the architectures differ ({old.kind}, {new.kind}); growth keeps the parent's: model.kind")
    head = (old.width // old.heads, new.width // new.heads)
    if growth.method == "scratch":
        return
    for dimension in ("layers", "width", "heads", "mlp"):
        before, after = getattr(old, dimension), getattr(new, dimension)
        if after < before:
            raise ZooError(f"growth cannot shrink {dimension} from {before} to {after}; give a larger recipe to --to")
    if old.rotary_dim != new.rotary_dim:
        raise ZooError(
            f"the rotary size differs ({old.rotary_dim}, {new.rotary_dim}): positions would mean something else; "
            f"set model.rotary_dim to {old.rotary_dim} in the target recipe"
        )
    if old.rotary_theta != new.rotary_theta:
        raise ZooError(f"rotary_theta differs ({old.rotary_theta:g}, {new.rotary_theta:g}); keep the parent's")
    if growth.method == "tile-exact":
        ratios = {new.width / old.width, new.heads / old.heads, new.mlp / old.mlp}
        if len(ratios) != 1 or new.width % old.width:
            raise ZooError(
                f"tile-exact needs width, heads and mlp to grow by one whole factor; here they grow by "
                f"{', '.join(f'{ratio:g}' for ratio in sorted(ratios))}. For such shapes: --method pad-exact"
            )
    if head[1] < head[0]:
        raise ZooError(f"no method shrinks a head from {head[0]} to {head[1]}; keep width/heads at {head[0]} or more")
    if head[0] != head[1] and growth.method in ("corner",):
        raise ZooError(f"{growth.method} cannot change the head size ({head[0]} to {head[1]}); take pad-exact")


def preserves_function(old: Model, new: Model, growth: Growth) -> bool:
    """Whether the grown model computes the parent's function."""
    deeper = new.layers != old.layers
    return growth.method in EXACT and (not deeper or growth.depth == "zero")


def tensor_shapes(model: Model, vocabulary: int) -> dict[str, tuple[int, ...]]:
    """Name and shape of every tensor of a Phi, in the order of the file."""
    sizes = {"token": vocabulary, "stream": model.width, "heads": model.width, "ffn": model.mlp}
    names = ["model.embed_tokens.weight"]
    inner = [name for name in AXES if not name.startswith(("model.", "lm_head."))]
    names += [f"model.layers.{layer}.{name}" for layer in range(model.layers) for name in inner]
    names += ["model.final_layernorm.weight", "model.final_layernorm.bias", "lm_head.weight", "lm_head.bias"]
    return {name: tuple(sizes[axis] for axis in AXES[role(name)]) for name in names}


def role(name: str) -> str:
    """A tensor's name without its layer: a key of AXES.

    >>> role("model.layers.3.mlp.fc1.weight")
    'mlp.fc1.weight'
    """
    return name.split(".", 3)[3] if name.startswith("model.layers.") else name


def source_tensor(name: str, old: Model, new: Model, growth: Growth) -> tuple[str, float]:
    """The parent's tensor for a new tensor, and the factor for its layer's output.

    `copy` repeats a layer unchanged. `half` divides the output between the copies. `zero` keeps the first copy's
    output and zeroes the others', which is exact.
    """
    if not name.startswith("model.layers."):
        return name, 1.0
    layers = depth_map(new.layers, old.layers, growth.rounding)
    layer = int(name.split(".")[2])
    taken = layers[layer]
    factor = 1.0
    if role(name).startswith(("self_attn.dense", "mlp.fc2")):
        if growth.depth == "half":
            factor = 1.0 / layers.count(taken)
        elif growth.depth == "zero" and layers.index(taken) != layer:
            factor = 0.0
    return f"model.layers.{taken}.{role(name)}", factor


def grow_tensor(
    name: str, tensor: "torch.Tensor", old: Model, new: Model, growth: Growth, spread: float,
    out: "torch.Tensor | None" = None,
) -> "torch.Tensor":  # fmt: skip
    """Makes one tensor of the larger model from the smaller one's, without the depth factor.

    tensor   the parent's, in the dtype of the computation
    spread   standard deviation of newly drawn values (the target recipe's initializer range)
    out      a flat buffer that the result may use, because reused pages are cheaper than new ones
    Returns  the new tensor in the same dtype; drawn values depend on (seed, name) alone
    """
    import torch

    part = role(name)
    if growth.method in ("scratch", "corner"):
        return _draw_around(name, part, tensor, old, new, growth, spread)
    if growth.method == "pad-exact":
        return _pad(name, part, tensor, old, new, growth, spread)
    if growth.method == "tile-exact" and tensor.dim() == 2 and part != "model.embed_tokens.weight":
        copies = new.width // old.width
        return share_out(name, tensor, copies, 1 if AXES[part][0] == "token" else copies, growth, out)
    structured = growth.method == "structured-tile"
    for axis, kind in enumerate(AXES[part]):
        if kind != "token":
            if structured and kind == "heads":
                tensor = tensor.index_select(axis, torch.tensor(_heads_index(old, new)))
            elif _size(kind, new) % _size(kind, old) == 0:  # whole copies one after the other
                times = [1] * tensor.dim()
                times[axis] = _size(kind, new) // _size(kind, old)
                tensor = tensor.repeat(times)
            else:
                tensor = tensor.index_select(axis, torch.tensor(_periodic(kind, old, new)))
    return tensor


# an optimizer's statistics of a gradient, and the power of the gradient in each
MOMENT_POWERS = {"exp_avg": 1, "exp_avg_sq": 2, "momentum_buffer": 1}


def grow_moment(name: str, key: str, moment: "torch.Tensor", old: Model, new: Model, growth: Growth) -> "torch.Tensor":
    """Makes one tensor of the larger model's optimizer state from the smaller one's, for the exact methods.

    n copies that are each read with weight 1/n share the gradient: every tiled tensor has g/n, hence m/n and
    v/n^2. The head's output is not tiled, so its gradient is g in every copy. Under pad-exact a tensor scaled by
    c has g/c; new entries had no gradient, so they get momentum 0 and the mean of v, which keeps their first
    steps as small as the others'.
    """
    import torch

    if key not in MOMENT_POWERS:  # the count of steps; cloned, because a doubled layer uses the same one twice
        return moment.clone()
    power, part = MOMENT_POWERS[key], role(name)
    if growth.method == "tile-exact":
        for axis, kind in enumerate(AXES[part]):
            if kind != "token":
                moment = moment.index_select(axis, torch.tensor(_periodic(kind, old, new)))
        copies = new.width // old.width
        return moment if part.startswith("lm_head") else moment / copies**power
    scale = 1.0
    if part.startswith("self_attn.q_proj"):
        scale = math.sqrt((new.width // new.heads) / (old.width // old.heads))
    elif "layernorm" in part and part.endswith("weight"):
        scale = math.sqrt(old.width / new.width)
    fill = float(moment.mean()) / scale**power if power == 2 else 0.0
    made = torch.full(_shape(part, old, new, moment), fill, dtype=moment.dtype)
    index = _kept_coordinates(old, new)
    places = [index.get(kind) for kind in AXES[part]]
    return _place(made, moment / scale**power, places)


def _kept_coordinates(old: Model, new: Model) -> dict[str, list[int]]:
    """The new positions of the old coordinates of each axis under pad-exact."""
    before, after = old.width // old.heads, new.width // new.heads
    heads = [head * after + place for head in range(old.heads) for place in range(before)]
    return {"heads": heads, "stream": list(range(old.width)), "ffn": list(range(old.mlp))}


def _place(made: "torch.Tensor", tensor: "torch.Tensor", places: "list[list[int] | None]") -> "torch.Tensor":
    """Copies old values to their positions in a new tensor; None is a whole axis."""
    import torch

    first = torch.arange(made.shape[0]) if places[0] is None else torch.tensor(places[0])
    if made.dim() == 1:
        made[first] = tensor
    else:
        second = torch.arange(made.shape[1]) if places[1] is None else torch.tensor(places[1])
        made[first[:, None], second[None]] = tensor
    return made


def _size(kind: str, model: Model) -> int:
    return model.mlp if kind == "ffn" else model.width


def _periodic(kind: str, old: Model, new: Model) -> list[int]:
    """W_new[i] = W_old[i mod S]; heads are stored one after another, so whole heads repeat."""
    return [place % _size(kind, old) for place in range(_size(kind, new))]


def _heads_index(old: Model, new: Model) -> list[int]:
    """Indices head by head: rotary dims stay first, new dims repeat the old ones that carry no position."""
    before, after = old.width // old.heads, new.width // new.heads
    still = before - old.rotary_dim
    if after > before and still == 0:
        raise ZooError(f"structured-tile cannot widen heads of {before} that are all rotary; take pad-exact")
    inside = [place if place < before else old.rotary_dim + (place - before) % still for place in range(after)]
    return [(head % old.heads) * before + place for head in range(new.heads) for place in inside]


def generator_of(name: str, growth: Growth) -> "torch.Generator":
    """The random generator of one tensor, seeded by (seed, name)."""
    import torch

    from zoo.digest import digest

    return torch.Generator().manual_seed(int(digest([growth.seed, name])[:15], 16))


def share_out(
    name: str, tensor: "torch.Tensor", copies: int, times: int, growth: Growth, out: "torch.Tensor | None"
) -> "torch.Tensor":
    """A matrix with tiled input: each of the n input copies gets a share, and the shares sum to the whole.

    times   copies of the output

    Works on a few rows at a time, so that they stay in a core's cache. The noise is uniform with 256 levels: it only
    has to make the copies differ, and one draw gives eight values.
    """
    import torch

    rows, columns = tensor.shape
    size = (times, rows, copies, columns)
    made = torch.empty(size, dtype=tensor.dtype) if out is None else out[: math.prod(size)].view(size)
    share = tensor / copies
    spread = growth.noise * float(share.std()) / NOISE_SPREAD if growth.noise else 0.0
    generator = generator_of(name, growth)
    step = max(1, STRIPE // (copies * columns))
    bits = torch.empty(-(-step * copies * columns // 8), dtype=torch.int64)
    room = torch.empty(step * copies * columns, dtype=tensor.dtype)
    for place, begin in itertools.product(range(times), range(0, rows, step)):
        part = made[place, begin : begin + step]
        part.copy_(share[begin : begin + step, None].expand(part.shape))
        if copies > 1 and growth.split:
            unequal = torch.rand((len(part), copies, 1), generator=generator, dtype=tensor.dtype) * 2 - 1
            part *= 1 + growth.split * (unequal - unequal.mean(1, keepdim=True))
        if copies > 1 and spread:
            bits.random_(-(2**63), None, generator=generator)
            noise = room[: part.numel()].copy_(bits.view(torch.uint8)[: part.numel()]).view(part.shape)
            noise -= noise.mean(1, keepdim=True)
            noise *= spread
            part += noise
    return made.view(times * rows, copies * columns)


def _draw_fresh(
    name: str, shape: tuple[int, ...], part: str, growth: Growth, spread: float, like: "torch.Tensor"
) -> "torch.Tensor":
    """A newly initialised tensor: matrices normal, norms 1, biases 0."""
    import torch

    if len(shape) == 2:
        return torch.randn(shape, generator=generator_of(name, growth), dtype=like.dtype) * spread
    value = 1.0 if "layernorm" in part and part.endswith("weight") else 0.0
    return torch.full(shape, value, dtype=like.dtype)


def _shape(part: str, old: Model, new: Model, tensor: "torch.Tensor") -> tuple[int, ...]:
    return tuple(tensor.shape[axis] if kind == "token" else _size(kind, new) for axis, kind in enumerate(AXES[part]))


def _draw_around(
    name: str, part: str, tensor: "torch.Tensor", old: Model, new: Model, growth: Growth, spread: float
) -> "torch.Tensor":
    """A newly initialised tensor; for `corner` with the old one in its first rows and columns."""
    made = _draw_fresh(name, _shape(part, old, new, tensor), part, growth, spread, tensor)
    if growth.method == "corner":
        made[tuple(slice(0, size) for size in tensor.shape)] = tensor
    return made


def _pad(
    name: str, part: str, tensor: "torch.Tensor", old: Model, new: Model, growth: Growth, spread: float
) -> "torch.Tensor":
    """One tensor under pad-exact: new stream coordinates are written with the mean and read as zero."""
    index = _kept_coordinates(old, new)
    if "layernorm" in part:
        made = _draw_fresh(name, (new.width,), part, growth, spread, tensor)
        made[: old.width] = tensor * math.sqrt(old.width / new.width) if part.endswith("weight") else tensor
        return made
    if part.startswith("self_attn.q_proj"):
        # compensates the larger head's 1/sqrt(head size)
        tensor = tensor * math.sqrt((new.width // new.heads) / (old.width // old.heads))
    made = _draw_fresh(name, _shape(part, old, new, tensor), part, growth, spread, tensor)
    if part.startswith("self_attn.k_proj"):
        made.zero_()  # new query dims meet zero keys; the old columns are set below, the new ones are never read
    if part in ("self_attn.dense.weight", "mlp.fc2.weight"):
        made.zero_()  # the outputs of new head dims and new neurons are ignored
    made = _place(made, tensor, [index.get(kind) for kind in AXES[part]])
    writes = part == "model.embed_tokens.weight" or AXES[part][0] == "stream"
    if writes and new.width > old.width:
        if part == "model.embed_tokens.weight":
            made[:, old.width :] = made[:, : old.width].mean(1, keepdim=True)
        else:
            made[old.width :] = made[: old.width].mean(0, keepdim=True)
    return made


def layer_norm_epsilon(old: Model, new: Model, growth: Growth) -> float:
    """The grown model's LayerNorm epsilon; pad-exact shrinks the variance by S/T and epsilon with it."""
    if growth.method == "pad-exact":
        return old.layer_norm_epsilon * old.width / new.width
    return new.layer_norm_epsilon if growth.method == "scratch" else old.layer_norm_epsilon
