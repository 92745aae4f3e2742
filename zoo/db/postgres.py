"""A zoo in PostgreSQL, through psycopg alone: importing SQLAlchemy would take as long as most commands.

Writers take turns by locking the row of `zoo_lock`.

Every session has limits, so that no process holds up the others for good: one that stands still inside a transaction
(a closed laptop, a lost network) is ended by the server, and one that waits for its turn is told who has it.
"""

import getpass
import os
import re
import select
import socket
import threading
import urllib.parse
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache
from typing import Any

from zoo.address import shown, without_secrets
from zoo.db import rights
from zoo.db.database import DatabaseError, Row
from zoo.db.refusals import connection_refusal, query_refusal
from zoo.errors import ZooError

LOCK_SECONDS = 60  # a turn to write, or a table that is being migrated
IDLE_SECONDS = 120  # inside a transaction without a statement
STATEMENT_SECONDS = 300  # one statement; no limit for a migration
TURN = 0x0F1A27  # the advisory locks whose second number is the time at which a writer's turn began, for `HOLDER`
# libpq notices a server that is gone, and the server a client that is, within about a minute
KEEPALIVES = {
    "keepalives": 1, "keepalives_idle": 30, "keepalives_interval": 10, "keepalives_count": 3,
    "tcp_user_timeout": 60_000, "connect_timeout": 30,
}  # fmt: skip
TAKE_TURN = f"""WITH turn AS MATERIALIZED (SELECT id FROM zoo_lock FOR UPDATE)
    SELECT pg_advisory_xact_lock_shared({TURN}, extract(epoch FROM clock_timestamp())::integer) FROM turn"""
# Who may read another role's session sees its start; everybody sees its name and its locks.
HOLDER = f"""SELECT a.application_name, a.usename, a.pid,
      to_char(coalesce(a.xact_start, to_timestamp(turn.objid::bigint)) AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS')
    FROM pg_locks l JOIN pg_stat_activity a ON a.pid = l.pid
      LEFT JOIN pg_locks turn ON turn.pid = l.pid AND turn.locktype = 'advisory' AND turn.classid = {TURN}
    WHERE l.granted AND l.locktype = 'relation' AND l.pid <> pg_backend_pid() AND a.datname = current_database()
      AND l.relation >= 16384 AND (l.mode IN ('AccessExclusiveLock', 'ExclusiveLock')
        OR l.relation = to_regclass('zoo_lock') AND l.mode <> 'AccessShareLock')
      AND NOT EXISTS (SELECT 1 FROM pg_locks w WHERE w.pid = l.pid AND NOT w.granted)
    ORDER BY 4 LIMIT 1"""


PLACEHOLDER = re.compile(r"(?<![:\w]):(\w+)")
NOW = """SELECT to_char(clock_timestamp() AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"+00:00"')"""


