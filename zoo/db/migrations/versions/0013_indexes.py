"""Adds the indexes by which a large zoo is read, and the sandbox of each run as a column, so that no header is parsed.

`find` on n, unscored or a named metric, and the newest score of a task, read an index alone.
"""

import json

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"

BATCH = 1_000  # headers that are in memory at a time


def upgrade() -> None:
    """Creates the indexes, and fills the column from the headers."""
    op.create_index("ix_scores_by_n", "scores", ["task", "subset", "chosen", "headline", "n", "unscored", "checkpoint"])
    op.create_index(
        "ix_scores_by_metric", "scores",
        ["task", "subset", "chosen", "metric", "value", "low", "high", "n", "unscored", "checkpoint"],
    )  # fmt: skip
    op.drop_index("ix_scores_checkpoint", "scores")  # ix_scores_by_cell begins with the same column
    op.create_index("ix_runs_created", "runs", ["created", "id"])
    op.add_column("runs", sa.Column("sandbox", sa.Text, nullable=False, server_default=""))
    op.create_index("ix_runs_by_checkpoint", "runs", ["checkpoint", "sandbox", "id"])
    op.drop_index("ix_runs_checkpoint", "runs")
    database, after = op.get_bind(), ""
    page = sa.text("SELECT id, record FROM runs WHERE id > :after ORDER BY id LIMIT :size")
    while rows := database.execute(page, {"after": after, "size": BATCH}).all():
        after = rows[-1][0]
        tiers = [{"run": run, "sandbox": tier} for run, record in rows if (tier := json.loads(record).get("sandbox"))]
        if tiers:
            database.execute(sa.text("UPDATE runs SET sandbox = :sandbox WHERE id = :run"), tiers)
