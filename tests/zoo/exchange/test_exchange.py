"""An exchange: aliases move as a whole, two labs' names are told apart, and what was pushed can be removed."""

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace

import msgspec
import pytest

from tests.zoo.exchange.test_zoo_remote import bucket, s3_server  # noqa: F401  the same server
from zoo.cli import root
from zoo.errors import ZooError
from zoo.exchange import name_file, running
from zoo.exchange.name_file import AliasPlace, NameFile, Sender
from zoo.exchange.small_files import SmallFiles
from zoo.exchange.zoo_remote import open_remote, pull, push, unpush
from zoo.registry import Registry, open_registry
from zoo.store.store import owner


@pytest.fixture(params=["folder", "s3"])
def exchange(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The address of an empty exchange."""
    return str(request.getfixturevalue("bucket")) if request.param == "s3" else str(tmp_path / "exchange")


@contextmanager
def zoo(tmp_path: Path, name: str) -> Iterator[Registry]:
    """The zoo of a lab."""
    with open_registry(f"sqlite:///{tmp_path / name / 'zoo.db'}", str(tmp_path / name / "store")) as registry:
        yield registry


def fill(registry: Registry, made: SimpleNamespace, tmp_path: Path, *numbers: int) -> None:
    for number in numbers:
        registry.add(made.phi(tmp_path / f"phi-{number}", number), "phi")


def objects(exchange: str) -> set[str]:
    with open_remote(exchange) as remote:
        return {sha256 for sha256, _ in remote.store.objects()}


def test_an_alias_that_moved_back_gives_the_right_bytes(exchange: str, tmp_path: Path, made: SimpleNamespace) -> None:
    with zoo(tmp_path, "lab") as lab, zoo(tmp_path, "other") as other:
        fill(lab, made, tmp_path, 1, 2)
        lab.alias("phi", "best", 1)
        push(lab, "phi:1", exchange)
        lab.alias("phi", "best", 2)
        push(lab, "phi:2", exchange)
        assert pull(other, "phi@best", exchange).digest == lab.get("phi:2").digest
        assert other.get("phi@best").digest == lab.get("phi:2").digest
        lab.alias("phi", "best", 1)
        push(lab, "phi:2", exchange)  # whichever version is pushed, all aliases of the name go with it
        moved = pull(other, "phi@best", exchange)
        assert moved.digest == lab.get("phi:1").digest == other.get("phi@best").digest
        assert "phi@best was at version 1 here" in moved.notes
        lab.unalias("phi", "best")
        push(lab, "phi:1", exchange)
        with pytest.raises(ZooError, match='phi has no alias "best" there'):
            pull(other, "phi@best", exchange)


def test_a_pull_by_version_moves_no_alias_but_says_so(tmp_path: Path, made: SimpleNamespace) -> None:
    exchange = str(tmp_path / "exchange")
    with zoo(tmp_path, "lab") as lab, zoo(tmp_path, "other") as other:
        fill(lab, made, tmp_path, 1, 2)
        lab.alias("phi", "best", 2)
        push(lab, "phi:1", exchange)
        with pytest.raises(ZooError, match="phi@best is version 2, which was not pushed there"):
            pull(other, "phi@best", exchange)
        pull(other, "phi:1", exchange)
        other.alias("phi", "best", 1)
        push(lab, "phi:2", exchange)
        moved = pull(other, "phi:2", exchange)
        assert moved.notes == (
            "phi@best is at version 2 there and stays at 1 here; to move it: phizoo models alias phi:2 best",
        )
        assert other.aliases("phi") == {"best": 1}


def test_the_aliases_of_an_older_exchange_are_read_from_its_entries(tmp_path: Path, made: SimpleNamespace) -> None:
    exchange = tmp_path / "exchange"
    with zoo(tmp_path, "lab") as lab, zoo(tmp_path, "other") as other:
        fill(lab, made, tmp_path, 1, 2)
        for version in (1, 2):
            lab.alias("phi", "best", version)
            push(lab, f"phi:{version}", str(exchange))
        for folder in ("names", "pins", "removals"):
            for path in (exchange / folder).glob("*.json"):
                path.unlink()
        (exchange / "zoo.json").unlink()
        assert pull(other, "phi@best", str(exchange)).digest == lab.get("phi:2").digest
        lab.alias("phi", "best", 1)
        push(lab, "phi:1", str(exchange))
        assert pull(other, "phi@best", str(exchange)).digest == lab.get("phi:1").digest


def test_moves_of_one_zoo_are_ordered_by_its_database_and_not_by_clocks(tmp_path: Path) -> None:
    with open_remote(str(tmp_path)) as remote:
        files = SmallFiles(remote.store)
    ahead = AliasPlace(version=1, digest="a" * 64, moved="2030-01-01", zoo="z", order=1)
    back = AliasPlace(version=2, digest="b" * 64, moved="2020-01-01", zoo="z", order=2)
    foreign = AliasPlace(version=3, digest="c" * 64, moved="2025-01-01", zoo="y", order=9)
    for sent, kept in ((ahead, ahead), (back, back), (ahead, back), (foreign, foreign), (back, foreign)):
        name_file.move_aliases(files, "", "phi", Sender(sent.zoo, "", {}, {"best": sent}))
        state = msgspec.json.decode((tmp_path / "names" / "phi.json").read_bytes(), type=NameFile)
        assert state.aliases == {"best": kept}


def test_two_labs_that_push_one_name_are_told_apart(exchange: str, tmp_path: Path, made: SimpleNamespace) -> None:
    with zoo(tmp_path, "a") as a, zoo(tmp_path, "b") as b, zoo(tmp_path, "c") as c:
        fill(a, made, tmp_path, 1)
        fill(b, made, tmp_path, 2, 3)
        push(a, "phi", exchange)
        before = objects(exchange)
        for spec in ("phi:1", "phi:2"):
            with pytest.raises(ZooError, match=r"there is another zoo's .*push OWNER/phi"):
                push(b, spec, exchange)
        assert objects(exchange) == before
        push(b, "lab-b/phi:1", exchange)
        with open_remote(exchange) as remote:
            assert remote.labels() == ["phi:1", "lab-b/phi:1"]
        assert pull(c, "phi", exchange).digest == a.get("phi").digest
        assert pull(c, "lab-b/phi", exchange).digest == b.get("phi:1").digest
        with pytest.raises(ZooError, match=r'no checkpoint "lab-c/phi" .*nearest: "lab-b/phi"'):
            pull(c, "lab-c/phi", exchange)
        with pytest.raises(ZooError, match="there is another zoo's"):
            push(a, "lab-b/phi", exchange)


def test_who_pulled_a_name_may_go_on_with_it(tmp_path: Path, made: SimpleNamespace) -> None:
    exchange = str(tmp_path / "exchange")
    with zoo(tmp_path, "a") as a, zoo(tmp_path, "b") as b:
        fill(a, made, tmp_path, 1)
        push(a, "phi", exchange)
        pull(b, "phi", exchange)
        fill(b, made, tmp_path, 2)
        push(b, "phi:2", exchange)
        fill(a, made, tmp_path, 3)
        with pytest.raises(ZooError, match="phi:2 there is another zoo's"):
            push(a, "phi:2", exchange)
        assert pull(a, "phi:2", exchange).label == "phi:3"


def test_one_version_of_two_zoos_in_an_older_exchange_is_not_chosen_by_hash(
    tmp_path: Path, made: SimpleNamespace, capsys: pytest.CaptureFixture[str]
) -> None:
    exchange = tmp_path / "exchange"
    with zoo(tmp_path, "a") as a, zoo(tmp_path, "b") as b, zoo(tmp_path, "c") as c:
        fill(a, made, tmp_path, 1)
        fill(b, made, tmp_path, 2)
        push(a, "phi", str(exchange))
        push(b, "phi", str(tmp_path / "other"))
        (theirs,) = (tmp_path / "other" / "entries" / "phi").iterdir()
        (exchange / "entries" / "phi" / theirs.name).write_bytes(theirs.read_bytes())
        for spec in ("phi", "phi:1"):
            with pytest.raises(ZooError, match=r"phi:1 is 2 checkpoints there, of several zoos: .*by its digest"):
                pull(c, spec, str(exchange))
        assert pull(c, a.get("phi").digest[:12], str(exchange)).digest == a.get("phi").digest
    assert root.run(["models", "pull", "--list", str(exchange), "--json"]) == 0
    labels = json.loads(capsys.readouterr().out)
    assert [label.split()[0] for label in labels] == ["phi:1", "phi:1"]
    assert len({*labels}) == 2


def test_what_was_pushed_is_removed_with_the_bytes_that_no_other_needs(
    exchange: str, tmp_path: Path, made: SimpleNamespace
) -> None:
    with zoo(tmp_path, "a") as a, zoo(tmp_path, "b") as b:
        fill(a, made, tmp_path, 1, 2)
        a.alias("phi", "best", 1)
        push(a, "phi:1", exchange)
        push(a, "phi:2", exchange)
        assert len(objects(exchange)) == 3  # config.json is shared
        with pytest.raises(ZooError, match=r"phi has 2 versions there; say which to remove: phi:1, phi:2"):
            unpush(a, "phi", exchange)
        with pytest.raises(ZooError, match=r"was pushed by another zoo; if it may go: .*--yes phi:1"):
            unpush(b, "phi:1", exchange)
        removed = unpush(a, "phi@best", exchange)
        assert (removed.label, removed.files) == ("phi:1", 1)
        assert objects(exchange) == {file.sha256 for file in a.get("phi:2").files}
        with pytest.raises(ZooError, match='no alias "best"'):
            pull(b, "phi@best", exchange)
        pull(b, "phi:2", exchange)
        assert b.verify() == []
        assert unpush(b, "phi:2", exchange, forced=True).files == 2
        assert objects(exchange) == set()
        fill(b, made, tmp_path, 3)
        push(b, "phi:2", exchange)  # the name is free again
        with pytest.raises(ZooError, match="no checkpoint"):
            unpush(b, "phi:1", exchange)


def test_a_removal_leaves_what_a_running_push_needs(tmp_path: Path, made: SimpleNamespace) -> None:
    exchange = tmp_path / "exchange"
    with zoo(tmp_path, "a") as a:
        fill(a, made, tmp_path, 1)
        push(a, "phi", str(exchange))
        held = objects(str(exchange))
        with open_remote(str(exchange)) as remote:
            files = SmallFiles(remote.store)
        with running.pinned(files, held):
            assert unpush(a, "phi", str(exchange)).files == 0
            assert objects(str(exchange)) == held
        push(a, "phi", str(exchange))
        dead = exchange / "pins" / f"{owner().rpartition('.')[0]}.1.x.json"  # of a process that has ended
        dead.write_text(json.dumps(sorted(held)))
        assert unpush(a, "phi", str(exchange)).files == 2


def test_a_push_waits_for_a_removal_of_its_files(
    tmp_path: Path, made: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    exchange = tmp_path / "exchange"
    monkeypatch.setattr(running, "WAIT_SECONDS", 1.0)
    with zoo(tmp_path, "a") as a:
        fill(a, made, tmp_path, 1)
        push(a, "phi", str(exchange))
        note = exchange / "removals" / f"{owner()}.x.json"
        note.parent.mkdir(exist_ok=True)
        note.write_text(json.dumps([file.sha256 for file in a.get("phi").files]))
        with pytest.raises(ZooError, match=r"another process is removing some of these files \(removals/"):
            push(a, "phi", str(exchange))
        assert list((exchange / "pins").glob("*.json")) == []
        monkeypatch.setattr(running, "WAIT_SECONDS", 60.0)
        threading.Timer(1.0, note.unlink).start()
        began = time.monotonic()
        push(a, "phi", str(exchange))
        assert time.monotonic() - began > 0.9


def test_old_bytes_of_broken_pushes_go_with_the_next_removal(tmp_path: Path, made: SimpleNamespace) -> None:
    import os

    exchange = tmp_path / "exchange"
    with zoo(tmp_path, "a") as a:
        fill(a, made, tmp_path, 1)
        push(a, "phi", str(exchange))
        for digest, age in (("a" * 64, 25), ("b" * 64, 23)):
            path = exchange / "objects" / digest[:2] / digest
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(b"x")
            os.utime(path, (time.time() - age * 3600,) * 2)
        assert unpush(a, "phi", str(exchange)).files == 3
        assert objects(str(exchange)) == {"b" * 64}


def test_changes_of_a_small_file_at_once_are_all_kept(exchange: str) -> None:
    with open_remote(exchange) as remote:
        files = SmallFiles(remote.store)

    def add(number: int) -> None:
        files.change("names/x.json", lambda text: json.dumps(sorted([*json.loads(text or b"[]"), number])).encode())

    threads = [threading.Thread(target=add, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert json.loads(files.read("names/x.json") or b"") == list(range(6))


def test_the_commands_push_remove_and_pull_with_an_owner(
    tmp_path: Path, made: SimpleNamespace, capsys: pytest.CaptureFixture[str]
) -> None:
    exchange = str(tmp_path / "exchange")
    with open_registry() as registry:
        fill(registry, made, tmp_path, 1)
    assert root.run(["models", "push", "lab/phi", exchange]) == 0
    assert root.run(["models", "pull", "--list", exchange]) == 0
    assert "lab/phi:1" in capsys.readouterr().out
    assert root.run(["models", "pull", "lab/phi:1", exchange]) == 0
    capsys.readouterr()
    assert root.run(["models", "push", "--remove", "lab/phi:1", exchange, "--json"]) == 0
    removed = json.loads(capsys.readouterr().out)
    assert (removed["label"], removed["files"]) == ("lab/phi:1", 2)
    assert root.run(["models", "pull", "lab/phi:1", exchange]) == 2
    assert root.run(["models", "push", "../x/phi", exchange]) == 2
    assert root.run(["models", "push", "--remove", "phi", str(tmp_path / "home")]) == 2
    assert "phizoo models remove phi" in capsys.readouterr().err
