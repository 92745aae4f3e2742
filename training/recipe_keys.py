"""Treats a record as a table of dotted keys: lists keys and their types, reads and sets values.

`training.recipe` uses this for its messages and for `--set`; this file knows nothing about recipes.
"""

import tomllib
from collections.abc import Iterable, Mapping
from typing import Any, get_args

import msgspec

from zoo.errors import ZooError, nearest


def defaults_of(kind: Any, prefix: str = "") -> Iterable[tuple[str, Any]]:
    """The dotted key and the default of every value in a record and the records inside it."""
    for field in msgspec.structs.fields(kind):
        if (inner := record_in(field.type)) is not None:
            yield from defaults_of(inner, f"{prefix}{field.name}.")
        else:
            yield prefix + field.name, field.default


def keys_of(kind: Any, prefix: str = "") -> Iterable[tuple[str, Any]]:
    """The dotted key and the type of every field in a record and the records inside it."""
    for field in msgspec.structs.fields(kind):
        key = prefix + field.name
        yield key, field.type
        if (inner := record_in(field.type)) is not None:
            yield from keys_of(inner, key + ".")


def record_in(kind: Any) -> Any:
    """The record inside a field's type (`Model | None`, `tuple[Source, ...]`), or None."""
    for part in (kind, *get_args(kind)):
        if isinstance(part, type) and issubclass(part, msgspec.Struct):
            return part
    return None


def kind_text(kind: Any) -> str:
    """A type as text: `int`, or the allowed words."""
    if isinstance(kind, type):
        return kind.__name__
    parts = [str(part) for part in get_args(kind) if isinstance(part, str)]
    return " | ".join(parts) if parts else str(kind).replace("NoneType", "None")


def written_keys(plain: Mapping[str, Any], known: Mapping[str, Any], prefix: str = "") -> Iterable[str]:
    """The dotted keys that plain data contains; free-form tables (sources) are not entered."""
    for key, value in plain.items():
        path = prefix + str(key)
        yield path
        inner = value if isinstance(value, list) else [value]
        if record_in(known.get(path)) is not None:
            for part in inner:
                if isinstance(part, Mapping):
                    yield from written_keys(part, known, path + ".")


def leaf_values(plain: Any, prefix: str = "") -> Iterable[tuple[str, Any]]:
    """The dotted key and value of every entry in plain data; a list is one value."""
    if isinstance(plain, Mapping):
        for key, value in plain.items():
            yield from leaf_values(value, f"{prefix}.{key}" if prefix else str(key))
    else:
        yield prefix, plain


def value_at(plain: Any, key: str) -> Any:
    """The value of a dotted key in plain data, or None if it is absent."""
    for part in key.split("."):
        if not isinstance(plain, Mapping) or part not in plain:
            return None
        plain = plain[part]
    return plain


def override(plain: dict[str, Any], assignment: str, known: Iterable[str]) -> None:
    """Sets `a.b=value` in plain data; the value is TOML or a bare word.

    known   all keys
    Raises  ZooError for an unknown key, with the nearest known one, and for a key inside a list

    >>> data = {"training": {"steps": 1}}
    >>> for assignment in ("training.steps=20", "schedule.kind=constant"):
    ...     override(data, assignment, ["training.steps", "schedule.kind"])
    >>> data
    {'training': {'steps': 20}, 'schedule': {'kind': 'constant'}}
    """
    key, equals, text = assignment.partition("=")
    if not equals or not key.strip():
        raise ZooError(f'cannot read --set "{assignment}"; write it as --set training.steps=200')
    if key.strip() not in known:
        raise ZooError(
            f'no recipe key "{key.strip()}"{nearest(key.strip(), known)}. All keys: phizoo train recipes --keys'
        )
    try:
        value = tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        value = text.strip()
    *tables, last = key.strip().split(".")
    place: Any = plain
    for table in tables:
        place = place.setdefault(table, {})
        if not isinstance(place, dict):
            raise ZooError(f'--set cannot reach into "{table}", a list; set the list itself: --set {table}=[...]')
    place[last] = value
