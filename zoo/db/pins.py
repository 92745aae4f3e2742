"""Pins: a writer's claim on objects, so that gc keeps them until their row is written.

A pin's age is measured by the database's clock, whatever the clock of the machine that asks; a living writer renews
its pins. A row is entered only while its pin stands: if gc dropped the pin, the bytes are sent again first.
"""

import contextlib
import datetime
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

from zoo.db.database import Database, DatabaseError, insert_row
from zoo.errors import ZooError
from zoo.store.store import is_alive

FAR_PIN_DAYS = 7  # a writer on another host that has not renewed its pins for so long is taken for dead
RENEWAL_SECONDS = 600.0
TRIES = 3  # to send the bytes and enter the row

Entered = TypeVar("Entered")


@contextlib.contextmanager
def pin(database: Database, owner: str, objects: Sequence[str]) -> Iterator[Callable[[], bool]]:
    """Protects these objects from gc while the block runs, and after a crash until the owner is known to be dead.

    Gives a function that says, inside `write()`, whether the pin still stands.
    """
    pinned = sorted(set(objects))
    with database.write():
        moment = database.now()
        for sha256 in pinned:
            insert_row(database, "pins", owner=owner, sha256=sha256, created=moment)
    ended = threading.Event()
    renewing = threading.Thread(target=_renew, args=(database, owner, ended), name="pins", daemon=True)
    renewing.start()
    try:
        yield lambda: database.rows("SELECT count(*) FROM pins WHERE owner = :owner", owner=owner)[0][0] == len(pinned)
    finally:
        ended.set()
        renewing.join(10.0)
        with contextlib.suppress(ZooError, DatabaseError), database.write():  # gc drops what stays
            database.run("DELETE FROM pins WHERE owner = :owner", owner=owner)


def _renew(database: Database, owner: str, ended: threading.Event) -> None:
    while not ended.wait(RENEWAL_SECONDS):
        with contextlib.suppress(ZooError, DatabaseError), database.write():  # it is tried again
            database.run("UPDATE pins SET created = :now WHERE owner = :owner", now=database.now(), owner=owner)


def enter_pinned(
    database: Database, owner: str, objects: Sequence[str], send: Callable[[], object], enter: Callable[[], Entered]
) -> Entered:
    """Sends objects to the store and writes the rows that name them, so that no row is without its bytes.

    send    puts into the store what is missing there; it may be called again
    enter   writes the rows, inside `write()`
    Raises  ZooError if gc took the pin each time
    """
    for _ in range(TRIES):
        with pin(database, owner, objects) as stands:
            send()
            with database.write():
                if stands():
                    return enter()
    raise ZooError(
        "a gc on another machine dropped this command's claim on its files, so nothing was entered; "
        "run the same command again, and see that no phizoo models gc of an older version runs meanwhile"
    )


def dead_owners(database: Database) -> set[str]:
    """The writers that have ended, or that have not renewed their pins for a week."""
    moment = datetime.datetime.fromisoformat(database.now())
    oldest = (moment - datetime.timedelta(days=FAR_PIN_DAYS)).isoformat()
    owners = database.rows("SELECT owner, min(created) FROM pins GROUP BY owner")
    return {str(owner) for owner, created in owners if not is_alive(owner) or created < oldest}


def drop_dead_pins(database: Database) -> None:
    """Drops the pins of dead writers, inside `write()`."""
    for owner in dead_owners(database):
        database.run("DELETE FROM pins WHERE owner = :owner", owner=owner)
