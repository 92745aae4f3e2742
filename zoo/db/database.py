"""The registry's database behind one small door: SQL text with named parameters, read or write.

SQLite goes through the standard library alone, since importing SQLAlchemy (0.15 s) would be most
of what `phizoo models show` takes; any other SQLAlchemy URL goes through an engine. Both run the
same SQL. Writers take turns (BEGIN IMMEDIATE, or a locked row), so a write may first read and then
decide. Alembic is imported only when the schema is not the newest.
"""

import os
import sqlite3
import threading
import urllib.parse
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

from zoo.errors import ZooError

SCHEMA = "0003"  # the newest revision in zoo/db/migrations/versions; a test holds that it is
BUSY_SECONDS = 60.0

Row = Sequence[Any]


class Database(Protocol):
    """One open database."""

    readonly: bool
    url: str

    def rows(self, sql: str, **values: Any) -> Sequence[Row]:
        """All rows of a query, inside the current transaction if there is one."""

    def write(self) -> Any:
        """A transaction that may write; writers take turns. Commits when the block ends well."""

    def run(self, sql: str, **values: Any) -> int:
        """Runs one statement inside `write()`; gives back how many rows it touched."""

    def close(self) -> None:
        """Frees the connection."""


def sqlite_file(url: str) -> Path | None:
    """The file of a SQLite URL; None for another database, an empty path for one in memory.

    >>> sqlite_file("sqlite:////srv/zoo.db"), sqlite_file("postgresql://host/zoo")
    (PosixPath('/srv/zoo.db'), None)
    """
    scheme, _, rest = url.partition("://")
    if scheme.split("+")[0] != "sqlite":
        return None
    place = urllib.parse.unquote(rest.partition("?")[0].removeprefix("/"))
    return Path("") if place in ("", ":memory:") else Path(place)


def open_database(url: str, readonly: bool = False) -> Database:
    """The database at a URL, its schema the newest. Raises ZooError when it cannot be had.

    A SQLite file that may not be written is opened for reading; a missing one is made, or, for
    reading only, stands for an empty zoo.
    """
    file = sqlite_file(url)
    database: Database
    if file is None:
        database = EngineDatabase(url, readonly)
        _bring_up_to_date(database)
        return database
    if readonly and file.name and not file.exists():
        url, readonly = "sqlite://", False
        file = Path("")
        database = SqliteDatabase(url, file, readonly=False)
        _bring_up_to_date(database)
        database.readonly = True
        return database
    if file.name and file.exists() and not readonly:
        readonly = not (os.access(file, os.W_OK) and os.access(file.parent, os.W_OK))
    if file.name and not readonly:
        file.parent.mkdir(parents=True, exist_ok=True)
    database = SqliteDatabase(url, file, readonly)
    _bring_up_to_date(database)
    return database


def _bring_up_to_date(database: Database) -> None:
    """Migrates an older schema, or says why not; a database that cannot be used is closed."""
    try:
        _migrate(database)
    except BaseException:
        database.close()
        raise


def _migrate(database: Database) -> None:
    version = schema_version(database)
    if version == SCHEMA:
        return
    if version is not None and version > SCHEMA:
        raise ZooError(
            f"{shown(database.url)}: its schema is {version}, this phizoo knows {SCHEMA}; "
            "update it: pip install -U phi-zoo"
        )
    if database.readonly and version is None:
        raise ZooError(f"{shown(database.url)}: holds no zoo yet; make one there: phizoo models upgrade")
    if database.readonly:
        raise ZooError(
            f"{shown(database.url)}: its schema is {version}, expected {SCHEMA}; its owner brings it up to date with: "
            "phizoo models upgrade"
        )
    from zoo.db.migrations import upgrade

    upgrade(database)


def schema_version(database: Database) -> str | None:
    """The schema's revision, by one cheap query; None for an empty database."""
    try:
        found = database.rows("SELECT version_num FROM alembic_version")
    except DatabaseError:
        return None
    return str(found[0][0]) if found else None


