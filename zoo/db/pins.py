"""Pins: the objects that a writer is adding, which garbage collection must leave alone."""

import contextlib
from collections.abc import Iterator, Sequence

from zoo.db.database import Database, insert_row


@contextlib.contextmanager
def pin(database: Database, owner: str, objects: Sequence[str], moment: str) -> Iterator[None]:
    """Protects these objects from gc while the block runs, and after a crash until the owner is known to be dead."""
    with database.write():
        for sha256 in sorted(set(objects)):
            insert_row(database, "pins", owner=owner, sha256=sha256, created=moment)
    try:
        yield
    finally:
        with database.write():
            database.run("DELETE FROM pins WHERE owner = :owner", owner=owner)
