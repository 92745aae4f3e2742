"""Decides what may enter the zoo: inspects a whole folder and refuses anything that could run.

Inspected: every name, the first bytes of every file, the safetensors headers, config.json, the shard index
and the chat template. Nothing is loaded or unpickled; only the chat template is rendered, in a child. A
refusal names the file and the reason.

Not checked: the behaviour of the weights. A model's answers may be malicious; see `evals.sandbox`.
"""

import os
import re
import stat
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

from msgspec import UNSET, UnsetType

from zoo.admission.chat_template import check_template
from zoo.admission.config import CODE_KEYS, check_config, check_json, check_values, read_json
from zoo.admission.file_kind import forbidden_kind
from zoo.admission.gguf import inspect_gguf, refuse_part
from zoo.admission.plain_file import open_inside, open_plain
from zoo.admission.safetensors_header import Header, only_nan, read_header
from zoo.admission.template_files import template_digest
from zoo.admission.tensors import check_tensors
from zoo.errors import ZooError

FILES = 2_000
TEXT_BYTES = 64_000_000
WEIGHTS = (".safetensors", ".gguf")
SUFFIXES = (".safetensors", ".gguf", ".json", ".jsonl", ".txt", ".md", ".model", ".toml")
LICENCES = ("LICENSE", "LICENCE", "NOTICE")
WHOLE_NAMES = (*LICENCES, "merges.txt", "chat_template.jinja")
INDEX = "model.safetensors.index.json"
TEMPLATES = re.compile(r"additional_chat_templates/[^/]+\.jinja")  # as `save_pretrained` of a tokenizer writes them
BESIDE = (".git", ".gitattributes", ".gitignore", ".cache", ".eval_results")  # written by git and the hub
# files beside weights that no loader of ours reads: they stay outside
PICTURES = (".png", ".jpg", ".jpeg", ".gif", ".webp", ".svg", ".bmp", ".ico", ".avif")
OTHER_FORMATS = (".onnx", ".onnx_data", ".msgpack")
EVENTS = "events.out.tfevents."
PATH_BYTES = 255
PART = re.compile(r"[A-Za-z0-9_]([A-Za-z0-9_.+ \-]*[A-Za-z0-9_+\-])?")


class Inspected(NamedTuple):
    """The contents of an accepted folder."""

    paths: tuple[str, ...]
    config: dict[str, Any]
    headers: dict[str, Header]
    parameters: int
    warnings: tuple[str, ...]
    quantisation: str = ""
    left_out: tuple[str, ...] = ()
    chat_template: str | UnsetType = UNSET


def inspect_folder(folder: Path, linked: bool = False, beside: Collection[str] = ()) -> Inspected:
    """Inspects a folder; all of it must be allowed to enter. Raises ZooError with the file and the reason.

    linked  its files may be hard links: the store's own, or of a folder that is handed over
    beside  of a source: names at its top that are skipped and are not part of the checkpoint, such as `BESIDE`;
            pictures and other formats are then left out too
    """
    if folder.is_symlink():
        raise ZooError(f"{folder}: is a symlink; name the folder it points to: {os.path.realpath(folder)}")
    if not folder.is_dir():
        raise ZooError(f"{folder}: not a folder; expected one with config.json and *.safetensors.")
    every = sorted(_walk(folder, linked, beside))
    left_out = find_left_out(every) if beside else ()
    for path in left_out:
        check_content(folder, path, left_out=True)
    paths = tuple(path for path in every if path not in left_out)
    for path in paths:
        check_name(path, folder / path)
        check_content(folder, path)
    if any(path.endswith(".gguf") for path in paths):
        return _inspect_single_file(folder, paths)
    weights = [path for path in paths if path.endswith(".safetensors")]
    if "config.json" not in paths or not weights:
        if "adapter_config.json" in paths:
            raise ZooError(f"{folder}: is a LoRA adapter; name its base: phizoo models add {folder} --base NAME")
        missing = "config.json" if "config.json" not in paths else "*.safetensors file"
        raise ZooError(f"{folder}: has no {missing}; expected a Hugging Face folder with safetensors weights.")
    config = check_config(folder / "config.json")
    headers = {path: read_header(folder / path) for path in weights}
    check_tensors(folder, headers, config)
    check_index(folder, paths, headers)
    for path in paths:
        check_text(folder, path)
    method = str((config.get("quantization_config") or {}).get("quant_method", ""))
    return Inspected(
        paths, config, headers, parameter_count(headers, config), _warn_of_nan(folder, headers), method, left_out,
        template_digest(folder),
    )  # fmt: skip


