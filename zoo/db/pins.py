"""Pins: a writer's hold on objects, so that gc keeps them until their row is written; and gc's claims on garbage.

A pin's age is measured by the database's clock, whatever the clock of the machine that asks; a living writer renews
its pins. A row is entered only while its pin stands: if gc dropped the pin, the bytes are sent again first. A claim
is a row of the same table whose owner begins with CLAIM: who wants to pin that object waits until it is gone.
"""

import contextlib
import datetime
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

from zoo.db.database import Database, DatabaseError, insert_row
from zoo.errors import ZooError
from zoo.store.store import is_alive
from zoo.store.store import owner as this_process

FAR_PIN_DAYS = 7  # a writer on another host that has not renewed its pins for so long is taken for dead
RENEWAL_SECONDS = 600.0
TRIES = 3  # to send the bytes and enter the row
CLAIM = "gc:"  # no writer's name has a colon
CLAIM_HOURS = 1  # a gc on another host that has deleted nothing for so long is taken for dead
WAIT_SECONDS = 60.0  # for a gc's claim
BY_WRITERS = f"owner NOT LIKE '{CLAIM}%'"

Entered = TypeVar("Entered")


@contextlib.contextmanager
def pin(database: Database, owner: str, objects: Sequence[str]) -> Iterator[Callable[[], bool]]:
    """Protects these objects from gc while the block runs, and after a crash until the owner is known to be dead.

    Gives a function that says, inside `write()`, whether the pin still stands.
    """
    pinned = sorted(set(objects))
    _take(database, owner, pinned)
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


def _take(database: Database, owner: str, pinned: Sequence[str]) -> None:
    """Enters a pin as soon as no gc is deleting one of its objects. Raises ZooError if one still is after a minute."""
    deadline = time.monotonic() + WAIT_SECONDS
    while True:
        with database.write():
            claims = database.rows(f"SELECT sha256, owner, created FROM pins WHERE NOT ({BY_WRITERS})")
            dead = dead_owners(database) if claims else set()
            wanted = [row for row in claims if row[0] in set(pinned) and row[1] not in dead]
            if not wanted:
                moment = database.now()
                for sha256 in pinned:
                    insert_row(database, "pins", owner=owner, sha256=sha256, created=moment)
                return
        if time.monotonic() > deadline:
            host, since = wanted[0][1].removeprefix(CLAIM).partition(".")[0], wanted[0][2][:19].replace("T", " ")
            raise ZooError(
                f"phizoo models gc on {host} has been deleting one of these files since {since} UTC; nothing was "
                f"entered: run the same command again when it has ended (one that hangs is passed over after an hour)"
            )
        time.sleep(0.2)


@contextlib.contextmanager
def claimed(
    database: Database, objects: Sequence[str], named: Callable[[Sequence[str]], set[str]]
) -> Iterator[tuple[list[str], Callable[[], bool]]]:
    """Keeps writers from pinning those of the objects that nothing refers to, while the block deletes them.

    named   which of the objects a row or a writer's pin names
    Gives these objects, and a function that says whether the claim still holds: ask it before each deletion.
    """
    began = _uptime()
    owner = f"{CLAIM}{this_process()}.{threading.get_ident()}"
    with database.write():
        drop_dead_pins(database)
        used = named(objects)
        free = [sha256 for sha256 in objects if sha256 not in used]
        moment = database.now()
        for sha256 in free:
            insert_row(database, "pins", owner=owner, sha256=sha256, created=moment)
    try:
        yield free, lambda: _uptime() - began < CLAIM_HOURS * 1800  # half of it: the other half for one deletion
    finally:
        with contextlib.suppress(ZooError, DatabaseError), database.write():  # the next gc drops what stays
            database.run("DELETE FROM pins WHERE owner = :owner", owner=owner)


def _uptime() -> float:
    """Seconds that no change of the clock touches, those of a closed laptop included where the system counts them."""
    return time.clock_gettime(time.CLOCK_BOOTTIME) if hasattr(time, "CLOCK_BOOTTIME") else time.monotonic()


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
        "a gc on another machine dropped this command's pin on its files, so nothing was entered; "
        "run the same command again, and see that no phizoo models gc of an older version runs meanwhile"
    )


def dead_owners(database: Database) -> set[str]:
    """The writers and gcs that have ended, or have not renewed their pins for a week, their claims for an hour."""
    moment = datetime.datetime.fromisoformat(database.now())
    of_pins = (moment - datetime.timedelta(days=FAR_PIN_DAYS)).isoformat()
    of_claims = (moment - datetime.timedelta(hours=CLAIM_HOURS)).isoformat()
    owners = database.rows("SELECT owner, min(created) FROM pins GROUP BY owner")
    return {
        str(owner)
        for owner, created in owners
        if not is_alive(owner.removeprefix(CLAIM)) or created < (of_claims if owner.startswith(CLAIM) else of_pins)
    }


def drop_dead_pins(database: Database) -> None:
    """Drops the pins of dead writers, inside `write()`."""
    for owner in dead_owners(database):
        database.run("DELETE FROM pins WHERE owner = :owner", owner=owner)
