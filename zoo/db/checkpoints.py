"""Reads checkpoints and aliases from the database. Plain functions; `Registry` calls them.

A list of any length takes a constant number of statements for each PAGE of records, and holds no more at a time.
"""

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from zoo.db import names
from zoo.db.audit import BY, NOBODY, Author
from zoo.db.database import Database
from zoo.db.stored import StoredRecord
from zoo.errors import ZooError
from zoo.records import Checkpoint

CHECKPOINT = StoredRecord(Checkpoint)
PAGE = 5_000  # records of a list that are in memory at a time
# of `checkpoints c`: the newest version of each name
NEWEST = "(c.name, c.version) IN (SELECT name, max(version) FROM checkpoints GROUP BY name)"


class AliasMove(NamedTuple):
    """One move of an alias: from a version (0: it did not exist) to another (0: it was removed), when, and by whom."""

    alias: str
    previous: int
    version: int
    moved: str
    author: Author = NOBODY


def get_checkpoint(database: Database, spec: str) -> Checkpoint:
    """The checkpoint of a name (its newest version), `name:3`, `name@alias` or a digest prefix.

    Raises ZooError with the nearest known name if there is none.
    """
    return CHECKPOINT.decode(names.record(database, spec))


def find_same(database: Database, checkpoint: Checkpoint) -> Checkpoint | None:
    """The checkpoint of the same bytes, of this name or else the oldest; None if there is none.

    Raises  ZooError where the name holds other bytes only
    """
    rows = database.rows("SELECT record FROM checkpoints WHERE digest = :d ORDER BY created, id", d=checkpoint.digest)
    same = [CHECKPOINT.decode(row[0]) for row in rows]
    named = [record for record in same if record.name == checkpoint.name]
    if same:
        return (named or same)[0]
    taken = database.rows("SELECT id FROM checkpoints WHERE name = :name", name=checkpoint.name)
    if taken:
        raise ZooError(
            f"the name {checkpoint.name} is taken by other weights; give another one: --name NAME. "
            f"Look: phizoo models show {checkpoint.name}"
        )
    return None


def list_checkpoints(
    database: Database, name: str | None = None, all_versions: bool = False, limit: int | None = None, skip: int = 0
) -> Iterator[Checkpoint]:
    """All checkpoints by name (or those of one name), only the newest version of each unless all are requested.

    limit  at most this many, after the first `skip`
    """
    clauses = [] if name is None else ["c.name = :name"]
    values = {} if name is None else {"name": name}
    return walk(database, [*clauses, *([] if all_versions else [NEWEST])], values, limit, skip)


def walk(
    database: Database, clauses: Sequence[str], values: dict[str, Any], limit: int | None = None, skip: int = 0
) -> Iterator[Checkpoint]:
    """The checkpoints of `checkpoints c` that satisfy all clauses, by name and version, a page at a time.

    A page begins after the last checkpoint of the one before: no transaction is open between them, however long the
    reader takes.
    """
    page = {"size": PAGE if limit is None else limit, "skip": skip}
    after = ""
    while True:
        where = " AND ".join([*clauses, *([after] if after else [])])
        records = database.rows(
            f"SELECT c.record, c.name, c.version FROM checkpoints c{' WHERE ' + where if where else ''} "
            "ORDER BY c.name, c.version LIMIT :size OFFSET :skip",
            **values, **page,
        )  # fmt: skip
        yield from (CHECKPOINT.decode(row[0]) for row in records)
        if limit is not None or len(records) < PAGE:
            return
        after = "(c.name, c.version) > (:after_name, :after_version)"
        page |= {"skip": 0, "after_name": records[-1][1], "after_version": records[-1][2]}


def read_labels(database: Database, all_versions: bool = False) -> dict[str, str]:
    """Digest -> label of the newest version of each name, or of all versions."""
    where = "" if all_versions else f" WHERE {NEWEST}"
    rows = database.rows(f"SELECT c.digest, c.name, c.version FROM checkpoints c{where} ORDER BY c.name, c.version")
    return {digest: f"{name}:{version}" for digest, name, version in rows}


def aliases_between(database: Database, first: str, last: str) -> dict[tuple[str, int], list[str]]:
    """The aliases of all names from one to another, by name and version."""
    rows = database.rows(
        "SELECT name, version, alias FROM aliases WHERE name >= :first AND name <= :last ORDER BY name, alias",
        first=first,
        last=last,
    )
    aliases: dict[tuple[str, int], list[str]] = {}
    for name, version, alias in rows:
        aliases.setdefault((name, version), []).append(alias)
    return aliases


def list_aliases(database: Database, name: str) -> dict[str, int]:
    """The aliases of a name and the version that each points at."""
    rows = database.rows("SELECT alias, version FROM aliases WHERE name = :name ORDER BY alias", name=name)
    return {row[0]: row[1] for row in rows}


def alias_history(database: Database, name: str) -> list[AliasMove]:
    """Every move of a name's aliases, oldest first."""
    moves = f"SELECT alias, previous, version, moved, {BY} FROM alias_history WHERE name = :name ORDER BY id"
    return [
        AliasMove(alias, previous, version, moved, Author(*by))
        for alias, previous, version, moved, *by in database.rows(moves, name=name)
    ]
