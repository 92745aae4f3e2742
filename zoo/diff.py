"""Compares two checkpoints: config, recipe, origins, files, and the size of each tensor's change.

Tensors are compared one at a time, straight from the files. Without numpy, a changed tensor is reported
without the size of its change.
"""

import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from zoo.admission.plain_file import open_plain
from zoo.admission.safetensors_header import BITS, Tensor, read_header
from zoo.errors import ZooError
from zoo.records import Checkpoint, Record

if TYPE_CHECKING:
    from zoo.registry import Registry

WIDTHS = {"F64": "<f8", "F32": "<f4", "F16": "<f2", "I64": "<i8", "I32": "<i4", "I16": "<i2", "I8": "i1", "U8": "u1"}
RECORD_FIELDS = (
    "parameters", "context_tokens", "quantisation", "prompt_style", "training_tokens", "licence", "family", "parents",
    "datasets",
)  # fmt: skip
CHUNK_ELEMENTS = 1 << 22  # 100 MB of float64 in memory, whatever the tensor's size

Located = tuple[Path, int, Tensor]


class Changed(Record, frozen=True):
    """One value that differs; None if it is absent on that side. `key` is dotted."""

    key: str
    before: Any
    after: Any


class TensorChange(Record, frozen=True):
    """One tensor that differs: `largest` and `relative` (norm of the change over the norm before).

    what  "changed", "added", "removed", "shape" or "dtype"
    """

    name: str
    what: str
    before: str = ""
    after: str = ""
    largest: float | None = None
    relative: float | None = None


class CheckpointDifference(Record, frozen=True):
    """All differences between two checkpoints; `tensors_equal` counts the tensors without one."""

    before: str
    after: str
    config: tuple[Changed, ...]
    recipe: tuple[Changed, ...]
    record: tuple[Changed, ...]
    files: tuple[Changed, ...]
    tensors: tuple[TensorChange, ...]
    tensors_equal: int
    growth: dict[str, Any] | None = None  # method, options, layers and proof, if `after` was grown from `before`


def diff(registry: "Registry", before: str, after: str) -> CheckpointDifference:
    """Compares two checkpoints, named as for `Registry.get`."""
    old, new = registry.get(before), registry.get(after)
    tensors, equal = _tensors(registry, old, new)
    growth = _recipe(registry, new).get("grow") or {}
    return CheckpointDifference(
        before=old.label, after=new.label, config=changes(old.architecture, new.architecture),
        recipe=changes(_recipe(registry, old), _recipe(registry, new)),
        record=changes(_record_fields(old), _record_fields(new)), files=changes(_shas(old), _shas(new)),
        tensors=tuple(tensors), tensors_equal=equal, growth=growth if growth.get("parent") == old.digest else None,
    )  # fmt: skip


def _shas(checkpoint: Checkpoint) -> dict[str, str]:
    return {file.path: file.sha256 for file in checkpoint.files}


def _recipe(registry: "Registry", checkpoint: Checkpoint) -> dict[str, Any]:
    try:
        return registry.recipe(checkpoint.recipe_digest) if checkpoint.recipe_digest else {}
    except ZooError:  # pulled without it
        return {"digest": checkpoint.recipe_digest}


def _record_fields(checkpoint: Checkpoint) -> dict[str, Any]:
    fields: dict[str, Any] = msgspec.to_builtins(checkpoint)
    return {key: fields[key] for key in RECORD_FIELDS}


def changes(before: Any, after: Any, key: str = "") -> tuple[Changed, ...]:
    """The values that differ between two plain structures, by dotted key.

    >>> [(c.key, c.before, c.after) for c in changes({"a": {"b": 1}, "c": 2}, {"a": {"b": 3}, "c": 2})]
    [('a.b', 1, 3)]
    """
    if isinstance(before, dict) and isinstance(after, dict):
        changed: list[Changed] = []
        for name in sorted(before.keys() | after.keys()):
            pair = [side.get(name) for side in (before, after)]
            if any(isinstance(value, dict) for value in pair):  # compare an absent table value by value
                pair = [{} if value is None else value for value in pair]
            changed += changes(pair[0], pair[1], f"{key}.{name}" if key else str(name))
        return tuple(changed)
    return () if before == after else (Changed(key=key, before=before, after=after),)


def _tensors(registry: "Registry", old: Checkpoint, new: Checkpoint) -> tuple[list[TensorChange], int]:
    if any(file.path.endswith(".gguf") for record in (old, new) for file in record.files):
        return [], 0  # blocks of one format cannot be compared with numbers of another
    if old.digest == new.digest:
        return [], sum(len(read_header(path).tensors) for path in weight_files(registry, old))
    before, after = (locate_tensors(weight_files(registry, record)) for record in (old, new))
    names = sorted(before.keys() | after.keys())
    changed = [change for name in names if (change := compare_tensor(name, before.get(name), after.get(name)))]
    return changed, len(names) - len(changed)


def weight_files(registry: "Registry", checkpoint: Checkpoint) -> list[Path]:
    """The safetensors files of a checkpoint, without symlinks."""
    folder = registry.path(checkpoint)  # a folder of symlinks, if the store is read-only
    names = [file.path for file in checkpoint.files if file.path.endswith(".safetensors")]
    return [Path(os.path.realpath(folder / name)) for name in names]


def locate_tensors(paths: Iterable[Path]) -> dict[str, Located]:
    """The tensors of safetensors files: name -> (file, start of its data part, tensor)."""
    located = {}
    for path in paths:
        header = read_header(path)
        located.update({tensor.name: (path, header.data_start, tensor) for tensor in header.tensors})
    return located


