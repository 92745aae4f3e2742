"""What another zoo says is refused, and nothing of it enters, unless its parts belong together and to the question."""

import json
import os
import sqlite3
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from zoo.admission.records import check_entry, decode_entry
from zoo.cli.output import score_notes
from zoo.db.migrations import upgrade
from zoo.db.open import open_database
from zoo.errors import ZooError
from zoo.exchange.card import model_card
from zoo.exchange.zoo_remote import pull, push
from zoo.records import File, manifest_digest
from zoo.registry import Registry, open_registry

Change = Callable[[dict[str, Any]], object]


def theirs(tmp_path: Path) -> tuple[str, str]:
    """Database and store of the zoo that pulls."""
    return f"sqlite:///{tmp_path / 'theirs' / 'zoo.db'}", str(tmp_path / "theirs" / "store")


def add_run(registry: Registry, made: SimpleNamespace, checkpoint: str, run: str = "run-1", **facts: Any) -> None:
    protocol = made.protocol()
    header = {"id": run, "checkpoint": checkpoint, "task": protocol.task, "checkpoint_label": "one:1"}
    registry.add_scores(header, protocol, [made.score(checkpoint, run, **facts)])


@pytest.fixture
def entry(tmp_path: Path, made: SimpleNamespace) -> Path:
    """The entry of one:1, pushed to the folder `remote`."""
    with open_registry() as registry:
        add_run(registry, made, registry.add(made.phi(tmp_path / "a", 1), "one").digest)
        push(registry, "one:1", str(tmp_path / "remote"))
    (path,) = (tmp_path / "remote" / "entries").rglob("*.json")
    return path


def first_run(record: dict[str, Any]) -> dict[str, Any]:
    run: dict[str, Any] = record["runs"][0]
    return run


LIES: dict[str, Change] = {
    "no samples": lambda e: first_run(e)["scores"][0].update(n=0),
    "negative samples": lambda e: first_run(e)["scores"][0].update(n=-3, clusters=-3),
    "more clusters than samples": lambda e: first_run(e)["scores"][0].update(clusters=165),
    "more samples than the protocol": lambda e: first_run(e)["scores"][0].update(n=165),
    "negative unscored": lambda e: first_run(e)["scores"][0].update(unscored=-1),
    "500 percent": lambda e: first_run(e)["scores"][0].update(value=5.0, high=5.0),
    "value outside its interval": lambda e: first_run(e)["scores"][0].update(value=0.9),
    "infinite": lambda e: first_run(e)["scores"][0].update(high=float("inf")),
    "not a number": lambda e: first_run(e)["scores"][0].update(value=float("nan")),
    "huge count": lambda e: first_run(e)["scores"][0].update(draws=10**18),
    "another checkpoint's score": lambda e: first_run(e)["scores"][0].update(checkpoint="c" * 64),
    "another checkpoint's run": lambda e: first_run(e)["header"].update(checkpoint="c" * 64),
    "another run's score": lambda e: first_run(e)["scores"][0].update(run="run-2"),
    "another protocol's score": lambda e: first_run(e)["scores"][0].update(protocol="d" * 64),
    "another metric": lambda e: first_run(e)["scores"][0].update(metric="pass@10"),
    "another task": lambda e: first_run(e)["header"].update(task="mbpp"),
    "another protocol's header": lambda e: first_run(e)["header"].update(
        protocol=dict(first_run(e)["protocol"], shots=5), fingerprint=""
    ),
    "seeds of nobody": lambda e: first_run(e)["scores"][0].update(seeds=2, runs=["run-1", "run-0"]),
    "a score twice": lambda e: first_run(e)["scores"].append(first_run(e)["scores"][0]),
    "a run twice": lambda e: e["runs"].append(e["runs"][0]),
    "header of wrong types": lambda e: first_run(e)["header"].update(seed="x"),
    "an id with spaces": lambda e: (
        first_run(e)["header"].update(id="a b"),
        first_run(e)["scores"][0].update(run="a b"),
    ),
    "escape in a label": lambda e: first_run(e)["header"].update(checkpoint_label="\x1b[2Jone"),
    "direction mark in a licence": lambda e: e["checkpoint"].update(licence="mit\u202e"),
    "line break in a metric": lambda e: (
        first_run(e)["protocol"].update(metric="a\nb"),
        first_run(e)["scores"][0].update(metric="a\nb"),
    ),
    "negative tokens": lambda e: e["checkpoint"].update(training_tokens=-1),
    "a dataset that it never saw": lambda e: e["datasets"].append(
        {"name": "code", "digest": "a" * 64, "kind": "tokens", "documents": 1, "tokens": 1}
    ),
    "a parent that is no digest": lambda e: e["checkpoint"].update(parents=[{"digest": "x", "relation": "grow"}]),
    "a tag twice": lambda e: e["checkpoint"].update(tags=["keep", "keep"]),
    "another name": lambda e: e["checkpoint"].update(name="phi-2"),
    "another version": lambda e: e["checkpoint"].update(version=2),
}


