"""Adds the digest of a checkpoint's chat template as a column, so that chat models can be searched for."""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"


def upgrade() -> None:
    """Adds the column; of older checkpoints none is recorded, and an evaluation looks at their files."""
    op.add_column("checkpoints", sa.Column("chat_template", sa.Text, nullable=False, server_default=""))
