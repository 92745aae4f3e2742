"""Writes the rows of a checkpoint (its whole record as JSON, and what queries use) and of a run; reads scores.

The record is the only source; the other columns and the small tables are derived from it and written
with it, inside the caller's transaction.
"""

from collections.abc import Collection, Sequence
from typing import Any

import msgspec

from zoo.admission.scores import score_fault
from zoo.choice import PASSED_OVER, SETTING, choose, run_facts
from zoo.cli import output
from zoo.db.audit import author_columns
from zoo.db.checkpoints import NEWEST
from zoo.db.database import Database, insert_row, where_equal
from zoo.db.stored import PLAIN, StoredRecord
from zoo.digest import canonical, digest
from zoo.errors import ZooError
from zoo.records import Checkpoint, ProtocolRecord, Score

PROTOCOL = StoredRecord(ProtocolRecord)
COLUMNS = (
    "name", "version", "digest", "family", "parameters", "context_tokens", "prompt_style", "training_tokens",
    "training_flops", "licence", "source", "created", "bytes", "quantisation",
)  # fmt: skip
NEWEST_DIGESTS = f"SELECT c.digest FROM checkpoints c WHERE {NEWEST}"
Newest = Collection[str] | None
Tasks = str | Sequence[str] | None  # one task, several, or (None) all
SCORE_COLUMNS = Score.__struct_fields__
ELSEWHERE = "SELECT checkpoint FROM runs EXCEPT SELECT digest FROM checkpoints"  # digests that are not in this zoo


def columns_of(checkpoint: Checkpoint) -> dict[str, Any]:
    """The columns of a checkpoint's row."""
    columns = {name: getattr(checkpoint, name) for name in COLUMNS} | {"record": canonical(checkpoint).decode()}
    return columns | {"chat_template": checkpoint.chat_template or ""}


def next_version(database: Database, name: str) -> int:
    """Takes the next version number of a name; no number is used twice."""
    counters = database.rows("SELECT last FROM counters WHERE name = :name", name=name)
    if counters:
        database.run("UPDATE counters SET last = last + 1 WHERE name = :name", name=name)
        return int(counters[0][0]) + 1
    insert_row(database, "counters", name=name, last=1)
    return 1


def insert(database: Database, checkpoint: Checkpoint) -> None:
    """Writes a new checkpoint's rows."""
    insert_row(database, "checkpoints", **columns_of(checkpoint), **author_columns(database))
    number = number_of(database, checkpoint)
    for file in checkpoint.files:
        insert_row(database, "files", checkpoint_id=number, path=file.path, sha256=file.sha256, bytes=file.bytes)
    for parent, relation in sorted({(p.digest, p.relation) for p in checkpoint.parents}):
        insert_row(database, "parents", checkpoint_id=number, digest=parent, relation=relation)
    seen: dict[str, int] = {}
    for dataset in checkpoint.datasets:
        seen[dataset.digest] = seen.get(dataset.digest, 0) + dataset.tokens
    for dataset_digest, tokens in seen.items():
        insert_row(database, "trained_on", checkpoint_id=number, digest=dataset_digest, tokens=tokens)
    _tag(database, number, checkpoint)


def number_of(database: Database, checkpoint: Checkpoint) -> int:
    """The row number of a checkpoint. Raises ZooError if the record is not its row's."""
    numbers = database.rows(
        "SELECT id FROM checkpoints WHERE name = :name AND version = :version",
        name=checkpoint.name,
        version=checkpoint.version,
    )
    if not numbers:
        raise ZooError(f"the record of {checkpoint.label} is not in its own row: this zoo's database is damaged")
    return int(numbers[0][0])


def _tag(database: Database, number: int, checkpoint: Checkpoint) -> None:
    for tag in checkpoint.tags:
        insert_row(database, "tags", checkpoint_id=number, tag=tag)


def rewrite(database: Database, before: Checkpoint, after: Checkpoint) -> None:
    """Replaces a record whose name, tags or notes changed; its bytes and origins stay."""
    number, row = number_of(database, before), columns_of(after)
    assignments = ", ".join(f"{column} = :{column}" for column in row)
    database.run(f"UPDATE checkpoints SET {assignments} WHERE id = :id", id=number, **row)
    database.run("DELETE FROM tags WHERE checkpoint_id = :id", id=number)
    _tag(database, number, after)


def delete(database: Database, checkpoint: Checkpoint) -> None:
    """Deletes a checkpoint's rows, and keeps who did."""
    number = number_of(database, checkpoint)
    removed = {"name": checkpoint.name, "version": checkpoint.version, "digest": checkpoint.digest}
    insert_row(database, "removals", **removed, **author_columns(database))
    for table in ("files", "parents", "trained_on", "tags"):
        database.run(f"DELETE FROM {table} WHERE checkpoint_id = :id", id=number)
    database.run("DELETE FROM checkpoints WHERE id = :id", id=number)


