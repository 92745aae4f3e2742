"""Gives the zoo an identity, which its store bears as a mark, and room for the place of that store."""

import uuid

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"


def upgrade() -> None:
    """Creates the table with its one row; the store is recorded when the zoo first writes to it."""
    identity = op.create_table(
        "identity",
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("store", sa.Text, nullable=False, server_default=""),
        sa.Column("store_place", sa.Text, nullable=False, server_default="[]"),
    )
    op.bulk_insert(identity, [{"id": uuid.uuid4().hex}])
