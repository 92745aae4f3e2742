"""Where checkpoint bytes lie: content-addressed files, each whole under its sha256 or absent.

    objects/ab/ab12…     one file, read-only, named by its sha256; shared by all that hold it
    trees/<digest>/      one checkpoint as a folder of hard links to its objects: what loaders get
    incoming/<owner>/    what is being added, until it is complete

This file knows bytes and digests, no names and no database. `zoo.store.bucket` is the same over fsspec.
"""

import contextlib
import errno
import fcntl
import hashlib
import os
import shutil
import socket
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import BinaryIO, Protocol

from zoo.digest import CHUNK_BYTES, SHA256, file_sha256
from zoo.errors import ZooError
from zoo.records import File

READ_ONLY = 0o444
LEFTOVER_SECONDS = 7 * 24 * 3600.0
ROOM_BYTES = 16 << 20
Advance = Callable[[float], None]


class Store(Protocol):
    """One place for bytes."""

    url: str
    trees: Path  # the local folder of checkpoints' folders

    def has(self, sha256: str) -> int | None:
        """The size of an object, or None when it is absent."""

    def incoming(self) -> contextlib.AbstractContextManager[Path]:
        """A local folder to lay new files in, on the store's own disk where that can be."""

    def publish(self, folder: Path, files: Sequence[File]) -> None:
        """Moves the files of a folder in: each becomes an object unless it is one already."""

    def tree(self, digest: str, files: Sequence[File]) -> Path:
        """A local folder that holds exactly these files, for a loader. Made once, then found."""

    def object(self, sha256: str) -> Path:
        """A local file with an object's bytes. Raises ZooError when it is absent."""

    def damage(self, file: File) -> str:
        """What is wrong with a stored object ("missing", "its bytes differ"), or ""."""

    def fetch(self, file: File, place: Path) -> None:
        """Copies an object to a local place, going on from what is there; checks its sha256."""

    def set_aside(self, sha256: str) -> None:
        """Takes a damaged object out, so that adding or pulling it again puts a whole one there."""

    def strays(self, digest: str, files: Sequence[File]) -> list[str]:
        """Files in a checkpoint's folder that are not its own: a loader wrote or replaced them, or someone did."""

    def objects(self) -> Iterator[tuple[str, int]]:
        """(sha256, bytes) of every object."""

    def delete(self, sha256: str) -> None:
        """Removes one object; nothing if absent."""

    def sweep(self, trees: set[str], alive: Callable[[str], bool]) -> None:
        """Removes trees that are not of these digests, and what dead writers left behind."""


def checked_sha256(sha256: str) -> str:
    """The digest, if it is one: 64 hexadecimal digits. A digest is checked before it becomes a path."""
    if not SHA256.fullmatch(sha256):
        raise ZooError(f"{sha256[:80]!r} is not a sha256: expected 64 hexadecimal digits.")
    return sha256


def owner() -> str:
    """Who writes here: host, process and when the process began, so that a dead owner can be told."""
    return f"{_host()}.{os.getpid()}.{_began(os.getpid())}"


def _host() -> str:
    """Where process numbers mean what they mean here: the host, and the container on it."""
    host = "".join(c if c.isalnum() else "-" for c in socket.gethostname()) or "host"
    try:
        return f"{host}-{os.stat('/proc/self/ns/pid').st_ino}"
    except OSError:
        return host


def is_alive(name: str) -> bool:
    """Whether an owner may still be writing. One on another host, or no owner's name at all, is believed to be."""
    host, _, rest = name.partition(".")
    pid, _, began = rest.partition(".")
    if host != _host() or not pid.isdecimal():
        return True
    return _began(int(pid)) == began.partition(".")[0]


def _began(pid: int) -> str:
    """When a process began, in clock ticks since boot; "0" when it is gone, or is a zombie."""
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
    """Copies a file while hashing it, one pass; gives back (sha256, bytes). Never follows a symlink."""
    from zoo.admission.safetensors_header import open_plain

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