class PostgresDatabase:
    """One open PostgreSQL database."""

    def __init__(self, url: str, readonly: bool) -> None:
        self.url, self.readonly, self._role = url, readonly, ""
        self._inside = threading.local()
        self._idle: list[Any] = []  # open connections that nobody uses, the last used last
        self._closed = False
        try:
            import psycopg
        except ImportError as error:
            raise ZooError(f"{shown(url)}: {error}; install its driver: pip install 'phi-zoo[postgres]'") from error
        self._errors = psycopg.Error
        self._lost = (psycopg.OperationalError, psycopg.InterfaceError)  # the server failed, not we
        try:
            self._idle.append(connect(url))
        except self._errors as error:
            reason = without_secrets(str(error).strip(), url)
            raise ZooError(f"{shown(url)}: {connection_refusal(reason, _role_of(url))}") from None

    @contextmanager
    def faults(self) -> Iterator[None]:
        """Raises a driver's error as one that the user can read."""
        try:
            yield
        except self._errors as error:
            raise self._translate(error) from error

    @contextmanager
    def _connection(self) -> Iterator[Any]:
        """A connection of the caller's own, outside a transaction."""
        connection = self._idle_connection() or connect(self.url)
        try:
            yield connection
        finally:
            if connection.closed or self._closed:
                connection.close()
            else:
                self._idle.append(connection)

    def _idle_connection(self) -> Any:
        """An open connection that nobody uses any more; None if there is none."""
        while True:
            try:
                connection = self._idle.pop()
            except IndexError:
                return None
            watched = select.poll()  # not select.select, which refuses descriptors above 1,023
            watched.register(connection.fileno(), select.POLLIN)
            if not watched.poll(0):
                return connection
            connection.close()  # an idle session that has something to say was ended by the server

    def rows(self, sql: str, **values: Any) -> Sequence[Row]:
        with self.faults():
            if connection := getattr(self._inside, "connection", None):
                return _execute(connection, sql, values).fetchall()  # type: ignore[no-any-return]
            with self._connection() as connection:
                return _execute(connection, sql, values).fetchall()  # type: ignore[no-any-return]

    def now(self) -> str:
        return str(self.rows(NOW)[0][0])

    def role(self) -> str:
        self._role = self._role or str(self.rows("SELECT session_user")[0][0])
        return self._role

    @contextmanager
    def write(self) -> Iterator[None]:
        if self.readonly:
            raise ZooError(f"{shown(self.url)}: opened for reading only; open it for writing.")
        if getattr(self._inside, "connection", None):
            yield
            return
        with self.faults(), self._connection() as connection, connection.transaction():
            connection.execute(TAKE_TURN)
            self._inside.connection = connection
            try:
                yield
            finally:
                self._inside.connection = None

    def run(self, sql: str, **values: Any) -> int:
        return int(_execute(self._inside.connection, sql, values).rowcount)

    def schema_version(self) -> str | None:
        """The schema's revision; None where no zoo is. Raises ZooError if this role may not read it."""
        try:
            found = self.rows("SELECT version_num FROM alembic_version")
        except ZooError:
            place = rights.find_zoo(self.rows)
            if place is None:
                return None
            if place.readable:
                raise
            raise ZooError(f"{shown(self.url)}: {self._lacking(write=not self.readonly)}") from None
        return str(found[0][0]) if found else None

    def check_writable(self) -> None:
        """Raises ZooError, with the GRANT that is missing, unless this role may write to the zoo's tables."""
        if self.rows(rights.WRITABLE)[0][0]:
            return
        if self.rows("SHOW transaction_read_only")[0][0] == "on":
            raise ZooError(
                f"{shown(self.url)}: it is read-only (a standby, or default_transaction_read_only is on); "
                "set PHIZOO_DB to the server that accepts writes."
            )
        if lacking := self._lacking(write=True):
            raise ZooError(f"{shown(self.url)}: {lacking}")

    def check_upgradable(self) -> None:
        """Raises ZooError unless this role may create and change the zoo's tables."""
        if lacking := rights.lacking_to_upgrade(self.rows):
            raise ZooError(f"{shown(self.url)}: {lacking}")

    def _lacking(self, write: bool) -> str:
        return rights.lacking(self.rows, write)

    def _translate(self, error: Exception) -> Exception:
        """The exception to raise for a driver's error: a ZooError if the user can fix it."""
        state = getattr(error, "sqlstate", None) or ""
        text = without_secrets((str(error).splitlines() or [type(error).__name__])[0], self.url)
        if state == "55P03":
            return ZooError(f"{shown(self.url)}: {self._holder()}")
        if state == "42501":
            return ZooError(f"{shown(self.url)}: {self._refused(text)}")
        if remedy := query_refusal(state, text):
            return ZooError(f"{shown(self.url)}: {remedy}")
        if isinstance(error, self._lost):
            return ZooError(
                f"{shown(self.url)}: the database does not answer any more ({text}); nothing is lost: "
                "when it is back, run the same command again."
            )
        return DatabaseError(text)

    def _refused(self, text: str) -> str:
        """Why the server refused a statement: the rights that are missing, or its own words."""
        try:
            lacking = self._lacking(write=not self.readonly)
        except (ZooError, DatabaseError):
            lacking = ""
        return lacking or f"{text}; its owner can GRANT that right, or run the command"

    def _holder(self) -> str:
        """Who has held a lock for longer than anyone waits."""
        try:
            found = self.rows(HOLDER)
        except (ZooError, DatabaseError):
            found = []
        holder = "another session"
        if found:
            name, role, pid, since = found[0]
            began = f"since {since} UTC" if since else "since when is unknown"
            holder = f"{name or 'a session without a name'} (role {role}, process {pid}), {began}"
        return (
            f"waited {LOCK_SECONDS} s for {holder}; nothing was written. If it stands still, the server ends it after "
            f"{IDLE_SECONDS} s; then run the same command again."
        )

    def close(self) -> None:
        self._closed = True  # what another thread still uses is closed when it gives it back
        while self._idle:
            self._idle.pop().close()


