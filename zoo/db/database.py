"""The interface to the registry's database: SQL text with named parameters, read or write.

SQLite uses the standard library alone, since importing SQLAlchemy (0.15 s) would take most of the time
of `phizoo models show`; PostgreSQL is in `zoo.db.postgres`. Both run the same SQL. Writers take turns
(BEGIN IMMEDIATE, or a locked row), so a write may first read and then decide.
"""

import datetime
import os
import sqlite3
import threading
import urllib.parse
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

from zoo.address import shown, without_secrets
from zoo.errors import ZooError

BUSY_SECONDS = 60.0
UNTOUCHED = "?immutable=1"  # ends the URL of a SQLite file of which not even side files may be made

Row = Sequence[Any]


class Database(Protocol):
    """One open database."""

    readonly: bool
    url: str

    def rows(self, sql: str, **values: Any) -> Sequence[Row]:
        """All rows of a query, inside the current transaction if there is one."""

    def write(self) -> Any:
        """A transaction that may write; writers take turns. Commits if the block does not raise.

        Inside another one it is a part of that one: all or nothing.
        """

    def run(self, sql: str, **values: Any) -> int:
        """Runs one statement inside `write()`; returns the number of rows it changed."""

    def now(self) -> str:
        """The time in UTC by the database's own clock, ISO 8601 with microseconds, so that text sorts by time."""

    def role(self) -> str:
        """The role that the server let in; "" for SQLite, which has none."""

    def schema_version(self) -> str | None:
        """The schema's revision, by one cheap query; None where no zoo is. Raises ZooError if it may not be read."""

    def check_writable(self) -> None:
        """Raises ZooError, with what is missing, if nothing may be written here."""

    def close(self) -> None:
        """Closes the connection."""


def insert_row(database: Database, table: str, **values: Any) -> None:
    """Inserts one row, given by its columns, inside `write()`."""
    placeholders = ", ".join(f":{column}" for column in values)
    database.run(f"INSERT INTO {table} ({', '.join(values)}) VALUES ({placeholders})", **values)


def where_equal(*clauses: str, **columns: str | None) -> tuple[str, dict[str, str]]:
    """The WHERE of a query, and its values; empty without a condition.

    columns  the value that each must have; None: any

    >>> where_equal("chosen > 0", task="t", checkpoint=None)
    (' WHERE chosen > 0 AND task = :task', {'task': 't'})
    """
    values = {name: value for name, value in columns.items() if value is not None}
    every = [*clauses, *(f"{name} = :{name}" for name in values)]
    return " WHERE " + " AND ".join(every) if every else "", values


def sqlite_file(url: str) -> Path | None:
    """The file of a SQLite URL; None for another database, an empty path for one in memory.

    >>> sqlite_file("sqlite:////srv/zoo.db"), sqlite_file("postgresql://host/zoo")
    (PosixPath('/srv/zoo.db'), None)
    """
    scheme, _, rest = url.partition("://")
    if scheme.split("+")[0] != "sqlite":
        return None
    path = urllib.parse.unquote(rest.partition("?")[0].removeprefix("/"))
    return Path("") if path in ("", ":memory:") else Path(path)


class DatabaseError(Exception):
    """An error of a database driver, whichever driver it is; the cause is chained."""


def _is_full(file: Path | None) -> bool:
    """Whether the database's disk is full, which SQLite reports like any other disk error."""
    try:
        stat = os.statvfs(file.parent) if file is not None else None
        return stat is not None and stat.f_bavail * stat.f_frsize < 1 << 16
    except OSError:
        return False


def translate_error(error: Exception, url: str) -> Exception:
    """The exception to raise for an error of SQLite: a ZooError if the user can fix it."""
    text = without_secrets(str(error).splitlines()[0], url) if str(error) else type(error).__name__
    if "disk I/O" in text and _is_full(sqlite_file(url)):
        text = f"disk is full: {text}"
    remedies = (
        ("readonly", "it is read-only; set PHIZOO_DB or PHIZOO_HOME to a place you may write"),
        ("disk is full", "the disk is full; free some space, then run the same command again"),
        ("locked", "another process has been writing for a minute; run the same command again"),
        ("not a database", "it is not a database; restore it from a backup, or set PHIZOO_DB to another file"),
        ("malformed", "it is damaged; restore it from a backup, or set PHIZOO_DB to another file"),
        ("too large to convert", "a number is beyond 64 bits; take a smaller one"),
        ("no such ", "it is not a whole zoo; restore it from a backup, or set PHIZOO_DB to another file"),
        ("has no column", "it is not a whole zoo; restore it from a backup, or set PHIZOO_DB to another file"),
        ("unable to open", "it cannot be opened; set PHIZOO_DB or PHIZOO_HOME to a place you may use"),
        ("disk I/O", "the disk reported an error; free some space or check it, then run the same command again"),
    )
    for sign, remedy in remedies:
        if sign in text and "alembic_version" not in text:  # `schema_version` looks for that one
            return ZooError(f"{shown(url)}: {remedy} ({text}).")
    return DatabaseError(text)


