"""GGUF headers: what may enter is read exactly; every kind of damage is refused by name."""

import contextlib
import io
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.gguf_files import gguf_bytes, small, text
from zoo.admission.gguf_header import TYPES, parse_gguf


def parse(data: bytes) -> object:
    return parse_gguf(io.BytesIO(data), len(data))


def test_a_small_file_is_read_exactly() -> None:
    values, tensors = small()
    header = parse_gguf(io.BytesIO(gguf_bytes(values, tensors)), len(gguf_bytes(values, tensors)))
    assert header.metadata["tokenizer.ggml.tokens"] == ["<end>", "a", "b", "c"]
    assert header.metadata["llama.block_count"] == 1
    assert [(one.name, one.dtype, one.shape, one.begin, one.end) for one in header.tensors] == [
        ("token_embd.weight", "F32", (8, 4), 0, 128), ("blk.0.attn_norm.weight", "F32", (8,), 128, 160),
    ]  # fmt: skip
    assert parse(gguf_bytes(values, tensors, version=2))


def with_key(raw: bytes, count: int = 12) -> bytes:
    """The small file with one more key as raw bytes, placed first."""
    data = gguf_bytes(*small())
    return data[:16] + struct.pack("<Q", count) + raw + data[24:]


DAMAGE = {
    "no magic": (b"GGUX" + gguf_bytes(*small())[4:], "does not begin with GGUF"),
    "empty": (b"", "past the end"),
    "version 1": (gguf_bytes(*small(), version=1), "its version is 1"),
    "big-endian": (gguf_bytes(*small(), version=3 << 24), "big-endian"),
    "no tensors": (gguf_bytes(small()[0], {}), "claims 0 tensors"),
    "too many tensors": (b"GGUF" + struct.pack("<IQQ", 3, 2**40, 1), "tensors and"),
    "too many keys": (b"GGUF" + struct.pack("<IQQ", 3, 1, 2**60), "keys, allowed"),
    "a string past the end": (with_key(struct.pack("<Q", 200) + b"x"), "is not|past the end"),
    "a huge key": (with_key(struct.pack("<Q", 2**63)), "a key claims"),
    "a huge value": (with_key(text("a.b") + struct.pack("<IQ", 8, 2**50)), "claims .* bytes"),
    "a huge array": (with_key(text("a.b") + struct.pack("<IIQ", 9, 4, 2**50)), "elements, allowed"),
    "an array past the end": (with_key(text("a.b") + struct.pack("<IIQ", 9, 4, 3_000_000)), "past the end"),
    "an array of arrays": (with_key(text("a.b") + struct.pack("<IIQ", 9, 9, 1)), "array of arrays"),
    "an unknown type": (with_key(text("a.b") + struct.pack("<I", 13)), "unknown type 13"),
    "an array of an unknown type": (with_key(text("a.b") + struct.pack("<IIQ", 9, 77, 1)), "unknown type 77"),
    "a truth value of 2": (with_key(text("a.b") + struct.pack("<IB", 7, 2)), "neither 0 nor 1"),
    "a key that is a path": (with_key(text("../a") + struct.pack("<IB", 0, 1)), "plain dotted name"),
    "a key twice": (with_key(text("llama.block_count") + struct.pack("<II", 4, 1)), "duplicate"),
    "a key that is not UTF-8": (with_key(struct.pack("<Q", 2) + b"\xff\xfe"), "not UTF-8"),
    "alignment 0": (gguf_bytes(*small(**{"general.alignment": (4, 0)})), "general.alignment"),
    "alignment 48": (gguf_bytes(*small(**{"general.alignment": (4, 48)})), "power of two"),
    "alignment as text": (gguf_bytes(*small(**{"general.alignment": (8, "32")})), "general.alignment"),
    "an unknown tensor type": (gguf_bytes(small()[0], {"a": (4, (8,), bytes(32))}), "unknown type 4"),
    "no dimensions": (gguf_bytes(small()[0], {"a": (0, (), b"")}), "0 dimensions"),
    "five dimensions": (gguf_bytes(small()[0], {"a": (0, (1,) * 5, bytes(4))}), "5 dimensions"),
    "an empty tensor": (gguf_bytes(small()[0], {"a": (0, (0, 8), b"")}), "which no tensor has"),
    "a shape that overflows": (gguf_bytes(small()[0], {"a": (0, (2**40, 2**40), bytes(32))}), "which no tensor has"),
    "blocks that do not divide": (gguf_bytes(small()[0], {"a": (3, (33,), bytes(32))}), "blocks of 32"),
    "a name with a slash": (gguf_bytes(small()[0], {"../a": (0, (8,), bytes(32))}), "plain dotted name"),
    "a long name": (gguf_bytes(small()[0], {"a" * 64: (0, (8,), bytes(32))}), "name claims 64 bytes"),
    "short data": (gguf_bytes(*small())[:-32], "reach byte|the file"),
    "bytes behind": (gguf_bytes(*small()) + bytes(32), "the file at"),
    "a gap": (gguf_bytes(small()[0], {"a": (0, (8,), bytes(64)), "b": (0, (8,), bytes(32))}), "leaves a gap"),
    "hidden padding": (gguf_bytes(small()[0], {"a": (0, (4,), bytes(16) + b"hidden" + bytes(10))}), "not zeros"),
}  # fmt: skip


@pytest.mark.parametrize("name", DAMAGE)
def test_damage_is_refused(name: str) -> None:
    data, reason = DAMAGE[name]
    with pytest.raises(ValueError, match=reason):
        parse(data)


def test_tensors_that_overlap_are_refused() -> None:
    values, _ = small()
    data = gguf_bytes(values, {"a": (0, (8,), bytes(32)), "b": (0, (8,), bytes(32))})
    place = data.rindex(struct.pack("<IQ", 0, 32))
    with pytest.raises(ValueError, match="overlaps"):
        parse(data[:place] + struct.pack("<IQ", 0, 0) + data[place + 12 :])
    with pytest.raises(ValueError, match="not aligned"):
        parse(data[:place] + struct.pack("<IQ", 0, 33) + data[place + 12 :])


@given(st.data())
def test_a_changed_byte_is_refused_or_read(data: st.DataObject) -> None:
    """No damage gives another error than ValueError, takes long, or reads past the file."""
    whole = bytearray(gguf_bytes(*small()))
    for _ in range(data.draw(st.integers(1, 4))):
        whole[data.draw(st.integers(0, len(whole) - 1))] = data.draw(st.integers(0, 255))
    cut = bytes(whole[: data.draw(st.integers(0, len(whole)))])
    with contextlib.suppress(ValueError):
        parse(cut)


def test_the_block_sizes_are_those_of_the_gguf_package() -> None:
    gguf = pytest.importorskip("gguf", reason="the gguf package is an extra: pip install 'phi-zoo[gguf]'")
    known = {int(kind): (kind.name, *sizes) for kind, sizes in gguf.GGML_QUANT_SIZES.items()}
    assert {kind: known[kind] for kind in TYPES} == TYPES
