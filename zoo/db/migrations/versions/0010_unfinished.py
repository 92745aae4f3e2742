"""Adds to a score how many answers have a thought without an end, so that the board can say so."""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"


def upgrade() -> None:
    """Adds the column; of older scores none is counted."""
    op.add_column("scores", sa.Column("unfinished", sa.Integer, nullable=False, server_default="0"))