def sync_folder(folder: Path) -> None:
    """Makes a folder's names durable."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


class DiskStore:
    """A store in a local folder."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.url, self.trees = folder, str(folder), folder / "trees"

    def _place(self, sha256: str) -> Path:
        checked_sha256(sha256)
        return self.folder / "objects" / sha256[:2] / sha256

    def has(self, sha256: str) -> int | None:
        try:
            return self._place(sha256).stat().st_size
        except FileNotFoundError:
            return None

    @contextlib.contextmanager
    def incoming(self) -> Iterator[Path]:
        parent = self.folder / "incoming"
        parent.mkdir(parents=True, exist_ok=True)
        mine = Path(tempfile.mkdtemp(prefix=f"{owner()}.", dir=parent))
        try:
            yield mine
        finally:
            shutil.rmtree(mine, ignore_errors=True)

    def publish(self, folder: Path, files: Sequence[File]) -> None:
        touched = {self.folder / "objects"}
        for file in files:
            staged, place = folder / file.path, self._place(file.sha256)
            place.parent.mkdir(parents=True, exist_ok=True)
            staged.chmod(READ_ONLY)
            if self.has(file.sha256) != file.bytes:
                place.unlink(missing_ok=True)  # cut short by a failing disk: the whole one takes its place
            with contextlib.suppress(FileExistsError):
                os.link(staged, place)
            touched.add(place.parent)
        for parent in touched:
            sync_folder(parent)

    def tree(self, digest: str, files: Sequence[File]) -> Path:
        checked_sha256(digest)
        place = self.folder / "trees" / digest
        if place.is_dir() and all(self._is_own(place / file.path, file) for file in files):
            return place
        lacks = [file for file in files if self.has(file.sha256) is None]
        if lacks:
            raise ZooError(
                f"{self._place(lacks[0].sha256)}: {lacks[0].path} is missing from the store; restore it from a backup, "
                "or add or pull the checkpoint again. All damage: phizoo models verify"
            )
        try:
            with self.incoming() as staging:
                if place.is_dir():  # someone took files out of it
                    place.rename(staging / "broken")
                return link_tree(staging / "tree", place, [(self._place(f.sha256), f.path) for f in files])
        except OSError as error:
            if error.errno not in (errno.EACCES, errno.EPERM, errno.EROFS):
                raise
            return self._tree_elsewhere(digest, files)

    def _is_own(self, path: Path, file: File) -> bool:
        """Whether a file of a checkpoint's folder is the stored object itself, no copy that something put there.

        Where the object is gone, the folder's may be the last name of it: its size must do.
        """
        try:
            if self.has(file.sha256) is None:
                return path.stat().st_size == file.bytes
            return os.path.samefile(path, self._place(file.sha256))
        except OSError:
            return False

    def _tree_elsewhere(self, digest: str, files: Sequence[File]) -> Path:
        """A folder of symlinks in the user's own temporary folder, when the store may only be read."""
        staging = Path(tempfile.mkdtemp(prefix=f"phizoo-{digest[:12]}-"))
        for file in files:
            place = staging / file.path
            place.parent.mkdir(parents=True, exist_ok=True)
            place.symlink_to(self._place(file.sha256).absolute())
        return staging

    def object(self, sha256: str) -> Path:
        place = self._place(sha256)
        if not place.is_file():
            raise ZooError(
                f"{place}: missing from the store; restore it from a backup. All damage: phizoo models verify"
            )
        return place

    def damage(self, file: File) -> str:
        place = self._place(file.sha256)
        if not place.is_file():
            return f"{place} is missing"
        size = place.stat().st_size
        if size != file.bytes:
            return f"{place} has {size:,} bytes, expected {file.bytes:,}"
        return "" if file_sha256(place) == file.sha256 else f"{place}: its bytes are not those that were added"

    def partial(self, sha256: str) -> Path:
        """Where an object is kept while it is being fetched: found again after a kill."""
        checked_sha256(sha256)
        place = self.folder / "partial" / sha256
        place.parent.mkdir(parents=True, exist_ok=True)
        return place

    def settle(self, file: File) -> None:
        """Makes a fetched object visible, unless another process did."""
        if self.has(file.sha256) == file.bytes and not (self.folder / "partial" / file.sha256).exists():
            return
        self.publish(self.folder / "partial", [File(path=file.sha256, sha256=file.sha256, bytes=file.bytes)])
        self.partial(file.sha256).unlink(missing_ok=True)

    def fetch(self, file: File, place: Path) -> None:
        def read(offset: int) -> Iterator[bytes]:
            with self.object(file.sha256).open("rb") as reading:
                reading.seek(offset)
                while chunk := reading.read(CHUNK_BYTES):
                    yield chunk

        fetch_resumed(read, file, place, str(self._place(file.sha256)))

    def set_aside(self, sha256: str) -> None:
        for tree in self.folder.glob("trees/*"):
            held = self._place(sha256)
            if held.exists() and any(os.path.samefile(path, held) for path in tree.rglob("*") if path.is_file()):
                shutil.rmtree(tree, ignore_errors=True)
        self.delete(sha256)

    def strays(self, digest: str, files: Sequence[File]) -> list[str]:
        tree = self.folder / "trees" / checked_sha256(digest)
        own = {tree / file.path: file for file in files}
        return sorted(
            str(path)
            for path in tree.rglob("*")
            if (path.is_symlink() or not path.is_dir())
            and not (path in own and (self._is_own(path, own[path]) or file_sha256(path) == own[path].sha256))
        )

    def objects(self) -> Iterator[tuple[str, int]]:
        for place in sorted(self.folder.glob("objects/??/*")):
            if SHA256.fullmatch(place.name):
                with contextlib.suppress(FileNotFoundError):
                    yield place.name, place.stat().st_size

    def delete(self, sha256: str) -> None:
        self._place(sha256).unlink(missing_ok=True)

    def sweep(self, trees: set[str], alive: Callable[[str], bool]) -> None:
        for place in self.folder.glob("trees/*"):
            if place.name not in trees:
                shutil.rmtree(place, ignore_errors=True)
        for place in self.folder.glob("incoming/*"):
            if not alive(place.name) or _is_old(place):
                shutil.rmtree(place, ignore_errors=True)
        for place in self.folder.glob("partial/*"):
            if _is_old(place):
                place.unlink(missing_ok=True)