@pytest.mark.parametrize("lie", LIES)
def test_an_entry_whose_parts_do_not_belong_together_is_refused_whole(
    lie: str, entry: Path, tmp_path: Path, made: SimpleNamespace
) -> None:
    record = json.loads(entry.read_text())
    LIES[lie](record)
    entry.write_text(json.dumps(record))
    with open_registry(*theirs(tmp_path)) as registry:
        with pytest.raises(ZooError) as refused:
            pull(registry, "one", str(tmp_path / "remote"))
        assert "\n" not in str(refused.value) and "\x1b" not in str(refused.value)
        assert not registry.list() and not registry.scores() and not registry.datasets() and not registry.runs()


@pytest.mark.parametrize(("name", "path", "said"), [
    ("one", "model.safetensors", "two of its files have one path"),
    ("one", "config.json/x.json", "two of its files have one path"),
    ("deadbeef", "LICENSE", "reads as the beginning of a digest"),
])  # fmt: skip
def test_a_checkpoint_that_no_folder_could_be_is_refused(entry: Path, name: str, path: str, said: str) -> None:
    record = json.loads(entry.read_text())
    checkpoint = record["checkpoint"]
    checkpoint["files"].append(dict(checkpoint["files"][0], path=path))
    digest = manifest_digest(tuple(File(**file) for file in checkpoint["files"]))
    checkpoint.update(name=name, digest=digest)
    with pytest.raises(ZooError, match=said):
        check_entry(decode_entry(json.dumps(record | {"runs": []}).encode(), "x"), f"{name}:1")


def test_a_key_that_stands_twice_is_refused(entry: Path, tmp_path: Path) -> None:
    text = entry.read_text()
    assert text.count('"name": "one"') == 1
    entry.write_text(text.replace('"name": "one"', '"name": "phi-2", "name": "one"'))
    with open_registry(*theirs(tmp_path)) as registry, pytest.raises(ZooError, match="the key 'name' is a duplicate"):
        pull(registry, "one", str(tmp_path / "remote"))


@pytest.mark.parametrize(("record", "said"), [
    ("replace(record, '\"mini\"', '\"phi-2\"')", "asked for 'mini', but the entry there is of phi-2:1"),
    ("'{}'", "cannot be read"),
])  # fmt: skip
def test_a_home_with_another_record_is_refused_in_one_line(
    tmp_path: Path, made: SimpleNamespace, record: str, said: str
) -> None:
    home = tmp_path / "home"
    with open_registry(f"sqlite:///{home / 'zoo.db'}", str(home / "store")) as registry:
        registry.add(made.phi(tmp_path / "a", 1), "mini")
        with registry.database.write():
            registry.database.run(f"UPDATE checkpoints SET record = {record}")
    with open_registry(*theirs(tmp_path)) as registry:
        with pytest.raises(ZooError, match=said):
            pull(registry, "mini", str(home))
        assert not registry.list()


