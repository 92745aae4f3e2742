"""Run by Alembic: executes the steps on the connection of `zoo.db.migrations.upgrade`."""

from alembic import context

context.configure(connection=context.config.attributes["connection"], transaction_per_migration=False)
context.run_migrations()
