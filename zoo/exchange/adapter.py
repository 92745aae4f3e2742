"""Imports a PEFT LoRA adapter as a checkpoint: its base's files with the adapter merged into the weights.

W becomes W + s B A, with s = alpha / r (alpha / sqrt(r) under rsLoRA): what peft's `merge_and_unload` computes, without
peft and without a model in memory (a test compares the logits). Only plain LoRA of linear layers is known; a setting
that would mean another computation is refused by name, never left out. The adapter must fit the base exactly: each of
its pairs a tensor of the base, with its shape, and each of the base's target modules a pair; and the base that it
names must be that base (`zoo.exchange.adapter_base`). If it comes with a tokenizer, the merged model has that one, with
its chat template.

Source: Hu et al. 2021, arXiv:2106.09685, section 4.1; Kalajdzievski 2023, arXiv:2312.03732 (rsLoRA); peft 0.21,
tuners/lora (names of settings and tensors).
"""

import math
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from zoo.admission import gate
from zoo.admission.config import check_settings
from zoo.admission.safetensors_header import Tensor, read_header
from zoo.diff import Located, compare_tensor, locate_tensors, weight_files
from zoo.digest import file_sha256
from zoo.errors import ZooError
from zoo.exchange.adapter_base import prove_base
from zoo.exchange.adapter_tokenizer import check_tokenizer, copy_tokenizer, has_tokenizer
from zoo.records import About, Checkpoint, Parent
from zoo.shape import read_shape
from zoo.store.store import copy_hashed

if TYPE_CHECKING:
    from zoo.registry import Registry

BY_PEFT = "merge it with peft (merge_and_unload), and add that folder"
CONFIG, WEIGHTS = "adapter_config.json", "adapter_model.safetensors"
PREFIX = "base_model.model."
PAIR = re.compile(r"(.+)\.lora_([AB])\.weight")
READ = ("r", "lora_alpha", "target_modules", "use_rslora", "fan_in_fan_out", "rank_pattern", "alpha_pattern",
        "layers_to_transform", "layers_pattern", "exclude_modules")  # fmt: skip
# settings of training, of loading, or of the adapter's origin: they do not change what the weights compute
INERT = ("peft_type", "task_type", "base_model_name_or_path", "revision", "inference_mode", "lora_dropout",
         "peft_version", "megatron_core", "runtime_config", "qalora_group_size", "ensure_weight_tying", "bias",
         "init_lora_weights", "lora_ga_config", "velora_config")  # fmt: skip
# ways to begin that leave the base's weights as they are; others (pissa, olora, loftq, corda, lora_ga) change them,
# unless the adapter was converted when it was saved, and is then saved as True
STARTS = ("true", "false", "none", "gaussian", "eva", "orthogonal", "mica")
PATTERN_KEY = re.compile(r"[\w.]+")  # the end of a module's name; peft also takes expressions


class LoraPair(NamedTuple):
    """One module's pair in the adapter's file: the base's tensor, and the factor s."""

    module: str
    scale: float


def is_adapter(folder: Path) -> bool:
    """Whether a folder is a PEFT adapter."""
    return (folder / CONFIG).is_file()


