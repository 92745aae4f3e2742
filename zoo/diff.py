"""What differs between two checkpoints: config, recipe, origins, files, and tensors by how much.

Tensors are compared one at a time, straight from the files. numpy is used where it is installed;
without it a tensor is only told to have changed.
"""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from zoo.admission.safetensors_header import BITS, Tensor, read_header
from zoo.errors import ZooError
from zoo.plain_file import open_plain
from zoo.records import Checkpoint, Record

if TYPE_CHECKING:
    from zoo.registry import Registry

WIDTHS = {"F64": "<f8", "F32": "<f4", "F16": "<f2", "I64": "<i8", "I32": "<i4", "I16": "<i2", "I8": "i1", "U8": "u1"}
CHUNK_ELEMENTS = 1 << 22  # 100 MB of float64 at work, whatever the tensor's size


class Changed(Record, frozen=True):
    """One value that differs; None where it is absent. `key` is dotted."""

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


class Difference(Record, frozen=True):
    """All that differs between two checkpoints. `tensors_equal` counts those that do not."""

    before: str
    after: str
    config: tuple[Changed, ...]
    recipe: tuple[Changed, ...]
    record: tuple[Changed, ...]
    files: tuple[Changed, ...]
    tensors: tuple[TensorChange, ...]
    tensors_equal: int
    growth: dict[str, Any] | None = None  # method, options, layers and proof, where the second was grown from the first


def diff(registry: "Registry", before: str, after: str) -> Difference:
    """What differs between two checkpoints, given as `Registry.get` takes them."""
    old, new = registry.get(before), registry.get(after)
    tensors, equal = _tensors(registry, old, new)
    made = _recipe(registry, new).get("grow") or {}
    shas = [{file.path: file.sha256 for file in one.files} for one in (old, new)]
    return Difference(
        before=old.label,
        after=new.label,
        config=changes(old.architecture, new.architecture),
        recipe=changes(_recipe(registry, old), _recipe(registry, new)),
        record=changes(_told(old), _told(new)),
        files=changes(shas[0], shas[1]),
        tensors=tuple(tensors),
        tensors_equal=equal,
        growth=made if made.get("parent") == old.digest else None,
    )


def _recipe(registry: "Registry", one: Checkpoint) -> dict[str, Any]:
    try:
        return registry.recipe(one.recipe_digest) if one.recipe_digest else {}
    except ZooError:  # pulled without it
        return {"digest": one.recipe_digest}


def _told(one: Checkpoint) -> dict[str, Any]:
    keys = (
        "parameters",
        "context_tokens",
        "prompt_style",
        "training_tokens",
        "licence",
        "family",
        "parents",
        "datasets",
    )
    told: dict[str, Any] = msgspec.to_builtins(one)
    return {key: told[key] for key in keys}


def changes(before: Any, after: Any, key: str = "") -> tuple[Changed, ...]:
    """The values that differ between two plain structures, by dotted key.

    >>> [(c.key, c.before, c.after) for c in changes({"a": {"b": 1}, "c": 2}, {"a": {"b": 3}, "c": 2})]
    [('a.b', 1, 3)]
    """
    if isinstance(before, dict) and isinstance(after, dict):
        found: list[Changed] = []
        for name in sorted(before.keys() | after.keys()):
            pair = [side.get(name) for side in (before, after)]
            if any(isinstance(value, dict) for value in pair):  # a table that one side lacks is told value by value
                pair = [{} if value is None else value for value in pair]
            found += changes(pair[0], pair[1], f"{key}.{name}" if key else str(name))
        return tuple(found)
    return () if before == after else (Changed(key=key, before=before, after=after),)


def _tensors(registry: "Registry", old: Checkpoint, new: Checkpoint) -> tuple[list[TensorChange], int]:
    if old.digest == new.digest:
        return [], sum(len(read_header(path).tensors) for path in _weights(registry, old))
    places = [_located(registry, one) for one in (old, new)]
    found, equal = [], 0
    for name in sorted(places[0].keys() | places[1].keys()):
        change = _tensor(name, places[0].get(name), places[1].get(name))
        if change is None:
            equal += 1
        else:
            found.append(change)
    return found, equal


def _weights(registry: "Registry", one: Checkpoint) -> list[Path]:
    folder = registry.path(one)  # of symlinks, where the store may only be read
    names = [file.path for file in one.files if file.path.endswith(".safetensors")]
    return [Path(os.path.realpath(folder / name)) for name in names]


def _located(registry: "Registry", one: Checkpoint) -> dict[str, tuple[Path, int, Tensor]]:
    """name -> (file, where its data part begins, tensor)."""
    found = {}
    for path in _weights(registry, one):
        header = read_header(path)
        found.update({tensor.name: (path, header.data_start, tensor) for tensor in header.tensors})
    return found