def compare_tensor(name: str, old: Located | None, new: Located | None) -> TensorChange | None:
    """The difference of a tensor; None where both are the same bytes of the same type."""
    texts = [f"{located[2].dtype}{list(located[2].shape)}" if located else "" for located in (old, new)]
    if old is None or new is None:
        return TensorChange(name=name, what="added" if old is None else "removed", before=texts[0], after=texts[1])
    if old[2].shape != new[2].shape:
        return TensorChange(name=name, what="shape", before=texts[0], after=texts[1])
    same, largest, relative = _measure_change(old, new)
    if same and old[2].dtype == new[2].dtype:
        return None
    what = "changed" if old[2].dtype == new[2].dtype else "dtype"
    return TensorChange(name=name, what=what, before=texts[0], after=texts[1], largest=largest, relative=relative)


def _chunks(path: Path, data_start: int, tensor: Tensor) -> Iterator[bytes]:
    """A tensor's bytes in chunks with the same number of elements for every dtype."""
    left = tensor.end - tensor.begin
    size = CHUNK_ELEMENTS * BITS[tensor.dtype] // 8
    with open_plain(path) as file:
        file.seek(data_start + tensor.begin)
        while left > 0 and (chunk := file.read(min(size, left))):
            left -= len(chunk)
            yield chunk


def _measure_change(old: Located, new: Located) -> tuple[bool, float | None, float | None]:
    """Whether the bytes are the same; largest absolute change, and norm of the change over the norm before.

    None if unknown: without numpy, or for a dtype that numpy cannot read. NaN if a value is NaN.
    """
    try:
        import numpy as np
    except ImportError:
        return all(a == b for a, b in zip(_chunks(*old), _chunks(*new), strict=True)), None, None
    if not all(located[2].dtype in (*WIDTHS, "BF16") for located in (old, new)):
        return all(a == b for a, b in zip(_chunks(*old), _chunks(*new), strict=True)), None, None

    def read(data: bytes, dtype: str) -> "np.ndarray[Any, Any]":
        if dtype == "BF16":  # the upper half of a float32
            return (np.frombuffer(data, "<u2").astype("<u4") << 16).view("<f4").astype("f8")
        return np.frombuffer(data, WIDTHS[dtype]).astype("f8")

    same, largest, changed, before = True, 0.0, 0.0, 0.0
    with np.errstate(all="ignore"):  # non-finite values give NaN, as they should
        for a, b in zip(_chunks(*old), _chunks(*new), strict=True):
            same = same and a == b
            first = read(a, old[2].dtype)
            change = read(b, new[2].dtype) - first
            largest = float(np.maximum(largest, np.abs(change).max()))
            changed += float(change @ change)
            before += float(first @ first)
    return same, largest, (changed / before) ** 0.5 if before else None


def text(difference: CheckpointDifference) -> str:
    """The difference as lines for a terminal."""
    lines = [f"{difference.before} -> {difference.after}"]
    if difference.growth:
        return "\n".join([*lines, *_growth_lines(difference)])
    for title in ("config", "recipe", "record", "files"):
        rows: tuple[Changed, ...] = getattr(difference, title)
        if rows:
            lines.append(f"{title}:")
            lines += [f"  {row.key}: {_short(row.before)} -> {_short(row.after)}" for row in rows]
    if difference.tensors or difference.tensors_equal:
        lines.append(f"tensors: {difference.tensors_equal} equal, {len(difference.tensors)} differ")
    for tensor in difference.tensors:
        amount = "" if tensor.largest is None else f"  largest {tensor.largest:.3g}"
        amount += "" if tensor.relative is None else f"  relative {tensor.relative:.3g}"
        kinds = tensor.after if tensor.what == "added" else tensor.before
        kinds += f" -> {tensor.after}" if tensor.what in ("shape", "dtype") else ""
        lines.append(f"  {tensor.what:8} {tensor.name} {kinds}{amount}")
    return "\n".join(lines)


def _growth_lines(difference: CheckpointDifference) -> list[str]:
    """A growth as its method and proof; since all its tensors differ, they are only counted."""
    growth: dict[str, Any] = difference.growth or {}
    options = [f"{key} {growth[key]:g}" for key in ("noise", "split") if growth.get(key)]
    how = ", ".join([growth["method"], f"depth {growth['depth']}", *options, f"seed {growth['seed']}"])
    proof = growth["proof"]
    kept = "the parent's function is kept" if proof["preserves"] else "the parent's function is not kept"
    lines = [f"grown by {how}, rounding {growth['rounding']}"]
    lines.append("layers: " + " ".join(map(str, growth["layers"])) + " (each new layer's old one)")
    lines += [f"config: {row.key}: {_short(row.before)} -> {_short(row.after)}" for row in difference.config]
    lines.append(
        f"{kept}: logits differ by at most {proof['largest']:.2g} on {proof['tokens']} tokens ({proof['arithmetic']})"
    )
    kinds = {what: sum(tensor.what == what for tensor in difference.tensors) for what in ("shape", "added", "changed")}
    counts = ", ".join(f"{count} {what}" for what, count in kinds.items() if count)
    return [*lines, f"tensors: {difference.tensors_equal} equal; {counts} (each: --json)"]


def _short(value: Any) -> str:
    if value is None:
        return "absent"
    shown = value if isinstance(value, str) else msgspec.json.encode(value).decode()
    return shown if len(shown) <= 60 else f"{shown[:57]}..."
