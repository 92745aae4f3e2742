"""A content-addressed store over fsspec (S3, GCS, any object store), with a local cache of bounded size.

On an object store an upload appears whole or not at all, so objects need no renaming there; on other file
systems they are uploaded under a second name and moved. Files that a loader needs are fetched into the
cache, checked against their sha256, and linked into a folder there. A cache over its limit
(`PHIZOO_CACHE_BYTES`, default 50 GB) evicts what was used least recently.
"""

import contextlib
import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from zoo import settings
from zoo.address import refuse_secrets
from zoo.digest import CHUNK_BYTES, SHA256
from zoo.errors import ZooError
from zoo.records import File
from zoo.store import multipart
from zoo.store.disk import DiskStore
from zoo.store.store import NAMED, fetch_resumed, validate_sha256

WHOLE_UPLOADS = ("s3", "s3a", "gs", "gcs", "abfs", "az", "memory")
CACHE_BYTES = 50_000_000_000


def cache_bytes() -> int:
    """The limit of the cache in bytes: `PHIZOO_CACHE_BYTES`, or 50 GB."""
    given = os.environ.get("PHIZOO_CACHE_BYTES", "")
    if given and not given.isdecimal():
        raise ZooError(f"PHIZOO_CACHE_BYTES={given}: expected a whole number of bytes, such as {CACHE_BYTES}.")
    return int(given or CACHE_BYTES)


def filesystem(url: str) -> tuple[Any, str]:
    """The fsspec file system of a URL and the path on it. Raises ZooError naming the missing package."""
    import fsspec

    refuse_secrets(url, "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or a profile, instead.")
    scheme = url.split("://", 1)[0]
    try:
        options = {} if scheme == "memory" else {"use_listings_cache": False, "skip_instance_cache": True}
        fs = fsspec.filesystem(scheme, **options)
    except ImportError as error:
        remedy = "pip install 'phi-zoo[s3]'" if scheme in ("s3", "s3a") else str(error)
        raise ZooError(f"{url}: {scheme} needs another package: {remedy}") from error
    except ValueError:
        raise ZooError(f"{url}: unknown kind of address; expected a folder or s3://bucket/folder.") from None
    return fs, fs._strip_protocol(url.rstrip("/"))


@contextlib.contextmanager
def translate_faults(url: str) -> Iterator[None]:
    """Turns the errors of a remote store into a ZooError. Errors of the local disk pass unchanged."""
    try:
        yield
    except ZooError:
        raise
    except OSError as error:
        if error.errno in (28, 122) or error.filename:  # the local disk is full
            raise
        raise ZooError(f"{url}: {_line(error)}; check the address, its permissions and the credentials.") from error
    except Exception as error:
        if type(error).__module__.split(".")[0] not in ("botocore", "aiobotocore", "aiohttp", "gcsfs", "asyncio"):
            raise
        raise ZooError(f"{url}: {_line(error)}; check the address, its permissions and the credentials.") from error


def _line(error: Exception) -> str:
    return (str(error) or type(error).__name__).splitlines()[0][:200]


