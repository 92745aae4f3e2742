"""Finds checkpoints by what they are, where they come from and how they score."""

from collections.abc import Iterator, Sequence
from math import inf
from typing import Any

from zoo.db.checkpoints import get_checkpoint, walk
from zoo.db.condition import Resolve, parse_condition, parse_order
from zoo.db.database import Database
from zoo.errors import ZooError, nearest, unknown
from zoo.metrics import metric_of
from zoo.records import Checkpoint

# filter of `find` -> its condition
FILTERS = {
    "name": "name", "family": "family", "licence": "licence", "tag": "tag", "parent": "parent", "dataset": "dataset",
    "prompt_style": "prompt_style", "min_parameters": "parameters >=", "max_parameters": "parameters <=",
}  # fmt: skip


def find(
    database: Database, conditions: Sequence[str], filters: dict[str, Any], limit: int | None = None
) -> Iterator[Checkpoint]:
    """All versions that satisfy every condition and filter, by name and version.

    conditions  in the language of `zoo.db.condition`
    filters     keys of FILTERS; a sequence requires all of its values
    limit       at most this many
    """
    resolve = _resolve(database)
    clauses: list[str] = []
    values: dict[str, Any] = {}
    for text in [*conditions, *_as_conditions(filters)]:
        condition = parse_condition(text, resolve, start=len(values))
        clauses.append(f"({condition.sql})")
        values |= condition.values
    return walk(database, clauses, values, limit)


def _resolve(database: Database) -> Resolve:
    return Resolve(
        lambda spec: get_checkpoint(database, spec).digest,
        lambda spec: _dataset_digests(database, spec),
        lambda: list_tasks(database),
    )


def in_order(database: Database, found: Sequence[Checkpoint], order: str) -> list[Checkpoint]:
    """Checkpoints in another order than by name; of equal ones, by name.

    order   newest, parameters (the smallest first), or a score such as humaneval.low or humaneval_bpb.high (the best
            of each checkpoint, the best first, and those without one last)
    Raises  ZooError for another order
    """
    if order == "newest":
        return sorted(found, key=lambda checkpoint: checkpoint.created, reverse=True)
    if order == "parameters":
        return sorted(found, key=lambda checkpoint: checkpoint.parameters)
    if "." not in order:
        known = ("name", "newest", "parameters", *(f"{task}.low" for task in list_tasks(database)))
        raise unknown("order", order, known, "phizoo models find --help")
    scored = parse_order(order, _resolve(database))
    merits: dict[str, float] = {}
    for digest, metric, value in map(tuple, database.rows(scored.sql, **scored.values)):
        merits[digest] = max(merits.get(digest, -inf), metric_of(metric).merit(value))
    return sorted(found, key=lambda checkpoint: -merits.get(checkpoint.digest, -inf))


def _as_conditions(filters: dict[str, Any]) -> list[str]:
    texts = []
    for name, given in filters.items():
        if name not in FILTERS:
            raise ZooError(f"no filter {name!r}{nearest(name, FILTERS)}; expected one of {', '.join(FILTERS)}.")
        if given is None:
            continue
        for value in given if isinstance(given, (list, tuple)) else (given,):
            left = FILTERS[name] if " " in FILTERS[name] else f"{FILTERS[name]} ="
            texts.append(f"{left} {value}" if isinstance(value, (int, float)) else f"{left} {_quote(str(value))}")
    return texts


def _quote(value: str) -> str:
    if "'" not in value:
        return f"'{value}'"
    if '"' not in value:
        return f'"{value}"'
    raise ZooError(f"{value[:80]!r}: a value with both kinds of quotes cannot be searched for.")


def list_tasks(database: Database) -> list[str]:
    """The tasks with scores, by name."""
    # One step of the index per task; DISTINCT would scan all scores (1M: 40 ms).
    step = "SELECT min(task) AS task FROM scores"
    return [
        row[0]
        for row in database.rows(
            f"WITH RECURSIVE tasks(task) AS ({step} UNION ALL SELECT ({step} WHERE task > tasks.task) FROM tasks "
            "WHERE tasks.task IS NOT NULL) SELECT task FROM tasks WHERE task IS NOT NULL ORDER BY task"
        )
    ]


def _dataset_digests(database: Database, spec: str) -> Sequence[str]:
    """The digests of every dataset of a name, or those that begin with a digest prefix."""
    digests = [row[0] for row in database.rows("SELECT digest FROM datasets WHERE name = :name", name=spec)]
    if not digests and len(spec) >= 8:
        rows = database.rows(
            "SELECT DISTINCT digest FROM trained_on WHERE digest >= :low AND digest < :high", low=spec, high=spec + "g"
        )
        digests = [row[0] for row in rows]
    if not digests:
        known = [row[0] for row in database.rows("SELECT DISTINCT name FROM datasets")]
        raise unknown("dataset", spec, known, "phizoo data list")
    return digests
