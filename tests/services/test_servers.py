"""The fixtures themselves: the servers ask for passwords, and a member's command reaches both."""

from pathlib import Path
from types import SimpleNamespace

import pytest

from tests.services.servers import Team, TeamDatabase


def test_the_server_asks_for_a_password(database: TeamDatabase) -> None:
    import psycopg

    with psycopg.connect(database.url) as connection:
        assert connection.execute("SELECT current_user").fetchone() == (database.owner,)
    with pytest.raises(psycopg.OperationalError, match="password"):
        psycopg.connect(database.url_of(database.owner, "wrong"))
    with (
        database.server.access_rules(f"host all {database.owner} 127.0.0.1/32 reject"),
        pytest.raises(psycopg.OperationalError, match="pg_hba"),
    ):
        psycopg.connect(database.url)


def test_a_member_adds_what_another_reads(team: Team, tmp_path: Path, made: SimpleNamespace) -> None:
    assert team.phizoo("models", "upgrade").returncode == 0
    folder = made.phi(tmp_path / "phi", 1)
    added = team.phizoo("models", "add", str(folder), "--name", "one")
    assert (added.returncode, added.stderr.count("Traceback")) == (0, 0), added.stderr
    assert "one:1" in team.phizoo("models", "list", member="bob").stdout
    path = team.phizoo("models", "path", "one", member="bob").stdout.strip()
    assert (Path(path) / "config.json").read_bytes() == (folder / "config.json").read_bytes()