def session_settings(url: str, statement_seconds: int | None = None) -> tuple[dict[str, Any], str]:
    """(arguments of a connection that the URL does not name itself, the statement that sets a session's limits).

    statement_seconds  the limit of one statement; by default STATEMENT_SECONDS, 0: none
    The limits are set after connecting, since a connection pool such as PgBouncer refuses them as options.
    """
    limits = {
        "lock_timeout": LOCK_SECONDS * 1000, "idle_in_transaction_session_timeout": IDLE_SECONDS * 1000,
        "statement_timeout": 1000 * (STATEMENT_SECONDS if statement_seconds is None else statement_seconds),
        "tcp_keepalives_idle": 30, "tcp_keepalives_interval": 10, "tcp_keepalives_count": 3,
    }  # fmt: skip
    given = urllib.parse.parse_qs(url.partition("?")[2], keep_blank_values=True)
    named = KEEPALIVES | {"application_name": session_name()}
    settings = ", ".join(f"set_config('{name}', '{value}', false)" for name, value in limits.items())
    return {name: value for name, value in named.items() if name not in given}, f"SELECT {settings}"


def connect(url: str) -> Any:
    """A connection with this program's name and limits, in which each statement is a transaction of its own."""
    import psycopg

    arguments, settings = session_settings(url)
    address = with_driver(url).replace("postgresql+psycopg", "postgresql", 1)
    connection = psycopg.connect(address, autocommit=True, **arguments)
    try:
        connection.execute(settings.encode())
    except psycopg.Error:
        connection.close()
        raise
    return connection


@lru_cache(maxsize=1024)
def psycopg_sql(sql: str, casts: frozenset[tuple[str, str]] = frozenset()) -> bytes:
    """SQL with psycopg's placeholders for `:name`. casts: (name, the cast after it).

    >>> psycopg_sql("SELECT 1 FROM a WHERE b = :b AND c LIKE '%x' AND d = :d::int", frozenset([("b", "::varchar")]))
    b"SELECT 1 FROM a WHERE b = %(b)s::varchar AND c LIKE '%%x' AND d = %(d)s::int"
    """
    after = dict(casts)
    return PLACEHOLDER.sub(lambda m: f"%({m[1]})s{after.get(m[1], '')}", sql.replace("%", "%%")).encode()


def _cast(value: Any) -> str:
    """What a value is to the server, which guesses no text's kind and takes a small integer for a SMALLINT."""
    if isinstance(value, str):
        return "::varchar"
    return "::integer" if type(value) is int and abs(value) < 1 << 31 else ""


def _execute(connection: Any, sql: str, values: dict[str, Any]) -> Any:
    if not values:
        return connection.execute(sql.encode())
    casts = ((name, cast) for name, value in values.items() if (cast := _cast(value)))
    return connection.execute(psycopg_sql(sql, frozenset(casts)), values)


def _role_of(url: str) -> str:
    """The role in an address, or the one that libpq would take."""
    match = re.match(r"[^/]*//([^:@/]+)(?::[^/]*)?@", url)
    return urllib.parse.unquote(match[1]) if match else os.environ.get("PGUSER") or user_name()


def session_name() -> str:
    """This program's name in pg_stat_activity, at most 63 characters: `phizoo USER@HOST`."""
    return re.sub(r"[^\x20-\x7e]", "?", f"phizoo {user_name()}@{socket.gethostname()}")[:63]


def user_name() -> str:
    """The name of the operating system's user; its number where it has none."""
    try:
        import pwd

        return pwd.getpwuid(os.getuid()).pw_name
    except (ImportError, KeyError):
        pass
    try:
        return getpass.getuser()
    except (OSError, KeyError, ImportError):
        return str(os.getuid()) if hasattr(os, "getuid") else "unknown"


def with_driver(url: str) -> str:
    """The URL with the driver that this package installs. Raises ZooError for another kind of database.

    >>> with_driver("postgresql://host/zoo")
    'postgresql+psycopg://host/zoo'
    """
    scheme, separator, rest = url.partition("://")
    if separator and scheme.lower() in ("postgres", "postgresql", "postgresql+psycopg"):
        return f"postgresql+psycopg://{rest}"
    fault = f'PHIZOO_DB is "{shown(url)}"'
    if separator and re.split(r"[+:]", scheme.lower())[0] in ("postgres", "postgresql"):
        fault += f"; the driver here is psycopg, so write postgresql:// for {scheme}://"
        raise ZooError(fault)
    raise ZooError(
        f"{fault}, expected an address of SQLite or PostgreSQL, the only databases for a zoo: sqlite:////srv/zoo.db or "
        "postgresql://user@host/zoo"
    )
