"""Adds the run's facts to each score, and marks the score that stands for each cell."""

import json
from typing import Any

import msgspec
import sqlalchemy as sa
from alembic import op

from zoo.choice import choose, run_facts
from zoo.records import ProtocolRecord, Score

revision = "0004"
down_revision = "0003"

FIELDS = (
    *("checkpoint", "run", "task", "protocol", "metric", "value", "low", "high", "n", "clusters", "unscored"),
    *("subset", "results", "created"),
)
UNKNOWN = ProtocolRecord(
    task="", task_version=0, name="", metric="", shots=0, prompt="", prompts_sha256="", samples=0, decoding={}
)


def upgrade() -> None:
    """Adds the columns, fills them from the runs' headers, and puts `chosen` into the indexes of `find`."""
    texts, numbers = ("engine", "dtype", "runs"), {"seed": "0", "draws": "1", "seeds": "1", "whole": "1", "chosen": "0"}
    for name in texts:
        op.add_column("scores", sa.Column(name, sa.Text, nullable=False, server_default=""))
    for name, default in numbers.items():
        op.add_column("scores", sa.Column(name, sa.BigInteger, nullable=False, server_default=default))
    for bound in ("low", "value", "high"):
        op.drop_index(f"ix_scores_by_{bound}", "scores")
        columns = ["task", "subset", "chosen", "headline", bound, "checkpoint"]
        op.create_index(f"ix_scores_by_{bound}", "scores", columns)
    op.create_index("ix_scores_by_cell", "scores", ["checkpoint", "task"])
    _fill(op.get_bind())


def _fill(database: sa.Connection) -> None:
    protocols = {
        row[0]: msgspec.convert(msgspec.to_builtins(UNKNOWN) | json.loads(row[1]), ProtocolRecord)
        for row in database.execute(sa.text("SELECT fingerprint, record FROM protocols"))
    }
    headers = {row[0]: json.loads(row[1]) for row in database.execute(sa.text("SELECT id, record FROM runs"))}
    rows = database.execute(sa.text(f"SELECT id, {', '.join(FIELDS)} FROM scores ORDER BY id")).all()
    scores = [
        _score(row[1:], headers.get(row[2], {}), protocols.get(row[4], UNKNOWN))
        for row in rows
    ]  # fmt: skip
    marks = [
        {"id": row[0], "chosen": level, "engine": score.engine, "dtype": score.dtype, "seed": score.seed,
         "draws": score.draws, "whole": int(score.whole)}
        for row, score, level in zip(rows, scores, choose(scores, protocols), strict=True)
    ]  # fmt: skip
    if marks:
        database.execute(
            sa.text("UPDATE scores SET chosen = :chosen, engine = :engine, dtype = :dtype, seed = :seed, "
                    "draws = :draws, whole = :whole WHERE id = :id"),
            marks,
        )  # fmt: skip


def _score(values: Any, header: dict[str, Any], protocol: ProtocolRecord) -> Score:
    return Score(**dict(zip(FIELDS, values, strict=True)), **run_facts(header, protocol))
