"""Reads the header of a safetensors file more strictly than the format's own library.

safetensors 0.8.0 accepts files that its specification forbids (a space before `{`, a duplicate tensor with
the same offsets, extra fields) and files that a registry should refuse (names that are paths, 400,000 empty
tensors). This module reads the header alone, in plain Python, and accepts only files that every reader
interprets in the same way. It never reads tensor data, except `only_nan` on request.

Source: the safetensors README (Format); measured against safetensors 0.8.0 with crafted files.
"""

import os
import re
import struct
from collections.abc import Callable, Iterator
from math import prod
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

from zoo.admission.plain_file import open_plain
from zoo.errors import ZooError
from zoo.jsonl import parse_json

HEADER_BYTES = 10_000_000  # phi-2 needs 50 kB; the specification's 100 MB would invite attacks
TENSORS = 100_000
METADATA_CHARACTERS = 100_000  # transformers writes {"format": "pt"}; a megabyte could hide anything
NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.:\-]{0,255}")
DIMENSIONS = 8
BITS = {
    "BOOL": 8, "U8": 8, "I8": 8, "F8_E5M2": 8, "F8_E4M3": 8, "I16": 16, "U16": 16, "F16": 16, "BF16": 16,
    "I32": 32, "U32": 32, "F32": 32, "F64": 64, "I64": 64, "U64": 64,
}  # fmt: skip
# dtype -> (struct code of its bits, exponent mask, mantissa mask): NaN has all exponent bits and some mantissa bits
FLOATS = {
    "F64": ("Q", 0x7FF0000000000000, 0x000FFFFFFFFFFFFF), "F32": ("I", 0x7F800000, 0x007FFFFF),
    "F16": ("H", 0x7C00, 0x03FF), "BF16": ("H", 0x7F80, 0x007F), "F8_E5M2": ("B", 0x7C, 0x03),
}  # fmt: skip


