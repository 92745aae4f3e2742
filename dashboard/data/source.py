"""Where the board's records come from: the zoo of the environment, opened read-only, and the published table."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from dashboard.board.build import board, from_registry
from dashboard.board.cells import Board
from dashboard.data.notes import notes_of
from zoo import settings
from zoo.records import Subset

if TYPE_CHECKING:
    from zoo.registry import Registry

SERVER_SECONDS = 30  # how old what a database server holds may be on the page


@contextmanager
def reading() -> Iterator["Registry | None"]:
    """The environment's zoo, opened read-only; None while there is none yet.

    Raises  ZooError when there is one that cannot be read.
    """
    if not exists():
        yield None
        return
    from zoo.registry import open_registry

    with open_registry(readonly=True) as registry:
        yield registry


def exists() -> bool:
    """Whether there is a zoo to read: a SQLite file that is there, or a server's address."""
    file = _file()
    return file is None or file.exists()


def _file() -> Path | None:
    """The SQLite file of the environment's zoo, None for a database server."""
    from zoo.db.database import sqlite_file

    return sqlite_file(settings.database_url())


def stamp() -> tuple[str, int, int]:
    """What changes when the zoo is written to: its file's time and size; for a database server, each half minute."""
    file = _file()
    if file is None:
        return settings.database_url(), int(time.time() // SERVER_SECONDS), 0
    if not file.exists():
        return settings.database_url(), 0, 0
    beside = [file, *(path for path in (Path(f"{file}-wal"),) if path.exists())]
    told = [path.stat() for path in beside]
    return settings.database_url(), max(one.st_mtime_ns for one in told), sum(one.st_size for one in told)


def load(registry: "Registry | None", subset: Subset = "all", all_versions: bool = False) -> Board:
    """The board of a zoo; without one, the published rows alone."""
    from zoo import published

    if registry is None:
        return board(reported=published.load(), subset=subset)
    return from_registry(registry, subset, all_versions)


def load_with_notes(suite: str, subset: Subset) -> tuple[Board, tuple[str, ...]]:
    """The environment's board, and the lines that belong above it in a suite's view."""
    with reading() as registry:
        whole = load(registry, subset)
        return whole, notes_of(suite, whole, registry)
