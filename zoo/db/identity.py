"""Who a zoo is: the id in its database, the place of that database, and the store that belongs to it.

A place is a tuple of names. Two places are one if they have a name in common: a file that was renamed keeps its
number, one that is mounted elsewhere keeps its path, and a copy keeps neither.
"""

import json
import os
import socket
import uuid
from typing import NamedTuple

from zoo.db.database import Database, sqlite_file

Place = tuple[str, ...]


class Identity(NamedTuple):
    """The identity row: the zoo's id, the address of its store ("" before it has one), and that store's place."""

    id: str
    store: str
    store_place: Place


def read(database: Database) -> Identity:
    """The identity of the zoo in a database."""
    zoo, store, place = database.rows("SELECT id, store, store_place FROM identity")[0]
    return Identity(str(zoo), str(store), tuple(json.loads(place)))


def record_store(database: Database, store: str, place: Place) -> None:
    """Records which store belongs to this zoo."""
    with database.write():
        database.run("UPDATE identity SET store = :store, store_place = :place", store=store, place=json.dumps(place))


def renew(database: Database) -> str:
    """Gives the zoo another id, so that no store is its own any more; returns the id."""
    zoo = uuid.uuid4().hex
    with database.write():
        database.run("UPDATE identity SET id = :id, store = '', store_place = '[]'", id=zoo)
    return zoo


def place(database: Database) -> Place:
    """What tells this database from a copy of it."""
    file = sqlite_file(database.url)
    if file is None:
        # of Postgres: the number of the server's files, which a dump does not carry, and of the database on it
        server = "SELECT system_identifier, (SELECT oid FROM pg_database WHERE datname = current_database())"
        rows = database.rows(f"{server} FROM pg_control_system()")
        return (f"postgres {rows[0][0]}.{rows[0][1]}",)
    if not file.name:
        return ("memory",)
    names = [f"path {socket.gethostname()}:{os.path.realpath(file)}"]
    if file.exists():
        names.append(f"inode {file.stat().st_ino}")
    return tuple(names)


def is_same(one: Place, other: Place) -> bool:
    """Whether two places are one.

    >>> is_same(("inode 3", "path a:/x"), ("inode 3", "path a:/y")), is_same(("inode 3",), ())
    (True, False)
    """
    return not {*one}.isdisjoint(other)
