"""Whether the base that a LoRA adapter names is the checkpoint that it is merged into.

Any model of the same shape would take an adapter's pairs, and answer nonsense. An adapter names its base by a folder
or a repository, so the named base is looked for, in this order: the origin that was recorded for the checkpoint, that
folder, the hub's cache, the other checkpoints here by their recorded origins. Where its weights are here, each tensor
that both have must have the same values, up to the rounding of a shorter type. Where they are not, two origins that
differ are refused. Otherwise nothing can be proven.

Not compared: files of this base's own that the adapter does not name.
"""

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from zoo.diff import compare_tensor, locate_tensors, weight_files
from zoo.errors import ZooError
from zoo.exchange.hub import COMMIT, REPOSITORY
from zoo.exchange.hub_cache import find_cached
from zoo.records import Checkpoint

if TYPE_CHECKING:
    from zoo.registry import Registry

ORIGIN = re.compile(r"hf://([^@\s]+)@([0-9a-f]{40})")
ROUNDING = 2**-8  # of a tensor's norm: what bfloat16 can change


def prove_base(registry: "Registry", parent: Checkpoint, settings: Mapping[str, Any], where: Path) -> bool:
    """Whether the base that an adapter's settings name was found to be `parent`; False if nothing can be compared.

    where   adapter_config.json, for the error
    Raises  ZooError where it is another model, with the difference
    """
    named, revision = (str(settings.get(key) or "") for key in ("base_model_name_or_path", "revision"))
    origin = ORIGIN.fullmatch(parent.source)
    repository, commit = origin.groups() if origin else ("", "")
    same_name = bool(named) and repository.lower() == named.lower()
    if same_name and (not COMMIT.fullmatch(revision) or revision == commit):
        return True
    label, files = _find_named(registry, named, revision)
    common, difference = _compare(files, weight_files(registry, parent))
    if difference:
        raise ZooError(
            f"{where}: its base is {named[:80]}, and {parent.label} is another model than {label}: {difference}. "
            "Name its base by --base"
        )
    if not common and repository and (same_name or REPOSITORY.fullmatch(named)):
        theirs = f"{named} at {revision[:12]}" if same_name else named
        ours = f"{repository} at {commit[:12]}" if same_name else repository
        raise ZooError(
            f"{where}: its base is {theirs}, and {parent.label} is {ours}. Name its base by --base; if both have the "
            f"same weights, write {repository} into base_model_name_or_path, and no revision"
        )
    return common > 0


def _find_named(registry: "Registry", named: str, revision: str) -> tuple[str, list[Path]]:
    """The named base's weights on this machine, and how to name them to a user; no files where it is not here."""
    if os.path.isdir(named):  # not Path.is_dir, which raises for a name that is too long for the disk
        return named, _safetensors(Path(named))
    if cached := find_cached(named, revision or None):
        return f"{named} in the hub's cache", _safetensors(cached.folder)
    for checkpoint in registry.list(all_versions=True):
        origin = ORIGIN.fullmatch(checkpoint.source)
        if origin and origin[1].lower() == named.lower() and origin[2].startswith(revision):
            return checkpoint.label, weight_files(registry, checkpoint)
    return "", []


def _safetensors(folder: Path) -> list[Path]:
    return [Path(os.path.realpath(path)) for path in sorted(folder.glob("*.safetensors"))]


def _compare(named: list[Path], own: list[Path]) -> tuple[int, str]:
    """How many tensors both sides have, up to the first that differs; and how that one differs, or "".

    Files that cannot be read, such as those of a folder that is no model's any more, prove nothing.
    """
    try:
        before = locate_tensors(named)
    except (ZooError, OSError):
        return 0, ""
    after, common = locate_tensors(own), 0
    for name in sorted(before.keys() & after.keys()):
        common += 1
        change = compare_tensor(name, before[name], after[name])
        if change is None or (change.what == "dtype" and (change.relative or 0.0) <= ROUNDING):
            continue
        amount = "" if change.relative is None else f" by {change.relative:.2g} of its norm"
        return common, f"tensor {name} has another shape" if change.what == "shape" else f"{name} differs{amount}"
    return common, ""
