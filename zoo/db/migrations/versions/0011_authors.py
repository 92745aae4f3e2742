"""Adds who wrote a checkpoint, a run and a move of an alias, and keeps what was removed and by whom."""

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"

COLUMNS = ("by_user", "by_role", "by_host", "by_time", "by_phizoo")


def upgrade() -> None:
    """Adds the columns; "" for the rows of earlier versions, whose author is not known."""
    for table in ("checkpoints", "runs", "alias_history"):
        for column in COLUMNS:
            op.add_column(table, sa.Column(column, sa.Text, nullable=False, server_default=""))
    op.create_table(
        "removals",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("version", sa.Integer, nullable=False),
        sa.Column("digest", sa.Text, nullable=False),
        *(sa.Column(column, sa.Text, nullable=False, server_default="") for column in COLUMNS),
    )
