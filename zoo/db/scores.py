"""What was measured on the checkpoints: runs with their results file, protocols, scores.

Plain functions over a database and a store; `Registry` hands them on.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec

from zoo.db import gc
from zoo.db.database import Database
from zoo.digest import canonical
from zoo.errors import ZooError
from zoo.records import File, ProtocolRecord, Score
from zoo.store.store import Store, copy_hashed

PROTOCOL = msgspec.json.Decoder(ProtocolRecord)
COLUMNS = Score.__struct_fields__


def keep_run(
    database: Database,
    store: Store,
    header: dict[str, Any],
    protocol: ProtocolRecord,
    scores: Sequence[Score],
    results: Path | None,
    moment: str,
) -> None:
    """Keeps a run whole: its results file first, then everything else in one transaction."""
    if results is None:
        with database.write():
            write_run(database, header, protocol, scores, "", moment)
        return
    with store.incoming() as staging:
        sha256, size = copy_hashed(results, staging / "results")
        with gc.pinned(database, staging.name, [sha256], moment):
            store.publish(staging, [File(path="results", sha256=sha256, bytes=size)])
            with database.write():
                write_run(database, header, protocol, scores, sha256, moment)


def write_run(
    database: Database,
    header: dict[str, Any],
    protocol: ProtocolRecord,
    scores: Sequence[Score],
    sha256: str,
    moment: str,
) -> None:
    """Writes a run's rows inside the caller's transaction; the same run and metric again replace them.

    A run of several metrics comes once a metric; the header names the one that is its headline.
    """
    run_id = str(header["id"])
    if not database.rows("SELECT fingerprint FROM protocols WHERE fingerprint = :f", f=protocol.fingerprint):
        database.run(
            "INSERT INTO protocols (fingerprint, record) VALUES (:f, :record)",
            f=protocol.fingerprint,
            record=canonical(protocol).decode(),
        )
    before = database.rows("SELECT created, results FROM runs WHERE id = :id", id=run_id)
    database.run("DELETE FROM scores WHERE run = :id AND protocol = :f", id=run_id, f=protocol.fingerprint)
    database.run("DELETE FROM runs WHERE id = :id", id=run_id)
    database.run(
        "INSERT INTO runs (id, checkpoint, results, created, record) "
        "VALUES (:id, :checkpoint, :results, :created, :record)",
        id=run_id,
        checkpoint=str(header["checkpoint"]),
        results=sha256 or (before[0][1] if before else ""),
        created=before[0][0] if before else moment,
        record=canonical(header).decode(),
    )
    places = ", ".join(f":{column}" for column in COLUMNS)
    headline = dict(header.get("protocol") or {}).get("metric", protocol.metric)
    for score in scores:
        told = msgspec.structs.asdict(score) | {"created": score.created or moment}
        database.run(
            f"INSERT INTO scores ({', '.join(COLUMNS)}, headline) VALUES ({places}, :headline)",
            **told,
            headline=int(score.metric == headline),
        )


def scores(database: Database, checkpoint: str | None, task: str | None) -> list[Score]:
    """Scores, oldest first; of one checkpoint digest and of one task if given."""
    wanted = {"checkpoint": checkpoint, "task": task}
    values = {key: value for key, value in wanted.items() if value is not None}
    where = " WHERE " + " AND ".join(f"{key} = :{key}" for key in values) if values else ""
    found = database.rows(f"SELECT {', '.join(COLUMNS)} FROM scores{where} ORDER BY id", **values)
    return [Score(**dict(zip(COLUMNS, row, strict=True))) for row in found]


def protocols(database: Database) -> dict[str, ProtocolRecord]:
    """All protocols that anything was measured under, by fingerprint."""
    found = database.rows("SELECT fingerprint, record FROM protocols ORDER BY fingerprint")
    return {row[0]: PROTOCOL.decode(row[1]) for row in found}


def run(database: Database, run_id: str) -> dict[str, Any]:
    """A run's header; a prefix of its id will do when it is the only one."""
    found = database.rows("SELECT id, record FROM runs WHERE id = :id", id=run_id) or database.rows(
        "SELECT id, record FROM runs WHERE substr(id, 1, :length) = :id", id=run_id, length=len(run_id)
    )
    if not run_id or len(found) != 1:
        what = f"{run_id} begins the ids of {len(found)} runs" if found else f'no run "{run_id}"'
        raise ZooError(f"{what}. The runs of a checkpoint: phizoo models show NAME")
    header: dict[str, Any] = msgspec.json.decode(found[0][1])
    return header


def runs(database: Database) -> list[dict[str, Any]]:
    """The headers of all runs, oldest first."""
    return [msgspec.json.decode(row[0]) for row in database.rows("SELECT record FROM runs ORDER BY created, id")]


def results(database: Database, store: Store, run_id: str) -> Path:
    """The file with a run's result lines."""
    found = database.rows("SELECT results FROM runs WHERE id = :id", id=run(database, run_id)["id"])
    if not found[0][0]:
        raise ZooError(f"run {run_id} was kept without its results. Run it again: phizoo eval run")
    return store.object(found[0][0])
