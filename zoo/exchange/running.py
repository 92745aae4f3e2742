"""Keeps a push and a removal at one exchange apart, without a lock: a bucket has none.

A push first writes a pin with the objects that it needs, then looks for removals; a removal first writes the objects
that it may delete, then looks for pins and entries. So at least one of two that meet sees the other: the removal
leaves what a pin names, and the push waits until a removal that names its objects has ended.
"""

import contextlib
import time
import uuid
from collections.abc import Iterable, Iterator

import msgspec

from zoo.address import shown
from zoo.errors import ZooError
from zoo.exchange.small_files import SmallFiles
from zoo.store.store import NAMED, NAMING, is_alive, owner

WAIT_SECONDS, POLL_SECONDS = 60.0, 0.5
DEAD_SECONDS = 7 * 24 * 3600.0  # of a process on another host, which cannot be asked
FRESH_SECONDS = 600.0


@contextlib.contextmanager
def pinned(files: SmallFiles, objects: Iterable[str]) -> Iterator[None]:
    """Protects the objects of a push from removals while the block runs, and after a kill until it is known as dead.

    Raises  ZooError if a removal of one of them does not end within a minute
    """
    needed = {*objects}
    with _note(files, "pins", needed):
        end = time.monotonic() + WAIT_SECONDS
        while blocking := _living(files, "removals", needed):
            if time.monotonic() > end:
                raise ZooError(
                    f"{shown(files.url)}: another process is removing some of these files ({blocking[:60]}); if it is "
                    "dead, delete that file, then run the same command again."
                )
            time.sleep(POLL_SECONDS)
        yield


def free(files: SmallFiles, objects: set[str]) -> list[str]:
    """Deletes those objects that no entry and no running push names; returns them."""
    with _note(files, "removals", objects) as path:
        began = time.monotonic()
        named = {text for folder in NAMING if folder != "pins" for text in _named(files, folder)}
        named |= {text for pin in files.paths("pins") if not _is_dead(files, pin) for text in _texts(files, pin)}
        freed = sorted(objects - named)
        for sha256 in freed:
            if time.monotonic() - began > FRESH_SECONDS or files.read(path) is None:
                raise ZooError(f"{shown(files.url)}: was interrupted; run the same command again.")
            files.store.delete(sha256)
    return freed


@contextlib.contextmanager
def _note(files: SmallFiles, folder: str, objects: set[str]) -> Iterator[str]:
    """A file that names objects while the block runs."""
    path = f"{folder}/{owner()}.{uuid.uuid4().hex[:8]}.json"
    files.write(path, msgspec.json.encode(sorted(objects)))
    try:
        yield path
    finally:
        files.delete(path)


def _living(files: SmallFiles, folder: str, objects: set[str]) -> str:
    """The path of a living process's file that names one of these objects, "" without one; those of the dead go."""
    for path in files.paths(folder):
        if _is_dead(files, path):
            files.delete(path)
        elif objects.intersection(_texts(files, path)):
            return path
    return ""


def _is_dead(files: SmallFiles, path: str) -> bool:
    return not is_alive(path.rpartition("/")[2]) or files.age(path) > DEAD_SECONDS


def _named(files: SmallFiles, folder: str) -> set[str]:
    return {text for path in files.paths(folder) for text in _texts(files, path)}


def _texts(files: SmallFiles, path: str) -> set[str]:
    return {text.decode() for text in NAMED.findall(files.read(path) or b"")}