def _warn_of_nan(folder: Path, headers: dict[str, Header]) -> tuple[str, ...]:
    return tuple(
        f"{path}: tensor {name} holds nothing but NaN"
        for path, header in headers.items()
        for name in only_nan(folder / path, header)
    )


def _inspect_single_file(folder: Path, paths: tuple[str, ...]) -> Inspected:
    """Inspects a folder whose weights are one GGUF file, which has its config and its tokenizer in itself."""
    file = next(path for path in paths if path.endswith(".gguf"))
    refuse_part(folder / file)
    for path in paths:
        if path != file and not path.endswith((".md", ".txt")) and PurePosixPath(path).name not in LICENCES:
            raise ZooError(
                f"{folder / path}: is beside the GGUF file {file}, and readers would differ on which counts; "
                f"import the file alone: phizoo models add {folder / file} --name NAME"
            )
    model = inspect_gguf(folder / file)
    check_values(folder / file, model.config)
    for key, value in model.header.metadata.items():
        if key.rpartition(".")[2] in CODE_KEYS and value:
            raise ZooError(f"{folder / file}: names code to run ({key}); convert the model again without it.")
    return Inspected(
        paths, model.config, {file: model.header}, model.parameters, _warn_of_nan(folder, {file: model.header}),
        model.quantisation, chat_template=template_digest(folder),
    )  # fmt: skip


def _walk(folder: Path, linked: bool, beside: Collection[str]) -> Iterator[str]:
    """The paths of all files below a folder. Raises ZooError for the first that may not enter."""
    seen: dict[str, str] = {}
    for here, folders, names in os.walk(folder, onerror=_raise):
        if Path(here) == folder:
            folders[:] = [name for name in folders if name not in beside]
            names = [name for name in names if name not in beside]
        for name in sorted(folders + names):
            path = Path(here, name)
            relative = path.relative_to(folder).as_posix()
            status = path.lstat()
            check_path(relative)
            if relative.casefold() in seen:
                raise ZooError(f"{path}: differs from {seen[relative.casefold()]} only in case; rename one of them.")
            seen[relative.casefold()] = relative
            if len(seen) > FILES:
                raise ZooError(f"{folder}: contains more than {FILES:,} files; a checkpoint has few.")
            if stat.S_ISDIR(status.st_mode):
                continue
            if not stat.S_ISREG(status.st_mode):
                kind = "a symlink" if stat.S_ISLNK(status.st_mode) else "not a regular file"
                raise ZooError(f"{path}: is {kind}; copy the files themselves: cp -rL {folder} COPY")
            if not linked:
                check_links(path, status.st_nlink)
            yield relative


def find_left_out(paths: Sequence[str]) -> tuple[str, ...]:
    """Those files of a source that do not enter: pictures, weights in other formats, event files.

    A GGUF file is the checkpoint, unless it is beside safetensors.

    >>> find_left_out(["model.safetensors", "model.Q4_0.gguf", "onnx/model.onnx", "card.png", "README.md"])
    ('model.Q4_0.gguf', 'onnx/model.onnx', 'card.png')
    """
    has_weights = any(path.endswith(".safetensors") for path in paths)
    kinds = (*PICTURES, *OTHER_FORMATS, *([".gguf"] if has_weights else []))
    return tuple(path for path in paths if path.lower().endswith(kinds) or PurePosixPath(path).name.startswith(EVENTS))


def check_links(path: Path, names: int) -> None:
    """Checks that a file has one name: a hard link may be a file that its owner did not mean to share."""
    if names > 1:
        raise ZooError(
            f"{path}: has {names} names (hard links), so it may be another folder's file; "
            f"copy the folder first: cp -rL {path.parent} COPY"
        )


def _raise(error: OSError) -> None:
    raise error


def check_path(relative: str) -> None:
    """Checks that a path inside a checkpoint is plain: parts of ordinary letters, and no `..`."""
    if len(relative.encode("utf-8", "surrogateescape")) > PATH_BYTES:
        raise ZooError(f"{relative[:80]!r}…: the path is longer than {PATH_BYTES} bytes; shorten it.")
    parts = PurePosixPath(relative).parts
    if not parts or relative != "/".join(parts) or not all(PART.fullmatch(part) for part in parts):
        raise ZooError(
            f"{relative!r}: may not enter: expected parts of letters, digits and . _ + - (no .., no leading dot)."
        )


