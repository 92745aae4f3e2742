"""Finding checkpoints by what they are, where they come from and what they score."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import msgspec

from zoo.db import condition as where
from zoo.errors import ZooError, nearest, unknown
from zoo.records import Checkpoint

if TYPE_CHECKING:
    from zoo.registry import Registry

CHECKPOINT = msgspec.json.Decoder(Checkpoint)
# filter of `find` -> the condition it stands for
FILTERS = {
    "name": "name",
    "family": "family",
    "licence": "licence",
    "tag": "tag",
    "parent": "parent",
    "dataset": "dataset",
    "prompt_style": "prompt_style",
    "min_parameters": "parameters >=",
    "max_parameters": "parameters <=",
}


def find(
    registry: "Registry", conditions: Sequence[str], filters: dict[str, Any], limit: int | None = None
) -> list[Checkpoint]:
    """All versions for which every condition and filter holds, by name and version.

    conditions  as `zoo.db.condition` reads them
    filters     of FILTERS; a sequence means all of its values
    limit       at most so many
    """
    resolve = where.Resolve(
        lambda spec: registry.get(spec).digest,
        lambda spec: _datasets(registry, spec),
        lambda: _tasks(registry),
    )
    texts = [*conditions, *_as_conditions(filters)]
    wanted: list[str] = []
    values: dict[str, Any] = {}
    for text in texts:
        one = where.condition(text, resolve, start=len(values))
        wanted.append(f"({one.sql})")
        values |= one.values
    sql = "SELECT c.record FROM checkpoints c"
    if wanted:
        sql += " WHERE " + " AND ".join(wanted)
    sql += " ORDER BY c.name, c.version"
    if limit is not None:
        sql += " LIMIT :limit"
        values["limit"] = limit
    return [CHECKPOINT.decode(row[0]) for row in registry.database.rows(sql, **values)]


def _as_conditions(filters: dict[str, Any]) -> list[str]:
    texts = []
    for name, given in filters.items():
        if name not in FILTERS:
            raise ZooError(f"no filter {name!r}{nearest(name, FILTERS)}; expected one of {', '.join(FILTERS)}.")
        if given is None:
            continue
        for value in given if isinstance(given, (list, tuple)) else (given,):
            left = FILTERS[name] if " " in FILTERS[name] else f"{FILTERS[name]} ="
            texts.append(f"{left} {value}" if isinstance(value, (int, float)) else f"{left} {_quoted(str(value))}")
    return texts


def _quoted(value: str) -> str:
    if "'" not in value:
        return f"'{value}'"
    if '"' not in value:
        return f'"{value}"'
    raise ZooError(f"{value[:80]!r}: a value with both kinds of quotes cannot be asked for.")


def _tasks(registry: "Registry") -> list[str]:
    # One step of the index a task, where DISTINCT would walk all scores (1M: 40 ms).
    found: list[str] = []
    last = ""
    while rows := registry.database.rows("SELECT min(task) FROM scores WHERE task > :last", last=last):
        if rows[0][0] is None:
            break
        last = rows[0][0]
        found.append(last)
    return found


def _datasets(registry: "Registry", spec: str) -> Sequence[str]:
    """The digests of every dataset of a name, or the one of a digest prefix."""
    found = [row[0] for row in registry.database.rows("SELECT digest FROM datasets WHERE name = :name", name=spec)]
    if found:
        return found
    seen = registry.database.rows(
        "SELECT DISTINCT digest FROM trained_on WHERE digest >= :low AND digest < :high", low=spec, high=spec + "g"
    )
    if seen and len(spec) >= 8:
        return [row[0] for row in seen]
    known = [row[0] for row in registry.database.rows("SELECT DISTINCT name FROM datasets")]
    raise unknown("dataset", spec, known, "phizoo data list")
