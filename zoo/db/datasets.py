"""Keeps datasets' records by name. A dataset, like a checkpoint, may have several names: each is a row.

Plain functions over a database; `Registry` calls them. The bytes are not kept here: `training.data`
keeps them in a folder named by the digest.
"""

from collections.abc import Sequence
from typing import Any

import msgspec

from zoo.db import names, rows
from zoo.db.database import Database, Row, insert_row
from zoo.db.stored import PLAIN, StoredRecord
from zoo.digest import canonical, digest
from zoo.errors import ZooError, unknown
from zoo.records import Dataset

DATASET = StoredRecord(Dataset)
LISTING = "phizoo data list"


def add(database: Database, dataset: Dataset, moment: str, newest: bool = False) -> Dataset:
    """Keeps a record (and its recipe under its digest); the same name and digest again change nothing.

    newest  make it the current dataset of its name, even if the name has moved to another digest since
    """
    with database.write():
        existing = database.rows(
            "SELECT id, record, (SELECT max(id) FROM datasets WHERE name = :name) FROM datasets "
            "WHERE name = :name AND digest = :digest",
            name=dataset.name,
            digest=dataset.digest,
        )
        if existing:
            number, record, last = existing[0]
            if newest and number != last:
                database.run("DELETE FROM datasets WHERE id = :id", id=number)
                _insert(database, DATASET.decode(record))
            return DATASET.decode(record)
        names.check_new(dataset.name)
        if dataset.recipe is not None:
            rows.keep_recipe(database, dataset.recipe)
            dataset = msgspec.structs.replace(dataset, recipe_digest=digest(dataset.recipe))
        if not dataset.created:
            dataset = msgspec.structs.replace(dataset, created=moment)
        _insert(database, dataset)
    return dataset


def _insert(database: Database, dataset: Dataset) -> None:
    record = canonical(dataset).decode()
    insert_row(database, "datasets", name=dataset.name, digest=dataset.digest, record=record)


def get(database: Database, spec: str) -> Dataset:
    """The newest dataset of a name, or the one of a digest prefix of 8 or more (under its first name)."""
    records: Sequence[Row] = ()
    if names.PREFIX.fullmatch(spec):  # a digest wins over a name that looks like one
        records = database.rows(
            "SELECT record, digest FROM datasets WHERE digest >= :low AND digest < :high ORDER BY id",
            low=spec,
            high=spec + "g",
        )
        if len({row[1] for row in records}) > 1:
            raise ZooError(f"{spec} begins the digests of {len(records)} datasets; give more digits. All: {LISTING}")
    if not records:
        records = database.rows("SELECT record FROM datasets WHERE name = :name ORDER BY id DESC LIMIT 1", name=spec)
    if not records:
        known = [row[0] for row in database.rows("SELECT DISTINCT name FROM datasets")]
        raise unknown("dataset", spec, known, LISTING)
    return DATASET.decode(records[0][0])


def read_recipe(database: Database, recipe_digest: str) -> dict[str, Any]:
    """The resolved recipe of a digest. Raises ZooError if it is not here."""
    records = database.rows("SELECT record FROM recipes WHERE digest = :digest", digest=recipe_digest)
    if not records:
        raise ZooError(f"no recipe {recipe_digest[:12]}. A checkpoint's recipe: phizoo models show NAME")
    return PLAIN.decode(records[0][0])
