"""Adds to a score how many verdicts rest on one view of the sandbox alone, so that the board can say so."""

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"


def upgrade() -> None:
    """Adds the column; of older scores none is known."""
    op.add_column("scores", sa.Column("disputed", sa.Integer, nullable=False, server_default="0"))
