"""The first schema: checkpoints, their files and origins, datasets, recipes, runs and scores."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Creates all tables. `record` is the whole record as JSON; the other columns are for queries."""
    _checkpoints()
    _measured()
    op.create_table(
        "aliases",
        sa.Column("name", sa.Text, primary_key=True),
        sa.Column("alias", sa.Text, primary_key=True),
        sa.Column("version", sa.Integer, nullable=False),
    )
    op.create_table("recipes", sa.Column("digest", sa.Text, primary_key=True), sa.Column("record", sa.Text))
    op.create_table(
        "datasets",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("name", sa.Text, nullable=False, index=True),
        sa.Column("digest", sa.Text, nullable=False, unique=True),
        sa.Column("record", sa.Text, nullable=False),
    )
    lock = op.create_table("zoo_lock", sa.Column("id", sa.Integer, primary_key=True))
    assert lock is not None
    op.bulk_insert(lock, [{"id": 1}])


def _checkpoints() -> None:
    op.create_table(
        "checkpoints",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("version", sa.Integer, nullable=False),
        sa.Column("digest", sa.Text, nullable=False, index=True),
        sa.Column("family", sa.Text, nullable=False, index=True),
        sa.Column("parameters", sa.BigInteger, nullable=False, index=True),
        sa.Column("context_tokens", sa.Integer, nullable=False),
        sa.Column("prompt_style", sa.Text, nullable=False),
        sa.Column("training_tokens", sa.BigInteger),
        sa.Column("training_flops", sa.Double),
        sa.Column("licence", sa.Text, nullable=False),
        sa.Column("source", sa.Text, nullable=False),
        sa.Column("created", sa.Text, nullable=False),
        sa.Column("bytes", sa.BigInteger, nullable=False),
        sa.Column("record", sa.Text, nullable=False),
        sa.UniqueConstraint("name", "version"),
        sa.UniqueConstraint("name", "digest"),
    )
    op.create_table(
        "files",
        _of_one(),
        sa.Column("path", sa.Text, primary_key=True),
        sa.Column("sha256", sa.Text, nullable=False, index=True),
        sa.Column("bytes", sa.BigInteger, nullable=False),
    )
    op.create_table(
        "parents",
        _of_one(),
        sa.Column("digest", sa.Text, primary_key=True, index=True),
        sa.Column("relation", sa.Text, primary_key=True),
    )
    op.create_table(
        "trained_on",
        _of_one(),
        sa.Column("digest", sa.Text, primary_key=True, index=True),
        sa.Column("tokens", sa.BigInteger, nullable=False),
    )


def _of_one() -> "sa.Column[int]":
    return sa.Column("checkpoint_id", sa.Integer, sa.ForeignKey("checkpoints.id"), primary_key=True)


def _measured() -> None:
    op.create_table(
        "protocols",
        sa.Column("fingerprint", sa.Text, primary_key=True),
        sa.Column("record", sa.Text, nullable=False),
    )
    op.create_table(
        "runs",
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("checkpoint", sa.Text, nullable=False, index=True),
        sa.Column("results", sa.Text, nullable=False, index=True),
        sa.Column("created", sa.Text, nullable=False),
        sa.Column("record", sa.Text, nullable=False),
    )
    op.create_table(
        "scores",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("run", sa.Text, nullable=False, index=True),
        sa.Column("checkpoint", sa.Text, nullable=False, index=True),
        sa.Column("task", sa.Text, nullable=False),
        sa.Column("protocol", sa.Text, nullable=False),
        sa.Column("metric", sa.Text, nullable=False),
        sa.Column("subset", sa.Text, nullable=False),
        sa.Column("value", sa.Double, nullable=False),
        sa.Column("low", sa.Double, nullable=False),
        sa.Column("high", sa.Double, nullable=False),
        sa.Column("n", sa.Integer, nullable=False),
        sa.Column("clusters", sa.Integer, nullable=False),
        sa.Column("unscored", sa.Integer, nullable=False),
        sa.Column("results", sa.Text, nullable=False),
        sa.Column("created", sa.Text, nullable=False),
    )