def shown(url: str) -> str:
    """A database URL without its password, for messages.

    >>> shown("postgresql://ann:secret@host/zoo")
    'postgresql://ann:***@host/zoo'
    """
    parts = urllib.parse.urlsplit(url)
    return url.replace(f":{parts.password}@", ":***@") if parts.password else url


class DatabaseError(Exception):
    """What a driver raised, whichever driver it was; the cause is chained."""


def _is_full(file: Path | None) -> bool:
    """Whether the disk of a database has no room left, which SQLite tells as any other fault of a disk."""
    try:
        told = os.statvfs(file.parent) if file is not None else None
        return told is not None and told.f_bavail * told.f_frsize < 1 << 16
    except OSError:
        return False


def fault(error: Exception, url: str) -> Exception:
    """What to raise for a driver's error: one line where the user can mend it."""
    text = str(error).splitlines()[0] if str(error) else type(error).__name__
    if "disk I/O" in text and _is_full(sqlite_file(url)):
        text = f"disk is full: {text}"
    mends = (
        ("readonly", "it may only be read; set PHIZOO_DB or PHIZOO_HOME to a place you may write"),
        ("read-only", "it may only be read; set PHIZOO_DB or PHIZOO_HOME to a place you may write"),
        ("disk is full", "the disk is full; free some space, then run the same command again"),
        ("No space left", "the server's disk is full; free some space there, then run the same command again"),
        ("locked", "another process has been writing for a minute; run the same command again"),
        ("not a database", "it is not a database; restore it from a backup, or set PHIZOO_DB to another file"),
        ("malformed", "it is damaged; restore it from a backup, or set PHIZOO_DB to another file"),
        ("unable to open", "it cannot be opened; set PHIZOO_DB or PHIZOO_HOME to a place you may use"),
        ("disk I/O", "the disk refused; free some space or check it, then run the same command again"),
    )
    for sign, mend in mends:
        if sign in text:
            return ZooError(f"{shown(url)}: {mend} ({text}).")
    return DatabaseError(text)


class SqliteDatabase:
    """SQLite through one kept connection, shared by threads in turns."""

    def __init__(self, url: str, file: Path, readonly: bool) -> None:
        self.url, self.file, self.readonly = url, file, readonly
        self._turn = threading.RLock()
        self._frozen: tuple[int, int] | None = None  # (mtime, size) of a file read as immutable
        self._connection = self._connect()

    def _connect(self) -> sqlite3.Connection:
        try:
            if not self.file.name:
                return self._opened(":memory:")
            if not self.readonly:
                connection = self._opened(str(self.file))
                if connection.execute("PRAGMA journal_mode").fetchone()[0] != "wal":
                    connection.execute("PRAGMA journal_mode = wal")
                return connection
            quoted = urllib.parse.quote(str(self.file.absolute()))
            try:
                connection = self._opened(f"file:{quoted}?mode=ro")
                connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
                return connection
            except sqlite3.OperationalError:
                # WAL needs its side files; where none can be made, nobody here writes: read it as it lies.
                told = self.file.stat()
                self._frozen = (told.st_mtime_ns, told.st_size)
                return self._opened(f"file:{quoted}?immutable=1")
        except sqlite3.Error as error:
            raise fault(error, self.url) from error

    def _opened(self, place: str) -> sqlite3.Connection:
        connection = sqlite3.connect(
            place,
            timeout=BUSY_SECONDS,
            isolation_level=None,
            check_same_thread=False,
            uri=place.startswith("file:"),
            cached_statements=256,
        )
        connection.execute("PRAGMA synchronous = full")
        return connection

    @property
    def lent(self) -> sqlite3.Connection:
        """The connection itself, for Alembic."""
        return self._connection

    def rows(self, sql: str, **values: Any) -> Sequence[Row]:
        with self._turn:
            if self._frozen is not None:
                self._reopened_if_changed()
            try:
                return self._connection.execute(sql, values).fetchall()
            except sqlite3.Error as error:
                raise fault(error, self.url) from error

    def _reopened_if_changed(self) -> None:
        told = self.file.stat()
        if (told.st_mtime_ns, told.st_size) != self._frozen:
            self._connection.close()
            self._frozen = None
            self._connection = self._connect()

    @contextmanager
    def write(self) -> Iterator[None]:
        if self.readonly:
            raise ZooError(
                f"{shown(self.url)}: may only be read; set PHIZOO_DB or PHIZOO_HOME to a place you may write."
            )
        with self._turn:
            self.run("BEGIN IMMEDIATE")
            try:
                yield
                self.run("COMMIT")
            except BaseException:
                if self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")
                raise

    def run(self, sql: str, **values: Any) -> int:
        try:
            return self._connection.execute(sql, values).rowcount
        except sqlite3.Error as error:
            raise fault(error, self.url) from error

    def close(self) -> None:
        self._connection.close()


