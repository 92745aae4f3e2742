"""Keeps and reads evaluation runs: headers, protocols, scores and the files of result lines.

Plain functions over a database and a store; `Registry` calls them.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec

from zoo.db.database import Database, insert_row
from zoo.db.pins import pin
from zoo.digest import canonical
from zoo.errors import ZooError
from zoo.records import File, ProtocolRecord, Score
from zoo.store.store import Store, copy_hashed

PROTOCOL = msgspec.json.Decoder(ProtocolRecord)
COLUMNS = Score.__struct_fields__


def keep_run(
    database: Database, store: Store, header: dict[str, Any], protocol: ProtocolRecord, scores: Sequence[Score],
    results: Path | None, moment: str,
) -> None:  # fmt: skip
    """Keeps a whole run: its results file first, then everything else in one transaction."""
    if results is None:
        with database.write():
            write_run(database, header, protocol, scores, "", moment)
        return
    with store.incoming() as staging:
        sha256, size = copy_hashed(results, staging / "results")
        with pin(database, staging.name, [sha256], moment):
            store.publish(staging, [File(path="results", sha256=sha256, bytes=size)])
            with database.write():
                write_run(database, header, protocol, scores, sha256, moment)


def write_run(
    database: Database, header: dict[str, Any], protocol: ProtocolRecord, scores: Sequence[Score], sha256: str,
    moment: str,
) -> None:  # fmt: skip
    """Writes a run's rows inside the caller's transaction; the same run and metric again replace them.

    A run with several metrics is written once per metric; the header names the headline metric.
    """
    run_id = str(header["id"])
    if not database.rows("SELECT fingerprint FROM protocols WHERE fingerprint = :f", f=protocol.fingerprint):
        insert_row(database, "protocols", fingerprint=protocol.fingerprint, record=canonical(protocol).decode())
    replaced = database.rows("SELECT created, results FROM runs WHERE id = :id", id=run_id)
    database.run("DELETE FROM scores WHERE run = :id AND protocol = :f", id=run_id, f=protocol.fingerprint)
    database.run("DELETE FROM runs WHERE id = :id", id=run_id)
    insert_row(
        database, "runs", id=run_id, checkpoint=str(header["checkpoint"]),
        results=sha256 or (replaced[0][1] if replaced else ""), created=replaced[0][0] if replaced else moment,
        record=canonical(header).decode(),
    )  # fmt: skip
    headline = dict(header.get("protocol") or {}).get("metric", protocol.metric)
    for score in scores:
        values = msgspec.structs.asdict(score) | {"created": score.created or moment}
        insert_row(database, "scores", **values, headline=int(score.metric == headline))


def read_scores(database: Database, checkpoint: str | None, task: str | None) -> list[Score]:
    """Scores, oldest first; of one checkpoint digest and of one task if given."""
    filters = {"checkpoint": checkpoint, "task": task}
    values = {key: value for key, value in filters.items() if value is not None}
    where = " WHERE " + " AND ".join(f"{key} = :{key}" for key in values) if values else ""
    rows = database.rows(f"SELECT {', '.join(COLUMNS)} FROM scores{where} ORDER BY id", **values)
    return [Score(**dict(zip(COLUMNS, row, strict=True))) for row in rows]


def read_protocols(database: Database) -> dict[str, ProtocolRecord]:
    """All protocols of the scores, by fingerprint."""
    rows = database.rows("SELECT fingerprint, record FROM protocols ORDER BY fingerprint")
    return {row[0]: PROTOCOL.decode(row[1]) for row in rows}


def read_run(database: Database, run_id: str) -> dict[str, Any]:
    """A run's header, by its id or a unique prefix of it."""
    rows = database.rows("SELECT id, record FROM runs WHERE id = :id", id=run_id) or database.rows(
        "SELECT id, record FROM runs WHERE substr(id, 1, :length) = :id", id=run_id, length=len(run_id)
    )
    if not run_id or len(rows) != 1:
        reason = f"{run_id} begins the ids of {len(rows)} runs" if rows else f'no run "{run_id}"'
        raise ZooError(f"{reason}. The runs of a checkpoint: phizoo models show NAME")
    header: dict[str, Any] = msgspec.json.decode(rows[0][1])
    return header


def read_runs(database: Database) -> list[dict[str, Any]]:
    """The headers of all runs, oldest first."""
    return [msgspec.json.decode(row[0]) for row in database.rows("SELECT record FROM runs ORDER BY created, id")]


def results_file(database: Database, store: Store, run_id: str) -> Path:
    """The file with a run's result lines."""
    rows = database.rows("SELECT results FROM runs WHERE id = :id", id=read_run(database, run_id)["id"])
    if not rows[0][0]:
        raise ZooError(f"run {run_id} was stored without its results. Run it again: phizoo eval run")
    return store.object(rows[0][0])
