"""Reads the header of a GGUF file strictly: metadata, tensors by offset, and nothing of their data.

The `gguf` package and llama.cpp trust counts, lengths and offsets; here each is checked against the file before
it is used, and only files that every reader interprets in the same way are accepted: no duplicate keys, no
tensors that overlap, no bytes that belong to no tensor.

Source: ggml's docs/gguf.md, versions 2 and 3. Block sizes: ggml.h, as in gguf-py 0.19 (GGML_QUANT_SIZES).
"""

import re
import struct
from math import prod
from pathlib import Path
from typing import Any, BinaryIO

from zoo.admission.safetensors_header import TENSORS, Header, Tensor, read_checked

MAGIC = b"GGUF"
VERSIONS = (2, 3)  # version 1 counted in 32 bits; no converter has written it since August 2023
HEADER_BYTES = 64_000_000  # a vocabulary of 262,144 tokens needs 12 MB
KEYS = 2_000
KEY = re.compile(r"[A-Za-z0-9_\-]+(\.[A-Za-z0-9_\-]+)*")
KEY_BYTES = 255
STRING_BYTES = 1_000_000
ELEMENTS = 4_000_000  # of an array: merges of the largest vocabularies are half a million
NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.\-]*")
NAME_BYTES = 63  # GGML_MAX_NAME, less its end
DIMENSIONS = 4
ALIGNMENT, LARGEST_ALIGNMENT = 32, 65_536
NUMBERS = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 10: "Q", 11: "q", 12: "d"}
BOOL, STRING, ARRAY = 7, 8, 9
# ggml's type -> (name, elements of a block, bytes of a block)
TYPES = {
    0: ("F32", 1, 4), 1: ("F16", 1, 2), 2: ("Q4_0", 32, 18), 3: ("Q4_1", 32, 20), 6: ("Q5_0", 32, 22),
    7: ("Q5_1", 32, 24), 8: ("Q8_0", 32, 34), 10: ("Q2_K", 256, 84), 11: ("Q3_K", 256, 110), 12: ("Q4_K", 256, 144),
    13: ("Q5_K", 256, 176), 14: ("Q6_K", 256, 210), 16: ("IQ2_XXS", 256, 66), 17: ("IQ2_XS", 256, 74),
    18: ("IQ3_XXS", 256, 98), 19: ("IQ1_S", 256, 50), 20: ("IQ4_NL", 32, 18), 21: ("IQ3_S", 256, 110),
    22: ("IQ2_S", 256, 82), 23: ("IQ4_XS", 256, 136), 24: ("I8", 1, 1), 25: ("I16", 1, 2), 26: ("I32", 1, 4),
    27: ("I64", 1, 8), 28: ("F64", 1, 8), 29: ("IQ1_M", 256, 56), 30: ("BF16", 1, 2), 34: ("TQ1_0", 256, 54),
    35: ("TQ2_0", 256, 66), 39: ("MXFP4", 32, 17),
}  # fmt: skip


class _Reader:
    """The next values of an open file; never past `end`."""

    def __init__(self, file: BinaryIO, end: int) -> None:
        self.file, self.end, self.position = file, end, 0

    def take(self, count: int) -> bytes:
        if count > self.end - self.position:
            raise ValueError(f"its header needs {count:,} bytes at byte {self.position:,}, past the end ({self.end:,})")
        self.position += count
        taken = self.file.read(count)
        if len(taken) < count:
            raise ValueError("it ends early")
        return taken

    def number(self, code: str) -> Any:
        (value,) = struct.unpack(f"<{code}", self.take(struct.calcsize(f"<{code}")))
        return value

    def text(self, most: int, what: str) -> str:
        length = self.number("Q")
        if length > most:
            raise ValueError(f"{what} claims {length:,} bytes, allowed are {most:,}")
        try:
            return self.take(length).decode("utf-8")
        except UnicodeDecodeError:
            raise ValueError(f"{what} is not UTF-8") from None

    def value(self, kind: int, key: str) -> Any:
        if kind in NUMBERS:
            return self.number(NUMBERS[kind])
        if kind == BOOL:
            return self.flags(1, key)[0]
        if kind == STRING:
            return self.text(STRING_BYTES, f"the value of {key}")
        if kind == ARRAY:
            return self.array(key)
        raise ValueError(f"{key} has the unknown type {kind}")

    def array(self, key: str) -> list[Any]:
        kind, count = self.number("I"), self.number("Q")
        if count > ELEMENTS:
            raise ValueError(f"{key} claims {count:,} elements, allowed are {ELEMENTS:,}")
        if kind in NUMBERS:
            code = f"<{count}{NUMBERS[kind]}"
            return list(struct.unpack(code, self.take(struct.calcsize(code))))
        if kind == BOOL:
            return self.flags(count, key)
        if kind == STRING:
            return [self.text(STRING_BYTES, f"an element of {key}") for _ in range(count)]
        raise ValueError(f"{key} is an array of {'arrays' if kind == ARRAY else f'the unknown type {kind}'}")

    def flags(self, count: int, key: str) -> list[bool]:
        taken = self.take(count)
        if taken.strip(b"\0\1"):
            raise ValueError(f"{key} has a truth value that is neither 0 nor 1")
        return [bool(byte) for byte in taken]


