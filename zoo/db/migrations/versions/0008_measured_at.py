"""Adds to each score the zoo that it was pulled from, so that it is never shown as measured here."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    """Adds the column; of older scores it is not known, and they count as measured here."""
    op.add_column("scores", sa.Column("measured_at", sa.Text, nullable=False, server_default=""))
