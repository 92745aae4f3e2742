"""Two teams on one PostgreSQL server and one S3 server: a wrong pair is refused, whoever types what."""

import subprocess
import uuid
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tests.services.servers import Team, TeamDatabase, new_name
from zoo.registry import open_registry

Change = dict[str, str | None]


def copy_bucket(source: str, target: str) -> None:
    """Copies every object below an s3:// address, the mark included."""
    import boto3

    client = boto3.client("s3")
    (old, _, prefix), (new, _, folder) = (url.removeprefix("s3://").partition("/") for url in (source, target))
    if not any(bucket["Name"] == new for bucket in client.list_buckets()["Buckets"]):
        client.create_bucket(Bucket=new)
    for item in client.list_objects_v2(Bucket=old, Prefix=prefix).get("Contents", []):
        key = f"{folder}{item['Key'].removeprefix(prefix)}"
        client.copy_object(Bucket=new, Key=key, CopySource={"Bucket": old, "Key": item["Key"]})


def state(url: str) -> dict[str, Any]:
    """Every object below an s3:// address, with its ETag."""
    import boto3

    name, _, prefix = url.removeprefix("s3://").partition("/")
    found = boto3.client("s3").list_objects_v2(Bucket=name, Prefix=prefix).get("Contents", [])
    return {item["Key"]: item["ETag"] for item in found}


@pytest.fixture
def two(team: Team, tmp_path: Path, made: SimpleNamespace) -> SimpleNamespace:
    """Two teams with one checkpoint each; the second has another database and another bucket."""
    other = TeamDatabase(team.database.server, new_name())
    other.create()
    bucket = f"s3://b-{uuid.uuid4().hex}/team"
    copy_bucket(team.store, bucket)
    second = Team(other, bucket, tmp_path / "others", team.environment)
    for number, one in enumerate((team, second)):
        folder = made.phi(tmp_path / f"phi-{number}", number)
        assert one.phizoo("models", "upgrade").returncode == 0
        done = one.phizoo("models", "add", str(folder), "--name", "one")
        assert done.returncode == 0, done.stderr
    made.phi(tmp_path / "new", 9)
    return SimpleNamespace(first=team, second=second, new=str(tmp_path / "new"), other=other, at=tmp_path)


def restored(two: SimpleNamespace) -> str:
    """The URL of a copy of the first team's database, made from its dump."""
    server, copy = two.first.database.server, TeamDatabase(two.first.database.server, new_name())
    copy.create()
    dump = two.at / "dump"
    server.tool("pg_dump", "-Fc", "-f", str(dump), two.first.database.name)
    server.tool("pg_restore", "--no-owner", f"--role={copy.owner}", "-d", copy.name, str(dump))
    return copy.url


def copied(two: SimpleNamespace) -> str:
    target = f"s3://copy-{uuid.uuid4().hex}/team"
    copy_bucket(two.first.store, target)
    return target


MISTAKES: dict[str, Callable[[SimpleNamespace], Change]] = {
    "PHIZOO_DB forgotten": lambda _two: {"PHIZOO_DB": None},
    "PHIZOO_STORE forgotten": lambda _two: {"PHIZOO_STORE": None},
    "swapped": lambda two: {"PHIZOO_STORE": two.second.store},
    "wrong folder of the bucket": lambda two: {"PHIZOO_STORE": f"{two.first.store}s"},
    "own database": lambda two: {"PHIZOO_DB": f"sqlite:///{two.at / 'mine.db'}"},
    "a copy of the bucket": lambda two: {"PHIZOO_STORE": copied(two)},
    "a restored dump": lambda two: {"PHIZOO_DB": restored(two)},
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_no_command_works_on_a_wrong_pair(mistake: str, two: SimpleNamespace) -> None:
    change = MISTAKES[mistake](two)
    before = state(two.first.store), state(two.second.store)
    for words in (
        ["add", two.new, "--name", "two"], ["gc", "--yes", "--grace", "0"], ["gc"], ["verify", "--repair"],
        ["path", "one"], ["push", "one", str(two.at / "sent")],
    ):  # fmt: skip
        done = two.first.phizoo("models", *words, member="new shell", **change)
        lines = [line for line in done.stderr.splitlines() if not line.startswith("phizoo: zoo ")]
        assert (done.returncode, len(lines)) == (2, 1), (words, done.stderr)
        assert any(word in lines[0] for word in ("does not belong to", "is not set", "no checkpoint")), lines
        assert "s3cr3t" not in done.stderr
        assert (state(two.first.store), state(two.second.store)) == before
    for one in (two.first, two.second):
        assert one.phizoo("models", "verify").stdout == "1 checkpoint verified\n"


def test_a_restored_pair_works_elsewhere_and_an_adopted_one_has_one_owner(two: SimpleNamespace) -> None:
    both = {"PHIZOO_DB": restored(two), "PHIZOO_STORE": copied(two)}
    done = two.first.phizoo("models", "add", two.new, "--name", "two", **both)
    assert done.returncode == 0, done.stderr
    assert two.first.phizoo("models", "verify", member="bob", **both).stdout == "2 checkpoints verified\n"
    assert two.first.phizoo("models", "verify").stdout == "1 checkpoint verified\n"
    moved = {"PHIZOO_DB": restored(two)}  # the old server is gone, the bucket stays
    assert two.first.phizoo("models", "adopt", **moved).returncode == 2
    done = two.first.phizoo("models", "adopt", "--yes", **moved)
    assert done.returncode == 0, done.stderr
    assert two.first.phizoo("models", "add", two.new, "--name", "two", **moved).returncode == 0
    assert "belongs to another zoo" in two.first.phizoo("models", "gc").stderr


def test_a_team_pushes_to_no_live_store(two: SimpleNamespace) -> None:
    before = state(two.second.store)
    done = two.first.phizoo("models", "push", "one", two.second.store)
    assert done.returncode == 2
    assert "is the store of a zoo (postgresql://" in done.stderr
    assert state(two.second.store) == before


def test_the_first_writers_of_a_new_team_agree_on_one_mark(team: Team, tmp_path: Path, made: SimpleNamespace) -> None:
    assert team.phizoo("models", "upgrade").returncode == 0
    running: list[subprocess.Popen[str]] = []
    for number in range(3):
        folder = made.phi(tmp_path / f"phi-{number}", number)
        running.append(team.start("models", "add", str(folder), "--name", f"m{number}", member=f"m{number}"))
    for process in running:
        _, error = process.communicate(timeout=120)
        assert process.returncode == 0, error
    with open_registry() as registry:
        assert registry.verify() == []
        assert len(registry.list()) == 3
