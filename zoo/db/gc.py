"""Removes and renames checkpoints and collects garbage, but never anything that is referenced or being added.

An object is garbage if no checkpoint, no run and no living writer's pin (`zoo.db.pins`) names it. A writer pins
its objects before it checks whether they exist; gc claims garbage inside one write transaction and deletes it after
that. Since writers take turns, an object is either pinned before gc checks or claimed before the writer pins, and a
writer waits for a claim to end: a gc that stands still before a deletion and goes on minutes later takes nothing that
came into use meanwhile. Three more guards stand before it: the pair is that of `zoo.ownership`, what is younger than a
grace time stays, and more than half of a store goes only if asked for.
"""

import datetime
from collections.abc import Callable, Sequence
from functools import partial
from typing import NamedTuple

import msgspec

from zoo.address import shown
from zoo.db import names, rows, searches
from zoo.db.checkpoints import get_checkpoint, list_aliases, list_checkpoints
from zoo.db.database import Database
from zoo.db.pins import BY_WRITERS, claimed, dead_owners, drop_dead_pins
from zoo.errors import ZooError
from zoo.records import Checkpoint
from zoo.store.store import Leftover, Store, Stored, is_alive

BATCH = 200  # objects claimed at once: a writer that needs one of them waits for at most these
GRACE_SECONDS = 24 * 3600.0
MOST_SHARE = 0.5  # of a store's files: more garbage than that looks like the wrong pair


class Garbage(NamedTuple):
    """What gc would free, before it frees anything.

    objects    that nothing refers to and that are older than the grace time
    leftovers  uploads that were not completed, older than it
    stored, stored_bytes  of all objects; young: how many objects are garbage, but younger
    clock      now, by the clock that dates the objects, in seconds since 1970
    """

    objects: Sequence[Stored]
    leftovers: Sequence[Leftover]
    stored: int
    stored_bytes: int
    young: int
    clock: float

    @property
    def bytes(self) -> int:
        """The total size of the objects."""
        return sum(found.bytes for found in self.objects)

    @property
    def leftover_bytes(self) -> int:
        """The total size of the leftovers."""
        return sum(found.bytes for found in self.leftovers)


class Collected(NamedTuple):
    """What gc deleted (what it would, in a dry run): objects, their total size, and uploads that were not completed."""

    objects: int
    bytes: int
    uploads: int = 0
    upload_bytes: int = 0


def find_garbage(database: Database, store: Store, grace: float) -> Garbage:
    """What nothing refers to, by ages of the store's own clock (else the database's). What `entries/` name is none.

    grace   the age in seconds below which everything stays: its writer may have no row yet
    """
    stored = list(store.stored())
    pushed = store.entry_objects()  # after the objects: an entry that is written meanwhile keeps its own
    told = store.clock()
    clock = datetime.datetime.fromisoformat(database.now()).timestamp() if told is None else told
    candidates = [found for found in stored if found.sha256 not in pushed]
    if candidates:
        named = _all_named(database)
        candidates = [found for found in candidates if found.sha256 not in named]
    oldest = clock - grace if grace > 0 else float("inf")  # a clock of whole seconds may seem to be behind
    old = [found for found in candidates if found.modified <= oldest]
    leftovers = [found for found in store.leftovers() if found.modified <= oldest]
    size = sum(found.bytes for found in stored)
    return Garbage(old, leftovers, len(stored), size, len(candidates) - len(old), clock)


def collect(
    database: Database,
    store: Store,
    dry: bool = False,
    most: float = 1.0,
    grace: float = 0.0,
    tell: Callable[[Garbage], None] = lambda _garbage: None,
) -> Collected:
    """Deletes the bytes that nothing refers to. Safe beside any number of writers and readers.

    Objects that `entries/` name stay too: somebody pushed checkpoints to this store's address.

    dry     only counts
    most    the share of the store's objects, and of their bytes, that may be deleted, 0 to 1
    grace   what is younger stays, in seconds
    tell    is given what was found, before anything is deleted
    Raises  ZooError if more than `most` of them are garbage; nothing is deleted then
    """
    garbage = find_garbage(database, store, grace)
    tell(garbage)
    count = len(garbage.objects)
    if dry:
        return Collected(count, garbage.bytes, len(garbage.leftovers), garbage.leftover_bytes)
    if count > most * garbage.stored or garbage.bytes > most * garbage.stored_bytes:
        raise ZooError(
            f"{shown(store.url)}: {count} of its {garbage.stored} files belong to nothing in {shown(database.url)} "
            f"({garbage.bytes:,} of {garbage.stored_bytes:,} bytes); nothing was deleted. "
            "If these may go: phizoo models gc --yes"
        )
    count = size = 0
    for start in range(0, len(garbage.objects), BATCH):
        batch = {found.sha256: found for found in garbage.objects[start : start + BATCH]}
        with claimed(database, list(batch), partial(_named_of, database)) as (mine, holds):
            for sha256 in mine:
                if not holds():
                    raise ZooError("this gc stood still for too long; nothing in use was deleted: run it again")
                count, size = count + 1, size + batch[sha256].bytes
                store.delete(sha256)
    for leftover in garbage.leftovers:
        store.drop(leftover)
    with database.write():
        drop_dead_pins(database)  # also where there was no garbage
        digests = {row[0] for row in database.rows("SELECT digest FROM checkpoints")}
        store.sweep(digests, is_alive)
    return Collected(count, size, len(garbage.leftovers), garbage.leftover_bytes)


def _all_named(database: Database) -> set[str]:
    """Every object that a row names, but for the pins of the dead."""
    rows = database.rows("SELECT sha256 FROM files UNION SELECT results FROM runs WHERE results <> ''")
    dead, pins = dead_owners(database), database.rows(f"SELECT sha256, owner FROM pins WHERE {BY_WRITERS}")
    return {str(row[0]) for row in rows} | {str(sha256) for sha256, owner in pins if owner not in dead}


def _named_of(database: Database, objects: Sequence[str]) -> set[str]:
    """Which of these objects a row or a writer's pin names, in one statement."""
    values = {f"object_{n}": sha256 for n, sha256 in enumerate(objects)}
    listed = ", ".join(f":{name}" for name in values)
    rows = database.rows(
        f"SELECT sha256 FROM files WHERE sha256 IN ({listed}) "
        f"UNION SELECT results FROM runs WHERE results IN ({listed}) "
        f"UNION SELECT sha256 FROM pins WHERE sha256 IN ({listed}) AND {BY_WRITERS}",
        **values,
    )
    return {str(row[0]) for row in rows}


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
        versions = list(list_checkpoints(database, old, all_versions=True))
        if not versions:
            raise ZooError(f"{old} is not a plain name; expected one without version or alias, such as {newest.name}")
        if database.rows("SELECT name FROM counters WHERE name = :name", name=new):
            raise ZooError(f"{new} is or was a name already; choose another. All: phizoo models list")
        for checkpoint in versions:
            rows.rewrite(database, checkpoint, msgspec.structs.replace(checkpoint, name=new))
        for table in ("aliases", "alias_history", "counters"):
            database.run(f"UPDATE {table} SET name = :new WHERE name = :old", new=new, old=old)
