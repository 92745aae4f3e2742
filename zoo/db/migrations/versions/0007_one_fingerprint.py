"""Moves the scores of a protocol that had two names into one column, and marks again which of them stand."""

import json
from typing import Any

import msgspec
import sqlalchemy as sa
from alembic import op

from zoo.choice import choose
from zoo.records import ProtocolRecord, Score

revision = "0007"
down_revision = "0006"

FIELDS = (
    *("checkpoint", "run", "task", "protocol", "metric", "value", "low", "high", "n", "clusters", "unscored"),
    *("subset", "results", "created", "engine", "dtype", "seed", "draws", "seeds", "runs", "whole"),
)


def upgrade() -> None:
    """Gives each such score, and its protocol, the fingerprint that the protocol has today."""
    database = op.get_bind()
    protocols = _protocols(database)
    moved = {
        stored: record
        for stored, record in protocols.items()
        if record is not None and stored in record.other_fingerprints
    }
    for stored, record in moved.items():
        names = {"old": stored, "new": record.fingerprint}
        database.execute(sa.text("UPDATE scores SET protocol = :new WHERE protocol = :old"), names)
        if record.fingerprint in protocols:
            database.execute(sa.text("DELETE FROM protocols WHERE fingerprint = :old"), {"old": stored})
        else:
            database.execute(sa.text("UPDATE protocols SET fingerprint = :new WHERE fingerprint = :old"), names)
    for task in {record.task for record in moved.values()}:
        _choose(database, task)


def _protocols(database: sa.Connection) -> dict[str, ProtocolRecord | None]:
    """The protocols by stored fingerprint; None: a record of the first versions, which lacks fields."""
    protocols: dict[str, ProtocolRecord | None] = {}
    for fingerprint, record in database.execute(sa.text("SELECT fingerprint, record FROM protocols")):
        try:
            protocols[fingerprint] = msgspec.convert(json.loads(record), ProtocolRecord)
        except msgspec.ValidationError:
            protocols[fingerprint] = None
    return protocols


def _choose(database: sa.Connection, task: str) -> None:
    query = sa.text(f"SELECT id, {', '.join(FIELDS)} FROM scores WHERE task = :task ORDER BY id")
    rows = database.execute(query, {"task": task}).all()
    known = {fingerprint: record for fingerprint, record in _protocols(database).items() if record is not None}
    marks = [
        {"id": row[0], "chosen": level}
        for row, level in zip(rows, choose([_score(row[1:]) for row in rows], known), strict=True)
    ]
    if marks:
        database.execute(sa.text("UPDATE scores SET chosen = :chosen WHERE id = :id"), marks)


def _score(values: Any) -> Score:
    facts = dict(zip(FIELDS, values, strict=True))
    return Score(**facts | {"runs": tuple(facts["runs"].split()), "whole": bool(facts["whole"])})
