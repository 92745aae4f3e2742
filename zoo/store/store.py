"""The interface of a content-addressed store: each object is whole under its sha256, or absent.

    objects/ab/ab12…     one file, read-only, named by its sha256; shared by all checkpoints that contain it
    trees/<digest>/      one checkpoint as a folder of hard links to its objects, for loaders
    incoming/<owner>/    files being added, until they are complete
    zoo.json             whose store this is (`zoo.ownership`)

A store knows bytes and digests, but no names and no database. `zoo.store.disk` keeps them on a local disk,
`zoo.store.bucket` at an fsspec URL.
"""

import contextlib
import errno
import hashlib
import os
import re
import socket
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import BinaryIO, NamedTuple, Protocol

from zoo.admission.plain_file import open_plain
from zoo.digest import CHUNK_BYTES, SHA256
from zoo.errors import UnreachableError, ZooError
from zoo.lock import lock_file
from zoo.records import File

ROOM_BYTES = 16 << 20
CUTS = 3
NAMED = re.compile(rb"[0-9a-f]{64}")  # a digest in an entry's JSON: rather one too many than a byte lost
NAMING = ("entries", "owners", "pins")  # the folders whose files name objects that were pushed (`zoo.exchange`)
MARK, MARK_BYTES = "zoo.json", 65_536
Advance = Callable[[float], None]
Read = Callable[[int], Iterator[bytes]]  # the bytes of an object from an offset on


class Stored(NamedTuple):
    """One object of a store. modified: when it was written, in seconds since 1970, by the store's clock."""

    sha256: str
    bytes: int
    modified: float


class Leftover(NamedTuple):
    """What a killed writer left: an upload that was not completed. modified: as of `Stored`; id: its own name."""

    name: str
    bytes: int
    modified: float
    id: str


class Store(Protocol):
    """A content-addressed store of files."""

    url: str
    trees: Path  # the local folder of checkpoints' folders
    readers: int  # how many objects are read at once

    def has(self, sha256: str) -> int | None:
        """The size of an object, or None when it is absent."""

    def incoming(self) -> contextlib.AbstractContextManager[Path]:
        """A local folder for new files, on the store's own disk if possible."""

    def publish(self, folder: Path, files: Sequence[File]) -> None:
        """Moves the files of a folder into the store: each becomes an object unless it is one already."""

    def tree(self, digest: str, files: Sequence[File]) -> Path:
        """A local folder with exactly these files, for a loader. Created once, then reused."""

    def object(self, sha256: str) -> Path:
        """A local file with an object's bytes. Raises ZooError if it is absent."""

    def damage(self, file: File) -> str:
        """The fault of a stored object ("missing", "its bytes differ"), or ""."""

    def fetch(self, file: File, target: Path, advance: Advance | None = None) -> None:
        """Copies an object to a local file, resuming a partial copy; checks its sha256."""

    def is_local(self, files: Sequence[File]) -> bool:
        """Whether all these files are on this machine, so that nothing needs to be fetched."""

    def set_aside(self, sha256: str) -> None:
        """Removes a damaged object, so that adding or pulling it again restores it."""

    def strays(self, digest: str, files: Sequence[File]) -> list[str]:
        """Files in a checkpoint's folder that are not its own: a loader or a person wrote or replaced them."""

    def objects(self) -> Iterator[tuple[str, int]]:
        """(sha256, bytes) of every object."""

    def stored(self) -> Iterator[Stored]:
        """Every object with the time of its writing."""

    def clock(self) -> float | None:
        """The time by the clock that dates the objects, in seconds since 1970; None if the store does not tell it."""

    def read_mark(self) -> bytes | None:
        """The mark of the zoo that owns this store, None without one."""

    def write_mark(self, mark: bytes, first: bool) -> bool:
        """Writes the mark whole; False, and nothing is written, if it should be the first and is not."""

    def place(self) -> tuple[str, ...]:
        """What tells this store from a copy of it: two places are one if they have a name in common."""

    def leftovers(self) -> list[Leftover]:
        """Uploads that were not completed."""

    def drop(self, leftover: Leftover) -> None:
        """Frees an upload that was not completed."""

    def entry_objects(self) -> set[str]:
        """Every sha256 that a pushed entry at this address names; `zoo.exchange` writes them."""

    def delete(self, sha256: str) -> None:
        """Deletes one object, if it exists."""

    def sweep(self, trees: set[str], alive: Callable[[str], bool]) -> None:
        """Deletes trees of other digests and the leftovers of dead writers."""


def validate_sha256(sha256: str) -> str:
    """The digest, if it has 64 hexadecimal digits: checked before it becomes a path. Raises ZooError otherwise."""
    if not SHA256.fullmatch(sha256):
        raise ZooError(f"{sha256[:80]!r} is not a sha256: expected 64 hexadecimal digits.")
    return sha256


