"""A store and a database know each other: a wrong pair is refused by every command that writes or deletes."""

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest

from zoo import ownership
from zoo.cli import root
from zoo.db import identity
from zoo.db.identity import Identity
from zoo.db.open import open_database
from zoo.errors import ZooError
from zoo.exchange.zoo_remote import push
from zoo.ownership import Mark, OwnerPair, judge
from zoo.registry import open_registry

OWN = Identity("z1", "s3://b/x", ("store",))
NEW = Identity("z1", "", ())
MARK = Mark(kind="store", zoo="z1", database=("db",), address="the database")


@pytest.mark.parametrize(
    ("pair", "action", "said"),
    [
        (OwnerPair(OWN, ("db",), MARK, ("store",)), "keep", ""),
        (OwnerPair(NEW, ("db",), MARK, ("store",)), "record", ""),
        (OwnerPair(NEW, ("db",), None, ()), "claim", ""),
        (OwnerPair(OWN, ("copy",), MARK, ("copied",)), "renew", ""),
        (OwnerPair(OWN, ("db",), None, ()), "refuse", "bears no mark"),
        (OwnerPair(OWN, ("db",), MARK, ("copied",)), "refuse", "is a copy"),
        (OwnerPair(OWN, ("copy",), MARK, ("store",)), "refuse", "of which this one is a copy"),
        (OwnerPair(NEW, ("copy",), MARK, ("store",)), "refuse", "of which this one is a copy"),
        (OwnerPair(OWN._replace(id="z2"), ("db",), MARK, ("store",)), "refuse", "belongs to another zoo"),
        (OwnerPair(NEW._replace(id="z2"), ("new",), MARK, ("store",)), "refuse", "belongs to another zoo"),
        (OwnerPair(NEW, ("db",), Mark(kind="exchange"), ("store",)), "refuse", "pushed to"),
    ],
)
def test_a_pair_is_judged_by_what_both_say(pair: OwnerPair, action: str, said: str) -> None:
    assert judge(pair).action == action
    assert said in judge(pair).reason
    assert action != "refuse" or ownership.ADOPT in judge(pair).reason or "models pull" in judge(pair).reason


def test_a_pair_fits_if_each_knows_most_of_the_other() -> None:
    good = [(0, 0, 0), (10, 10, 0, 9, 9), (10, 5, 0, 8, 4), (100, 60, 6, 9, 9)]
    bad = [(0, 0, 1), (10, 0, 0), (10, 4, 0), (10, 10, 2), (10, 9, 0, 100, 49)]
    assert [ownership.Fit(*one).is_good() for one in good] == [True] * 4
    assert [ownership.Fit(*one).is_good() for one in bad] == [False] * 5


def files_of(folder: Path) -> dict[str, int]:
    """Every file that is no cache and no side file of SQLite, with its size."""
    return {
        str(path.relative_to(folder)): path.stat().st_size
        for path in sorted(folder.rglob("*"))
        if path.is_file() and ".db" not in path.name and "/trees/" not in str(path)
    }


@pytest.fixture
def teams(tmp_path: Path, made: SimpleNamespace) -> Path:
    """The zoos of two teams with one checkpoint each, under a/ and b/; an exchange; and checkpoints to add."""
    for number, team in enumerate("ab"):
        with open_registry(f"sqlite:///{tmp_path / team / 'team.db'}", str(tmp_path / team / "bytes")) as registry:
            registry.add(made.phi(tmp_path / f"phi-{team}", number), "one")
            push(registry, "one", str(tmp_path / f"exchange-{team}"))
    made.phi(tmp_path / "new", 7)
    return tmp_path


def copied(folder: Path, name: str) -> str:
    """The path of a copy of a file or folder beside it."""
    source, target = folder / name, folder / f"{name}.copy"
    shutil.copytree(source, target) if source.is_dir() else shutil.copy2(source, target)
    return str(target)


