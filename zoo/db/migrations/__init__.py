"""Migrates the schema with Alembic, all steps in one transaction: a kill leaves the old schema or the new one."""

from pathlib import Path
from typing import Any

from zoo.db.database import Database, SqliteDatabase, with_driver

LOCK = 0x0F11200  # the advisory lock that lets one process at a time migrate a Postgres zoo


def upgrade(database: Database, revision: str = "head") -> None:
    """Brings a database to a revision. If several processes do so at once, one migrates and the others wait."""
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent).replace("%", "%%"))
    if isinstance(database, SqliteDatabase):
        _upgrade_sqlite(database, command, config, revision)
        return
    import sqlalchemy

    engine = sqlalchemy.create_engine(with_driver(database.url))
    try:
        with engine.begin() as connection:
            if engine.dialect.name == "postgresql":
                connection.execute(sqlalchemy.text(f"SELECT pg_advisory_xact_lock({LOCK})"))
            config.attributes["connection"] = connection
            command.upgrade(config, revision)
    finally:
        engine.dispose()


def _upgrade_sqlite(database: SqliteDatabase, command: Any, config: Any, revision: str) -> None:
    import sqlalchemy
    from sqlalchemy.pool import StaticPool

    # Use the database's own connection: it has the busy timeout, and may be one in memory.
    engine = sqlalchemy.create_engine("sqlite://", creator=lambda: database.connection, poolclass=StaticPool)

    @sqlalchemy.event.listens_for(engine, "begin")
    def begin(connection: Any) -> None:
        connection.exec_driver_sql("BEGIN IMMEDIATE")

    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, revision)
