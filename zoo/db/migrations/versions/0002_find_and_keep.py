"""Adds tags, alias history, version counters, pins and score indexes."""

import json

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Adds the tables and fills them from the existing records."""
    tags = op.create_table(
        "tags",
        sa.Column("checkpoint_id", sa.Integer, sa.ForeignKey("checkpoints.id"), primary_key=True),
        sa.Column("tag", sa.Text, primary_key=True, index=True),
    )
    counters = op.create_table(
        "counters",  # a version number is never given twice, even if the version was removed
        sa.Column("name", sa.Text, primary_key=True),
        sa.Column("last", sa.Integer, nullable=False),
    )
    history = op.create_table(
        "alias_history",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("name", sa.Text, nullable=False, index=True),
        sa.Column("alias", sa.Text, nullable=False),
        sa.Column("version", sa.Integer, nullable=False),  # 0: the alias was removed
        sa.Column("previous", sa.Integer, nullable=False),  # 0: there was none
        sa.Column("moved", sa.Text, nullable=False),
    )
    op.create_table(
        "pins",  # objects that a writer is adding: gc keeps them
        sa.Column("owner", sa.Text, primary_key=True),
        sa.Column("sha256", sa.Text, primary_key=True, index=True),
        sa.Column("created", sa.Text, nullable=False),
    )
    op.add_column("scores", sa.Column("headline", sa.Integer, nullable=False, server_default="0"))
    for bound in ("low", "value", "high"):
        op.create_index(f"ix_scores_by_{bound}", "scores", ["task", "subset", "headline", bound, "checkpoint"])
    op.create_index("ix_checkpoints_created", "checkpoints", ["created"])
    _fill(op.get_bind(), tags, counters, history)


def _fill(database: sa.Connection, tags: sa.Table, counters: sa.Table, history: sa.Table) -> None:
    rows = []
    for number, record in database.execute(sa.text("SELECT id, record FROM checkpoints")):
        rows += [{"checkpoint_id": number, "tag": tag} for tag in json.loads(record)["tags"]]
    _insert(database, tags, rows)
    lasts = database.execute(sa.text("SELECT name, max(version) FROM checkpoints GROUP BY name"))
    _insert(database, counters, [{"name": name, "last": last} for name, last in lasts])
    aliases = database.execute(sa.text("SELECT name, alias, version FROM aliases"))
    _insert(
        database,
        history,
        [{"name": n, "alias": a, "version": v, "previous": 0, "moved": ""} for n, a, v in aliases],
    )
    for fingerprint, record in database.execute(sa.text("SELECT fingerprint, record FROM protocols")).all():
        database.execute(
            sa.text("UPDATE scores SET headline = 1 WHERE protocol = :protocol AND metric = :metric"),
            {"protocol": fingerprint, "metric": json.loads(record)["metric"]},
        )


def _insert(database: sa.Connection, table: sa.Table, rows: list[dict[str, object]]) -> None:
    if rows:
        database.execute(table.insert(), rows)
