"""A content-addressed store on a local disk, with a folder of hard links for each checkpoint."""

import contextlib
import errno
import os
import shutil
import socket
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from zoo.digest import CHUNK_BYTES, SHA256, file_sha256, whole_file
from zoo.errors import ZooError
from zoo.records import File
from zoo.store.store import (
    MARK,
    NAMED,
    NAMING,
    Advance,
    Leftover,
    Stored,
    fetch_resumed,
    owner,
    telling,
    validate_sha256,
)

READ_ONLY = 0o444
LEFTOVER_SECONDS = 7 * 24 * 3600.0


class DiskStore:
    """A store in a local folder."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.url, self.trees, self.readers = folder, str(folder), folder / "trees", 2

    def _path(self, sha256: str) -> Path:
        validate_sha256(sha256)
        return self.folder / "objects" / sha256[:2] / sha256

    def has(self, sha256: str) -> int | None:
        try:
            return self._path(sha256).stat().st_size
        except FileNotFoundError:
            return None

    @contextlib.contextmanager
    def incoming(self) -> Iterator[Path]:
        parent = self.folder / "incoming"
        parent.mkdir(parents=True, exist_ok=True)
        staging = Path(tempfile.mkdtemp(prefix=f"{owner()}.", dir=parent))
        try:
            yield staging
        finally:
            shutil.rmtree(staging, ignore_errors=True)

    def publish(self, folder: Path, files: Sequence[File]) -> None:
        changed = {self.folder / "objects"}
        for file in files:
            staged, path = folder / file.path, self._path(file.sha256)
            path.parent.mkdir(parents=True, exist_ok=True)
            staged.chmod(READ_ONLY)
            if self.has(file.sha256) != file.bytes:
                path.unlink(missing_ok=True)  # truncated by a failing disk: replace it
            with contextlib.suppress(FileExistsError):
                os.link(staged, path)
            with contextlib.suppress(OSError):  # another user's file
                os.utime(path)  # young again: gc keeps it for its grace time, whatever became of its pin
            changed.add(path.parent)
        for parent in changed:
            sync_folder(parent)

    def tree(self, digest: str, files: Sequence[File]) -> Path:
        validate_sha256(digest)
        tree = self.folder / "trees" / digest
        if tree.is_dir() and all(self._is_own(tree / file.path, file) for file in files):
            return tree
        missing = [file for file in files if self.has(file.sha256) is None]
        if missing:
            raise ZooError(
                f"{self._path(missing[0].sha256)}: {missing[0].path} is missing from the store; "
                "restore it from a backup, or add or pull the checkpoint again. All damage: phizoo models verify"
            )
        try:
            with self.incoming() as staging:
                if tree.is_dir():  # someone removed or replaced files in it
                    tree.rename(staging / "broken")
                return link_tree(staging / "tree", tree, [(self._path(f.sha256), f.path) for f in files])
        except OSError as error:
            if error.errno not in (errno.EACCES, errno.EPERM, errno.EROFS):
                raise
            return self._tree_of_symlinks(digest, files)

    def _is_own(self, path: Path, file: File) -> bool:
        """Whether a file of a checkpoint's folder is the stored object itself, not a copy that replaced it.

        If the object is gone, the folder may hold its last link, so only the size is compared.
        """
        try:
            if self.has(file.sha256) is None:
                return path.stat().st_size == file.bytes
            return os.path.samefile(path, self._path(file.sha256))
        except OSError:
            return False

    def _tree_of_symlinks(self, digest: str, files: Sequence[File]) -> Path:
        """A folder of symlinks in the user's own temporary folder, for a read-only store."""
        staging = Path(tempfile.mkdtemp(prefix=f"phizoo-{digest[:12]}-"))
        for file in files:
            link = staging / file.path
            link.parent.mkdir(parents=True, exist_ok=True)
            link.symlink_to(self._path(file.sha256).absolute())
        return staging

    def object(self, sha256: str) -> Path:
        path = self._path(sha256)
        if not path.is_file():
            raise ZooError(
                f"{path}: missing from the store; restore it from a backup. All damage: phizoo models verify"
            )
        return path

    def damage(self, file: File) -> str:
        path = self._path(file.sha256)
        if not path.is_file():
            return f"{path} is missing"
        size = path.stat().st_size
        if size != file.bytes:
            return f"{path} has {size:,} bytes, expected {file.bytes:,}"
        return "" if file_sha256(path) == file.sha256 else f"{path}: its bytes are not those that were added"

    def partial(self, sha256: str) -> Path:
        """The file for an object while it is being fetched: a later fetch resumes it after a kill."""
        validate_sha256(sha256)
        path = self.folder / "partial" / sha256
        path.parent.mkdir(parents=True, exist_ok=True)
        return path

    def settle(self, file: File) -> None:
        """Moves a fetched object into the store, unless another process did."""
        if self.has(file.sha256) == file.bytes and not (self.folder / "partial" / file.sha256).exists():
            return
        self.publish(self.folder / "partial", [File(path=file.sha256, sha256=file.sha256, bytes=file.bytes)])
        self.partial(file.sha256).unlink(missing_ok=True)

    def is_local(self, files: Sequence[File]) -> bool:
        return True

    def fetch(self, file: File, target: Path, advance: Advance | None = None) -> None:
        def read(offset: int) -> Iterator[bytes]:
            with self.object(file.sha256).open("rb") as reading:
                reading.seek(offset)
                while chunk := reading.read(CHUNK_BYTES):
                    yield chunk

        fetch_resumed(telling(read, advance), file, target, str(self._path(file.sha256)))

    def set_aside(self, sha256: str) -> None:
        for tree in self.folder.glob("trees/*"):
            damaged = self._path(sha256)
            if damaged.exists() and any(os.path.samefile(path, damaged) for path in tree.rglob("*") if path.is_file()):
                shutil.rmtree(tree, ignore_errors=True)
        self.delete(sha256)

    def strays(self, digest: str, files: Sequence[File]) -> list[str]:
        tree = self.folder / "trees" / validate_sha256(digest)
        own = {tree / file.path: file for file in files}
        return sorted(
            str(path)
            for path in tree.rglob("*")
            if (path.is_symlink() or not path.is_dir())
            and not (path in own and (self._is_own(path, own[path]) or file_sha256(path) == own[path].sha256))
        )

    def objects(self) -> Iterator[tuple[str, int]]:
        return ((found.sha256, found.bytes) for found in self.stored())

    def stored(self) -> Iterator[Stored]:
        for path in sorted(self.folder.glob("objects/??/*")):
            if SHA256.fullmatch(path.name):
                with contextlib.suppress(FileNotFoundError):
                    stat = path.stat()
                    yield Stored(path.name, stat.st_size, stat.st_mtime)

    def clock(self) -> float | None:
        """The time of a file that is written now: on a network disk it is the server's."""
        try:
            with tempfile.NamedTemporaryFile(prefix=".clock.", dir=self.folder) as file:
                file.write(b".")
                file.flush()
                return os.stat(file.name).st_mtime
        except OSError:
            return None

    def read_mark(self) -> bytes | None:
        try:
            return (self.folder / MARK).read_bytes()
        except (FileNotFoundError, NotADirectoryError):
            return None

    def write_mark(self, mark: bytes, first: bool) -> bool:
        (self.folder / "objects").mkdir(parents=True, exist_ok=True)
        if not first:
            with whole_file(self.folder / MARK) as file:
                file.write(mark)
            return True
        with self.incoming() as staging:
            (staging / MARK).write_bytes(mark)
            try:
                os.link(staging / MARK, self.folder / MARK)
            except FileExistsError:
                return False
            except OSError:  # a file system without hard links
                try:
                    with (self.folder / MARK).open("xb") as writing:
                        writing.write(mark)
                except FileExistsError:
                    return False
        sync_folder(self.folder)
        return True

    def place(self) -> tuple[str, ...]:
        names = [f"path {socket.gethostname()}:{os.path.realpath(self.folder)}"]
        with contextlib.suppress(OSError):  # a renamed or newly mounted folder keeps these numbers, a copy does not
            inodes = [os.stat(self.folder / name).st_ino for name in ("objects", MARK)]
            names.append(f"inodes {inodes[0]}.{inodes[1]}")
        return tuple(names)

    def leftovers(self) -> list[Leftover]:
        return []  # `sweep` knows them by their owners

    def drop(self, leftover: Leftover) -> None:
        raise ValueError(f"{leftover}: a folder holds no upload that was not completed")

    def entry_objects(self) -> set[str]:
        texts = [path.read_bytes() for folder in NAMING for path in self.folder.glob(f"{folder}/**/*.json")]
        return {digest.decode() for text in texts for digest in NAMED.findall(text)}

    def delete(self, sha256: str) -> None:
        self._path(sha256).unlink(missing_ok=True)

    def sweep(self, trees: set[str], alive: Callable[[str], bool]) -> None:
        for path in self.folder.glob("trees/*"):
            if path.name not in trees:
                shutil.rmtree(path, ignore_errors=True)
        for path in self.folder.glob("incoming/*"):
            if not alive(path.name) or _is_old(path):
                shutil.rmtree(path, ignore_errors=True)
        for path in self.folder.glob("partial/*"):
            if _is_old(path):
                path.unlink(missing_ok=True)


def link_tree(staging: Path, folder: Path, links: Sequence[tuple[Path, str]]) -> Path:
    """Creates a folder of hard links (symlinks across disks) in `staging` and renames it to `folder`."""
    for target, relative in links:
        link = staging / relative
        link.parent.mkdir(parents=True, exist_ok=True)
        try:
            os.link(target, link)
        except PermissionError:
            raise
        except OSError:  # another disk, or a file system without hard links
            link.symlink_to(target.absolute())
    folder.parent.mkdir(parents=True, exist_ok=True)
    try:
        staging.rename(folder)
    except OSError:
        if not folder.is_dir():  # otherwise another process created the same folder first
            raise
    return folder


def _is_old(path: Path) -> bool:
    """Whether nothing was written there for a week: no addition takes that long."""
    try:
        return time.time() - path.stat().st_mtime > LEFTOVER_SECONDS
    except FileNotFoundError:  # its owner has just removed it
        return False


def sync_folder(folder: Path) -> None:
    """Flushes a folder's entries to disk."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