def import_adapter(registry: "Registry", folder: Path, name: str, base: str, about: About) -> Checkpoint:
    """Adds the merged model of an adapter and its base. Raises ZooError where the adapter does not fit the base."""
    parent = registry.get(base)
    for path in (CONFIG, WEIGHTS):
        if not (folder / path).exists():
            raise ZooError(f"{folder}: has no {path}; expected a LoRA adapter as peft's save_pretrained writes it.")
        gate.check_content(folder, path)
        gate.check_links(folder / path, (folder / path).lstat().st_nlink)
    settings = check_settings(folder / CONFIG)
    _check_settings(folder / CONFIG, settings)
    tree = registry.path(parent)
    shards = [file.path for file in parent.files if file.path.endswith(".safetensors")]
    if not shards or parent.quantisation:
        raise ZooError(f"{parent.label} has no full weights as safetensors, so nothing can be merged into it.")
    located = locate_tensors(weight_files(registry, parent))
    pairs = _match(folder, settings, parent.label, {name: tensor for name, (_, _, tensor) in located.items()})
    _check_tied(folder, pairs, located)
    if has_tokenizer(folder):
        check_tokenizer(folder, tree, read_shape(parent.architecture).vocabulary, parent.label)
    is_proven = prove_base(registry, parent, settings, folder / CONFIG)
    stated = str(settings.get("base_model_name_or_path") or "unknown")[:200]
    unproven = "" if is_proven else f" Nothing here shows whether {parent.label} is that base."
    note = f"LoRA adapter for {stated}, merged.{unproven}"
    recipe = {
        "adapter": {key: settings[key] for key in READ if settings.get(key)} | {"base": stated},
        "sha256": file_sha256(folder / WEIGHTS), "parent": parent.digest,
    }  # fmt: skip

    def write(target: Path) -> About:
        for file in parent.files:
            if file.path not in shards:
                (target / file.path).parent.mkdir(parents=True, exist_ok=True)
                copy_hashed(Path(os.path.realpath(tree / file.path)), target / file.path)
        if has_tokenizer(folder):
            copy_tokenizer(folder, target)
        for path in shards:
            _merge_shard(Path(os.path.realpath(tree / path)), target / path, folder / WEIGHTS, pairs, settings)
        return msgspec.structs.replace(
            about, parents=(*about.parents, Parent(digest=parent.digest, relation="finetune")),
            recipe=about.recipe or recipe, source=about.source or folder.resolve().name,
            licence=parent.licence if about.licence == "unknown" else about.licence,
            notes=" ".join(part for part in (about.notes, note) if part),
        )  # fmt: skip

    return registry.make(name, write)


def _check_settings(path: Path, settings: Mapping[str, Any]) -> None:
    if settings.get("peft_type") != "LORA":
        raise ZooError(f"{path}: peft_type is {str(settings.get('peft_type'))[:40]!r}; only LORA can be merged here.")
    for key, value in settings.items():
        if value and key not in (*READ, *INERT):
            raise ZooError(f"{path}: {key} is {value!r:.60}, which this merge does not know; {BY_PEFT}")
    biases, start = settings.get("bias", "none"), settings.get("init_lora_weights", True)
    if biases != "none" or str(start).lower() not in STARTS:
        changed, value = ("bias", biases) if biases != "none" else ("init_lora_weights", start)
        raise ZooError(f"{path}: {changed} is {str(value)[:40]!r}, which changes more than its pairs; {BY_PEFT}")
    rank = settings.get("r")
    numbers = {"r": rank, "lora_alpha": settings.get("lora_alpha", 8)}
    for key in ("rank_pattern", "alpha_pattern"):
        pattern = settings.get(key) or {}
        pattern = pattern if isinstance(pattern, dict) else {key: pattern}
        numbers |= pattern
        if expression := next((name for name in pattern if not PATTERN_KEY.fullmatch(name)), ""):
            raise ZooError(f"{path}: {key} has the expression {expression[:60]!r}, not the end of a name; {BY_PEFT}")
    for key, value in numbers.items():
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 < value < 1e6:
            raise ZooError(f"{path}: {key!r:.80} is {value!r:.40}, expected a positive number.")


def _match(folder: Path, settings: Mapping[str, Any], base: str, located: Mapping[str, Tensor]) -> dict[str, LoraPair]:
    """The base's tensor -> its pair. Raises ZooError for the first that does not fit."""
    pieces: dict[str, dict[str, Tensor]] = {}
    for tensor in read_header(folder / WEIGHTS).tensors:
        match = PAIR.fullmatch(tensor.name)
        if match is None or not tensor.name.startswith(PREFIX):
            raise ZooError(f"{folder / WEIGHTS}: tensor {tensor.name} is no part of a LoRA of linear layers.")
        pieces.setdefault(match[1].removeprefix(PREFIX), {})[match[2]] = tensor
    pairs = {}
    for module, parts in pieces.items():
        weight = located.get(f"{module}.weight")
        if weight is None or len(parts) < 2 or len(weight.shape) != 2:
            lacks = "only one of lora_A and lora_B" if len(parts) < 2 else f"a pair for {module}, which {base} lacks"
            raise ZooError(f"{folder / WEIGHTS}: has {lacks}; is {base} its base ({_stated(settings)})?")
        rank = int(_of_pattern(settings.get("rank_pattern"), module, settings["r"]))
        out, inner = reversed(weight.shape) if settings.get("fan_in_fan_out") else weight.shape
        if parts["A"].shape != (rank, inner) or parts["B"].shape != (out, rank):
            shapes = f"{list(parts['A'].shape)} and {list(parts['B'].shape)}"
            raise ZooError(
                f"{folder / WEIGHTS}: the pair for {module} has shapes {shapes}, {base} has {list(weight.shape)} there "
                f"at rank {rank}; is {base} its base ({_stated(settings)})?"
            )
        alpha = float(_of_pattern(settings.get("alpha_pattern"), module, settings.get("lora_alpha", 8)))
        pairs[weight.name] = LoraPair(module, alpha / (math.sqrt(rank) if settings.get("use_rslora") else rank))
    _check_targets(folder, settings, base, located, pairs)
    return pairs


