"""Reads and compresses gzip files with ISA-L if it is installed (the train extra), else with zlib.

Each reads the other's files. ISA-L is about three times as fast: on 60 MB of Python files and one core,
515 against 195 MB/s decompressing, 385 against 90 MB/s compressing, to 25% against 26% of the size.
"""

import gzip
import io
import zlib
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple


class DamagedError(ValueError):
    """A gzip file is truncated or invalid."""


class _Codec(NamedTuple):
    module: Any
    level: int  # the fastest useful level
    errors: tuple[type[Exception], ...]


@lru_cache(maxsize=1)
def _codec() -> _Codec:
    zlib_errors = (EOFError, gzip.BadGzipFile, zlib.error)
    try:
        from isal import igzip, isal_zlib
    except ImportError:
        return _Codec(gzip, 1, zlib_errors)
    own: Any = isal_zlib.error  # its stub calls the class an instance
    return _Codec(igzip, 2, (*zlib_errors, own))


def read_errors() -> tuple[type[Exception], ...]:
    """The exceptions that reading a damaged gzip file may raise."""
    return _codec().errors


def compress(data: bytes) -> bytes:
    """Compresses bytes without a timestamp: the same result for the same data and library."""
    result: bytes = _codec().module.compress(data, _codec().level, mtime=0)
    return result


def open_binary(path: Path) -> io.BufferedIOBase:
    """Opens a file for reading, decompressed if its name ends in .gz."""
    file: io.BufferedIOBase = _codec().module.open(path, "rb") if path.suffix == ".gz" else path.open("rb")
    return file


def lines(path: Path) -> Iterator[bytes]:
    """A file's lines, decompressed if its name ends in .gz. Raises DamagedError, maybe before the last whole line."""
    try:
        with open_binary(path) as file:
            yield from file
    except read_errors() as error:
        raise DamagedError(str(error)) from None
