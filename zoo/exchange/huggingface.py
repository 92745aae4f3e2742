"""Hugging Face folders in and out: import (older Phi formats converted and proved), export with a card."""

import contextlib
import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from zoo import settings
from zoo.admission import gate
from zoo.admission.config import read_json
from zoo.admission.safetensors_header import open_inside, read_header
from zoo.errors import ZooError
from zoo.exchange import hub, phi_convert, phi_proof, unpickle
from zoo.exchange.card import card
from zoo.phi_variants import VARIANTS, Variant
from zoo.records import About, Checkpoint, checked_name
from zoo.store.store import copy_hashed

if TYPE_CHECKING:
    from zoo.registry import Registry

CODE = (".py", ".bin", ".pt", ".pth", ".pkl", ".ckpt")


def import_any(
    registry: "Registry",
    source: str,
    name: str | None,
    revision: str | None,
    about: About,
    drop_code: bool = False,
    pickles: bool = False,
) -> Checkpoint:
    """The checkpoint made of a local Hugging Face folder, a repository of the hub or a variant's name.

    source     a folder; `microsoft/phi-2`; `phi-2`
    name       what it is called here; None: the variant's or the repository's name
    pickles    turn .bin and .pt into safetensors first, in an isolated child (local folders)
    drop_code  leave Python files, pickles and `auto_map` behind instead of refusing the folder
    """
    if Path(source).expanduser().is_dir() and pickles:
        folder = Path(source).expanduser()
        with tempfile.TemporaryDirectory(prefix="phizoo-convert-", dir=_roomy()) as made:
            target = without_pickles(folder, Path(made, "model"))
            told = msgspec.structs.replace(about, source=about.source or folder.resolve().name)
            return import_folder(registry, target, name or _named(folder.resolve().name), told, drop_code)
    if Path(source).expanduser().is_dir():
        return import_folder(
            registry, Path(source).expanduser(), name or _named(Path(source).resolve().name), about, drop_code
        )
    known = _variant(source)
    if known is not None and not known.repository:
        raise ZooError(
            f"{known.name} was never published; its configuration: phizoo models variants {known.name} --json"
        )
    repository = known.repository if known else source
    found = hub.snapshot(repository, revision)
    name = checked_name(name or (known.name if known else _named(repository.rpartition("/")[2])))
    folder = settings.home() / "incoming" / f"{repository.replace('/', '--')}-{found.commit}"
    told = msgspec.structs.replace(
        about,
        source=about.source or found.source,
        licence=found.licence if about.licence == "unknown" else about.licence,
        training_tokens=about.training_tokens or (known.training_tokens if known else None),
    )
    with _alone(folder.name):
        hub.download(found, folder)
        added = import_folder(registry, folder, name, told, drop_code)
        shutil.rmtree(folder, ignore_errors=True)
    return added


def rehearsed(source: str, name: str | None, revision: str | None) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """What `import_any` would do, as lines, and what is lacking here; a listing is asked for, nothing is fetched.

    source, name, revision  as of `import_any`
    Raises ZooError for a variant that was never published, or a name that cannot be
    """
    folder, known = Path(source).expanduser(), _variant(source)
    if folder.is_dir():
        size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
        told = [f"{name or _named(folder.resolve().name)}: from the folder {folder}, {size / 1e9:.2f} GB"]
        return tuple(told), _room(size)
    if known is not None and not known.repository:
        raise ZooError(f"{known.name} was never published; train it: phizoo train run {known.name}")
    repository = known.repository if known else source
    title = checked_name(name or (known.name if known else _named(repository.rpartition("/")[2])))
    told = [f"{title}: from {repository} at {revision or 'the newest commit of main, which is then recorded'}"]
    if known is not None:
        told.append(f"  {known.parameters:,} parameters, {2 * known.parameters / 1e9:.2f} GB in 16 bits")
    try:
        found = hub.snapshot(repository, revision)
    except ZooError as error:
        return tuple(told), (str(error), *(_room(4 * known.parameters) if known else ()))
    files = hub.wanted_files(found)
    size = sum(file.bytes for file in files)
    told.append(f"  commit {found.commit}, licence {found.licence}: {len(files)} files, {size / 1e9:.2f} GB to fetch")
    told += [f"  {file.path}  {file.bytes:,} bytes" for file in files]
    return tuple(told), _room(2 * size)


def _room(wanted: int) -> tuple[str, ...]:
    """The line that tells of too little room for a download and its copy in the store; none when there is enough."""
    place = settings.home()
    while not place.exists():
        place = place.parent
    free = shutil.disk_usage(place).free
    return () if free > wanted else (f"{wanted / 1e9:.1f} GB of disk wanted, {free / 1e9:.1f} free at {place}",)