def _check_tied(folder: Path, pairs: Mapping[str, LoraPair], located: Mapping[str, Located]) -> None:
    """Refuses a pair for one of two tensors that are the same: a head that is tied and also stored.

    peft merges into both, a merge here into one, and which one a loader keeps differs.
    """
    for name in pairs:
        if not name.endswith("lm_head.weight"):
            continue
        shape = located[name][2].shape
        twins = (other for other, (_, _, tensor) in located.items() if other != name and tensor.shape == shape)
        if twin := next((other for other in twins if not compare_tensor(name, located[name], located[other])), ""):
            raise ZooError(f"{folder / WEIGHTS}: has a pair for {name}, which is tied to {twin}; {BY_PEFT}")


def _stated(settings: Mapping[str, Any]) -> str:
    return f"it names {settings.get('base_model_name_or_path') or 'none'!r:.80}"


def _of_pattern(pattern: Any, module: str, default: Any) -> Any:
    """The value of the first key that a module's name ends with, as peft matches its patterns."""
    for key, value in (pattern or {}).items():
        if module == key or module.endswith(f".{key}"):
            return value
    return default


def _check_targets(
    folder: Path, settings: Mapping[str, Any], base: str, located: Mapping[str, Tensor], pairs: Mapping[str, LoraPair]
) -> None:
    """Refuses an adapter that lacks the pair of a module that its settings name: its base has other layers."""
    targets = settings.get("target_modules")
    partial = settings.get("layers_to_transform") is not None or settings.get("exclude_modules")
    if not isinstance(targets, list) or partial or not all(isinstance(target, str) for target in targets):
        if not pairs:
            raise ZooError(f"{folder / WEIGHTS}: has no pair of lora_A and lora_B.")
        return  # an expression of peft's own; the pairs themselves all fit
    for name, tensor in located.items():
        module = name.removesuffix(".weight")
        named = any(module == target or module.endswith(f".{target}") for target in targets)
        if named and name.endswith(".weight") and len(tensor.shape) == 2 and name not in pairs:
            raise ZooError(f"{folder / WEIGHTS}: lacks a pair for {module} of {base}; is that its base?")
    for target in targets:
        if not any(pair.module == target or pair.module.endswith(f".{target}") for pair in pairs.values()):
            raise ZooError(f"{folder / CONFIG}: target_modules names {target[:80]}, which {base} does not have.")


def _merge_shard(
    source: Path, target: Path, adapter: Path, pairs: Mapping[str, LoraPair], settings: Mapping[str, Any]
) -> None:
    """Writes one file of the base with its pairs merged in: sums in float32, stored in the base's own type."""
    import torch
    from safetensors import safe_open
    from safetensors.torch import save_file

    tensors = {}
    with safe_open(source, "pt") as base, safe_open(adapter, "pt") as lora:
        for name in base.keys():  # noqa: SIM118  (a handle of safetensors is no mapping)
            weight = base.get_tensor(name)
            if pair := pairs.get(name):
                a, b = (lora.get_tensor(f"{PREFIX}{pair.module}.lora_{half}.weight").float() for half in "AB")
                change = (b @ a) * pair.scale
                change = change.T if settings.get("fan_in_fan_out") else change
                weight = (weight.float() + change).to(weight.dtype)
                if not bool(torch.isfinite(weight).all()):
                    raise ZooError(f"{adapter}: merging {pair.module} gives numbers that are not finite.")
            tensors[name] = weight.contiguous()
    save_file(tensors, target, metadata={"format": "pt"})
