"""Allows several names per dataset, as for checkpoints: a row is one name of a dataset."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Recreates the table, since SQLite cannot drop a constraint; row numbers, and so the order, are kept."""
    old_table = sa.table("datasets", sa.column("id"), sa.column("name"), sa.column("digest"), sa.column("record"))
    rows = [dict(row) for row in op.get_bind().execute(sa.select(old_table).order_by(old_table.c.id)).mappings()]
    op.drop_table("datasets")
    made = op.create_table(
        "datasets",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("digest", sa.Text, nullable=False, index=True),
        sa.Column("record", sa.Text, nullable=False),
        sa.UniqueConstraint("name", "digest"),
    )
    if rows:
        op.bulk_insert(made, rows)
        if op.get_bind().dialect.name == "postgresql":
            op.execute("SELECT setval(pg_get_serial_sequence('datasets', 'id'), (SELECT max(id) FROM datasets))")
