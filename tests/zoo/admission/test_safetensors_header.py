"""Malicious safetensors headers are refused with the reason; honest files are read as the library reads them."""

import json
import struct
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from zoo.admission.safetensors_header import HEADER_BYTES, only_nan, read_header
from zoo.errors import ZooError

ONE = {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}


def header(**tensors: Any) -> bytes:
    return json.dumps(tensors).encode()


LIES = {
    "empty file": (b"", "fewer than the 8"),
    "short file": (b"\x01\x02", "fewer than the 8"),
    "no header": (struct.pack("<Q", 0), "claims 0 bytes"),
    "giant header": (struct.pack("<Q", HEADER_BYTES + 1) + b"{}", "claims 10,000,001"),
    "header longer than the file": (struct.pack("<Q", 100) + b"{}", "the file has"),
    "2^63 header": (struct.pack("<Q", 2**63) + b"{}", "claims"),
}
HEADERS = {
    "space before the brace": (b" " + header(a=ONE), 8, "begin with {"),
    "array": (b"[1]", 0, "begin with {"),
    "text after the end": (header(a=ONE) + b"x", 8, "Extra data"),
    "bad UTF-8": (b'{"\xff": 1}', 0, "decode"),
    "a tensor twice": (header(a=ONE)[:-1] + b"," + header(a=ONE)[1:], 8, "is a duplicate"),
    "metadata twice": (b'{"__metadata__":{},"__metadata__":{}}', 0, "is a duplicate"),
    "a field twice": (b'{"a":{"dtype":"F32","dtype":"F32","shape":[2],"data_offsets":[0,8]}}', 8, "is a duplicate"),
    "metadata not of strings": (header(__metadata__={"a": 1}), 0, "object of strings"),
    "a megabyte of metadata": (header(__metadata__={"a": "x" * 1_000_000}), 0, "1,000,001 characters"),
    "unknown field": (header(a=ONE | {"device": "x"}), 8, "exactly dtype"),
    "missing field": (header(a={"dtype": "F32", "shape": [2]}), 8, "exactly dtype"),
    "unknown dtype": (header(a=ONE | {"dtype": "F31"}), 8, "unknown dtype"),
    "dtype of another kind": (header(a=ONE | {"dtype": ["F32"]}), 8, "unknown dtype"),
    "negative size": (header(a=ONE | {"shape": [-2]}), 8, "whole numbers"),
    "fractional size": (header(a=ONE | {"shape": [2.0]}), 8, "whole numbers"),
    "true as a size": (header(a=ONE | {"shape": [True, 2]}), 8, "whole numbers"),
    "size over 2^53": (header(a=ONE | {"shape": [2**53]}), 8, "whole numbers"),
    "product that overflows": (header(a=ONE | {"shape": [2**31, 2**31, 2**31]}), 8, "offsets span 8"),
    "shape and bytes differ": (header(a=ONE | {"shape": [3]}), 8, "offsets span 8"),
    "end before begin": (header(a=ONE | {"data_offsets": [8, 0]}), 8, "offsets span -8"),
    "three offsets": (header(a=ONE | {"data_offsets": [0, 8, 8]}), 8, "two whole numbers"),
    "gap": (header(a=ONE | {"data_offsets": [8, 16]}), 16, "gap of 8"),
    "overlap": (header(a=ONE, b=ONE | {"data_offsets": [4, 12]}), 12, "overlaps"),
    "the same bytes twice": (header(a=ONE, b=ONE), 8, "overlaps"),
    "bytes after the last": (header(a=ONE), 9, "its data at 9"),
    "data cut short": (header(a=ONE), 7, "its data at 7"),
    "empty tensor": (header(a=ONE | {"shape": [0], "data_offsets": [0, 0]}), 0, "is empty"),
    "misaligned": (
        header(a={"dtype": "U8", "shape": [1], "data_offsets": [0, 1]}, b=ONE | {"data_offsets": [1, 9]}),
        9,
        "not aligned",
    ),
    "no name": (header(**{"": ONE}), 8, "plain dotted name"),
    "a path as a name": (header(**{"../../x": ONE}), 8, "plain dotted name"),
    "dots upwards": (header(**{"a..b": ONE}), 8, "plain dotted name"),
    "NUL in a name": (header(**{"a\0b": ONE}), 8, "plain dotted name"),
    "nine dimensions": (header(a=ONE | {"shape": [1] * 8 + [2]}), 8, "up to 8"),
    "deep nesting": (b'{"a":' + b"[" * 5000 + b"]" * 5000 + b"}", 0, ""),
    "minus zero": (header(a=ONE).replace(b"[0, 8]", b"[-0, 8]").replace(b"[0,8]", b"[-0,8]"), 8, "-0 is not"),
    "half a pair in the metadata": (header(__metadata__={"a": "\ud835"}, a=ONE), 8, "half a surrogate pair"),
    "not a number": (b'{"a": NaN}', 0, "NaN is not JSON"),
}


@pytest.mark.parametrize("lie", LIES)
def test_a_lying_length_is_refused(tmp_path: Path, lie: str) -> None:
    data, said = LIES[lie]
    (tmp_path / "x.safetensors").write_bytes(data)
    with pytest.raises(ZooError, match=r"x\.safetensors") as raised:
        read_header(tmp_path / "x.safetensors")
    assert said in str(raised.value)


