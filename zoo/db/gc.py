"""Taking things out, and never what is referenced or being added: remove, rename, gc, pins.

An object is garbage when no checkpoint, no run and no living writer's pin names it. A writer pins
its objects before it looks whether they are there; gc decides and deletes inside one write
transaction. Since writers take turns, an object is either pinned before gc looks or gone before
the writer looks; there is no moment between.
"""

import contextlib
import datetime
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from zoo.db import rows
from zoo.db.database import Database
from zoo.errors import ZooError
from zoo.records import Checkpoint, checked_name
from zoo.store.store import is_alive

if TYPE_CHECKING:
    from zoo.registry import Registry

BATCH = 200  # objects deleted under one turn: another writer waits for these at most
FAR_PIN_DAYS = 7  # a pin from another host cannot be asked; nobody adds for a week


class Collected(NamedTuple):
    """What gc took: objects and their bytes together."""

    objects: int
    bytes: int


@contextlib.contextmanager
def pinned(database: Database, owner: str, objects: Sequence[str], moment: str) -> Iterator[None]:
    """Keeps gc off these objects while the block runs, and after a crash until the owner is known dead."""
    with database.write():
        for sha256 in sorted(set(objects)):
            database.run(
                "INSERT INTO pins (owner, sha256, created) VALUES (:owner, :sha256, :created)",
                owner=owner,
                sha256=sha256,
                created=moment,
            )
    try:
        yield
    finally:
        with database.write():
            database.run("DELETE FROM pins WHERE owner = :owner", owner=owner)


def collect(registry: "Registry", moment: datetime.datetime, dry: bool = False) -> Collected:
    """Deletes the bytes that nothing refers to. Safe beside any number of writers and readers.

    moment  now, to tell old pins of other hosts
    dry     only counts
    """
    database, store = registry.database, registry.store
    candidates = list(store.objects())
    objects = size = 0
    for at in range(0, len(candidates), BATCH):
        batch = candidates[at : at + BATCH]
        with database.write() if not dry else contextlib.nullcontext():
            _drop_dead_pins(database, moment, dry)
            for sha256, its_bytes in batch:
                if not _is_wanted(database, sha256):
                    objects, size = objects + 1, size + its_bytes
                    if not dry:
                        store.delete(sha256)
    if not dry:
        with database.write():
            digests = {row[0] for row in database.rows("SELECT digest FROM checkpoints")}
            store.sweep(digests, is_alive)
    return Collected(objects, size)


def _drop_dead_pins(database: Database, moment: datetime.datetime, dry: bool) -> None:
    oldest = (moment - datetime.timedelta(days=FAR_PIN_DAYS)).isoformat()
    for owner, created in database.rows("SELECT owner, min(created) FROM pins GROUP BY owner"):
        if not dry and (not is_alive(owner) or created < oldest):
            database.run("DELETE FROM pins WHERE owner = :owner", owner=owner)


def _is_wanted(database: Database, sha256: str) -> bool:
    return bool(
        database.rows(
            "SELECT 1 FROM files WHERE sha256 = :s UNION ALL SELECT 1 FROM runs WHERE results = :s "
            "UNION ALL SELECT 1 FROM pins WHERE sha256 = :s LIMIT 1",
            s=sha256,
        )
    )


def remove(registry: "Registry", spec: str, with_scores: bool = False) -> Checkpoint:
    """Takes one version out of the zoo; its bytes go with the next gc. Its number is not given again.

    Raises ZooError when something refers to it: an alias, a checkpoint made from it, scores
    """
    database = registry.database
    with database.write():
        found = registry.get(spec)
        aliases = [alias for alias, version in registry.aliases(found.name).items() if version == found.version]
        if aliases:
            raise ZooError(
                f"{found.label} is {found.name}@{aliases[0]}; move the alias first, or take it away: "
                f"phizoo models alias {found.name} {aliases[0]} --remove"
            )
        if not database.rows(
            "SELECT 1 FROM checkpoints WHERE digest = :digest AND NOT (name = :name AND version = :version)",
            digest=found.digest,
            name=found.name,
            version=found.version,
        ):
            _refuse_referenced(registry, found, with_scores)
        rows.delete(database, found)
    return found


def _refuse_referenced(registry: "Registry", found: Checkpoint, with_scores: bool) -> None:
    """For the last checkpoint of these bytes: children keep it, scores too unless they may go."""
    database = registry.database
    children = database.rows(
        "SELECT c.name, c.version FROM parents p JOIN checkpoints c ON c.id = p.checkpoint_id WHERE p.digest = :digest",
        digest=found.digest,
    )
    if children:
        name, version = children[0]
        raise ZooError(
            f"{found.label} is a parent of {name}:{version}; remove that first: phizoo models remove {name}:{version}"
        )
    count = database.rows("SELECT count(*) FROM scores WHERE checkpoint = :digest", digest=found.digest)[0][0]
    if count and not with_scores:
        raise ZooError(
            f"{found.label} has {count} scores; to lose them with it: phizoo models remove {found.label} --with-scores"
        )
    if with_scores:
        database.run("DELETE FROM scores WHERE checkpoint = :digest", digest=found.digest)
        database.run("DELETE FROM runs WHERE checkpoint = :digest", digest=found.digest)


def rename(registry: "Registry", old: str, new: str) -> None:
    """Gives all versions and aliases of a name another name. Digests, and so scores and origins, stay."""
    checked_name(new)
    database = registry.database
    with database.write():
        registry.get(old)
        found = registry.list(old, all_versions=True)
        if not found:
            raise ZooError(
                f"{old} is not a plain name; expected one without version or alias, such as {registry.get(old).name}"
            )
        if database.rows("SELECT name FROM counters WHERE name = :name", name=new):
            raise ZooError(f"{new} is or was a name already; choose another. All: phizoo models list")
        for checkpoint in found:
            rows.rewrite(database, checkpoint, msgspec.structs.replace(checkpoint, name=new))
        for table in ("aliases", "alias_history", "counters"):
            database.run(f"UPDATE {table} SET name = :new WHERE name = :old", new=new, old=old)
