"""Enters checkpoints and changes what may change of them: aliases, tags, notes. Plain functions; `Registry` calls them.

Removing and renaming are in `zoo.db.gc`.
"""

from collections.abc import Sequence
from typing import Any

import msgspec

from zoo.admission.describe import now
from zoo.db import rows
from zoo.db.audit import author_columns
from zoo.db.checkpoints import CHECKPOINT, AliasMove, get_checkpoint, list_aliases
from zoo.db.database import Database, insert_row
from zoo.errors import ZooError
from zoo.records import Checkpoint, validate_name


def enter(database: Database, checkpoint: Checkpoint, recipe: dict[str, Any] | None = None) -> Checkpoint:
    """Writes the row of a checkpoint whose bytes are in the store, as the next version of its name; once."""
    with database.write():
        existing = database.rows(
            "SELECT record FROM checkpoints WHERE name = :name AND digest = :digest",
            name=checkpoint.name,
            digest=checkpoint.digest,
        )
        if existing:
            return CHECKPOINT.decode(existing[0][0])
        version = rows.next_version(database, checkpoint.name)
        checkpoint = msgspec.structs.replace(checkpoint, version=version)
        if recipe is not None:
            rows.keep_recipe(database, recipe)
        rows.insert(database, checkpoint)
    return checkpoint


def set_alias(database: Database, name: str, alias: str, version: int, expect: int | None = None) -> None:
    """Points `name@alias` at a version, atomically.

    expect  the version that it must point at now (0: it must not exist); None moves it in any case
    Raises  ZooError if the version is unknown, or `expect` does not hold
    """
    validate_name(alias)
    with database.write():
        if not database.rows(
            "SELECT id FROM checkpoints WHERE name = :name AND version = :version", name=name, version=version
        ):
            get_checkpoint(database, name)  # the error for an unknown name gives its nearest
            raise ZooError(f"{name} has no version {version}. Its versions: phizoo models list {name} --all")
        current = list_aliases(database, name).get(alias, 0)
        if expect is not None and expect != current:
            is_at = f"is at version {current}" if current else "does not exist"
            raise ZooError(
                f"{name}@{alias} {is_at}, expected {expect}: it was moved meanwhile. Look: phizoo models show {name}"
            )
        move_alias(database, name, AliasMove(alias, current, version, now()))


def remove_alias(database: Database, name: str, alias: str) -> None:
    """Removes an alias. Raises ZooError if there is none."""
    with database.write():
        get_checkpoint(database, f"{name}@{alias}")
        move_alias(database, name, AliasMove(alias, list_aliases(database, name)[alias], 0, now()))


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


def set_tags(database: Database, spec: str, add: Sequence[str] = (), remove: Sequence[str] = ()) -> Checkpoint:
    """The checkpoint with tags added and removed."""
    with database.write():
        before = get_checkpoint(database, spec)
        tags = tuple(sorted((set(before.tags) | set(add)) - set(remove)))
        after = msgspec.structs.replace(before, tags=tags)
        rows.rewrite(database, before, after)
    return after


def set_note(database: Database, spec: str, text: str) -> Checkpoint:
    """The checkpoint with its note replaced."""
    with database.write():
        before = get_checkpoint(database, spec)
        after = msgspec.structs.replace(before, notes=text)
        rows.rewrite(database, before, after)
    return after
