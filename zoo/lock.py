"""Locks a file for one process: the one file lock of the program (flock, released when the process ends)."""

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from zoo.errors import ZooError


def lock_file(file: IO[Any], busy: str = "") -> None:
    """Locks an open file until it is closed.

    busy    what to say if another process has the lock; "" waits for it
    Raises  ZooError with `busy` if another process has the lock
    """
    try:
        fcntl.flock(file, fcntl.LOCK_EX | (fcntl.LOCK_NB if busy else 0))
    except BlockingIOError:
        raise ZooError(busy) from None


@contextmanager
def locked(path: Path, busy: str = "") -> Iterator[None]:
    """Holds the lock of a file, created if absent, while the block runs. `busy` as for `lock_file`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as file:
        lock_file(file, busy)
        yield
