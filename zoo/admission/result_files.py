"""Reads result files of other tools within limits: JSON of a bounded size, and the JSON members of a zip archive.

Nothing is unpacked to disk. A member is decompressed at most to its declared size, and a declared size above the limits
is refused before a byte of it is read. Not here: what the values mean (`evals.interchange`).
"""

import struct
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

from zoo.admission.plain_file import open_plain
from zoo.errors import ZooError
from zoo.jsonl import parse_json
from zoo.visible import plain

JSON_BYTES = 1 << 30  # of one JSON file; a log of 14,042 samples with their prompts has about 100 MB
MEMBER_BYTES = 256 << 20
ARCHIVE_BYTES = 4 << 30  # of all members, decompressed
MEMBERS = 200_000
NAME = 1_000  # characters
TIMES = 1_000  # a member of JSON expands 10 to 100 times
SMALL_BYTES = 1 << 20  # below this a member may expand more
STORED, DEFLATED, ZSTANDARD = 0, 8, 93
LOCAL_HEADER = struct.Struct("<4s5H3I2H")


def read_json_file(path: Path, *, nonfinite: bool = False) -> Any:
    """The value of a JSON file. Raises ZooError for one that is too large, is no regular file, or is not JSON."""
    with _open(path) as file:
        data = file.read(JSON_BYTES + 1)
    if len(data) > JSON_BYTES:
        raise ZooError(f"{path}: has more than {JSON_BYTES:,} bytes; expected a smaller JSON file")
    try:
        return parse_json(data, nonfinite=nonfinite, repair=True)
    except ValueError as error:
        raise ZooError(f"{path} cannot be read as results: it is no JSON ({plain(str(error))[:80]})") from None


def check_lines_file(path: Path) -> None:
    """Raises ZooError for a file of lines that is no regular file or has more bytes than an archive may have."""
    with _open(path) as file:
        file.seek(0, 2)
        if file.tell() > ARCHIVE_BYTES:
            raise ZooError(f"{path}: has more than {ARCHIVE_BYTES:,} bytes; expected a smaller file of samples")


def _open(path: Path) -> BinaryIO:
    try:
        return open_plain(path.resolve())  # a user's own link may lead to it
    except OSError as error:
        raise ZooError(f"cannot read {path} ({error.strerror or error})") from None


class JsonArchive:
    """An open zip archive of JSON members, each checked before it is read. Close it, or use it in `with`."""

    def __init__(self, path: Path) -> None:
        self.path, self._file = path, _open(path)
        try:
            with zipfile.ZipFile(self._file) as archive:
                entries = archive.infolist()
        except (
            zipfile.BadZipFile,
            NotImplementedError,
            ValueError,
            EOFError,
            struct.error,
            UnicodeDecodeError,
        ) as error:
            self._file.close()
            raise ZooError(f"{path} is no zip archive that can be read ({plain(str(error))[:80]})") from None
        try:
            self._members = self._check(entries)
        except ZooError:
            self._file.close()
            raise

    def __enter__(self) -> "JsonArchive":
        return self

    def __exit__(self, *_fault: object) -> None:
        self.close()

    def close(self) -> None:
        """Closes the file."""
        self._file.close()

    @property
    def names(self) -> Iterator[str]:
        """The members' names in the archive's order."""
        return iter(self._members)

    def _check(self, entries: list[zipfile.ZipInfo]) -> dict[str, zipfile.ZipInfo]:
        if len(entries) > MEMBERS:
            raise ZooError(f"{self.path} has {len(entries):,} members; expected at most {MEMBERS:,}")
        members: dict[str, zipfile.ZipInfo] = {}
        for entry in entries:
            name, fault = entry.filename, ""
            if not name.isprintable() or len(name) > NAME or name[:1] == "/" or "\\" in name or ".." in name.split("/"):
                fault = "a name that leads out of it or is no plain path"
            elif name in members:
                fault = "a name that stands twice"
            elif entry.file_size > MEMBER_BYTES:
                fault = f"{entry.file_size:,} bytes, more than {MEMBER_BYTES:,}"
            elif entry.file_size > max(SMALL_BYTES, TIMES * entry.compress_size):
                fault = f"{entry.file_size:,} bytes in {entry.compress_size:,}: it expands more than {TIMES:,} times"
            elif entry.flag_bits & 1:
                fault = "a password"
            elif entry.compress_type not in (STORED, DEFLATED, ZSTANDARD):
                fault = f"the compression method {entry.compress_type}; read are stored, deflated and zstandard"
            if fault:
                raise ZooError(f"{self.path}: the member {name!r:.60} has {fault}; it is not taken in")
            members[name] = entry
        total = sum(entry.file_size for entry in entries)
        if total > ARCHIVE_BYTES:
            raise ZooError(f"{self.path} has {total:,} bytes unpacked; expected at most {ARCHIVE_BYTES:,}")
        return members

    def read(self, name: str, *, nonfinite: bool = False) -> Any:
        """The value of a JSON member. Raises ZooError if it is missing, damaged, longer than it says, or not JSON."""
        entry = self._members.get(name)
        if entry is None:
            raise ZooError(f"{self.path} has no member {name!r:.60}; it is incomplete, export it again with its tool")
        try:
            data = _unpack(self._raw(entry), entry.compress_type, entry.file_size)
            if len(data) != entry.file_size or zlib.crc32(data) != entry.CRC:
                raise ValueError("its size or checksum is not the one that the archive names")
            return parse_json(data, nonfinite=nonfinite, repair=True)
        except (ValueError, OSError, zlib.error, struct.error) as error:
            raise ZooError(f"{self.path}: the member {name!r:.60} cannot be read ({plain(str(error))[:80]})") from None

    def _raw(self, entry: zipfile.ZipInfo) -> bytes:
        """A member's compressed bytes; zipfile itself reads no zstandard before Python 3.14."""
        self._file.seek(entry.header_offset)
        header = LOCAL_HEADER.unpack(self._file.read(LOCAL_HEADER.size))
        if header[0] != b"PK\x03\x04":
            raise ValueError("no member begins where the archive says")
        self._file.seek(header[9] + header[10], 1)  # its name and extra fields
        return self._file.read(entry.compress_size)


def _unpack(data: bytes, method: int, size: int) -> bytes:
    """The decompressed bytes, and at most one more than `size`."""
    if method == STORED:
        return data[: size + 1]
    if method == DEFLATED:
        return zlib.decompressobj(-15).decompress(data, size + 1)
    try:
        import pyarrow
    except ImportError:
        raise ZooError("zstandard archives need pyarrow (pip install 'phi-zoo[eval]')") from None
    with pyarrow.CompressedInputStream(pyarrow.BufferReader(data), "zstd") as stream:
        unpacked: bytes = stream.read(size + 1)
    return unpacked
