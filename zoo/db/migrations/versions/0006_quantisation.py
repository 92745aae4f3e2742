"""Adds the quantisation of a checkpoint as a column, so that it can be searched for."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    """Adds the column; older checkpoints have none recorded."""
    op.add_column("checkpoints", sa.Column("quantisation", sa.Text, nullable=False, server_default=""))