# what is wrong -> the variables of the shell, given the folder of the teams; None: not set
MISTAKES: dict[str, Callable[[Path], tuple[str | None, str | None]]] = {
    "PHIZOO_DB forgotten": lambda at: (None, str(at / "a" / "bytes")),
    "PHIZOO_STORE forgotten": lambda at: (f"sqlite:///{at / 'a' / 'team.db'}", None),
    "swapped": lambda at: (f"sqlite:///{at / 'a' / 'team.db'}", str(at / "b" / "bytes")),
    "another folder": lambda at: (f"sqlite:///{at / 'a' / 'team.db'}", str(at / "a" / "byte")),
    "a copy of the store": lambda at: (f"sqlite:///{at / 'a' / 'team.db'}", copied(at / "a", "bytes")),
    "a copy of the database": lambda at: (f"sqlite:///{copied(at / 'a', 'team.db')}", str(at / "a" / "bytes")),
    "an exchange": lambda at: (f"sqlite:///{at / 'a' / 'team.db'}", str(at / "exchange-a")),
    "an exchange, new database": lambda at: (f"sqlite:///{at / 'new.db'}", str(at / "exchange-a")),
}
COMMANDS: dict[str, Callable[[Path], list[str]]] = {
    "add": lambda at: ["add", str(at / "new"), "--name", "two"],
    "pull": lambda at: ["pull", "one", str(at / "exchange-b")],
    "push": lambda at: ["push", "one", str(at / "sent")],
    "path": lambda _at: ["path", "one"],
    "verify": lambda _at: ["verify"],
    "repair": lambda _at: ["verify", "--repair"],
    "gc": lambda _at: ["gc", "--grace", "0"],
    "gc --yes": lambda _at: ["gc", "--grace", "0", "--yes"],
}


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("mistake", MISTAKES)
def test_no_command_works_on_a_wrong_pair(
    mistake: str, command: str, teams: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in zip(("PHIZOO_DB", "PHIZOO_STORE"), MISTAKES[mistake](teams), strict=True):
        monkeypatch.delenv(name, raising=False) if value is None else monkeypatch.setenv(name, value)
    before = files_of(teams)
    assert root.run(["models", *COMMANDS[command](teams)]) == 2
    lines = capsys.readouterr().err.strip().splitlines()
    assert "Traceback" not in "\n".join(lines)
    assert [line for line in lines if not line.startswith("phizoo: zoo ")] == lines[-1:]
    if not (command in ("path", "push") and "no checkpoint" in lines[-1]):
        assert "does not belong to" in lines[-1], lines
        assert "phizoo models adopt" in lines[-1] or "models pull" in lines[-1] or "PHIZOO_STORE" in lines[-1]
    assert files_of(teams) == before
    for team in "ab":
        with open_registry(f"sqlite:///{teams / team / 'team.db'}", str(teams / team / "bytes")) as registry:
            assert registry.verify() == []
            assert [one.label for one in registry.list(all_versions=True)] == ["one:1"]


def test_results_of_a_run_do_not_go_into_a_wrong_store(teams: Path, made: SimpleNamespace) -> None:
    (teams / "results").write_text("{}\n")
    with open_registry(f"sqlite:///{teams / 'a' / 'team.db'}", str(teams / "b" / "bytes")) as registry:
        digest = registry.get("one").digest
        with pytest.raises(ZooError, match="belongs to another zoo"):
            registry.add_scores(
                {"id": "r", "checkpoint": digest}, made.protocol(), [made.score(digest, "r")], teams / "results"
            )
        assert registry.runs() == []


def test_an_adopted_store_has_one_owner(
    teams: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    copy = f"sqlite:///{copied(teams / 'a', 'team.db')}"
    monkeypatch.setenv("PHIZOO_DB", copy)
    monkeypatch.setenv("PHIZOO_STORE", str(teams / "a" / "bytes"))
    assert root.run(["models", "adopt"]) == 2
    told = capsys.readouterr()
    assert "this zoo names 2 of its 2 files, and 0 that are not there" in told.out
    assert "nothing was changed" in told.err
    assert root.run(["models", "verify"]) == 2
    assert root.run(["models", "adopt", "--yes"]) == 0
    assert "they belong together, from now on" in capsys.readouterr().out
    assert root.run(["models", "verify"]) == 0
    assert root.run(["models", "adopt"]) == 0
    monkeypatch.setenv("PHIZOO_DB", f"sqlite:///{teams / 'a' / 'team.db'}")
    capsys.readouterr()
    assert root.run(["models", "gc", "--yes"]) == 2
    assert "belongs to another zoo" in capsys.readouterr().err


def test_an_exchange_is_never_adopted(teams: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PHIZOO_DB", f"sqlite:///{teams / 'a' / 'team.db'}")
    monkeypatch.setenv("PHIZOO_STORE", str(teams / "exchange-a"))
    assert root.run(["models", "adopt", "--yes"]) == 2
    assert json.loads((teams / "exchange-a" / "zoo.json").read_bytes())["kind"] == "exchange"
    with open_registry(f"sqlite:///{teams / 'a' / 'team.db'}", str(teams / "a" / "bytes")) as registry:
        assert registry.verify() == []


def unmark(folder: Path) -> None:
    """Makes a zoo as an older version left it: without marks."""
    (folder / "bytes" / "zoo.json").unlink()
    database = open_database(f"sqlite:///{folder / 'team.db'}")
    with database.write():
        database.run("UPDATE identity SET store = '', store_place = '[]'")
    database.close()


def test_an_older_zoo_is_marked_by_the_first_write_if_its_files_fit(teams: Path, made: SimpleNamespace) -> None:
    unmark(teams / "a")
    unmark(teams / "b")
    store = teams / "a" / "bytes"
    with open_registry(f"sqlite:///{teams / 'a' / 'team.db'}", str(store), readonly=True) as registry:
        assert registry.path("one").is_dir()
    assert not (store / "zoo.json").exists()
    for other in (f"sqlite:///{teams / 'b' / 'team.db'}", f"sqlite:///{teams / 'new.db'}"):
        with open_registry(other, str(store)) as wrong, pytest.raises(ZooError, match="bears no mark, and this zoo"):
            wrong.gc(most=1.0, grace=0)
    nowhere = pytest.raises(ZooError, match=r"names 0 of its 0 files, and 2 that are not there")
    with open_registry(f"sqlite:///{teams / 'a' / 'team.db'}", str(teams / "empty")) as registry, nowhere:
        registry.add(teams / "new", "two")
    with open_registry(f"sqlite:///{teams / 'a' / 'team.db'}", str(store)) as registry:
        registry.add(teams / "new", "two")
        assert json.loads((store / "zoo.json").read_bytes())["zoo"] == identity.read(registry.database).id


def test_a_pair_that_was_copied_as_a_whole_is_a_zoo_of_its_own(teams: Path) -> None:
    shutil.copytree(teams / "a", teams / "moved")
    with open_registry(f"sqlite:///{teams / 'moved' / 'team.db'}", str(teams / "moved" / "bytes")) as registry:
        registry.add(teams / "new", "two")
        assert registry.verify() == []
    with open_registry(f"sqlite:///{teams / 'a' / 'team.db'}", str(teams / "a" / "bytes")) as registry:
        registry.add(teams / "new", "three")
    os.rename(teams / "a", teams / "renamed")
    with open_registry(f"sqlite:///{teams / 'renamed' / 'team.db'}", str(teams / "renamed" / "bytes")) as registry:
        assert registry.verify() == []
    pair = (f"sqlite:///{teams / 'moved' / 'team.db'}", str(teams / "renamed" / "bytes"))
    with open_registry(*pair) as registry, pytest.raises(ZooError, match="belongs to another zoo"):
        registry.verify()


def test_of_two_that_claim_a_store_at_once_one_gets_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from zoo.store.disk import DiskStore

    store = DiskStore(tmp_path / "bytes")
    write = DiskStore.write_mark
    zoos = [open_registry(f"sqlite:///{tmp_path / name}", store.url) for name in ("a.db", "b.db")]
    with zoos[0] as a, zoos[1] as b:

        def late(self: DiskStore, mark: bytes, first: bool) -> bool:
            monkeypatch.setattr(DiskStore, "write_mark", write)
            assert b.store.url == store.url
            return write(self, mark, first)

        monkeypatch.setattr(DiskStore, "write_mark", late)
        with pytest.raises(ZooError, match=r"belongs to another zoo \(sqlite:///.*b\.db\)"):
            a.verify()


def test_a_push_to_a_live_store_is_refused_and_nothing_is_sent(teams: Path) -> None:
    with open_registry(f"sqlite:///{teams / 'a' / 'team.db'}", str(teams / "a" / "bytes")) as registry:
        for store in ("a", "b"):
            before = files_of(teams)
            with pytest.raises(ZooError, match=r"own store|is the store of a zoo \(sqlite:.*b/team.db\)"):
                push(registry, "one", str(teams / store / "bytes"))
            assert files_of(teams) == before


def test_a_mark_that_cannot_be_read_is_one_line(teams: Path) -> None:
    (teams / "a" / "bytes" / "zoo.json").write_text("{")
    with open_registry(f"sqlite:///{teams / 'a' / 'team.db'}", str(teams / "a" / "bytes")) as registry:
        with pytest.raises(ZooError, match=r"its mark, zoo\.json, cannot be read .*phizoo models adopt"):
            registry.gc()
        ownership.report(registry.database, registry.unchecked_store, adopting=True)
        assert registry.verify() == []


def test_a_copied_home_that_no_longer_fits_is_adopted(
    tmp_path: Path, made: SimpleNamespace, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Most checkpoints of the copy were removed before anything wrote to its store."""
    with open_registry(f"sqlite:///{tmp_path / 'a' / 'zoo.db'}", str(tmp_path / "a" / "store")) as registry:
        for number in range(4):
            registry.add(made.phi(tmp_path / f"m{number}", number), f"m{number}")
    shutil.copytree(tmp_path / "a", tmp_path / "b")
    monkeypatch.setenv("PHIZOO_DB", f"sqlite:///{tmp_path / 'b' / 'zoo.db'}")
    monkeypatch.setenv("PHIZOO_STORE", str(tmp_path / "b" / "store"))
    for number in range(3):
        assert root.run(["models", "remove", f"m{number}:1"]) == 0
    assert root.run(["models", "verify"]) == 2
    assert root.run(["models", "adopt"]) == 2
    assert "they do not fit" in capsys.readouterr().err
    assert root.run(["models", "adopt", "--yes"]) == 0
    assert root.run(["models", "verify"]) == 0
