"""Writes an evaluation run (header, protocol, scores) into the database, and reads scores."""

from collections.abc import Sequence
from typing import Any

import msgspec

from zoo.db.database import Database, insert_row
from zoo.digest import canonical
from zoo.records import ProtocolRecord, Score

PROTOCOL = msgspec.json.Decoder(ProtocolRecord)
COLUMNS = Score.__struct_fields__


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
