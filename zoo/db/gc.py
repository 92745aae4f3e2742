"""Removes and renames checkpoints and collects garbage, but never anything that is referenced or being added.

An object is garbage if no checkpoint, no run and no living writer's pin (`zoo.db.pins`) names it. A writer pins
its objects before it checks whether they exist; gc decides and deletes inside one write transaction. Since writers
take turns, an object is either pinned before gc checks or deleted before the writer checks; there is no moment
between.
"""

import contextlib
from typing import NamedTuple

import msgspec

from zoo.address import shown
from zoo.db import names, rows, searches
from zoo.db.checkpoints import get_checkpoint, list_aliases, list_checkpoints
from zoo.db.database import Database
from zoo.db.pins import drop_dead_pins
from zoo.errors import ZooError
from zoo.records import Checkpoint
from zoo.store.store import Store, is_alive

BATCH = 200  # objects deleted in one transaction: another writer waits for at most these


class Collected(NamedTuple):
    """What gc deleted: the number of objects and their total size."""

    objects: int
    bytes: int


def collect(database: Database, store: Store, dry: bool = False, most: float = 1.0) -> Collected:
    """Deletes the bytes that nothing refers to. Safe beside any number of writers and readers.

    Objects that `entries/` name stay too: somebody pushed checkpoints to this store's address.

    dry     only counts
    most    the share of the store's objects that may be deleted, 0 to 1
    Raises  ZooError if more than `most` of them are garbage; nothing is deleted then
    """
    stored = list(store.objects())
    pushed = store.entry_objects()  # after the objects: an entry that is written meanwhile keeps its own
    candidates = [(sha256, size) for sha256, size in stored if sha256 not in pushed]
    if most < 1 and not dry:
        garbage = collect(database, store, dry=True)
        if garbage.objects > most * len(stored):
            raise ZooError(
                f"{shown(store.url)}: {garbage.objects} of its {len(stored)} files belong to nothing in "
                f"{shown(database.url)}; nothing was deleted. If this database owns that store: phizoo models gc --yes"
            )
    count = size = 0
    for start in range(0, len(candidates), BATCH):
        with database.write() if not dry else contextlib.nullcontext():
            if not dry:
                drop_dead_pins(database)
            for sha256, object_bytes in candidates[start : start + BATCH]:
                if not _is_referenced(database, sha256):
                    count, size = count + 1, size + object_bytes
                    if not dry:
                        store.delete(sha256)
    if not dry:
        with database.write():
            digests = {row[0] for row in database.rows("SELECT digest FROM checkpoints")}
            store.sweep(digests, is_alive)
    return Collected(count, size)


def _is_referenced(database: Database, sha256: str) -> bool:
    return bool(
        database.rows(
            "SELECT 1 FROM files WHERE sha256 = :s UNION ALL SELECT 1 FROM runs WHERE results = :s "
            "UNION ALL SELECT 1 FROM pins WHERE sha256 = :s LIMIT 1",
            s=sha256,
        )
    )


def remove(database: Database, spec: str, with_scores: bool = False) -> Checkpoint:
    """Removes one version from the zoo; the next gc deletes its bytes. Its number is never reused.

    Raises ZooError if something refers to it: an alias, a checkpoint made from it, scores
    """
    with database.write():
        checkpoint = get_checkpoint(database, spec)
        name, label = checkpoint.name, checkpoint.label
        aliases = [alias for alias, version in list_aliases(database, name).items() if version == checkpoint.version]
        if aliases:
            raise ZooError(
                f"{label} is {name}@{aliases[0]}; move or remove the alias first: "
                f"phizoo models alias {name} {aliases[0]} --remove"
            )
        if not database.rows(
            "SELECT 1 FROM checkpoints WHERE digest = :digest AND NOT (name = :name AND version = :version)",
            digest=checkpoint.digest,
            name=name,
            version=checkpoint.version,
        ):
            _refuse_referenced(database, checkpoint, with_scores)
        rows.delete(database, checkpoint)
    return checkpoint


def _refuse_referenced(database: Database, checkpoint: Checkpoint, with_scores: bool) -> None:
    """For the last checkpoint with these bytes: children keep it, and so do scores unless they may be deleted."""
    label, digest = checkpoint.label, checkpoint.digest
    children = database.rows(
        "SELECT c.name, c.version FROM parents p JOIN checkpoints c ON c.id = p.checkpoint_id WHERE p.digest = :digest",
        digest=digest,
    )
    if children:
        child = "{}:{}".format(*children[0])
        raise ZooError(f"{label} is a parent of {child}; remove that first: phizoo models remove {child}")
    count = database.rows("SELECT count(*) FROM scores WHERE checkpoint = :digest", digest=digest)[0][0]
    if count and not with_scores:
        raise ZooError(
            f"{label} has {count} scores; to delete them with it: phizoo models remove {label} --with-scores"
        )
    searches.forget_checkpoint(database, digest)
    if with_scores:
        database.run("DELETE FROM scores WHERE checkpoint = :digest", digest=digest)
        database.run("DELETE FROM runs WHERE checkpoint = :digest", digest=digest)


def rename(database: Database, old: str, new: str) -> None:
    """Gives all versions and aliases of a name another name. Digests, and so scores and origins, stay."""
    names.check_new(new)
    with database.write():
        newest = get_checkpoint(database, old)
        versions = list_checkpoints(database, old, all_versions=True)
        if not versions:
            raise ZooError(f"{old} is not a plain name; expected one without version or alias, such as {newest.name}")
        if database.rows("SELECT name FROM counters WHERE name = :name", name=new):
            raise ZooError(f"{new} is or was a name already; choose another. All: phizoo models list")
        for checkpoint in versions:
            rows.rewrite(database, checkpoint, msgspec.structs.replace(checkpoint, name=new))
        for table in ("aliases", "alias_history", "counters"):
            database.run(f"UPDATE {table} SET name = :new WHERE name = :old", new=new, old=old)
