"""Reads checkpoints and aliases from the database, and moves aliases. Plain functions; `Registry` calls them."""

from typing import NamedTuple

from zoo.db import names
from zoo.db.audit import BY, NOBODY, Author, author_columns
from zoo.db.database import Database, insert_row
from zoo.db.stored import StoredRecord
from zoo.records import Checkpoint

CHECKPOINT = StoredRecord(Checkpoint)


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


def list_checkpoints(database: Database, name: str | None = None, all_versions: bool = False) -> list[Checkpoint]:
    """All checkpoints by name (or those of one name), only the newest version of each unless all are requested."""
    conditions = []
    if name is not None:
        conditions.append("name = :name")
    if not all_versions:
        conditions.append("version = (SELECT max(version) FROM checkpoints o WHERE o.name = c.name)")
    where = f" WHERE {' AND '.join(conditions)}" if conditions else ""
    values = {"name": name} if name is not None else {}
    rows = database.rows(f"SELECT record FROM checkpoints c{where} ORDER BY name, version", **values)
    return [CHECKPOINT.decode(row[0]) for row in rows]


def list_aliases(database: Database, name: str) -> dict[str, int]:
    """The aliases of a name and the version that each points at."""
    rows = database.rows("SELECT alias, version FROM aliases WHERE name = :name ORDER BY alias", name=name)
    return {row[0]: row[1] for row in rows}


def move_alias(database: Database, name: str, move: AliasMove) -> None:
    """Points an alias at a version (0 removes it) and records the move; no change, no record."""
    if move.previous == move.version:
        return
    database.run("DELETE FROM aliases WHERE name = :name AND alias = :alias", name=name, alias=move.alias)
    if move.version:
        insert_row(database, "aliases", name=name, alias=move.alias, version=move.version)
    insert_row(
        database, "alias_history", name=name, alias=move.alias, version=move.version, previous=move.previous,
        moved=move.moved, **author_columns(database),
    )  # fmt: skip


def alias_history(database: Database, name: str) -> list[AliasMove]:
    """Every move of a name's aliases, oldest first."""
    moves = f"SELECT alias, previous, version, moved, {BY} FROM alias_history WHERE name = :name ORDER BY id"
    return [
        AliasMove(alias, previous, version, moved, Author(*by))
        for alias, previous, version, moved, *by in database.rows(moves, name=name)
    ]
