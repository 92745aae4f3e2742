"""Run by Alembic: the steps on the connection that `zoo.db.migrations.upgrade` lends."""

from alembic import context

context.configure(connection=context.config.attributes["connection"], transaction_per_migration=False)
context.run_migrations()