def check_name(relative: str, path: Path | str) -> None:
    """Checks by its name that a file is of a kind that contains only data."""
    name = PurePosixPath(relative).name
    if name in WHOLE_NAMES or name.endswith(SUFFIXES) or TEMPLATES.fullmatch(relative):
        return
    pickle = ("a pickle, which can run code when loaded", "; or, of a folder here, phizoo models add FOLDER --convert")
    kinds = {
        ".py": ("Python code, which a loader may run", "; or, of a folder here, phizoo models add FOLDER --drop-code"),
        **dict.fromkeys((".bin", ".pt", ".pth", ".pkl", ".ckpt"), pickle),
    }
    kind, way = kinds.get(PurePosixPath(name).suffix, (f"of a kind that is not allowed ({', '.join(SUFFIXES)})", ""))
    raise ZooError(f"{path}: is {kind}; remove it from the folder (weights enter as safetensors only){way}.")


def check_content(folder: Path, relative: str, *, left_out: bool = False) -> None:
    """Checks a file's real kind by its bytes, not by its name. left_out: it stays outside, so it may be of any size."""
    path, weights = folder / relative, relative.endswith(WEIGHTS)
    with open_inside(folder, relative) as file:
        size = os.fstat(file.fileno()).st_size
        if not left_out:
            check_bytes(relative, size, path)
        kind = forbidden_kind(file, size, weights)
    if kind:
        raise ZooError(f"{path}: is {kind}; only data may enter the zoo.")


def check_bytes(relative: str, size: int, path: Path | str) -> None:
    """Checks that a file other than weights is small enough to be read whole."""
    if not relative.endswith(WEIGHTS) and size > TEXT_BYTES:
        raise ZooError(f"{path}: has {size:,} bytes; the limit for a file other than weights is {TEXT_BYTES:,}.")


def check_text(folder: Path, relative: str) -> None:
    """Checks the contents of the small files beside the weights: settings, and chat templates in any of them."""
    path = folder / relative
    if path.suffix == ".jinja":
        with open_plain(path) as file:
            check_template(file.read().decode("utf-8", "replace"), str(path))
    if path.suffix == ".json":
        check_json(path)


def check_index(folder: Path, paths: tuple[str, ...], headers: dict[str, Header]) -> None:
    """Checks that a shard index matches the shards and the tensors in them.

    Raises ZooError for a shard outside the folder, missing or not listed, a misplaced tensor, a wrong total
    """
    others = [path for path in paths if ".index." in path and path != INDEX]
    if others:
        raise ZooError(f"{folder / others[0]}: is an index of files other than these weights; remove it.")
    if INDEX not in paths:
        if list(headers) != ["model.safetensors"]:
            stray = next(path for path in headers if path != "model.safetensors")
            raise ZooError(f"{folder / stray}: a loader finds only model.safetensors, since {INDEX} is missing.")
        return
    path = folder / INDEX
    index = read_json(path)
    weight_map, metadata = index.get("weight_map"), index.get("metadata") or {}
    total = metadata.get("total_size") if isinstance(metadata, dict) else metadata
    if not isinstance(weight_map, dict) or not all(isinstance(shard, str) for shard in weight_map.values()):
        raise ZooError(f"{path}: weight_map is not an object of file names.")
    shard_of = {tensor.name: shard for shard, header in headers.items() for tensor in header.tensors}
    for shard in sorted(set(weight_map.values())):
        if shard not in headers:
            raise ZooError(f"{path}: names the shard {shard[:200]!r}, which is not in the folder.")
    for shard in sorted(set(headers) - set(weight_map.values())):
        raise ZooError(f"{folder / shard}: is not named by {INDEX}.")
    for name in sorted(weight_map.keys() | shard_of.keys()):
        if weight_map.get(name) != shard_of.get(name):
            raise ZooError(
                f"{path}: says that tensor {name[:200]} is in {weight_map.get(name)}, it is in {shard_of.get(name)}."
            )
    size = sum(tensor.end - tensor.begin for header in headers.values() for tensor in header.tensors)
    if total is not None and total != size:
        raise ZooError(f"{path}: says that the tensors have {total} bytes, they have {size}.")


def parameter_count(headers: dict[str, Header], config: dict[str, Any]) -> int:
    """The number of parameters in the files; a tied head that is also stored is not counted."""
    sizes = {
        tensor.name: tensor.elements
        for header in headers.values()
        for tensor in header.tensors
        if tensor.dtype != "BOOL" and not tensor.name.endswith(("inv_freq", ".attn.bias", "masked_bias"))
    }
    if config.get("tie_word_embeddings") and len(sizes) > 1:
        sizes.pop("lm_head.weight", None)
    return sum(sizes.values())