def _tensor(
    name: str, old: tuple[Path, int, Tensor] | None, new: tuple[Path, int, Tensor] | None
) -> TensorChange | None:
    texts = [f"{one[2].dtype}{list(one[2].shape)}" if one else "" for one in (old, new)]
    if old is None or new is None:
        what = "added" if old is None else "removed"
        return TensorChange(name=name, what=what, before=texts[0], after=texts[1])
    if old[2].shape != new[2].shape:
        return TensorChange(name=name, what="shape", before=texts[0], after=texts[1])
    same, largest, relative = _amount(old, new)
    if same and old[2].dtype == new[2].dtype:
        return None
    what = "changed" if old[2].dtype == new[2].dtype else "dtype"
    return TensorChange(name=name, what=what, before=texts[0], after=texts[1], largest=largest, relative=relative)


def _chunks(path: Path, data_start: int, tensor: Tensor) -> Iterator[bytes]:
    """A tensor's bytes, a number of elements at a time that is the same for every dtype."""
    left = tensor.end - tensor.begin
    size = CHUNK_ELEMENTS * BITS[tensor.dtype] // 8
    with open_plain(path) as file:
        file.seek(data_start + tensor.begin)
        while left > 0 and (chunk := file.read(min(size, left))):
            left -= len(chunk)
            yield chunk


def _amount(old: tuple[Path, int, Tensor], new: tuple[Path, int, Tensor]) -> tuple[bool, float | None, float | None]:
    """Whether the bytes are the same; largest absolute change, and norm of the change over the norm before.

    None where not known: without numpy, or for a dtype that it does not read. NaN where a value is.
    """
    try:
        import numpy as np
    except ImportError:
        return all(a == b for a, b in zip(_chunks(*old), _chunks(*new), strict=True)), None, None
    if not all(one[2].dtype in (*WIDTHS, "BF16") for one in (old, new)):
        return all(a == b for a, b in zip(_chunks(*old), _chunks(*new), strict=True)), None, None

    def read(data: bytes, dtype: str) -> "np.ndarray[Any, Any]":
        if dtype == "BF16":  # the upper half of a float32
            return (np.frombuffer(data, "<u2").astype("<u4") << 16).view("<f4").astype("f8")
        return np.frombuffer(data, WIDTHS[dtype]).astype("f8")

    same, largest, changed, before = True, 0.0, 0.0, 0.0
    with np.errstate(all="ignore"):  # what is not finite gives NaN, which is what there is to say
        for a, b in zip(_chunks(*old), _chunks(*new), strict=True):
            same = same and a == b
            first = read(a, old[2].dtype)
            change = read(b, new[2].dtype) - first
            largest = float(np.maximum(largest, np.abs(change).max()))
            changed += float(change @ change)
            before += float(first @ first)
    return same, largest, (changed / before) ** 0.5 if before else None


def text(found: Difference) -> str:
    """The difference as lines for a terminal."""
    lines = [f"{found.before} -> {found.after}"]
    if found.growth:
        return "\n".join([*lines, *_growth_lines(found)])
    for title in ("config", "recipe", "record", "files"):
        rows: tuple[Changed, ...] = getattr(found, title)
        if rows:
            lines.append(f"{title}:")
            lines += [f"  {row.key}: {_short(row.before)} -> {_short(row.after)}" for row in rows]
    lines.append(f"tensors: {found.tensors_equal} equal, {len(found.tensors)} differ")
    for tensor in found.tensors:
        amount = "" if tensor.largest is None else f"  largest {tensor.largest:.3g}"
        amount += "" if tensor.relative is None else f"  relative {tensor.relative:.3g}"
        kinds = tensor.after if tensor.what == "added" else tensor.before
        kinds += f" -> {tensor.after}" if tensor.what in ("shape", "dtype") else ""
        lines.append(f"  {tensor.what:8} {tensor.name} {kinds}{amount}")
    return "\n".join(lines)


def _growth_lines(found: Difference) -> list[str]:
    """A growth as what it is: how it was made and what the proof said; its tensors differ all, and are counted."""
    told: dict[str, Any] = found.growth or {}
    options = [f"{key} {told[key]:g}" for key in ("noise", "split") if told.get(key)]
    how = ", ".join([told["method"], f"depth {told['depth']}", *options, f"seed {told['seed']}"])
    proof = told["proof"]
    kept = "the parent's function is kept" if proof["preserves"] else "the parent's function is not kept"
    lines = [f"grown by {how}, rounding {told['rounding']}"]
    lines.append("layers: " + " ".join(map(str, told["layers"])) + " (each new layer's old one)")
    lines += [f"config: {row.key}: {_short(row.before)} -> {_short(row.after)}" for row in found.config]
    lines.append(
        f"{kept}: logits differ by at most {proof['largest']:.2g} on {proof['tokens']} tokens ({proof['arithmetic']})"
    )
    kinds = {what: sum(one.what == what for one in found.tensors) for what in ("shape", "added", "changed")}
    counts = ", ".join(f"{count} {what}" for what, count in kinds.items() if count)
    return [*lines, f"tensors: {found.tensors_equal} equal; {counts} (each: --json)"]


def _short(value: Any) -> str:
    if value is None:
        return "absent"
    told = value if isinstance(value, str) else msgspec.json.encode(value).decode()
    return told if len(told) <= 60 else f"{told[:57]}..."
