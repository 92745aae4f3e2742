"""Migrates the schema with Alembic, all steps in one transaction: a kill leaves the old schema or the new one."""

from pathlib import Path
from typing import Any

from zoo.db.database import Database, SqliteDatabase
from zoo.db.postgres import TAKE_TURN, PostgresDatabase, session_settings, with_driver
from zoo.db.rights import find_zoo, owner_to_be

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
    assert isinstance(database, PostgresDatabase)
    with database.faults():
        _upgrade_postgres(database, command, config, revision)


def _upgrade_postgres(database: PostgresDatabase, command: Any, config: Any, revision: str) -> None:
    import sqlalchemy

    arguments, settings = session_settings(database.url, statement_seconds=0)
    engine = sqlalchemy.create_engine(with_driver(database.url), connect_args=arguments)
    try:
        with engine.begin() as connection:
            connection.exec_driver_sql(settings)

            def rows(sql: str, **values: Any) -> Any:
                return connection.execute(sqlalchemy.text(sql), values).all()

            connection.execute(sqlalchemy.text(f"SELECT pg_advisory_xact_lock({LOCK})"))
            if find_zoo(rows) is not None:
                connection.execute(sqlalchemy.text(TAKE_TURN))  # no writer has locked a table that is to change
                if owner := owner_to_be(rows):
                    connection.execute(sqlalchemy.text(f"SET LOCAL ROLE {owner}"))
            config.attributes["connection"] = connection
            command.upgrade(config, revision)
    except sqlalchemy.exc.DBAPIError as error:
        raise error.orig or error from error
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