def test_a_failure_in_the_last_row_leaves_no_row_and_keeps_the_bytes(
    entry: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from zoo.exchange import zoo_remote

    def fail(*_: object) -> None:
        raise OSError("the disk is full")

    with open_registry(*theirs(tmp_path)) as registry:
        with monkeypatch.context() as patch:
            patch.setattr(zoo_remote, "write_run", fail)
            with pytest.raises(OSError, match="disk is full"):
                pull(registry, "one", str(tmp_path / "remote"))
        assert not registry.list() and not registry.scores()
        assert pull(registry, "one", str(tmp_path / "remote")).files == 0  # the bytes stayed


def test_nothing_is_written_where_a_pull_reads(tmp_path: Path, made: SimpleNamespace) -> None:
    home = tmp_path / "home"
    with open_registry(f"sqlite:///{home / 'zoo.db'}", str(home / "store")) as registry:
        registry.add(made.phi(tmp_path / "a", 1), "mini")
    before = {path: path.stat().st_mtime_ns for path in home.rglob("*")}
    with open_registry(*theirs(tmp_path)) as registry:
        pull(registry, "mini", str(home))
    assert {path: path.stat().st_mtime_ns for path in home.rglob("*")} == before


def test_an_older_schema_there_is_refused_and_not_migrated(tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    url = f"sqlite:///{home / 'zoo.db'}"
    database = open_database("sqlite://")
    database.close()
    from zoo.db.database import SqliteDatabase

    old = SqliteDatabase(url, home / "zoo.db", readonly=False)
    upgrade(old, "0003")
    old.close()
    with open_registry(*theirs(tmp_path)) as registry, pytest.raises(ZooError, match="its schema is 0003"):
        pull(registry, "mini", str(home))
    with sqlite3.connect(home / "zoo.db") as reader:
        assert reader.execute("SELECT version_num FROM alembic_version").fetchone() == ("0003",)
    reader.close()


def test_a_run_here_is_not_overwritten_and_a_foreign_one_of_its_id_is_refused(
    entry: Path, tmp_path: Path, made: SimpleNamespace
) -> None:
    with open_registry(*theirs(tmp_path)) as registry:
        mine = registry.add(made.phi(tmp_path / "b", 2), "phi-2").digest
        add_run(registry, made, mine, "run-1", value=0.3)
        with pytest.raises(ZooError, match="of another checkpoint here"):
            pull(registry, "one", str(tmp_path / "remote"))
        assert registry.run("run-1")["checkpoint"] == mine
        assert [score.value for score in registry.scores("phi-2")] == [0.3]
        assert [checkpoint.label for checkpoint in registry.list()] == ["phi-2:1"]


def test_a_pulled_score_says_where_it_was_measured_and_never_stands_before_our_own(
    entry: Path, tmp_path: Path, made: SimpleNamespace
) -> None:
    remote = str(tmp_path / "remote")
    with open_registry(*theirs(tmp_path)) as registry:
        digest = registry.add(made.phi(tmp_path / "a", 1), "ours").digest  # the same bytes
        pull(registry, "one", remote)
        (pulled,) = registry.scores(digest, chosen=True)
        assert pulled.measured_at == remote
        assert f"measured elsewhere: {remote}" in score_notes(pulled)
        assert f"measured elsewhere: {remote}" in model_card(registry, "ours")
        add_run(registry, made, digest, "here", value=0.25, n=100, clusters=100)
        (own,) = registry.scores(digest, chosen=True)
        assert (own.run, own.measured_at) == ("here", "")
        push(registry, "one", str(tmp_path / "third"))
    with open_registry(f"sqlite:///{tmp_path / 'last' / 'zoo.db'}", str(tmp_path / "last" / "store")) as registry:
        pull(registry, "one", str(tmp_path / "third"))
        places = {score.run: score.measured_at for score in registry.scores("one")}
        assert places == {"here": str(tmp_path / "third"), "run-1": f"{remote} by way of {tmp_path / 'third'}"}


def test_a_score_out_of_range_in_the_database_is_left_out_with_a_line(
    tmp_path: Path, made: SimpleNamespace, capsys: pytest.CaptureFixture[str]
) -> None:
    with open_registry() as registry:
        digest = registry.add(made.phi(tmp_path / "a", 1), "one").digest
        add_run(registry, made, digest, "good")
        add_run(registry, made, digest, "bad", n=50, clusters=50)
        with registry.database.write():
            registry.database.run("UPDATE scores SET n = -3 WHERE run = 'bad'")
        assert [score.run for score in registry.scores()] == ["good"]
        add_run(registry, made, digest, "better")  # marks which scores stand, with the bad one among them
        assert [score.run for score in registry.scores(chosen=True)] == ["better"]
    assert capsys.readouterr().err.count("a score of run 'bad' is left out: n is -3, expected 1 or more") == 1


def test_a_digest_wins_over_a_name_and_no_new_name_looks_like_one(tmp_path: Path, made: SimpleNamespace) -> None:
    with open_registry() as registry:
        phi = registry.add(made.phi(tmp_path / "a", 1), "phi-2")
        prefix = phi.digest[:12]
        with pytest.raises(ZooError, match="reads as the beginning of a digest"):
            registry.add(made.phi(tmp_path / "b", 2), prefix)
        other = registry.add(made.phi(tmp_path / "b", 2), "other")
        with pytest.raises(ZooError, match="reads as the beginning of a digest"):
            registry.rename("other", prefix)
        with registry.database.write():  # a zoo of an older version has such a name
            registry.database.run(
                "UPDATE checkpoints SET name = :name, record = replace(record, '\"other\"', :quoted) WHERE name = 'other'",
                name=prefix, quoted=f'"{prefix}"',
            )  # fmt: skip
        assert registry.get(prefix) == phi
        assert registry.get(f"{prefix}:1").digest == other.digest


def test_a_digest_wins_over_the_name_of_an_entry(entry: Path, tmp_path: Path, made: SimpleNamespace) -> None:
    record = json.loads(entry.read_text())
    prefix = record["checkpoint"]["digest"][:12]
    forged = json.loads(entry.read_text())
    forged["checkpoint"]["name"] = prefix
    forged["checkpoint"]["files"] = forged["checkpoint"]["files"][:1]
    files = tuple(File(**file) for file in forged["checkpoint"]["files"])
    forged["checkpoint"]["digest"] = manifest_digest(files)
    forged["runs"] = []
    place = entry.parent.parent / prefix / f"9-{forged['checkpoint']['digest']}.json"
    os.makedirs(place.parent)
    place.write_text(json.dumps(forged))
    with open_registry(*theirs(tmp_path)) as registry:
        assert pull(registry, prefix, str(tmp_path / "remote")).label == "one:1"
