"""Grows a larger checkpoint from a smaller one, tensor by tensor, and checks the result.

Memory holds a few tensors (the released sizes need under 4 GiB), and the target is written directly into the
store. Optimizer state, if it is grown, is held whole. A grown checkpoint is registered only after its logits
were compared with its parent's on a batch.
"""

import contextlib
import itertools
import json
import os
import shutil
import struct
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import msgspec

from training.growth import rules, rules_phi3
from training.growth.rules import Growth, tensor_shapes
from training.growth.tensors import TensorFolder
from training.model import model_of
from training.recipe import Model
from training.state import save_tensors
from zoo.digest import write_json
from zoo.errors import ZooError
from zoo.progress import progress
from zoo.records import About, Checkpoint, Parent, Record
from zoo.registry import Registry
from zoo.shape import folder_shape, read_shape

EXACT_LOGITS = 1e-5  # largest difference allowed for an exact method (fp32 weights)
AT_ONCE = 2  # tensors made in parallel while the previous one is written
PROOF_ROWS, PROOF_TOKENS, PROOF_SEED = 2, 16, 20231210
COPIED = ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "vocab.json", "merges.txt",
          "added_tokens.json", "generation_config.json", "chat_template.jinja")  # fmt: skip


class Proof(Record, frozen=True, kw_only=True):
    """The comparison of logits. largest: largest difference of parent and grown; spread: of the parent's logits."""

    preserves: bool
    largest: float
    mean: float
    spread: float
    tokens: int
    arithmetic: str


def shape_of(config: dict[str, Any]) -> Model:
    """A checkpoint's shape from its config.json. Raises ZooError for architectures that growth does not support."""
    shape = read_shape(config)
    if shape.family not in ("phi", "phi3"):
        raise ZooError(f"growth is for Phi models; this one is {config.get('model_type')!r:.40}")
    rope = config.get("rope_parameters") or config.get("rope_scaling") or {}
    if rope.get("rope_type", rope.get("type", "default")) != "default":
        raise ZooError("its rotary positions are scaled for a long context, which no method here preserves")
    if shape.family == "phi3":
        return model_of(config)
    if shape.tied:
        raise ZooError("its embeddings are tied to the head: a tiled head would scale the embedding too. Untie first")
    if shape.key_heads != shape.heads:
        raise ZooError("its keys and values are shared by several heads; growth knows one key a head, as all Phi have")
    if config.get("qk_layernorm"):
        raise ZooError("it normalises queries and keys (qk_layernorm), which no method here preserves")
    return model_of(config)


def grow(
    registry: Registry, spec: str, recipe_name: str, target: Model, growth: Growth, name: str,
    optimizer_state: bool = False,
) -> tuple[Checkpoint, Proof]:  # fmt: skip
    """Grows a checkpoint, registers it, and returns it with its proof.

    optimizer_state  grow the optimizer's moments too; training can then start from them (parent.optimizer_state)
    Raises           ZooError if the method cannot grow these shapes, or an exact method changes the logits; nothing
                     is registered then
    """
    parent = registry.get(spec)
    old = shape_of(parent.architecture)
    if target.vocabulary not in (None, old.vocabulary):
        raise ZooError(
            f"the vocabularies differ: {parent.label} has {old.vocabulary} rows, {recipe_name} {target.vocabulary}; "
            "a grown model keeps its parent's tokenizer"
        )
    rules.check_growth(old, target, growth)
    if old.kind == "phi3":
        rules_phi3.check_growth(old, target, growth)
        if optimizer_state:
            raise ZooError("the optimizer state of this architecture cannot be grown; leave --optimizer-state out")
    existing = _find_grown(registry, name, parent, recipe_name, target, growth)
    if existing and (not optimizer_state or moments_file(existing[0].digest).is_file()):
        return existing
    moments = _moments(parent, growth) if optimizer_state else None
    facts = _facts(parent, recipe_name, target, growth)
    proofs: list[Proof] = []

    def made(folder: Path) -> About:
        write(registry.path(parent), folder, old, target, growth)
        proof = prove(registry.path(parent), folder, rules.preserves_function(old, target, growth))
        if proof.preserves and proof.largest > EXACT_LOGITS:
            raise ZooError(
                f"{growth.method} should preserve the function, but the logits differ by {proof.largest:.2g} (at most "
                f"{EXACT_LOGITS:g}); nothing was registered. Is the parent in half precision, or does it hold NaN?"
            )
        proofs.append(proof)
        return About(
            family=parent.family, prompt_style="completion", training_tokens=parent.training_tokens,
            training_flops=parent.training_flops,
            recipe={"name": name, "grow": facts | {"proof": msgspec.to_builtins(proof)}},
            parents=(Parent(digest=parent.digest, relation="grow"),), datasets=parent.datasets, licence=parent.licence,
            source=f"grown from {parent.label} by {growth.method}",
        )  # fmt: skip

    grown = registry.make(name, made)
    if moments is not None:
        write_moments(moments, moments_file(grown.digest), old, target, growth)
    return grown, proofs[0]