def owner() -> str:
    """Identifies this writer by host, process and start time, so that a dead owner can be recognised."""
    return f"{_host()}.{os.getpid()}.{_start_time(os.getpid())}"


def _host() -> str:
    """The namespace of our process numbers: the host, and the container on it."""
    host = "".join(c if c.isalnum() else "-" for c in socket.gethostname()) or "host"
    try:
        return f"{host}-{os.stat('/proc/self/ns/pid').st_ino}"
    except OSError:
        return host


def is_alive(name: str) -> bool:
    """Whether an owner may still be writing; assumed for an owner on another host, or a name that is no owner's."""
    host, _, rest = name.partition(".")
    pid, _, start = rest.partition(".")
    if host != _host() or not pid.isdecimal():
        return True
    return _start_time(int(pid)) == start.partition(".")[0]


def _start_time(pid: int) -> str:
    """The start of a process in clock ticks since boot; "0" if it has ended or is a zombie."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        if Path("/proc/self/stat").exists():
            return "0"
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(pid, 0)
            return "1"
        return "0"
    return "0" if fields[0] == "Z" else fields[19]


def copy_hashed(source: Path | BinaryIO, target: Path, advance: Advance | None = None) -> tuple[str, int]:
    """Copies a file and hashes it in one pass; returns (sha256, bytes). Never follows a symlink."""
    sha, size = hashlib.sha256(), 0
    with open_plain(source) if isinstance(source, Path) else source as reading, target.open("xb") as writing:
        while chunk := reading.read(CHUNK_BYTES):
            writing.write(chunk)
            sha.update(chunk)
            size += len(chunk)
            if advance:
                advance(len(chunk))
        writing.flush()
        os.fsync(writing.fileno())
    return sha.hexdigest(), size


def telling(read: Read, advance: Advance | None) -> Read:
    """The same reader, which tells `advance` how many bytes are new, those before its first offset included."""

    told = 0

    def tell(offset: int) -> Iterator[bytes]:
        nonlocal told
        for chunk in read(offset):
            offset += len(chunk)
            if advance and offset > told:
                advance(offset - told)
            told = max(told, offset)
            yield chunk

    return tell


def fetch_resumed(read: Read, file: File, target: Path, name: str) -> None:
    """Writes an object's bytes to `target`, resuming an earlier attempt; checks size and sha256.

    read    yields the bytes from an offset on; where they are cut, it is asked again for the rest
    Raises  ZooError if they are not the object's; the bad file is deleted, so the next attempt starts over
    """
    sha, size = hashlib.sha256(), 0
    with leaving_room(target), target.open("a+b") as writing:
        lock_file(writing)  # if another process fetches the same object, wait: it does it for both
        writing.seek(0)
        while chunk := writing.read(CHUNK_BYTES):
            sha.update(chunk)
            size += len(chunk)
        for chunk in resume_cuts(read, size, file.bytes):
            writing.write(chunk)
            sha.update(chunk)
            size += len(chunk)
        writing.flush()
        os.fsync(writing.fileno())
    if size < file.bytes:
        raise ZooError(f"{name}: ended after {size:,} of {file.bytes:,} bytes; run the same command again to resume.")
    if size != file.bytes or sha.hexdigest() != file.sha256:
        target.unlink()
        raise ZooError(
            f"{name}: the {size:,} bytes received are not those of {file.path} ({file.bytes:,}); "
            "run the same command again; if that fails too, verify the other zoo: phizoo models verify"
        )


def resume_cuts(read: Read, size: int, wanted: int) -> Iterator[bytes]:
    """The bytes from `size` to `wanted`, and what a sender sends beyond; a cut line is taken up where it was cut.

    Gives up after `CUTS` cuts in a row without a byte between them.
    """
    cuts = 0
    while size < wanted:
        before, fault = size, None
        try:
            for chunk in read(size):
                size += len(chunk)
                yield chunk
                if size > wanted:
                    return
        except UnreachableError as error:
            fault = error
        if fault is None and size == before:
            return  # it ends here: the caller says so
        cuts = 0 if size > before else cuts + 1
        if fault is not None and cuts >= CUTS:
            raise fault
        if fault is not None:
            time.sleep(min(2.0**cuts, 10) / 2)


@contextlib.contextmanager
def leaving_room(path: Path) -> Iterator[None]:
    """Truncates a file that filled the disk: with no space at all, not even gc could run."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            with contextlib.suppress(OSError):
                os.truncate(path, max(0, path.stat().st_size - ROOM_BYTES))
        raise
