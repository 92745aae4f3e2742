"""Computes digests (sha256 of content and of canonical JSON) and writes files atomically."""

import contextlib
import hashlib
import os
import re
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

import msgspec

SHA256 = re.compile(r"[0-9a-f]{64}")
CHUNK_BYTES = 1 << 20


def canonical(value: Any) -> bytes:
    """The JSON bytes of a value, keys sorted, so that equal values have equal bytes.

    >>> canonical({"b": 1, "a": [True, None]})
    b'{"a":[true,null],"b":1}'
    """
    return msgspec.json.encode(value, order="deterministic")


def digest(value: Any) -> str:
    """sha256 of a value's canonical JSON: 64 hexadecimal characters."""
    return hashlib.sha256(canonical(value)).hexdigest()


def file_sha256(path: Path) -> str:
    """sha256 of a file's bytes, the same as its Hugging Face LFS id; constant memory."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@contextlib.contextmanager
def whole_file(path: Path) -> Iterator[BinaryIO]:
    """Opens a file for writing that appears under its name only if the block does not raise.

    It is written beside its target, flushed to disk and renamed over it: a kill at any moment leaves the
    old file or the new one, never a part.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".part", dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(name, path)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(name)
        raise


def write_json(path: Path, value: Any) -> None:
    """Writes a value as indented JSON, atomically."""
    with whole_file(path) as file:
        file.write(msgspec.json.format(canonical(value), indent=2) + b"\n")