def _find_grown(
    registry: Registry, name: str, parent: Checkpoint, recipe_name: str, target: Model, growth: Growth
) -> tuple[Checkpoint, Proof] | None:
    """An existing checkpoint of that name grown from this parent in the same way, with its proof."""
    for checkpoint in registry.list(name, all_versions=True):
        kept = registry.recipe(checkpoint.recipe_digest).get("grow", {}) if checkpoint.recipe_digest else {}
        if kept and {**kept, "proof": None} == {**_facts(parent, recipe_name, target, growth), "proof": None}:
            return checkpoint, msgspec.convert(kept["proof"], Proof)
    return None


def moments_file(checkpoint: str) -> Path:
    """The path of a checkpoint's optimizer state, named by its digest; exists only if the state was kept."""
    from zoo import settings

    return settings.training_dir() / "optimizers" / f"{checkpoint}.safetensors"


def _moments(parent: Checkpoint, growth: Growth) -> Path:
    """The file of the parent's optimizer state. Raises ZooError if there is none or the method cannot grow it."""
    if growth.method not in rules.EXACT:
        raise ZooError(
            f"{growth.method} changes the function, so the parent's optimizer state does not fit the new gradients; "
            f"grow without it, or by {' or '.join(rules.EXACT)}"
        )
    if not (file := moments_file(parent.digest)).is_file():
        raise ZooError(
            f"no optimizer state of {parent.label} was kept; train it with --set states.keep_optimizer=true, "
            "or grow without --optimizer-state"
        )
    return file


def write_moments(parent: Path, file: Path, old: Model, target: Model, growth: Growth) -> None:
    """Writes the grown optimizer state of a checkpoint."""
    from safetensors import safe_open

    file.parent.mkdir(parents=True, exist_ok=True)
    opened: Any = safe_open(parent, framework="pt")
    names = set(opened.keys())
    tensors: dict[str, Any] = {}
    prefixes = sorted({name.split(".")[0] for name in names})
    assert old.vocabulary is not None  # read from the parent's config
    for name in tensor_shapes(target, old.vocabulary):
        taken, _ = rules.source_tensor(name, old, target, growth)
        for number in prefixes:
            for key in ("step", *rules.MOMENT_POWERS):
                if f"{number}.{taken}.{key}" in names:
                    moment = opened.get_tensor(f"{number}.{taken}.{key}")
                    tensors[f"{number}.{name}.{key}"] = rules.grow_moment(name, key, moment, old, target, growth)
    part = file.with_suffix(".part")
    save_tensors(tensors, part)
    part.replace(file)


def _facts(parent: Checkpoint, recipe_name: str, target: Model, growth: Growth) -> dict[str, Any]:
    """Everything that determines a growth, as plain data."""
    return {
        "parent": parent.digest,
        "to": recipe_name,
        "shape": msgspec.to_builtins(target),
        **msgspec.to_builtins(growth),
        "layers": rules.depth_map(target.layers, shape_of(parent.architecture).layers, growth.rounding),
    }


