"""What a team meets: README word for word, who wrote what, and which zoo a command speaks to."""

import json
import re
from pathlib import Path
from types import SimpleNamespace

import pytest

from tests.services.servers import PASSWORD, Team
from zoo.db import audit
from zoo.db.migrations import upgrade as migrate
from zoo.db.open import upgrade_database
from zoo.db.postgres import PostgresDatabase, user_name
from zoo.registry import open_registry

ROOT = Path(__file__).resolve().parents[2]


def test_readme_word_for_word(
    team: Team, tmp_path: Path, made: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only the two addresses are replaced, by those of the servers here."""
    import boto3

    monkeypatch.chdir(tmp_path)
    made.phi(tmp_path / "my-model", 1)
    other = f"{team.store.split('/')[2]}-other"
    boto3.client("s3").create_bucket(Bucket=other)
    block = re.search(r"## Share a zoo\n\n```sh\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    assert block is not None
    lines = [line.partition("  #")[0].strip() for line in block[1].splitlines()]
    addresses = {"postgresql://user@host/zoo": team.database.url, "s3://bucket/zoo": team.store}
    variables: dict[str, str | None] = {"PHIZOO_DB": None, "PHIZOO_STORE": None}
    typed = []
    for line in lines:
        if line.startswith("export "):
            name, _, value = line.removeprefix("export ").partition("=")
            variables[name] = addresses[value]
        elif line.startswith("phizoo "):
            words = line.replace("s3://other-bucket/exchange", f"s3://{other}/exchange").split()[1:]
            done = team.phizoo(*words, **variables)
            assert done.returncode == 0, (line, done.stderr)
            typed.append((words[1], done.stdout))
    assert [word for word, _ in typed] == ["upgrade", "add", "list", "audit", "push"]
    assert "my-model:1" in dict(typed)["list"]


def test_who_wrote_what(team: Team, tmp_path: Path, made: SimpleNamespace) -> None:
    upgrade_database(team.database.url)
    role = team.database.role(
        "bob", "GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO {role}",
        "GRANT USAGE ON ALL SEQUENCES IN SCHEMA public TO {role}",
    )  # fmt: skip
    with open_registry() as ann:
        checkpoint = ann.add(made.phi(tmp_path / "phi"), "one")
        ann.add(made.phi(tmp_path / "phi-2", 2), "one")
        ann.alias("one", "best", 1)
    with open_registry(team.database.url_of(role), team.store) as bob:
        protocol = made.protocol()
        header = {"id": "a" * 64, "checkpoint": checkpoint.digest, "checkpoint_label": "one:1", "task": "humaneval"}
        bob.add_scores(header, protocol, [made.score(checkpoint.digest, "a" * 64)])
        bob.alias("one", "best", 2)
        bob.unalias("one", "best")
        bob.remove("one:2")
    with open_registry(readonly=True) as registry:
        now = registry.database.now()
    entries = json.loads(team.phizoo("models", "audit", "--json").stdout)
    assert [(entry["action"], entry["subject"], entry["detail"]) for entry in entries] == [
        ("removed", "one:2", entries[0]["detail"]),
        ("alias", "one@best", "2 -> 0"),
        ("alias", "one@best", "1 -> 2"),
        ("published", "one:1 humaneval", "run aaaaaaaaaaaa"),
        ("alias", "one@best", "0 -> 1"),
        ("added", "one:1", checkpoint.digest[:12]),
    ]
    assert [entry["author"]["role"] for entry in entries] == [role] * 4 + [team.database.owner] * 2
    for entry in entries:
        author = entry["author"]
        assert author["user"] == user_name() and author["host"] and author["phizoo"]
        assert now[:13] >= author["time"][:13] >= "2020"
    shown = json.loads(team.phizoo("models", "show", "one", "--json").stdout)
    assert shown["added_by"]["role"] == team.database.owner
    assert shown["scores"][0]["published_by"]["role"] == role
    assert f"(role {team.database.owner}) on " in team.phizoo("models", "show", "one").stdout
    assert f"(role {role}) on " in team.phizoo("models", "alias", "one", "--history").stdout
    table = team.phizoo("models", "audit", "--limit", "2").stdout.splitlines()
    assert len(table) == 3 and role in table[1]


def test_records_from_before_have_an_unknown_author(team: Team, tmp_path: Path, made: SimpleNamespace) -> None:
    old = PostgresDatabase(team.database.url, readonly=False)
    migrate(old, "0010")
    with old.write():
        old.run(
            "INSERT INTO alias_history (name, alias, version, previous, moved) VALUES ('one', 'b', 1, 0, '2025-01-01')"
        )
        old.run(
            "INSERT INTO runs (id, checkpoint, results, created, record) VALUES ('r', 'c', '', '2025-01-02', '{\"task\": \"t\"}')"
        )
    old.close()
    upgrade_database(team.database.url)
    with open_registry(readonly=True) as registry:
        assert registry.run_author("r") == audit.NOBODY
        assert [entry.author.fields()["user"] for entry in registry.audit(9)] == ["unknown", "unknown"]
        assert [entry.time for entry in registry.audit(9)] == ["2025-01-02", "2025-01-01"]
    assert "unknown" in team.phizoo("models", "audit").stdout


def test_each_command_names_its_zoo_once(team: Team) -> None:
    upgrade_database(team.database.url)
    for command in (("models", "list", "--json"), ("models", "gc"), ("models", "upgrade"), ("eval", "runs", "--renew")):
        done = team.phizoo(*command)
        assert done.returncode == 0, done.stderr
        named = [line for line in done.stderr.splitlines() if line.startswith("phizoo: zoo ")]
        address = team.database.url.replace(PASSWORD, "***")
        assert named == [f"phizoo: zoo {address}, bytes in {team.store} (PHIZOO_DB and PHIZOO_STORE)"]
    assert json.loads(team.phizoo("models", "list", "--json").stdout) == []
    for silent in (("models", "list", "--help"), ("models", "variants")):
        assert "phizoo: zoo" not in team.phizoo(*silent).stderr
    completion = {"_PHIZOO_COMPLETE": "bash_complete", "COMP_WORDS": "phizoo models show ", "COMP_CWORD": "3"}
    assert team.phizoo(**completion).stderr == ""
    alone = team.phizoo("models", "list", PHIZOO_DB=None, PHIZOO_STORE=None)
    assert (alone.returncode, alone.stderr) == (0, "")


def test_doctor_asks_the_database(team: Team) -> None:
    def zoo_line(**changes: str) -> dict[str, str]:
        rows = json.loads(team.phizoo("doctor", "--json", **changes).stdout)
        return next(row for row in (rows["checks"] if isinstance(rows, dict) else rows) if "zoo" in row.values())

    assert "contains no zoo yet" in str(zoo_line())
    upgrade_database(team.database.url)
    assert "(reading and writing)" in str(zoo_line())
    role = team.database.role("bob", "GRANT SELECT ON ALL TABLES IN SCHEMA public TO {role}")
    assert "reading only" in str(zoo_line(PHIZOO_DB=team.database.url_of(role)))
    assert "GRANT INSERT, UPDATE, DELETE" in str(zoo_line(PHIZOO_DB=team.database.url_of(role)))
    assert "password" in str(zoo_line(PHIZOO_DB=team.database.url_of(role, "wrong")))
