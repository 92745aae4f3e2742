"""A command that stands still inside a write stops nobody for good, and who waits is told for whom."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from tests.services.servers import Team, TeamDatabase
from zoo.db import postgres
from zoo.db.open import open_database, upgrade_database
from zoo.errors import ZooError
from zoo.registry import open_registry

# A writer that says when it has the turn, and goes on when it is asked to; with limits short enough for a test.
WRITER = """
import sys, zoo.db.postgres as postgres
from zoo.registry import open_registry
postgres.LOCK_SECONDS, postgres.IDLE_SECONDS = int(sys.argv[3]), int(sys.argv[4])
from zoo.cli import root
def main():
    with open_registry(sys.argv[1], sys.argv[2]) as registry:
        with registry.database.write():
            registry.database.run("UPDATE counters SET last = last + 100")
            print("turn", flush=True)
            sys.stdin.readline()
            registry.database.run("UPDATE counters SET last = last + 1")
try:
    main()
except root.ZooError as error:
    print(error)
"""


@pytest.fixture
def zoo(database: TeamDatabase, tmp_path: Path, made: SimpleNamespace) -> TeamDatabase:
    """A zoo with one checkpoint."""
    upgrade_database(database.url)
    with open_registry(database.url, str(tmp_path / "store")) as registry:
        registry.add(made.phi(tmp_path / "phi"), "one")
    return database


@pytest.fixture
def writer(zoo: TeamDatabase, tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """A writer that has the turn; the server ends it after 3 s without a statement."""
    arguments = [sys.executable, "-c", WRITER, zoo.url, str(tmp_path / "store"), "60", "3"]
    with subprocess.Popen(arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "turn\n"
        yield process
        process.kill()


def last(zoo: TeamDatabase) -> int:
    return int(zoo.sql("SELECT last FROM counters WHERE name = 'one'")[0][0])


def test_the_limits_are_the_sessions(zoo: TeamDatabase) -> None:
    database = open_database(zoo.url)
    names = "lock_timeout", "idle_in_transaction_session_timeout", "statement_timeout", "tcp_keepalives_idle"
    assert [database.rows(f"SHOW {name}")[0][0] for name in names] == ["1min", "2min", "5min", "30"]
    assert database.rows("SHOW application_name")[0][0] == postgres.session_name()
    assert postgres.session_name().startswith("phizoo ") and "@" in postgres.session_name()
    database.close()
    named = open_database(f"{zoo.url}?application_name=nightly&connect_timeout=5")
    assert named.rows("SHOW application_name")[0][0] == "nightly"
    named.close()
    assert "'statement_timeout', '0'" in postgres.session_settings(zoo.url, statement_seconds=0)[1]  # as migrations


def test_a_frozen_writer_is_ended_and_the_others_go_on(zoo: TeamDatabase, writer: subprocess.Popen[str]) -> None:
    os.kill(writer.pid, signal.SIGSTOP)
    database = open_database(zoo.url)
    started = time.monotonic()
    with database.write():
        database.run("UPDATE counters SET last = last + 10")
    assert time.monotonic() - started < 30
    database.close()
    assert last(zoo) == 11
    os.kill(writer.pid, signal.SIGCONT)
    said, _ = writer.communicate("go on\n", timeout=60)
    assert said.count("\n") == 1
    assert "stood still inside a write" in said and "nothing of that write was kept" in said
    assert "run the same command again" in said
    assert last(zoo) == 11  # nothing half written


def test_who_waits_too_long_is_told_for_whom(
    zoo: TeamDatabase, writer: subprocess.Popen[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(postgres, "LOCK_SECONDS", 1)
    rights = "GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO {role}"
    role = zoo.role("bob", rights, "GRANT USAGE ON ALL SEQUENCES IN SCHEMA public TO {role}")
    for url in (zoo.url, zoo.url_of(role)):  # another role may not see that session's statements, but its name
        database = open_database(url)
        with pytest.raises(ZooError) as raised, database.write():
            pass
        database.close()
        said = str(raised.value)
        assert f"waited 1 s for {postgres.session_name()} (role {zoo.owner}, process " in said
        assert f"since {time.strftime('%Y-%m-%d %H:', time.gmtime())}" in said
        assert "run the same command again" in said
        assert "\n" not in said


def test_a_table_that_another_program_locks_is_told(zoo: TeamDatabase, monkeypatch: pytest.MonkeyPatch) -> None:
    import psycopg

    monkeypatch.setattr(postgres, "LOCK_SECONDS", 1)
    database = open_database(zoo.url, readonly=True)
    with psycopg.connect(zoo.superuser_url, application_name="maintenance") as connection:
        connection.execute("LOCK TABLE checkpoints")
        with pytest.raises(ZooError, match=r"waited 1 s for maintenance \(role postgres"):
            database.rows("SELECT count(*) FROM checkpoints")
        connection.rollback()
    assert database.rows("SELECT count(*) FROM checkpoints")[0][0] == 1
    database.close()


def test_a_statement_that_takes_too_long_is_one_line(zoo: TeamDatabase, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(postgres, "STATEMENT_SECONDS", 1)
    database = open_database(zoo.url)
    with pytest.raises(ZooError, match="took longer than allowed"):
        database.rows("SELECT pg_sleep(5)")
    database.close()


def test_an_upgrade_waits_for_a_writer_and_a_writer_for_an_upgrade(
    zoo: TeamDatabase, writer: subprocess.Popen[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    zoo.sql("UPDATE alembic_version SET version_num = '0010'")
    monkeypatch.setattr(postgres, "LOCK_SECONDS", 1)
    with pytest.raises(ZooError, match=r"waited 1 s for phizoo "):
        upgrade_database(zoo.url)


@pytest.mark.long
def test_the_real_limits_hold(team: Team, tmp_path: Path, made: SimpleNamespace) -> None:
    """Three minutes: a writer that is frozen for good, two others that come meanwhile."""
    assert team.phizoo("models", "upgrade").returncode == 0
    assert team.phizoo("models", "add", str(made.phi(tmp_path / "phi")), "--name", "one").returncode == 0
    arguments = [sys.executable, "-c", WRITER, team.database.url, str(tmp_path / "store"), "60", "120"]
    with subprocess.Popen(arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as frozen:
        assert frozen.stdout is not None and frozen.stdout.readline() == "turn\n"
        os.kill(frozen.pid, signal.SIGSTOP)
        started = time.monotonic()
        first = team.phizoo("models", "edit", "one", "--note", "first")
        assert (first.returncode, time.monotonic() - started < 75) == (2, True)
        assert "waited 60 s for phizoo " in first.stderr
        second = team.phizoo("models", "edit", "one", "--note", "second", seconds=100)
        assert second.returncode == 0, second.stderr
        assert time.monotonic() - started < 140
        frozen.kill()