def write(parent: Path, folder: Path, old: Model, target: Model, growth: Growth) -> None:
    """Writes the grown model as a Hugging Face folder: model.safetensors in one pass, config, tokenizer."""
    import torch

    tensors = TensorFolder(parent)
    of: Any = rules_phi3 if target.kind == "phi3" else rules
    assert old.vocabulary is not None  # read from the parent's config
    shapes = of.tensor_shapes(target, old.vocabulary)
    parameters = sum(_count(shape) for shape in shapes.values())
    with (folder / "model.safetensors").open("wb") as file, progress("grow", parameters, "parameters") as bar:
        file.write(header(shapes))

        def made(name: str, room: "torch.Tensor") -> "torch.Tensor":
            tensor: torch.Tensor
            taken, factor = of.source_tensor(name, old, target, growth)
            if taken not in tensors:
                raise ZooError(f"the parent has no tensor {taken}; check it with: phizoo models verify")
            if factor == 0.0:
                return room[: _count(shapes[name])].zero_().view(shapes[name])
            read = tensors.read(taken).to(torch.float32)
            tensor = of.grow_tensor(name, read, old, target, growth, target.initializer_range, room)
            assert tuple(tensor.shape) == shapes[name], name
            return (tensor if factor == 1.0 else tensor.mul_(factor)).contiguous()

        rooms = deque(torch.empty(max(map(_count, shapes.values()))) for _ in range(AT_ONCE + 1))
        names, coming = iter(shapes), deque[tuple[Future[torch.Tensor], torch.Tensor]]()
        with _one_thread_each(), ThreadPoolExecutor(AT_ONCE) as pool:  # each tensor has its own random numbers
            for shape in shapes.values():
                for name in itertools.islice(names, len(rooms)):
                    room = rooms.popleft()
                    coming.append((pool.submit(made, name, room), room))
                future, room = coming.popleft()
                file.write(future.result().numpy().data)
                rooms.append(room)
                bar.advance(_count(shape))
        file.flush()
        os.fsync(file.fileno())
    config = json.loads((parent / "config.json").read_text())
    write_json(folder / "config.json", _config(config, old, target, growth))
    for kept in COPIED:
        if (parent / kept).is_file():
            shutil.copyfile(parent / kept, folder / kept)


@contextlib.contextmanager
def _one_thread_each() -> Iterator[None]:
    """Limits torch to one thread: tensors are made in parallel, so no operation needs several."""
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def _count(shape: tuple[int, ...]) -> int:
    return shape[0] * (shape[1] if len(shape) == 2 else 1)


def header(shapes: dict[str, tuple[int, ...]]) -> bytes:
    """A safetensors header for float32 tensors in the given order: 8 bytes of length, then JSON padded with spaces."""
    entries: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    begin = 0
    for name, shape in shapes.items():
        end = begin + 4 * _count(shape)
        entries[name] = {"dtype": "F32", "shape": list(shape), "data_offsets": [begin, end]}
        begin = end
    text = json.dumps(entries, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    return struct.pack("<Q", len(text)) + text


def _config(parent: dict[str, Any], old: Model, target: Model, growth: Growth) -> dict[str, Any]:
    factor = target.rotary_dim / (target.width // target.heads)
    rope = {"rope_type": "default", "rope_theta": target.rotary_theta, "partial_rotary_factor": factor}
    own: dict[str, Any] = {"layer_norm_eps": rules.layer_norm_epsilon(old, target, growth)}
    if target.kind == "phi3":
        own = {"rms_norm_eps": rules_phi3.epsilon(old, target, growth)}
        own |= {"head_dim": target.width // target.heads} if "head_dim" in parent else {}
    return {
        **parent,
        "hidden_size": target.width,
        "intermediate_size": target.mlp,
        "num_hidden_layers": target.layers,
        "num_attention_heads": target.heads,
        "num_key_value_heads": target.keys,
        "partial_rotary_factor": factor,
        "rope_parameters": rope,
        "dtype": "float32",
        **own,
    }


def prove(parent: Path, folder: Path, preserves: bool) -> Proof:
    """Compares the logits of both models on a fixed random batch, in float64 over the stored weights."""
    import torch

    from training.growth.forward import logits

    vocabulary = folder_shape(parent).vocabulary
    drawn = torch.Generator().manual_seed(PROOF_SEED)
    tokens_BT = torch.randint(0, vocabulary, (PROOF_ROWS, PROOF_TOKENS), generator=drawn)
    before, after = logits(parent, tokens_BT, torch.float64), logits(folder, tokens_BT, torch.float64)
    apart = (before - after).abs()
    return Proof(
        preserves=preserves, largest=float(apart.max()), mean=float(apart.mean()), spread=float(before.std()),
        tokens=tokens_BT.numel(), arithmetic="float64 over float32 weights",
    )  # fmt: skip
