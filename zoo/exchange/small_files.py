"""Small files of an exchange (entries, names, pins): written whole, created once, or changed atomically.

On a folder a lock guards a change; in a bucket the server does, by the ETag of what was read.
"""

import contextlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

from zoo.address import shown
from zoo.digest import whole_file
from zoo.errors import ZooError
from zoo.lock import locked
from zoo.store.bucket import BucketStore, modified
from zoo.store.filesystem import error_code, is_s3, read_small, translate_faults, write_small
from zoo.store.store import Store

TRIES = 20
MOST_BYTES = 100_000_000


class SmallFiles:
    """The small files of one exchange, by their path in it."""

    def __init__(self, store: Store) -> None:
        self.url, self.store = store.url, store
        self.fs: Any = store.fs if isinstance(store, BucketStore) else None  # None: a folder of this machine
        self.root = store.root if isinstance(store, BucketStore) else store.url

    def _faults(self) -> contextlib.AbstractContextManager[None]:
        return translate_faults(self.url, self.fs)

    def _local(self, path: str) -> Path:
        return Path(self.root) / path

    def paths(self, folder: str) -> list[str]:
        """Every file below a folder."""
        if self.fs is None:
            return sorted(str(p.relative_to(self.root)) for p in self._local(folder).rglob("*.json") if p.is_file())
        with self._faults():
            try:
                found: list[str] = self.fs.find(f"{self.root}/{folder}")
            except FileNotFoundError as error:
                if error_code(error) == "NoSuchBucket":
                    raise
                return []
        return sorted(path[len(self.root) + 1 :] for path in found if path.endswith(".json"))

    def read(self, path: str) -> bytes | None:
        """The bytes of a file, None if it is absent. Raises ZooError if it is too large."""
        if self.fs is None:
            try:
                with self._local(path).open("rb") as file:
                    data = file.read(MOST_BYTES + 1)
            except (FileNotFoundError, NotADirectoryError):
                return None
        else:
            with self._faults():
                found = read_small(self.fs, f"{self.root}/{path}", MOST_BYTES + 1)
            if found is None:
                return None
            data = found
        if len(data) > MOST_BYTES:
            raise ZooError(f"{shown(self.url)}/{path}: is too large.")
        return data

    def age(self, path: str) -> float:
        """The age of a file in seconds by the exchange's own clock; 0 if it is gone or the clock unknown."""
        clock = self.store.clock()
        try:
            if self.fs is None:
                written = self._local(path).stat().st_mtime
            else:
                with self._faults():
                    written = modified(self.fs.info(f"{self.root}/{path}"))
        except FileNotFoundError:
            return 0.0
        return clock - written if clock is not None else 0.0

    def write(self, path: str, data: bytes) -> None:
        """Writes a file whole."""
        if self.fs is None:
            with whole_file(self._local(path)) as file:
                file.write(data)
            return
        with self._faults():
            write_small(self.fs, f"{self.root}/{path}", data)

    def delete(self, path: str) -> None:
        """Deletes a file, if it exists."""
        if self.fs is None:
            self._local(path).unlink(missing_ok=True)
            return
        with self._faults(), contextlib.suppress(FileNotFoundError):
            self.fs.rm_file(f"{self.root}/{path}")

    def change(self, path: str, edit: Callable[[bytes | None], bytes]) -> None:
        """Replaces a file by what `edit` makes of it; if another process changed it meanwhile, `edit` is asked again.

        Raises  what `edit` raises; then nothing was written
        """
        if self.fs is None:
            with locked(self._local("names") / ".lock"):
                before = self.read(path)
                if (after := edit(before)) != before:
                    self.write(path, after)
            return
        for _ in range(TRIES):
            tag, before = self._tagged(path)
            after = edit(before)
            if after == before or self._replace(path, tag, after):
                return
        raise ZooError(f"{shown(self.url)}/{path}: others change it all the time; run the same command again.")

    def _tagged(self, path: str) -> tuple[str, bytes | None]:
        """The ETag of a file and its bytes, of the same moment."""
        while True:
            tag, data = self._tag(path), self.read(path)
            if tag == self._tag(path) and bool(tag) == (data is not None):
                return tag, data

    def _tag(self, path: str) -> str:
        with self._faults():
            try:
                info: dict[str, Any] = self.fs.info(f"{self.root}/{path}")
            except FileNotFoundError:
                return ""
        return str(info.get("ETag") or modified(info))

    def _replace(self, path: str, tag: str, data: bytes) -> bool:
        full = f"{self.root}/{path}"
        with self._faults():
            if not tag:
                return write_small(self.fs, full, data, first=True)
            if not is_s3(self.fs):
                return write_small(self.fs, full, data)
            bucket, key, _ = self.fs.split_path(full)
            try:
                self.fs.call_s3("put_object", Bucket=bucket, Key=key, Body=data, IfMatch=tag)
            except OSError as error:
                if error_code(error) in ("PreconditionFailed", "412", "ConditionalRequestConflict", "409", "NoSuchKey"):
                    return False
                if error_code(error) not in ("NotImplemented", "501"):
                    raise
                write_small(self.fs, full, data)  # an older server, without conditional writes
        return True