class EngineDatabase:
    """Any other database through SQLAlchemy; writers take turns by locking the row of `zoo_lock`."""

    def __init__(self, url: str, readonly: bool) -> None:
        import sqlalchemy

        self.url, self.readonly = url, readonly
        self._text = sqlalchemy.text
        self._faults = sqlalchemy.exc.SQLAlchemyError
        self._lost = (sqlalchemy.exc.OperationalError, sqlalchemy.exc.InterfaceError)  # the server's doing, not ours
        self._inside = threading.local()
        try:
            self.engine = sqlalchemy.create_engine(with_driver(url), pool_pre_ping=True)
            with self.engine.connect():
                pass
        except ImportError as error:
            raise ZooError(f"{shown(url)}: {error}; install its driver: pip install 'phi-zoo[postgres]'") from error
        except self._faults as error:
            reason = str(error.__cause__ or error).strip().splitlines()[0]
            raise ZooError(f"{shown(url)}: cannot be reached ({reason}); check PHIZOO_DB.") from error

    def rows(self, sql: str, **values: Any) -> Sequence[Row]:
        try:
            if connection := getattr(self._inside, "connection", None):
                return list(connection.execute(self._text(sql), values))
            with self.engine.connect() as connection:
                return list(connection.execute(self._text(sql), values))
        except self._faults as error:
            raise self._told(error) from error

    @contextmanager
    def write(self) -> Iterator[None]:
        if self.readonly:
            raise ZooError(f"{shown(self.url)}: opened for reading only; open it for writing.")
        try:
            with self.engine.begin() as connection:
                connection.execute(self._text("SELECT id FROM zoo_lock FOR UPDATE"))
                self._inside.connection = connection
                try:
                    yield
                finally:
                    self._inside.connection = None
        except self._faults as error:
            raise self._told(error) from error

    def run(self, sql: str, **values: Any) -> int:
        done = self._inside.connection.execute(self._text(sql), values)
        return int(done.rowcount)

    def _told(self, error: Exception) -> Exception:
        told = fault(error.__cause__ if isinstance(error.__cause__, Exception) else error, self.url)
        if isinstance(told, DatabaseError) and isinstance(error, self._lost):
            return ZooError(
                f"{shown(self.url)}: the database does not answer any more ({told}); nothing is lost: when it is back, "
                "run the same command again."
            )
        return told

    def close(self) -> None:
        self.engine.dispose()


def with_driver(url: str) -> str:
    """The URL with the driver that this package installs, where none is named. Raises ZooError when it is no URL.

    >>> with_driver("postgresql://host/zoo")
    'postgresql+psycopg://host/zoo'
    """
    scheme, found, rest = url.partition("://")
    if not found:
        raise ZooError(
            f'PHIZOO_DB is "{url}", expected an address such as sqlite:////srv/zoo.db or postgresql://user@host/zoo'
        )
    return f"postgresql+psycopg://{rest}" if scheme in ("postgres", "postgresql") else url