class BucketStore:
    """A store at an fsspec URL."""

    def __init__(self, url: str, cache: Path | None = None, limit: int | None = None) -> None:
        self.url = url
        self.fs, self.root = filesystem(url)
        self.cache = DiskStore(cache or settings.home() / "cache")
        self.trees = self.cache.trees
        self.limit = cache_bytes() if limit is None else limit

    def _path(self, sha256: str) -> str:
        validate_sha256(sha256)
        return f"{self.root}/objects/{sha256[:2]}/{sha256}"

    def has(self, sha256: str) -> int | None:
        with translate_faults(self.url):
            try:
                return int(self.fs.info(self._path(sha256))["size"])
            except FileNotFoundError:
                return None

    def incoming(self) -> contextlib.AbstractContextManager[Path]:
        return self.cache.incoming()

    def publish(self, folder: Path, files: Sequence[File]) -> None:
        for file in files:
            if self.has(file.sha256) != file.bytes:
                with translate_faults(self.url):
                    self._upload(folder / file.path, self._path(file.sha256))
        self.cache.publish(folder, files)
        self._evict(keep="")

    def upload(self, source: Path, sha256: str) -> None:
        """Uploads a local file that is known to be whole."""
        with translate_faults(self.url):
            self._upload(source, self._path(sha256))

    def _upload(self, staged: Path, path: str) -> None:
        scheme, size = self.url.split("://", 1)[0], staged.stat().st_size
        if scheme in ("s3", "s3a") and size > multipart.PART_BYTES:
            try:
                multipart.upload(self.fs, staged, path)
            except OSError:
                if self.has(path.rpartition("/")[2]) != size:  # otherwise another process completed the same upload
                    raise
            return
        if scheme in WHOLE_UPLOADS:
            self.fs.put_file(str(staged), path)
            return
        self.fs.makedirs(path.rpartition("/")[0], exist_ok=True)
        self.fs.put_file(str(staged), path + ".part")
        self.fs.mv(path + ".part", path)

    def tree(self, digest: str, files: Sequence[File]) -> Path:
        for last_try in (False, False, True):
            try:
                for file in files:
                    self._cached(file)
                tree = self.cache.tree(digest, files)
                os.utime(tree)
                break
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
        path = self._cached(File(path="object", sha256=sha256, bytes=size))
        os.utime(path)
        self._evict(keep=sha256)
        return path

    def _cached(self, file: File) -> Path:
        if self.cache.has(file.sha256) is None:
            self.fetch(file, self.cache.partial(file.sha256))
            self.cache.settle(file)
        return self.cache.object(file.sha256)

    def fetch(self, file: File, target: Path) -> None:
        """Downloads an object to `target`, resuming an interrupted download; checks its sha256."""

        def read(offset: int) -> Iterator[bytes]:
            with translate_faults(self.url):
                try:
                    with self.fs.open(self._path(file.sha256), "rb") as reading:
                        reading.seek(offset)
                        while chunk := reading.read(CHUNK_BYTES):
                            yield chunk
                except FileNotFoundError:
                    raise ZooError(
                        f"{self._path(file.sha256)}: {file.path} is missing from the store; restore it from a backup, "
                        "or add or pull the checkpoint again. All damage: phizoo models verify"
                    ) from None

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
        import hashlib

        size = self.has(file.sha256)
        if size is None:
            return f"{self._path(file.sha256)} is missing"
        if size != file.bytes:
            return f"{self._path(file.sha256)} has {size:,} bytes, expected {file.bytes:,}"
        sha = hashlib.sha256()
        with translate_faults(self.url), self.fs.open(self._path(file.sha256), "rb") as reading:
            while chunk := reading.read(CHUNK_BYTES):
                sha.update(chunk)
        if sha.hexdigest() != file.sha256:
            return f"{self._path(file.sha256)}: its bytes are not those that were added"
        return ""

    def set_aside(self, sha256: str) -> None:
        self.cache.set_aside(sha256)
        self.delete(sha256)

    def strays(self, digest: str, files: Sequence[File]) -> list[str]:
        return self.cache.strays(digest, files)

    def objects(self) -> Iterator[tuple[str, int]]:
        with translate_faults(self.url):
            try:
                entries: dict[str, Any] = self.fs.find(f"{self.root}/objects", detail=True)
            except FileNotFoundError:
                return
        for name, info in sorted(entries.items()):
            sha256 = name.rpartition("/")[2]
            if SHA256.fullmatch(sha256):
                yield sha256, int(info["size"])

    def entry_objects(self) -> set[str]:
        with translate_faults(self.url):
            try:
                paths = self.fs.find(f"{self.root}/entries")
            except FileNotFoundError:
                return set()
            return {digest.decode() for path in paths for digest in NAMED.findall(self.fs.cat_file(path))}

    def delete(self, sha256: str) -> None:
        with translate_faults(self.url), contextlib.suppress(FileNotFoundError):
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