@pytest.mark.parametrize("lie", HEADERS)
def test_a_lying_header_is_refused(tmp_path: Path, made: SimpleNamespace, lie: str) -> None:
    text, data_bytes, said = HEADERS[lie]
    path = made.raw_safetensors(tmp_path / "x.safetensors", text, bytes(data_bytes))
    with pytest.raises(ZooError, match=r"x\.safetensors") as raised:
        read_header(path)
    assert said in str(raised.value)
    assert "\n" not in str(raised.value)


def test_too_many_tensors_are_refused_without_long_work(tmp_path: Path, made: SimpleNamespace) -> None:
    tensors = {f"t{n}": {"dtype": "U8", "shape": [1], "data_offsets": [n, n + 1]} for n in range(100_001)}
    path = made.raw_safetensors(tmp_path / "x.safetensors", header(**tensors), bytes(100_001))
    with pytest.raises(ZooError, match="names 100,001 tensors"):
        read_header(path)


@pytest.mark.parametrize("kind", ["symlink", "pipe", "folder"])
def test_only_a_plain_file_is_read(tmp_path: Path, made: SimpleNamespace, kind: str) -> None:
    import os

    path = tmp_path / "x.safetensors"
    if kind == "symlink":
        made.raw_safetensors(tmp_path / "real", header(a=ONE), bytes(8))
        path.symlink_to(tmp_path / "real")
    elif kind == "pipe":
        os.mkfifo(path)
    else:
        path.mkdir()
    with pytest.raises(ZooError, match=r"is a symlink|not a regular file"):
        read_header(path)


DTYPES = {"F32": 4, "F16": 2, "BF16": 2, "I64": 8, "U8": 1, "BOOL": 1}


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.tuples(st.sampled_from(sorted(DTYPES)), st.lists(st.integers(1, 4), max_size=4)), min_size=1, max_size=8
    )
)
def test_what_the_library_writes_is_read_the_same(
    tmp_path_factory: pytest.TempPathFactory, shapes: list[tuple[str, list[int]]]
) -> None:
    import torch
    from safetensors import safe_open
    from safetensors.torch import save_file

    kinds = {
        "F32": torch.float32,
        "F16": torch.float16,
        "BF16": torch.bfloat16,
        "I64": torch.int64,
        "U8": torch.uint8,
        "BOOL": torch.bool,
    }
    tensors = {f"t.{n}": torch.zeros(shape, dtype=kinds[dtype]) for n, (dtype, shape) in enumerate(shapes)}
    path = tmp_path_factory.mktemp("written") / "x.safetensors"
    save_file(tensors, path, metadata={"format": "pt"})
    ours = {tensor.name: (tensor.dtype, list(tensor.shape)) for tensor in read_header(path).tensors}
    with safe_open(path, framework="pt") as file:
        theirs = {
            name: (file.get_slice(name).get_dtype(), file.get_slice(name).get_shape()) for name in list(file.keys())
        }
    assert ours == theirs


@settings(max_examples=200, deadline=None)
@given(at=st.integers(0, 200), to=st.integers(0, 255))
def test_whatever_byte_is_changed_the_header_is_refused_or_means_what_the_library_reads(
    tmp_path_factory: pytest.TempPathFactory, at: int, to: int
) -> None:
    from safetensors import SafetensorError, safe_open

    text = json.dumps({"a": ONE, "b.c": {"dtype": "U8", "shape": [2, 2], "data_offsets": [8, 12]}}).encode()
    text += b" " * (-len(text) % 8)
    data = bytearray(struct.pack("<Q", len(text)) + text + bytes(12))
    data[min(at, len(data) - 1)] = to
    path = tmp_path_factory.mktemp("flipped") / "x.safetensors"
    path.write_bytes(data)
    try:
        ours = {tensor.name: list(tensor.shape) for tensor in read_header(path).tensors}
    except ZooError:
        return
    try:
        with safe_open(path, framework="np") as file:
            theirs = {name: file.get_slice(name).get_shape() for name in list(file.keys())}
    except SafetensorError:  # we are stricter, never laxer
        raise AssertionError("accepted what safetensors refuses") from None
    assert ours == theirs


@pytest.mark.parametrize(
    ("dtype", "nan", "real"),
    [
        ("F32", struct.pack("<f", float("nan")), struct.pack("<f", 1.0)),
        ("F64", struct.pack("<d", float("nan")), struct.pack("<d", 1.0)),
        ("F16", b"\x01\x7c", b"\x00\x7c"),  # the second is infinity, which is not NaN
        ("BF16", b"\xc0\x7f", b"\x80\x3f"),
    ],
)
def test_a_tensor_of_only_nan_is_reported(
    tmp_path: Path, made: SimpleNamespace, dtype: str, nan: bytes, real: bytes
) -> None:
    count = 300_000  # over one chunk
    tensors = {
        "all": (dtype, [count], nan * count),
        "last_is_real": (dtype, [count], nan * (count - 1) + real),
        "real": (dtype, [1], real),
    }
    path = made.safetensors(tmp_path / "x.safetensors", tensors)
    assert list(only_nan(path, read_header(path))) == ["all"]
