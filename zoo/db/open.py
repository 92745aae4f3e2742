"""Opens the registry's database at a URL and brings its schema up to date.

Alembic is imported only if the schema is not the newest.
"""

import os
from pathlib import Path

from zoo.address import shown
from zoo.db.database import Database, DatabaseError, EngineDatabase, SqliteDatabase, sqlite_file
from zoo.errors import ZooError

SCHEMA = "0013"  # the newest revision in zoo/db/migrations/versions; a test checks this


def open_database(url: str, readonly: bool = False) -> Database:
    """The database at a URL with the newest schema. Raises ZooError if it cannot be opened.

    A SQLite file that may not be written is opened for reading. A missing file is created; if readonly,
    it is treated as an empty zoo.
    """
    database: Database
    file = sqlite_file(url)
    if file is None:
        database = EngineDatabase(url, readonly)
    elif readonly and file.name and not file.exists():
        database = SqliteDatabase("sqlite://", Path(""), readonly=False)
        _upgrade_or_close(database)
        database.readonly = True
        return database
    else:
        if file.name and file.exists() and not readonly:
            readonly = not (os.access(file, os.W_OK) and os.access(file.parent, os.W_OK))
        if file.name and not readonly:
            file.parent.mkdir(parents=True, exist_ok=True)
        database = SqliteDatabase(url, file, readonly)
    _upgrade_or_close(database)
    return database


def _upgrade_or_close(database: Database) -> None:
    try:
        _upgrade(database)
    except BaseException:
        database.close()
        raise


def _upgrade(database: Database) -> None:
    """Migrates an older schema. Raises ZooError if it is newer than this program, or may not be written."""
    version = schema_version(database)
    if version == SCHEMA:
        return
    url = shown(database.url)
    if version is not None and version > SCHEMA:
        raise ZooError(f"{url}: its schema is {version}, this phizoo knows {SCHEMA}; update it: pip install -U phi-zoo")
    if database.readonly and version is None:
        raise ZooError(f"{url}: contains no zoo yet; create one there: phizoo models upgrade")
    if database.readonly:
        raise ZooError(
            f"{url}: its schema is {version}, expected {SCHEMA}; its owner can update it with: phizoo models upgrade"
        )
    from zoo.db.migrations import upgrade

    upgrade(database)


def schema_version(database: Database) -> str | None:
    """The schema's revision, by one cheap query; None for an empty database."""
    try:
        versions = database.rows("SELECT version_num FROM alembic_version")
    except DatabaseError:
        return None
    return str(versions[0][0]) if versions else None
