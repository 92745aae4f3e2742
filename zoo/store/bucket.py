"""A content-addressed store over fsspec (S3, GCS, any object store), with a local cache of bounded size.

On an object store an upload appears whole or not at all, so objects need no renaming there; on other file
systems they are uploaded under a second name and moved. Files that a loader needs are fetched into the
cache, checked against their sha256, and linked into a folder there. A cache over its limit
(`PHIZOO_CACHE_BYTES`, default 50 GB) evicts what was used least recently.
"""

import contextlib
import datetime
import errno
import hashlib
import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any

from zoo import settings
from zoo.digest import SHA256
from zoo.errors import UnreachableError, ZooError
from zoo.progress import transfer_bar
from zoo.records import File
from zoo.store import multipart
from zoo.store.disk import DiskStore
from zoo.store.filesystem import (
    S3,
    error_code,
    filesystem,
    is_s3,
    read_small,
    stream,
    translate_faults,
    write_small,
)
from zoo.store.store import (
    MARK,
    MARK_BYTES,
    NAMED,
    NAMING,
    Advance,
    Leftover,
    Stored,
    fetch_resumed,
    resume_cuts,
    telling,
    validate_sha256,
)

WHOLE_UPLOADS = ("s3", "s3a", "gs", "gcs", "abfs", "az", "memory")
CACHE_BYTES = 50_000_000_000


def cache_bytes() -> int:
    """The limit of the cache in bytes: `PHIZOO_CACHE_BYTES`, or 50 GB."""
    given = os.environ.get("PHIZOO_CACHE_BYTES", "")
    if given and not given.isdecimal():
        raise ZooError(f"PHIZOO_CACHE_BYTES={given}: expected a whole number of bytes, such as {CACHE_BYTES}.")
    return int(given or CACHE_BYTES)


@contextlib.contextmanager
def _naming_cache(folder: Path) -> Iterator[None]:
    """Names the cache and its limit where its disk is full: the person thinks of the bucket, not of this folder."""
    try:
        yield
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        raise ZooError(
            f"{folder}: the disk of the cache is full; free some space, lower PHIZOO_CACHE_BYTES "
            f"(now {cache_bytes():,}), or set PHIZOO_HOME to a larger disk, then run the same command again."
        ) from error


