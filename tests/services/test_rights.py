"""Every refusal of PostgreSQL is one line with the right that is missing, before any work; `upgrade` renews rights."""

import re
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest

from tests.services.servers import PASSWORD, Team, TeamDatabase
from zoo.cli import root
from zoo.db import rights
from zoo.db.migrations import upgrade as migrate
from zoo.db.open import SCHEMA, open_database, upgrade_database
from zoo.db.postgres import PostgresDatabase
from zoo.errors import ZooError

CONNECT = "GRANT USAGE ON SCHEMA public TO {role}"
READ = "GRANT SELECT ON ALL TABLES IN SCHEMA public TO {role}"
WRITE = (
    "GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO {role}",
    "GRANT USAGE ON ALL SEQUENCES IN SCHEMA public TO {role}",
)
Line = Callable[..., str]


@pytest.fixture
def line(team: Team, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Line:
    """Runs a command with a database URL, which must fail in one line; the line."""

    def run(url: str, *arguments: str) -> str:
        monkeypatch.setenv("PHIZOO_DB", url)
        code = root.run(list(arguments))
        written = capsys.readouterr()
        assert code == 2, (code, written)
        assert written.out == ""
        assert PASSWORD not in written.err
        (only,) = (text for text in written.err.splitlines() if not text.startswith("phizoo: zoo "))
        return only

    return run


@pytest.fixture
def zoo(database: TeamDatabase) -> TeamDatabase:
    """A database with an empty zoo, which the public may not use."""
    upgrade_database(database.url)
    database.sql("REVOKE ALL ON SCHEMA public FROM PUBLIC")
    return database


READING = ("models", "list")
WRITING = ("models", "alias", "one", "best")


def test_a_role_is_told_which_right_it_lacks_and_the_grant_helps(zoo: TeamDatabase, line: Line) -> None:
    role = zoo.role("bob")
    url, named = zoo.url_of(role), f'the role "{role}" may not'
    said = line(url, *READING)
    assert f"{named} read this zoo" in said
    assert f"GRANT USAGE ON SCHEMA public TO {role}; GRANT SELECT ON ALL TABLES IN SCHEMA public TO {role}" in said
    assert "no zoo" not in said
    zoo.sql(f"GRANT USAGE ON SCHEMA public TO {role}")
    said = line(url, *READING)
    assert f"GRANT SELECT ON ALL TABLES IN SCHEMA public TO {role}" in said
    assert "USAGE" not in said
    zoo.sql(READ.format(role=role))
    open_database(url, readonly=True).close()
    said = line(url, *WRITING)
    assert f"{named} write to this zoo" in said
    zoo.sql(*re.findall(r"GRANT [^;]*", said))  # word for word
    assert f"GRANT INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO {role}" in said
    assert "GRANT USAGE ON ALL SEQUENCES IN SCHEMA public" in said
    open_database(url).close()


def test_a_table_without_its_grant_is_named(zoo: TeamDatabase, line: Line) -> None:
    role = zoo.role("bob", CONNECT, *WRITE)
    zoo.sql(f"REVOKE INSERT, DELETE ON runs FROM {role}", f"REVOKE USAGE ON SEQUENCE scores_id_seq FROM {role}")
    said = line(zoo.url_of(role), *WRITING)
    assert said.endswith(f"GRANT INSERT, DELETE ON runs TO {role}; GRANT USAGE ON SEQUENCE scores_id_seq TO {role}")
    zoo.sql(f"REVOKE SELECT ON checkpoints FROM {role}")
    assert line(zoo.url_of(role), *READING).endswith(f"GRANT SELECT ON checkpoints TO {role}")


def test_the_tables_whose_rights_are_checked_are_the_zoos(zoo: TeamDatabase) -> None:
    tables = zoo.sql("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
    assert {name for (name,) in tables} == set(rights.TABLES)


def test_no_right_to_create_and_no_zoo_yet(database: TeamDatabase, line: Line) -> None:
    role = database.role("bob")
    for command in (READING, WRITING):
        assert "contains no zoo yet; create one there: phizoo models upgrade" in line(database.url, *command)
    said = line(database.url_of(role), "models", "upgrade")
    assert f"GRANT CREATE ON SCHEMA public TO {role}" in said
    assert database.sql("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'") == [(0,)]
    database.sql(*re.findall(r"GRANT [^;]*", said))
    upgrade_database(database.url_of(role))


def test_connections_that_the_server_refuses(zoo: TeamDatabase, line: Line) -> None:
    role = zoo.role("bob", CONNECT, READ)
    server = zoo.server
    url = zoo.url_of(role)
    assert f'the password of the role "{role}" is wrong or has expired' in line(zoo.url_of(role, "wrong"), *READING)
    zoo.sql(f"ALTER ROLE {role} VALID UNTIL '2001-01-01'")
    assert f"ALTER ROLE {role} PASSWORD '…' VALID UNTIL 'infinity'" in line(url, *READING)
    zoo.sql(f"ALTER ROLE {role} VALID UNTIL 'infinity' NOLOGIN")
    assert f"ALTER ROLE {role} LOGIN" in line(url, *READING)
    zoo.sql(f"ALTER ROLE {role} LOGIN")
    said = line(server.url("elsewhere", role), *READING)
    assert 'no database "elsewhere"' in said
    assert "CREATE DATABASE elsewhere" in said
    zoo.sql(f"REVOKE CONNECT ON DATABASE {zoo.name} FROM PUBLIC")
    assert line(url, *READING).endswith(f"GRANT CONNECT ON DATABASE {zoo.name} TO {role}.")
    zoo.sql(f"GRANT CONNECT ON DATABASE {zoo.name} TO PUBLIC")
    with server.access_rules(f"host all {role} 127.0.0.1/32 reject"):
        said = line(url, *READING)
    assert "pg_hba.conf rejects" in said
    assert f"host {zoo.name} {role} 127.0.0.1/32 scram-sha-256" in said
    assert "asks for a password" in line(url.replace(f":{PASSWORD}@", "@"), *READING)
    assert "check PHIZOO_DB" in line(url.replace(f":{server.port}/", ":1/"), *READING)


def test_a_read_only_server_is_told_before_the_work(zoo: TeamDatabase, line: Line) -> None:
    zoo.sql(f"ALTER DATABASE {zoo.name} SET default_transaction_read_only = on")
    assert "default_transaction_read_only" in line(zoo.url, *WRITING)
    open_database(zoo.url, readonly=True).close()


@pytest.mark.parametrize(
    "command",
    [
        ("eval", "run", "one", "--task", "arc_easy"),
        ("eval", "rescore", "3f2a9c41d0aa", "--protocol", "evalplus", "--publish"),
        ("eval", "import", "RESULTS", "--model", "one"),
        ("eval", "runs", "--renew"),
        ("train", "run", "phi-1-small-mini"),
        ("train", "ladder", "--scale", "quick", "--no-data"),
        ("data", "gather", "DOCUMENTS", "--name", "raw"),
        ("models", "add", "FOLDER", "--name", "two"),
        ("models", "pull", "one", "FOLDER"),
        ("models", "gc"),
        ("eval", "contamination", "humaneval", "--checkpoint", "one"),
    ],
)
def test_who_may_only_read_is_told_before_a_long_command(
    command: tuple[str, ...], zoo: TeamDatabase, line: Line, tmp_path: Path, made: SimpleNamespace
) -> None:
    documents, results = tmp_path / "documents", tmp_path / "results.json"
    documents.mkdir()
    (documents / "a.txt").write_text("A document.")
    results.write_text("{}")
    words = {"FOLDER": str(made.phi(tmp_path / "phi")), "DOCUMENTS": str(documents), "RESULTS": str(results)}
    role = zoo.role("bob", CONNECT, READ)
    said = line(zoo.url_of(role), *(words.get(word, word) for word in command))
    assert "GRANT INSERT, UPDATE, DELETE ON ALL TABLES" in said


def test_reading_commands_need_no_right_to_write(
    zoo: TeamDatabase, line: Line, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    role = zoo.role("bob", CONNECT, READ)
    for command in (
        ("eval", "compare", "one", "two"), ("eval", "ranks", "arc_easy"), ("serve", "one"), ("data", "list"),
        ("models", "path", "one"), ("eval", "check", "boundary", "one"), ("eval", "reproduce", "one/arc_easy"),
        ("eval", "run", "one", "--task", "arc_easy", "--no-publish"),
    ):  # fmt: skip
        monkeypatch.setenv("PHIZOO_DB", zoo.url_of(role))
        root.run(list(command))
        assert "GRANT" not in capsys.readouterr().err, command


def test_only_upgrade_migrates_and_it_renews_rights(
    database: TeamDatabase, line: Line, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    old = PostgresDatabase(database.url, readonly=False)
    migrate(old, "0001")
    old.close()
    database.sql("REVOKE ALL ON SCHEMA public FROM PUBLIC")
    reader = database.role("reader", CONNECT, READ)
    writer = database.role("writer", CONNECT, *WRITE)
    partly = database.role("partly", CONNECT, "GRANT SELECT ON checkpoints TO {role}")
    for role in (writer, reader, database.owner):
        said = line(database.url_of(role), *WRITING)
        assert f"its schema is 0001, expected {SCHEMA}; its owner can update it with: phizoo models upgrade" in said
    assert database.sql("SELECT version_num FROM alembic_version") == [("0001",)]
    assert f"run phizoo models upgrade as {database.owner}" in line(database.url_of(writer), "models", "upgrade")
    monkeypatch.setenv("PHIZOO_DB", database.superuser_url)  # its new tables are the owner's all the same
    assert root.run(["models", "upgrade"]) == 0
    assert f"renewed: GRANT SELECT, INSERT, UPDATE, DELETE ON pins TO {writer}" in capsys.readouterr().out
    open_database(database.url_of(writer)).close()
    read = open_database(database.url_of(reader), readonly=True)
    assert read.rows("SELECT count(*) FROM tags")[0][0] == 0
    read.close()
    assert "GRANT SELECT" in line(database.url_of(partly), *READING)
    owners = database.sql("SELECT DISTINCT tableowner FROM pg_tables WHERE schemaname = 'public'")
    assert owners == [(database.owner,)]
    monkeypatch.setenv("PHIZOO_DB", database.url)
    assert root.run(["models", "upgrade"]) == 0
    assert "renewed" not in capsys.readouterr().out


@pytest.mark.parametrize(
    "url", ["mysql://ann:pw@h/zoo", "mariadb+pymysql://h/zoo", "oracle://h", "mssql+pyodbc://h/zoo", "duckdb:///x",
            "postgresql+asyncpg://h/zoo", "zoo.db"],
)  # fmt: skip
def test_other_databases_are_refused(url: str, line: Line) -> None:
    said = line(url, *READING)
    assert "PostgreSQL" in said or "postgresql://" in said
    assert "pw" not in said


def test_a_readers_refusal_within_a_session_is_one_line(zoo: TeamDatabase) -> None:
    role = zoo.role("bob", CONNECT, *WRITE)
    database = open_database(zoo.url_of(role))
    zoo.sql(f"REVOKE DELETE ON pins FROM {role}")
    with pytest.raises(ZooError, match=f"GRANT DELETE ON pins TO {role}"), database.write():
        database.run("DELETE FROM pins")
    database.close()
