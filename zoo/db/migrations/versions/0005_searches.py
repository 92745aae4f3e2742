"""Adds searches of training data, which belong to a checkpoint and a task, and the split of each run by them.

Runs that were published with flags get a search whose datasets are not known. Their clean scores are deleted: nothing
says that all training data was searched. The same search again, or the same `eval run`, makes them anew.
"""

import json
from typing import Any

import sqlalchemy as sa
from alembic import op

from zoo.digest import canonical, digest

revision = "0005"
down_revision = "0004"

UNSEARCHED = "its flags are of an older version, which did not record the data that was searched"


def upgrade() -> None:
    """Creates the tables and fills them from the flags in the headers of runs."""
    searches = op.create_table(
        "searches",
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("checkpoint", sa.Text, nullable=False, index=True),
        sa.Column("task", sa.Text, nullable=False),
        sa.Column("created", sa.Text, nullable=False),
        sa.Column("record", sa.Text, nullable=False),
    )
    splits = op.create_table(
        "splits",
        sa.Column("run", sa.Text, primary_key=True),
        sa.Column("record", sa.Text, nullable=False),
    )
    database = op.get_bind()
    database.execute(sa.text("DELETE FROM scores WHERE subset = 'clean'"))
    rows, runs = {}, []
    for run, record in database.execute(sa.text("SELECT id, record FROM runs ORDER BY created, id")).all():
        header = json.loads(record)
        if header.get("overlapping") is not None:
            search = _search(header)
            rows[search["id"]] = search
            runs.append({"run": run, "record": _split(database, run, header)})
    if rows:
        op.bulk_insert(searches, list(rows.values()))
        op.bulk_insert(splits, runs)


def _search(header: dict[str, Any]) -> dict[str, Any]:
    record = {
        "checkpoint": header["checkpoint"], "task": header["task"], "datasets": [], "methods": [], "samples": [],
        "unsearchable": [], "flagged": sorted(header["overlapping"]), "created": "",
    }  # fmt: skip
    kept = {"id": digest(record), "checkpoint": header["checkpoint"], "task": header["task"], "created": ""}
    return kept | {"record": canonical(record).decode()}


def _split(database: sa.Connection, run: str, header: dict[str, Any]) -> str:
    """The counts that the run's overlapping scores show."""
    counted = "SELECT max(n + unscored) FROM scores WHERE run = :run AND subset = 'overlapping'"
    overlapping = database.execute(sa.text(counted), {"run": run}).scalar() or 0
    record = {
        "run": run, "samples": header.get("samples", 0), "overlapping": overlapping, "unsearchable": 0,
        "unsearched": UNSEARCHED,
    }  # fmt: skip
    return canonical(record).decode()