class BucketStore:
    """A store at an fsspec URL."""

    def __init__(self, url: str, cache: Path | None = None, limit: int | None = None) -> None:
        self.url = url
        self.fs, self.root = filesystem(url)
        self.cache = DiskStore(cache or settings.home() / "cache")
        self.trees, self.readers = self.cache.trees, 8
        self.limit = cache_bytes() if limit is None else limit

    def _faults(self) -> contextlib.AbstractContextManager[None]:
        return translate_faults(self.url, self.fs)

    def _path(self, sha256: str) -> str:
        validate_sha256(sha256)
        return f"{self.root}/objects/{sha256[:2]}/{sha256}"

    def has(self, sha256: str) -> int | None:
        with self._faults():
            try:
                return int(self.fs.info(self._path(sha256))["size"])
            except FileNotFoundError:
                return None

    def incoming(self) -> contextlib.AbstractContextManager[Path]:
        return self.cache.incoming()

    def publish(self, folder: Path, files: Sequence[File]) -> None:
        missing = [file for file in files if self.has(file.sha256) != file.bytes]
        with transfer_bar("uploading", sum(file.bytes for file in missing)) as advance:
            for file in missing:
                self.upload(folder / file.path, file.sha256, advance)
        with _naming_cache(self.cache.folder):
            self.cache.publish(folder, files)
        self._evict(keep="")

    def upload(self, source: Path, sha256: str, advance: Advance = lambda _bytes: None) -> None:
        """Uploads a local file that is known to be whole."""
        with self._faults():
            self._upload(source, self._path(sha256), advance)

    def _upload(self, staged: Path, path: str, advance: Advance) -> None:
        scheme, size = self.url.split("://", 1)[0], staged.stat().st_size
        if scheme in S3 and size > multipart.PART_BYTES:
            try:
                multipart.upload(self.fs, staged, path, advance)
            except OSError:
                if self.has(path.rpartition("/")[2]) != size:  # otherwise another process completed the same upload
                    raise
            return
        if scheme in WHOLE_UPLOADS:
            self.fs.put_file(str(staged), path)
        else:
            self.fs.makedirs(path.rpartition("/")[0], exist_ok=True)
            self.fs.put_file(str(staged), path + ".part")
            self.fs.mv(path + ".part", path)
        advance(size)

    def tree(self, digest: str, files: Sequence[File]) -> Path:
        for last_try in (False, False, True):
            try:
                missing = [file for file in files if self.cache.has(file.sha256) is None]
                with transfer_bar(f"fetching {digest[:12]}", sum(file.bytes for file in missing)) as advance:
                    for file in missing:
                        self._cached(file, advance)
                tree = self.cache.tree(digest, files)
                os.utime(tree)
                break
            except UnreachableError:
                raise
            except (ZooError, FileNotFoundError):  # another process may just have evicted something
                if last_try:
                    raise
        self._evict(keep=digest)
        return tree

    def object(self, sha256: str) -> Path:
        size = self.has(sha256) if self.cache.has(sha256) is None else 0
        if size is None:
            raise ZooError(
                f"{self._path(sha256)}: missing from the store; restore it from a backup. "
                "All damage: phizoo models verify"
            )
        with transfer_bar(f"fetching {sha256[:12]}", size) as advance:
            path = self._cached(File(path="object", sha256=sha256, bytes=size), advance)
        os.utime(path)
        self._evict(keep=sha256)
        return path

    def is_local(self, files: Sequence[File]) -> bool:
        return all(self.cache.has(file.sha256) is not None for file in files)

    def _cached(self, file: File, advance: Advance | None = None) -> Path:
        if self.cache.has(file.sha256) is None:
            with _naming_cache(self.cache.folder):
                self.fetch(file, self.cache.partial(file.sha256), advance)
                self.cache.settle(file)
        return self.cache.object(file.sha256)

    def _read(self, file: File, offset: int) -> Iterator[bytes]:
        with self._faults():
            try:
                yield from stream(self.fs, self._path(file.sha256), offset)
            except FileNotFoundError as error:
                if error.filename or error_code(error) == "NoSuchBucket":
                    raise
                raise ZooError(
                    f"{self._path(file.sha256)}: {file.path} is missing from the store; restore it from a backup, "
                    "or add or pull the checkpoint again. All damage: phizoo models verify"
                ) from None

    def fetch(self, file: File, target: Path, advance: Advance | None = None) -> None:
        """Downloads an object to `target`, resuming an interrupted download; checks its sha256."""
        read = telling(lambda offset: self._read(file, offset), advance)
        fetch_resumed(read, file, target, self._path(file.sha256))

    def _evict(self, keep: str) -> None:
        """Brings the cache under its limit: deletes the least recently used entries, but never `keep`."""
        if sum(size for _, size in self.cache.objects()) <= self.limit:
            return
        for path in self._by_use():
            if path.name == keep:
                continue
            if path.is_dir():
                shutil.rmtree(path, ignore_errors=True)
                self._drop_unlinked({keep})
            else:
                self.cache.delete(path.name)
            if sum(size for _, size in self.cache.objects()) <= self.limit:
                return

    def _by_use(self) -> list[Path]:
        """Checkpoints' folders, and objects that are in none, the least recently used first."""
        paths = list(self.trees.glob("*"))
        for sha256, _ in self.cache.objects():
            path = self.cache.folder / "objects" / sha256[:2] / sha256
            with contextlib.suppress(FileNotFoundError):
                if path.stat().st_nlink == 1:
                    paths.append(path)
        return sorted(paths, key=_last_used)

    def _drop_unlinked(self, keep: set[str]) -> None:
        for sha256, _ in list(self.cache.objects()):
            with contextlib.suppress(FileNotFoundError, ZooError):  # another process may have deleted it
                if sha256 not in keep and self.cache.object(sha256).stat().st_nlink == 1:
                    self.cache.delete(sha256)

    def damage(self, file: File) -> str:
        sha, size, path = hashlib.sha256(), 0, self._path(file.sha256)
        try:
            for chunk in resume_cuts(lambda offset: self._read(file, offset), 0, file.bytes):
                sha.update(chunk)
                size += len(chunk)
        except ZooError:
            if self.has(file.sha256) is not None:
                raise
            return f"{path} is missing"
        if size != file.bytes:
            return f"{path} has {self.has(file.sha256) or 0:,} bytes, expected {file.bytes:,}"
        return "" if sha.hexdigest() == file.sha256 else f"{path}: its bytes are not those that were added"

    def set_aside(self, sha256: str) -> None:
        self.cache.set_aside(sha256)
        self.delete(sha256)

    def strays(self, digest: str, files: Sequence[File]) -> list[str]:
        return self.cache.strays(digest, files)

    def objects(self) -> Iterator[tuple[str, int]]:
        return ((found.sha256, found.bytes) for found in self.stored())

    def stored(self) -> Iterator[Stored]:
        for name, info in sorted(self._find("objects").items()):
            sha256 = name.rpartition("/")[2]
            if SHA256.fullmatch(sha256):
                yield Stored(sha256, int(info["size"]), modified(info))

    def _find(self, folder: str) -> dict[str, Any]:
        """path -> properties of all files in a folder of the store."""
        with self._faults():
            try:
                return dict(self.fs.find(f"{self.root}/{folder}", detail=True))
            except FileNotFoundError as error:
                if error_code(error) == "NoSuchBucket":
                    raise
                return {}

    def entry_objects(self) -> set[str]:
        paths = [path for folder in NAMING for path in self._find(folder)]
        with self._faults():
            return {digest.decode() for path in paths for digest in NAMED.findall(self.fs.cat_file(path))}

    def clock(self) -> float | None:
        if not is_s3(self.fs):
            return None
        with self._faults():
            answer = self.fs.call_s3("head_bucket", Bucket=self.fs.split_path(self.root)[0])
        date = answer["ResponseMetadata"]["HTTPHeaders"].get("date")
        return parsedate_to_datetime(date).timestamp() if date else None

    def read_mark(self) -> bytes | None:
        with self._faults():
            return read_small(self.fs, f"{self.root}/{MARK}", MARK_BYTES)

    def write_mark(self, mark: bytes, first: bool) -> bool:
        with self._faults():
            return write_small(self.fs, f"{self.root}/{MARK}", mark, first)

    def place(self) -> tuple[str, ...]:
        """The address without the server's (a team may reach it by several names), and when the mark was written."""
        try:
            with self._faults():
                written = modified(self.fs.info(f"{self.root}/{MARK}"))
        except FileNotFoundError:
            written = 0.0
        return (f"{'s3' if is_s3(self.fs) else self.url.split('://')[0]}://{self.root} {written:.0f}",)

    def leftovers(self) -> list[Leftover]:
        if is_s3(self.fs):
            with self._faults():
                return multipart.unfinished(self.fs, f"{self.root}/objects/")
        found = self._find("objects").items()
        return [Leftover(name, int(i["size"]), modified(i), "") for name, i in found if name.endswith(".part")]

    def drop(self, leftover: Leftover) -> None:
        with self._faults(), contextlib.suppress(FileNotFoundError):
            multipart.abort(self.fs, leftover) if leftover.id else self.fs.rm_file(leftover.name)

    def delete(self, sha256: str) -> None:
        with self._faults(), contextlib.suppress(FileNotFoundError):
            self.fs.rm_file(self._path(sha256))

    def sweep(self, trees: set[str], alive: Callable[[str], bool]) -> None:
        self.cache.sweep(trees, alive)
        self._drop_unlinked(set())


def _last_used(path: Path) -> float:
    """When an entry of the cache was last used; 0 if it has just been deleted."""
    try:
        return path.stat().st_mtime
    except FileNotFoundError:
        return 0.0


def modified(info: dict[str, Any]) -> float:
    """When a remote file was written, in seconds since 1970; infinite if the store does not say, so never old."""
    for key in ("LastModified", "updated", "last_modified", "created", "mtime"):
        value = info.get(key)
        if isinstance(value, str):
            value = datetime.datetime.fromisoformat(value)
        if isinstance(value, datetime.datetime):
            return value.timestamp()
        if isinstance(value, int | float):
            return float(value)
    return float("inf")