def fetch_resumed(read: Callable[[int], Iterator[bytes]], file: File, place: Path, name: str) -> None:
    """Writes an object's bytes to `place`, from where an earlier try ended; checks size and sha256.

    read    gives the bytes from an offset on
    Raises  ZooError when they are not the object's; the bad part is deleted, so the next try starts anew
    """
    sha, size = hashlib.sha256(), 0
    with leaving_room(place), place.open("a+b") as writing:
        fcntl.flock(writing, fcntl.LOCK_EX)  # another process may be fetching the same: it does it for both
        writing.seek(0)
        while chunk := writing.read(CHUNK_BYTES):
            sha.update(chunk)
            size += len(chunk)
        for chunk in read(size) if size < file.bytes else ():
            writing.write(chunk)
            sha.update(chunk)
            size += len(chunk)
            if size > file.bytes:
                break
        writing.flush()
        os.fsync(writing.fileno())
    if size < file.bytes:
        raise ZooError(f"{name}: ended after {size:,} of {file.bytes:,} bytes; run the same command again: it goes on.")
    if size != file.bytes or sha.hexdigest() != file.sha256:
        place.unlink()
        raise ZooError(
            f"{name}: the bytes that came ({size:,}) are not those of {file.path} ({file.bytes:,}); "
            "run the same command again, and if it stays so, verify the zoo it comes from: phizoo models verify"
        )


@contextlib.contextmanager
def leaving_room(place: Path) -> Iterator[None]:
    """Gives back the end of a file whose writing filled the disk: without any room not even gc could run."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            with contextlib.suppress(OSError):
                os.truncate(place, max(0, place.stat().st_size - ROOM_BYTES))
        raise


def _is_old(place: Path) -> bool:
    """Whether nothing was written there for a week: nobody is adding for so long."""
    try:
        return time.time() - place.stat().st_mtime > LEFTOVER_SECONDS
    except FileNotFoundError:  # its owner has just ended
        return False


def link_tree(staging: Path, place: Path, links: Sequence[tuple[Path, str]]) -> Path:
    """A folder of hard links (symlinks across disks), made aside and renamed into its place."""
    for target, path in links:
        link = staging / path
        link.parent.mkdir(parents=True, exist_ok=True)
        try:
            os.link(target, link)
        except PermissionError:
            raise
        except OSError:  # another disk, or one without hard links
            link.symlink_to(target.absolute())
    place.parent.mkdir(parents=True, exist_ok=True)
    try:
        staging.rename(place)
    except OSError:
        if not place.is_dir():  # otherwise another process made the same folder first
            raise
    return place


def open_store(url: str) -> Store:
    """The store at a path or an fsspec URL."""
    if "://" not in url:
        return DiskStore(Path(url).expanduser().absolute())
    if url.startswith("file://"):
        return DiskStore(Path(url.removeprefix("file://")))
    from zoo.store.bucket import BucketStore

    return BucketStore(url)