class Tensor(NamedTuple):
    """One tensor of the header; `begin` and `end` are offsets in the data part."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    begin: int
    end: int

    @property
    def elements(self) -> int:
        """The number of its elements."""
        return prod(self.shape)


class Header(NamedTuple):
    """A parsed header: the tensors by offset, the metadata, and the start of the data part.

    Of a GGUF file too: its shapes have the fastest dimension first, its metadata are of any plain type.
    """

    tensors: tuple[Tensor, ...]
    metadata: dict[str, Any]
    data_start: int


def read_header(path: Path) -> Header:
    """Reads and checks the header of one file. Raises ZooError with the file and the fault."""
    return read_checked(path, parse, "safetensors")


def read_checked(path: Path, parse: Callable[[BinaryIO, int], Header], kind: str) -> Header:
    """The header that `parse` reads from an open file and its size. Raises ZooError with the file and the fault."""
    with open_plain(path) as file:
        size = os.fstat(file.fileno()).st_size
        try:
            return parse(file, size)
        except (ValueError, OverflowError) as error:
            remedy = f"if it is cut short, copy or fetch it again ({size:,} bytes are here)"
            raise ZooError(f"{path}: not a {kind} file that may enter: {error}; {remedy}.") from None


def parse(file: BinaryIO, size: int) -> Header:
    """Parses the header at the start of an open file of `size` bytes. Raises ValueError with the reason."""
    first = file.read(8)
    if len(first) < 8:
        raise ValueError(f"it has {len(first)} bytes, fewer than the 8 of the header's length")
    (length,) = struct.unpack("<Q", first)
    if not 2 <= length <= HEADER_BYTES:
        raise ValueError(f"its header claims {length:,} bytes, allowed are 2 to {HEADER_BYTES:,}")
    if 8 + length > size:
        raise ValueError(f"its header claims {length:,} bytes, the file has {size:,}")
    text = file.read(length)
    if text[:1] != b"{":
        raise ValueError("its header does not begin with {")
    entries = parse_json(text.rstrip(b" "), negative_zero=False)
    metadata = _parse_metadata(entries.pop("__metadata__", {}))
    if len(entries) > TENSORS:
        raise ValueError(f"it names {len(entries):,} tensors, allowed are {TENSORS:,}")
    tensors = sorted((_parse_tensor(name, entry) for name, entry in entries.items()), key=lambda t: (t.begin, t.end))
    _check_cover(tensors, size - 8 - length)
    return Header(tuple(tensors), metadata, 8 + length)


def _parse_metadata(metadata: Any) -> dict[str, str]:
    if not isinstance(metadata, dict) or not all(isinstance(value, str) for value in metadata.values()):
        raise ValueError("__metadata__ is not an object of strings")
    size = sum(len(key) + len(value) for key, value in metadata.items())
    if size > METADATA_CHARACTERS:
        raise ValueError(f"its __metadata__ has {size:,} characters, allowed are {METADATA_CHARACTERS:,}")
    return metadata


def _parse_tensor(name: str, entry: Any) -> Tensor:
    if not NAME.fullmatch(name) or ".." in name:
        raise ValueError(f"the tensor name {name[:80]!r} is not a plain dotted name")
    if not isinstance(entry, dict) or set(entry) != {"dtype", "shape", "data_offsets"}:
        raise ValueError(f"tensor {name} does not have exactly dtype, shape and data_offsets")
    dtype, shape, offsets = entry["dtype"], entry["shape"], entry["data_offsets"]
    if not isinstance(dtype, str) or dtype not in BITS:
        raise ValueError(f"tensor {name} has the unknown dtype {str(dtype)[:40]!r}")
    if not _whole_numbers(shape) or len(shape) > DIMENSIONS:
        raise ValueError(f"tensor {name} has the shape {shape!r:.80}, expected up to {DIMENSIONS} whole numbers")
    if not _whole_numbers(offsets) or len(offsets) != 2:
        raise ValueError(f"tensor {name} has data_offsets {offsets!r:.80}, expected two whole numbers")
    begin, end = offsets
    size = prod(shape) * BITS[dtype] // 8
    if end - begin != size:
        raise ValueError(f"tensor {name} is {dtype}{shape}, {size:,} bytes, but its offsets span {end - begin:,}")
    if size == 0:
        raise ValueError(f"tensor {name} is empty (shape {shape})")
    if begin % (BITS[dtype] // 8):
        raise ValueError(f"tensor {name} begins at byte {begin:,}, which is not aligned to its {dtype}")
    return Tensor(name, dtype, tuple(shape), begin, end)


def _whole_numbers(values: Any) -> bool:
    return isinstance(values, list) and all(type(n) is int and 0 <= n < 2**53 for n in values)


def _check_cover(tensors: list[Tensor], data_bytes: int) -> None:
    """Checks that the tensors, sorted by offset, cover the data part without gap or overlap."""
    position = 0
    for tensor in tensors:
        if tensor.begin != position:
            fault = (
                "overlaps the one before"
                if tensor.begin < position
                else f"leaves a gap of {tensor.begin - position:,} bytes"
            )
            raise ValueError(f"tensor {tensor.name} at byte {tensor.begin:,} {fault}")
        position = tensor.end
    if position != data_bytes:
        raise ValueError(f"its tensors end at byte {position:,}, its data at {data_bytes:,}")


def only_nan(path: Path, header: Header) -> Iterator[str]:
    """Names of the tensors that contain only NaN. Stops reading each at its first other number."""
    with open_plain(path) as file:
        for tensor in header.tensors:
            if tensor.dtype in FLOATS and _is_only_nan(file, header.data_start, tensor):
                yield tensor.name


def _is_only_nan(file: BinaryIO, data_start: int, tensor: Tensor) -> bool:
    code, exponent, mantissa = FLOATS[tensor.dtype]
    file.seek(data_start + tensor.begin)
    left, chunk_bytes = tensor.end - tensor.begin, 64
    while left:
        chunk = file.read(min(chunk_bytes, left))
        if not chunk:
            return False
        for (bits,) in struct.iter_unpack(f"<{code}", chunk):
            if bits & exponent != exponent or not bits & mantissa:
                return False
        left -= len(chunk)
        chunk_bytes = 1 << 20
    return True
