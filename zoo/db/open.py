"""Opens the registry's database at a URL and brings its schema up to date.

SQLite is one person's: any command that writes migrates it. PostgreSQL is a team's: only `phizoo models upgrade`
does, since it locks older installations out. Alembic is imported only if the schema is not the newest.
"""

import os
import re
from pathlib import Path

from zoo.address import shown
from zoo.db import rights
from zoo.db.database import Database, SqliteDatabase, sqlite_file
from zoo.db.postgres import PostgresDatabase, with_driver
from zoo.errors import ZooError

SCHEMA = "0014"  # the newest revision in zoo/db/migrations/versions; a test checks this
REVISION = re.compile(r"[0-9]{4}")


def open_database(url: str, readonly: bool = False) -> Database:
    """The database at a URL with the newest schema.

    readonly  to read only: a missing SQLite file is treated as an empty zoo; otherwise it is created
    Raises    ZooError if it cannot be opened, or not written though that is wanted; nothing else was done then
    """
    file = sqlite_file(url)
    if file is None:
        with_driver(url)  # another kind of database is refused before anything is imported
        return _checked(PostgresDatabase(url, readonly))
    if readonly and file.name and not file.exists():
        empty = SqliteDatabase("sqlite://", Path(""), readonly=False)
        _checked(empty)
        empty.readonly = True
        return empty
    if file.name and not readonly:
        _check_file(url, file)
        file.parent.mkdir(parents=True, exist_ok=True)
    return _checked(SqliteDatabase(url, file, readonly))


def upgrade_database(url: str) -> list[str]:
    """Creates a zoo at a URL or brings it to the newest schema; the GRANTs that gave roles rights on new tables.

    Raises  ZooError if this role may not change the tables; nothing was done then
    """
    if sqlite_file(url) is not None:
        open_database(url).close()
        return []
    with_driver(url)
    database = PostgresDatabase(url, readonly=False)
    try:
        if _needs_upgrade(database):
            database.check_upgradable()
            _migrate(database)
        with database.write():
            return rights.renew(database.rows, database.run)
    finally:
        database.close()


def _check_file(url: str, file: Path) -> None:
    if file.exists() and not (os.access(file, os.W_OK) and os.access(file.parent, os.W_OK)):
        raise ZooError(f"{shown(url)}: is read-only; set PHIZOO_DB or PHIZOO_HOME to a place you may write.")


def _checked(database: Database) -> Database:
    """The database, if its schema is the newest, or can be made so, and it may be written where that is wanted."""
    try:
        if _needs_upgrade(database):
            if database.readonly or isinstance(database, PostgresDatabase):
                raise ZooError(_upgrade_line(database))
            _migrate(database)
        if not database.readonly:
            database.check_writable()
    except BaseException:
        database.close()
        raise
    return database


def _needs_upgrade(database: Database) -> bool:
    """Whether the schema is older. Raises ZooError if it is newer than this program, or another program's."""
    version = database.schema_version()
    if version is not None and not REVISION.fullmatch(version):
        raise ZooError(f"{shown(database.url)}: holds another program's tables; give the zoo a database of its own")
    if version is not None and version > SCHEMA:
        raise ZooError(
            f"{shown(database.url)}: its schema is {version}, this phizoo knows {SCHEMA}; "
            "update it: pip install -U phi-zoo"
        )
    return version != SCHEMA


def _upgrade_line(database: Database) -> str:
    version = database.schema_version()
    if version is None:
        return f"{shown(database.url)}: contains no zoo yet; create one there: phizoo models upgrade"
    others = ", and then every member's phizoo" if isinstance(database, PostgresDatabase) else ""
    return (
        f"{shown(database.url)}: its schema is {version}, expected {SCHEMA}; "
        f"its owner can update it with: phizoo models upgrade{others}"
    )


def _migrate(database: Database) -> None:
    from zoo.db.migrations import upgrade

    upgrade(database)