@contextlib.contextmanager
def _alone(name: str) -> Iterator[None]:
    """One process at a time works on a download; the others wait."""
    place = settings.home() / "locks" / name
    place.parent.mkdir(parents=True, exist_ok=True)
    with place.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def without_pickles(folder: Path, target: Path) -> Path:
    """A copy of a folder with every .bin and .pt turned into safetensors; nothing else is touched."""
    target.mkdir()
    for path in sorted(folder.iterdir()):
        if path.is_symlink() or not path.is_file():
            raise ZooError(f"{path}: is not a regular file; copy the file itself into the folder.")
        if path.suffix in (".bin", ".pt", ".pth"):
            stem = path.stem.replace("pytorch_model", "model")
            unpickle.convert_pickle(path, target / f"{stem}.safetensors")
        elif not path.name.startswith(".") and not path.name.endswith(".bin.index.json"):
            copy_hashed(path, target / path.name)
    shards = {path.name: read_header(path) for path in sorted(target.glob("*.safetensors"))}
    if len(shards) > 1:
        weight_map = {tensor.name: file for file, header in shards.items() for tensor in header.tensors}
        index = {"metadata": {}, "weight_map": weight_map}
        (target / "model.safetensors.index.json").write_bytes(msgspec.json.encode(index))
    return target


def _variant(source: str) -> Variant | None:
    return VARIANTS.get(source) or next((one for one in VARIANTS.values() if one.repository == source), None)


def _named(text: str) -> str:
    return checked_name(text.lower().replace("_", "-"))


def import_folder(registry: "Registry", folder: Path, name: str, about: About, drop_code: bool) -> Checkpoint:
    """The checkpoint made of a local folder, converted and proved first when its format is an older one."""
    checked_name(name)
    paths = sorted(path for path in folder.rglob("*") if not path.is_dir() or path.is_symlink())
    for path in paths:
        if not _is_code(path, folder):
            gate.check_path(path.relative_to(folder).as_posix())
            gate.check_links(path, path.lstat().st_nlink)
    names = [tensor.name for path in sorted(folder.glob("*.safetensors")) for tensor in read_header(path).tensors]
    legacy = phi_convert.legacy_format(names)
    if not legacy and not drop_code:
        return registry.add(folder, name, about)
    if not drop_code:
        _refuse_code(folder, paths)
    with tempfile.TemporaryDirectory(prefix="phizoo-import-", dir=_roomy()) as made:
        target = Path(made, "model")
        note = _prepare(folder, paths, target, legacy)
        told = msgspec.structs.replace(
            about, notes=" ".join(part for part in (about.notes, note) if part), source=about.source or str(folder.name)
        )
        return registry.add(target, name, told)


def _is_code(path: Path, folder: Path) -> bool:
    hidden = path.relative_to(folder).parts[0].startswith(".")  # .git, .gitattributes, the hub's own .cache
    return path.suffix in CODE or hidden


def _refuse_code(folder: Path, paths: list[Path]) -> None:
    for path in paths:
        relative = path.relative_to(folder).as_posix()
        if relative.partition("/")[0] not in gate.BESIDE:
            gate.check_path(relative)
            gate.check_name(relative, path)
    if read_json(folder / "config.json").get("auto_map"):
        raise ZooError(
            f"{folder / 'config.json'}: names code to run (auto_map), as Phi's first release did; only the weights are "
            f"needed: phizoo models import {folder} --name NAME --drop-code"
        )


def _prepare(folder: Path, paths: list[Path], target: Path, legacy: str) -> str:
    """Fills `target` with what may enter; gives back what was done, for the record."""
    target.mkdir()
    dropped = []
    for path in paths:
        relative = path.relative_to(folder).as_posix()
        if _is_code(path, folder):
            dropped.append(relative)
        elif relative != "config.json" and not (legacy and path.name.endswith((".safetensors", ".index.json"))):
            gate.check_name(relative, path)
            place = target / relative
            place.parent.mkdir(parents=True, exist_ok=True)
            copy_hashed(open_inside(folder, relative), place)
    config = read_json(folder / "config.json")
    notes = [f"Left out: {', '.join(dropped)}."] if dropped else []
    if legacy:
        today = phi_convert.todays_config(config)
        phi_convert.convert(folder, target, today)
        difference = phi_proof.prove(folder, target, today)
        notes.append(f"Converted from Phi's {legacy} format; largest difference of logits {difference:.2g}.")
    else:
        config.pop("auto_map", None)
        (target / "config.json").write_bytes(msgspec.json.format(msgspec.json.encode(config), indent=2))
    return " ".join(notes)


def _roomy() -> Path:
    """Where a conversion is laid down: on the zoo's disk, which has room for it anyway."""
    place = settings.home() / "incoming"
    place.mkdir(parents=True, exist_ok=True)
    return place


def export(registry: "Registry", spec: str, target: Path) -> Path:
    """Writes a checkpoint as a Hugging Face folder of the user's own, with its model card as README.md.

    Raises ZooError when the folder exists and is not empty
    """
    found = registry.get(spec)
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise ZooError(f"{target}: is there already; choose a new folder, or empty it: rm -r {target}")
    tree = registry.path(found)
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{target.name}-", dir=target.parent) as made:
        folder = Path(made, "model")
        for file in found.files:
            place = folder / file.path
            place.parent.mkdir(parents=True, exist_ok=True)
            sha256, _ = copy_hashed(Path(os.path.realpath(tree / file.path)), place)
            if sha256 != file.sha256:
                raise ZooError(f"{tree / file.path}: its bytes are not those that were added; see phizoo models verify")
        if (folder / "README.md").exists():
            (folder / "README.md").rename(folder / "README-original.md")
        (folder / "README.md").write_text(card(registry, f"{found.name}:{found.version}"), encoding="utf-8")
        if target.exists():
            target.rmdir()
        folder.rename(target)
    return target
