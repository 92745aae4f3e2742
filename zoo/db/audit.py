"""Who wrote what: the author of each checkpoint, run, move of an alias and removal, from columns beside the records.

The user and host are those that the writer's machine gives; the role is the one that PostgreSQL let in ("" in SQLite).
Times are the database's. What an older version wrote has no author: every field is "".
"""

import functools
import socket
from typing import Any, NamedTuple

import msgspec

from zoo.db.database import Database, where_equal
from zoo.db.postgres import user_name

# action -> its rows as (action, subject, detail, time, author's columns)
SOURCES = {
    "added": "SELECT 'added', name || ':' || version, substr(digest, 1, 12), created, {by} FROM checkpoints",
    "published": "SELECT 'published', record, id, created, {by} FROM runs",
    "alias": "SELECT 'alias', name || '@' || alias, previous || ' -> ' || version, moved, {by} FROM alias_history",
    "removed": "SELECT 'removed', name || ':' || version, substr(digest, 1, 12), by_time, {by} FROM removals",
}
UNKNOWN = "unknown"


class Author(NamedTuple):
    """Who wrote a row, where, when, and with which version of phizoo; "" where it is not known."""

    user: str
    role: str
    host: str
    time: str
    phizoo: str

    def text(self) -> str:
        """The author in words.

        >>> Author("ann", "team_ann", "desk", "2026-11-30T09:10:11.000000+00:00", "0.1.0").text()
        'ann (role team_ann) on desk, 2026-11-30 09:10:11, phizoo 0.1.0'
        >>> Author("", "", "", "", "").text()
        'unknown'
        """
        if not self.user:
            return UNKNOWN
        role = f" (role {self.role})" if self.role else ""
        return f"{self.user}{role} on {self.host}, {self.time[:19].replace('T', ' ')}, phizoo {self.phizoo}"

    def fields(self) -> dict[str, str]:
        """The author for JSON."""
        return {name: value or UNKNOWN for name, value in self._asdict().items() if name != "role" or value}


NOBODY = Author("", "", "", "", "")
COLUMNS = tuple(f"by_{field}" for field in Author._fields)
BY = ", ".join(COLUMNS)


class AuditEntry(NamedTuple):
    """One write: what was done to which subject, and by whom."""

    action: str
    subject: str
    detail: str
    time: str  # also of a row without an author, as its writer's clock gave it
    author: Author


@functools.cache
def _version() -> str:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version("phi-zoo")
    except PackageNotFoundError:
        return ""


def author_columns(database: Database) -> dict[str, Any]:
    """The columns that name this process as the author of a row, for `insert_row` inside `write()`."""
    author = Author(user_name(), database.role(), socket.gethostname(), database.now(), _version())
    return dict(zip(COLUMNS, author, strict=True))


def author_of(database: Database, table: str, **key: Any) -> Author | None:
    """The author of the one row of `checkpoints` or `runs` with this key; None if there is no such row."""
    where = " AND ".join(f"{name} = :{name}" for name in key)
    found = database.rows(f"SELECT {BY} FROM {table} WHERE {where}", **key)
    return Author(*found[0]) if found else None


def run_authors(database: Database, checkpoint: str) -> dict[str, Author]:
    """The author of each run of a checkpoint's digest."""
    where, values = where_equal(checkpoint=checkpoint)
    return {row[0]: Author(*row[1:]) for row in database.rows(f"SELECT id, {BY} FROM runs{where}", **values)}


def read_audit(database: Database, limit: int) -> list[AuditEntry]:
    """The newest writes, the newest first, at most `limit`."""
    union = " UNION ALL ".join(source.format(by=BY) for source in SOURCES.values())
    ordered = f"SELECT * FROM ({union}) AS every ORDER BY coalesce(nullif(by_time, ''), created) DESC LIMIT :limit"
    found = []
    for action, subject, detail, created, *by in database.rows(ordered, limit=limit):
        author = Author(*by)
        if action == "published":
            subject, detail = _run_subject(subject), f"run {detail[:12]}"
        found.append(AuditEntry(action, subject, detail, author.time or created, author))
    return found


def _run_subject(record: str) -> str:
    try:
        header = msgspec.json.decode(record)
        return f"{header.get('checkpoint_label', UNKNOWN)} {header.get('task', '')}".strip()
    except (msgspec.MsgspecError, AttributeError):
        return UNKNOWN
