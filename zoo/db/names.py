"""Resolves a spec (a name, name:version, name@alias or digest prefix) to one checkpoint's record."""

import re
from collections.abc import Sequence

from zoo.db.database import Database, Row
from zoo.errors import ZooError, nearest, unknown
from zoo.records import validate_name

PREFIX = re.compile(r"[0-9a-f]{8,64}")
HEX = re.compile(r"[0-9a-f]+")
FULL = re.compile(r"[0-9a-f]{64}")
VERSION = re.compile(r"[0-9]{1,18}")
LISTING = "phizoo models list"

BY_NAME = "SELECT record FROM checkpoints WHERE name = :name ORDER BY version DESC LIMIT 1"
BY_VERSION = "SELECT record FROM checkpoints WHERE name = :name AND version = :version"
BY_ALIAS = """SELECT c.record FROM aliases a JOIN checkpoints c ON c.name = a.name AND c.version = a.version
              WHERE a.name = :name AND a.alias = :alias"""
BY_PREFIX = "SELECT record, digest FROM checkpoints WHERE digest >= :low AND digest < :high ORDER BY id DESC"


def record(database: Database, spec: str) -> str:
    """The JSON record of the one checkpoint that `spec` names. A digest wins over a name that looks like one.

    Raises ZooError with the nearest known name, version or alias if there is none, or if there are several.
    """
    name, at, alias = spec.partition("@")
    if at:
        records = database.rows(BY_ALIAS, name=name, alias=alias)
        return str(records[0][0]) if records else _no_alias(database, name, alias)
    name, colon, version = spec.partition(":")
    if colon:
        records = database.rows(BY_VERSION, name=name, version=number(version))
        return str(records[0][0]) if records else _no_version(database, name, version)
    records = _by_digest(database, spec) or database.rows(BY_NAME, name=name)
    if not records:
        raise unknown("checkpoint", spec, _names(database), LISTING)
    return str(records[0][0])


def with_prefix(database: Database, table: str, prefix: str) -> Sequence[Row]:
    """(id, record) of the rows of `runs` or `searches` whose id is this one, or else begins so."""
    whole = database.rows(f"SELECT id, record FROM {table} WHERE id = :id", id=prefix)
    if whole or not prefix:
        return whole
    if HEX.fullmatch(prefix) and (rows := database.rows(  # by the index
        f"SELECT id, record FROM {table} WHERE id >= :low AND id < :high", low=prefix, high=prefix + "g"
    )):  # fmt: skip
        return rows
    return database.rows(
        f"SELECT id, record FROM {table} WHERE substr(id, 1, :size) = :id", size=len(prefix), id=prefix
    )


def number(version: str) -> int:
    """The version that a user typed; -1, which no checkpoint has, for anything but up to 18 ASCII digits.

    >>> number("12"), number("²"), number("9" * 40)
    (12, -1, -1)
    """
    return int(version) if VERSION.fullmatch(version) else -1


def check_new(name: str) -> str:
    """The name, if a checkpoint or dataset may get it. Raises ZooError if it is none, or looks like a digest."""
    if PREFIX.fullmatch(validate_name(name)):
        raise ZooError(f"{name} cannot be a name: it reads as the beginning of a digest; add a letter after f, - or .")
    return name


def _by_digest(database: Database, spec: str) -> Sequence[Row]:
    if not PREFIX.fullmatch(spec):
        return ()
    records = database.rows(BY_PREFIX, low=spec, high=spec + "g")  # "g" is after every digit
    if len({row[1] for row in records}) > 1:
        raise ZooError(f"{spec} begins the digests of {len(records)} checkpoints; give more digits. All: {LISTING}")
    return records


def _names(database: Database) -> list[str]:
    return [row[0] for row in database.rows("SELECT DISTINCT name FROM checkpoints")]


def _no_version(database: Database, name: str, version: str) -> str:
    known = [
        str(row[0]) for row in database.rows("SELECT version FROM checkpoints WHERE name = :n ORDER BY version", n=name)
    ]
    if not known:
        raise unknown("checkpoint", name, _names(database), LISTING)
    raise ZooError(f'{name} has no version "{version}" (it has {known[0]} to {known[-1]}). All: {LISTING} {name} --all')


def _no_alias(database: Database, name: str, alias: str) -> str:
    known = [row[0] for row in database.rows("SELECT alias FROM aliases WHERE name = :name", name=name)]
    if not known and name not in _names(database):
        raise unknown("checkpoint", name, _names(database), LISTING)
    raise ZooError(f'{name} has no alias "{alias}"{nearest(alias, known)}. Set it: phizoo models alias {name} {alias}')