def read_gguf(path: Path) -> Header:
    """Reads and checks the header of one file. Raises ZooError with the file and the fault."""
    return read_checked(path, parse_gguf, "GGUF")


def parse_gguf(file: BinaryIO, size: int) -> Header:
    """Parses the header at the start of an open file of `size` bytes. Raises ValueError with the reason."""
    reader = _Reader(file, min(size, HEADER_BYTES))
    if reader.take(4) != MAGIC:
        raise ValueError("it does not begin with GGUF")
    version = reader.number("I")
    if version not in VERSIONS:
        big_endian = version in (number << 24 for number in VERSIONS)
        raise ValueError("it is big-endian" if big_endian else f"its version is {version}, expected 2 or 3")
    count, keys = reader.number("Q"), reader.number("Q")
    if not 1 <= count <= TENSORS or keys > KEYS:
        raise ValueError(
            f"it claims {count:,} tensors and {keys:,} keys, allowed are 1 to {TENSORS:,} and at most {KEYS:,}"
        )
    metadata = _parse_metadata(reader, keys)
    alignment = metadata.get("general.alignment", ALIGNMENT)
    if type(alignment) is not int or not 8 <= alignment <= LARGEST_ALIGNMENT or alignment & (alignment - 1):
        raise ValueError(f"general.alignment is {alignment!r:.40}, expected a power of two from 8")
    tensors = [_parse_tensor(reader, alignment) for _ in range(count)]
    if len({tensor.name for tensor in tensors}) < count:
        raise ValueError("two of its tensors have the same name")
    tensors.sort(key=lambda tensor: (tensor.begin, tensor.end))
    data_start = _align(reader.position, alignment)
    _check_padding(file, reader.position, data_start, size)
    _check_tensor_cover(file, tensors, data_start, alignment, size)
    return Header(tuple(tensors), metadata, data_start)


def _parse_metadata(reader: _Reader, count: int) -> dict[str, Any]:
    metadata: dict[str, Any] = {}
    for _ in range(count):
        key = reader.text(KEY_BYTES, "a key")
        if not KEY.fullmatch(key):
            raise ValueError(f"the key {key[:80]!r} is not a plain dotted name")
        if key in metadata:
            raise ValueError(f"the key {key} is a duplicate")
        metadata[key] = reader.value(reader.number("I"), key)
    return metadata


def _parse_tensor(reader: _Reader, alignment: int) -> Tensor:
    name = reader.text(NAME_BYTES, "a tensor's name")
    if not NAME.fullmatch(name) or ".." in name:
        raise ValueError(f"the tensor name {name[:80]!r} is not a plain dotted name")
    dimensions = reader.number("I")
    if not 1 <= dimensions <= DIMENSIONS:
        raise ValueError(f"tensor {name} has {dimensions:,} dimensions, expected 1 to {DIMENSIONS}")
    shape = tuple(reader.number("Q") for _ in range(dimensions))
    if not all(1 <= length < 2**53 for length in shape) or prod(shape) >= 2**53:
        raise ValueError(f"tensor {name} has the shape {list(shape)!r:.80}, which no tensor has")
    kind, begin = reader.number("I"), reader.number("Q")
    if kind not in TYPES:
        raise ValueError(f"tensor {name} has the unknown type {kind}")
    dtype, block, block_bytes = TYPES[kind]
    if shape[0] % block:
        raise ValueError(f"tensor {name} has rows of {shape[0]:,}, which {dtype}'s blocks of {block} do not divide")
    if begin % alignment or begin >= 2**53:
        raise ValueError(f"tensor {name} begins at byte {begin:,}, which is not aligned to {alignment}")
    return Tensor(name, dtype, shape, begin, begin + prod(shape) // block * block_bytes)


def _align(position: int, alignment: int) -> int:
    return -(-position // alignment) * alignment


def _check_tensor_cover(file: BinaryIO, tensors: list[Tensor], data_start: int, alignment: int, size: int) -> None:
    """Checks that the tensors, sorted by offset, fill the data part; only padding of zeros lies between."""
    end = 0
    for tensor in tensors:
        expected = _align(end, alignment)
        if tensor.begin != expected:
            fault = "overlaps the one before" if tensor.begin < expected else f"leaves a gap after byte {end:,}"
            raise ValueError(f"tensor {tensor.name} at byte {tensor.begin:,} {fault}")
        _check_padding(file, data_start + end, data_start + tensor.begin, size)
        end = tensor.end
    if size not in (data_start + end, data_start + _align(end, alignment)):
        raise ValueError(f"its tensors end at byte {data_start + end:,}, the file at {size:,}")
    _check_padding(file, data_start + end, size, size)


def _check_padding(file: BinaryIO, begin: int, end: int, size: int) -> None:
    if end > size:
        raise ValueError(f"its tensors reach byte {end:,}, the file has {size:,}")
    file.seek(begin)
    if file.read(end - begin).strip(b"\0"):
        raise ValueError(f"the padding at byte {begin:,} is not zeros")