def keep_recipe(database: Database, recipe: dict[str, Any]) -> None:
    """Keeps a resolved recipe under its digest, once."""
    if not database.rows("SELECT digest FROM recipes WHERE digest = :digest", digest=digest(recipe)):
        insert_row(database, "recipes", digest=digest(recipe), record=canonical(recipe).decode())


def keep_protocol(database: Database, protocol: ProtocolRecord) -> None:
    """Keeps a protocol under its fingerprint, once."""
    if not database.rows("SELECT fingerprint FROM protocols WHERE fingerprint = :f", f=protocol.fingerprint):
        insert_row(database, "protocols", fingerprint=protocol.fingerprint, record=canonical(protocol).decode())


def write_run(
    database: Database, header: dict[str, Any], protocol: ProtocolRecord, scores: Sequence[Score], sha256: str,
    moment: str,
) -> None:  # fmt: skip
    """Writes a run's rows inside the caller's transaction; the same run and metric again replace them.

    A run with several metrics is written once per metric; the header names the headline metric. Scores that combine
    this run with those of other seeds replace the earlier ones of the same seeds' setting.
    """
    run_id = str(header["id"])
    keep_protocol(database, protocol)
    replaced = database.rows("SELECT created, results FROM runs WHERE id = :id", id=run_id)
    database.run("DELETE FROM scores WHERE run = :id AND protocol = :f", id=run_id, f=protocol.fingerprint)
    database.run("DELETE FROM runs WHERE id = :id", id=run_id)
    database.run("DELETE FROM splits WHERE run = :id", id=run_id)
    insert_row(
        database, "runs", id=run_id, checkpoint=str(header["checkpoint"]),
        results=sha256 or (replaced[0][1] if replaced else ""), created=replaced[0][0] if replaced else moment,
        record=canonical(header).decode(), sandbox=str(header.get("sandbox") or ""), **author_columns(database),
    )  # fmt: skip
    insert_scores(database, header, protocol, scores, moment)


def insert_scores(
    database: Database, header: dict[str, Any], protocol: ProtocolRecord, scores: Sequence[Score], moment: str
) -> None:
    """Writes scores of a run that is here already, and marks the ones that stand.

    A combined score replaces the combined scores of the same setting and subset, unless one has more seeds.
    """
    headline = dict(header.get("protocol") or {}).get("metric", protocol.metric)
    for score in scores:
        facts = run_facts(header, protocol) | {"created": score.created or moment}
        if score.protocol in protocol.other_fingerprints:  # pulled from a zoo of an older version
            facts["protocol"] = protocol.fingerprint
        insert_score(database, msgspec.structs.replace(score, **facts), score.metric == headline)
    for task in {score.task for score in scores} | {protocol.task}:
        mark_chosen(database, str(header["checkpoint"]), task)


def insert_score(database: Database, score: Score, headline: bool) -> None:
    """Writes one score; call `mark_chosen` in the same transaction. headline: its metric is the task's first."""
    if score.seeds == 1 or _replaces_combined(database, score):
        values = msgspec.structs.asdict(score) | {"runs": " ".join(score.runs), "whole": int(score.whole)}
        insert_row(database, "scores", **values, headline=int(headline))


def _replaces_combined(database: Database, score: Score) -> bool:
    """Deletes the combined scores of a combined score's setting; False, and nothing deleted, if one has more seeds."""
    key = {name: getattr(score, name) for name in (*SETTING, "subset")}
    where = " AND ".join(f"{name} = :{name}" for name in key)
    if database.rows(f"SELECT id FROM scores WHERE {where} AND seeds > :seeds", **key, seeds=score.seeds):
        return False
    database.run(f"DELETE FROM scores WHERE {where} AND seeds > 1", **key)
    return True


def restate(database: Database, score: Score) -> None:
    """Replaces the interval and the clusters of one stored score, inside the caller's transaction."""
    key = {name: getattr(score, name) for name in ("run", "protocol", "metric", "subset", "seeds")}
    where = " AND ".join(f"{name} = :{name}" for name in key)
    database.run(
        f"UPDATE scores SET low = :low, high = :high, clusters = :clusters WHERE {where}",
        **key, low=score.low, high=score.high, clusters=score.clusters,
    )  # fmt: skip