def _begin_wal(connection: sqlite3.Connection) -> None:
    if connection.execute("PRAGMA journal_mode").fetchone()[0] != "wal":
        connection.execute("PRAGMA journal_mode = wal")


def _read_schema(connection: sqlite3.Connection) -> None:
    connection.execute("SELECT count(*) FROM sqlite_master").fetchone()


class SqliteDatabase:
    """SQLite through one connection that is kept open, shared by threads in turns."""

    def __init__(self, url: str, file: Path, readonly: bool) -> None:
        self.url, self.file, self.readonly = url, file, readonly
        self._turn = threading.RLock()
        self._frozen: tuple[int, int] | None = None  # (mtime, size) of a file read as immutable
        self._connection = self._connect()

    def _connect(self) -> sqlite3.Connection:
        try:
            if not self.file.name:
                return self._open(":memory:")
            if not self.readonly:
                return self._open(str(self.file), _begin_wal)
            quoted = urllib.parse.quote(os.fsencode(self.file.absolute()))
            if self.url.endswith(UNTOUCHED) and not self.file.with_name(f"{self.file.name}-wal").exists():
                return self._open_frozen(quoted)  # nobody writes there, and reading makes no side files
            try:
                return self._open(f"file:{quoted}?mode=ro", _read_schema)
            except sqlite3.OperationalError:
                # WAL needs its side files; if none can be made, nobody here writes: read the file as immutable.
                return self._open_frozen(quoted)
        except (sqlite3.Error, OverflowError) as error:
            raise translate_error(error, self.url) from error

    def _open_frozen(self, quoted: str) -> sqlite3.Connection:
        stat = self.file.stat()
        self._frozen = (stat.st_mtime_ns, stat.st_size)
        return self._open(f"file:{quoted}?immutable=1")

    def _open(self, path: str, begin: Callable[[sqlite3.Connection], object] = lambda _: None) -> sqlite3.Connection:
        """A connection on which `begin` went well; where it does not, the connection is closed again."""
        connection = sqlite3.connect(
            path, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False, uri=path.startswith("file:"),
            cached_statements=256,
        )  # fmt: skip
        try:
            connection.execute("PRAGMA synchronous = full")
            begin(connection)
        except sqlite3.Error:
            connection.close()
            raise
        return connection

    @property
    def connection(self) -> sqlite3.Connection:
        """The connection itself, lent to Alembic."""
        return self._connection

    def rows(self, sql: str, **values: Any) -> Sequence[Row]:
        with self._turn:
            if self._frozen is not None:
                self._reopen_if_changed()
            try:
                return self._connection.execute(sql, values).fetchall()
            except (sqlite3.Error, OverflowError) as error:
                raise translate_error(error, self.url) from error

    def _reopen_if_changed(self) -> None:
        stat = self.file.stat()
        if (stat.st_mtime_ns, stat.st_size) != self._frozen:
            self._connection.close()
            self._frozen = None
            self._connection = self._connect()

    @contextmanager
    def write(self) -> Iterator[None]:
        self.check_writable()
        with self._turn:
            nested = self._connection.in_transaction  # of this thread, since it has the turn
            if nested:
                yield
                return
            self.run("BEGIN IMMEDIATE")
            try:
                yield
                self.run("COMMIT")
            except BaseException:
                if self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")
                raise

    def check_writable(self) -> None:
        if self.readonly:
            raise ZooError(f"{shown(self.url)}: is read-only; set PHIZOO_DB or PHIZOO_HOME to a place you may write.")

    def now(self) -> str:
        return datetime.datetime.now(datetime.UTC).isoformat(timespec="microseconds")

    def role(self) -> str:
        return ""

    def schema_version(self) -> str | None:
        try:
            versions = self.rows("SELECT version_num FROM alembic_version")
        except DatabaseError:
            return None
        return str(versions[0][0]) if versions else None

    def run(self, sql: str, **values: Any) -> int:
        try:
            return self._connection.execute(sql, values).rowcount
        except (sqlite3.Error, OverflowError) as error:
            raise translate_error(error, self.url) from error

    def close(self) -> None:
        self._connection.close()