def mark_chosen(database: Database, checkpoint: str, task: str) -> None:
    """Brings the column `chosen` of a checkpoint's scores of a task up to date, inside the caller's transaction.

    Must be called wherever such scores were written or deleted.
    """
    key = {"checkpoint": checkpoint, "task": task}
    numbers = database.rows("SELECT id, chosen FROM scores WHERE checkpoint = :checkpoint AND task = :task ORDER BY id",
                            **key)  # fmt: skip
    records = database.rows(
        "SELECT fingerprint, record FROM protocols WHERE fingerprint IN "
        "(SELECT protocol FROM scores WHERE checkpoint = :checkpoint AND task = :task)",
        **key,
    )
    protocols = {row[0]: PROTOCOL.decode(row[1]) for row in records}
    scores = _read_all(database, checkpoint, task)
    sound = [index for index, score in enumerate(scores) if not score_fault(score)]
    levels = dict(zip(sound, choose([scores[index] for index in sound], protocols), strict=True))
    for index, (number, before) in enumerate(numbers):
        if before != (level := levels.get(index, PASSED_OVER)):
            database.run("UPDATE scores SET chosen = :level WHERE id = :id", level=level, id=number)


def read_scores(
    database: Database, checkpoint: str | None = None, task: Tasks = None, chosen: bool = False, newest: Newest = None
) -> list[Score]:
    """Scores, oldest first; of one checkpoint digest and of some tasks if given. One that cannot be right is left out.

    chosen  only those that stand for their cells, see `zoo.choice`
    newest  only of the newest version of each name, and of these digests
    """
    sound = []
    for score in _read_all(database, checkpoint, task, chosen, newest):
        if fault := score_fault(score):
            output.note_once(f"a score of run {score.run[:12]!r} is left out: {fault}")
        else:
            sound.append(score)
    return sound


def where_scores(
    checkpoint: str | None = None, task: Tasks = None, chosen: bool = False, newest: Newest = None
) -> tuple[str, dict[str, str]]:
    """The WHERE of a query of `scores`, and its values; the arguments are those of `read_scores`."""
    tasks = {} if task is None or isinstance(task, str) else {f"task_{n}": name for n, name in enumerate(task)}
    others = {f"other_{n}": digest for n, digest in enumerate(newest or ())}
    clauses = ["chosen > 0"] if chosen else []
    if task is not None and not isinstance(task, str):
        clauses.append(f"task IN ({', '.join(f':{name}' for name in tasks) or 'NULL'})")
    if newest is not None:
        listed = f" UNION ALL VALUES {', '.join(f'(:{name})' for name in others)}" if others else ""
        clauses.append(f"checkpoint IN ({NEWEST_DIGESTS}{listed})")
    where, values = where_equal(*clauses, checkpoint=checkpoint, task=task if isinstance(task, str) else None)
    return where, values | tasks | others


def read_sandboxes(database: Database, newest: Newest = None) -> dict[str, str]:
    """The sandbox tier of each run that had one; newest: as of `read_scores`."""
    where, values = where_scores(newest=newest)
    rows = database.rows(f"SELECT id, sandbox FROM runs{where}{' AND' if where else ' WHERE'} sandbox > ''", **values)
    return {row[0]: row[1] for row in rows}


def read_results_of(database: Database, task: str) -> dict[str, str]:
    """The sha256 of the result lines of each run of a task that has them."""
    runs = "SELECT id, results FROM runs WHERE results <> '' AND id IN (SELECT run FROM scores WHERE task = :task)"
    return {row[0]: row[1] for row in database.rows(runs, task=task)}


def read_headline(database: Database, task: str) -> str:
    """The main metric of a task, as its newest run has it; "" if none is here."""
    newest = "SELECT metric FROM scores WHERE task = :task AND headline = 1 GROUP BY metric ORDER BY max(created) DESC"
    rows = database.rows(f"{newest} LIMIT 1", task=task)
    return str(rows[0][0]) if rows else ""


def read_elsewhere(database: Database) -> dict[str, str]:
    """Digest -> name of the models whose runs are here and that are not in this zoo, oldest run first."""
    rows = database.rows(f"SELECT record FROM runs WHERE checkpoint IN ({ELSEWHERE}) ORDER BY created, id")
    headers = [PLAIN.decode(row[0]) for row in rows]
    return {str(header["checkpoint"]): str(header["checkpoint_label"]) for header in headers}


def _read_all(
    database: Database, checkpoint: str | None, task: Tasks, chosen: bool = False, newest: Newest = None
) -> list[Score]:
    where, values = where_scores(checkpoint, task, chosen, newest)
    rows = database.rows(f"SELECT {', '.join(SCORE_COLUMNS)} FROM scores{where} ORDER BY id", **values)
    return [_score(row) for row in rows]


def _score(row: Sequence[Any]) -> Score:
    values = dict(zip(SCORE_COLUMNS, row, strict=True))
    values["runs"], values["whole"] = tuple(values["runs"].split()), bool(values["whole"])
    return Score(**values)
