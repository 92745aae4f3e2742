"""SIGKILLs at random over four writers: what was acknowledged stands, nothing is half there, gc leaves no orphan.

The small size runs with the services; `pytest -m long tests/services/test_kills.py` makes 200 kills in each setting, and
prints how many met which command.
"""

import re
import shutil
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace

import pytest

from tests.services.crowd import Ledger, Member, Places, Writer, open_nursery
from tests.services.servers import Team
from zoo.exchange.zoo_remote import open_remote
from zoo.exchange.zoo_remote import push as send
from zoo.registry import Registry, open_registry
from zoo.settings import sqlite_url
from zoo.store.open import open_store

WRITERS, FOREIGN = 4, 16
FULL, SMALL = 200, 16  # kills


@pytest.fixture
def short() -> Iterator[Path]:
    """A folder with a short path, for a socket."""
    folder = Path(tempfile.mkdtemp(prefix="crowd"))
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def on_servers(team: Team, bucket: str) -> tuple[dict[str, str], str]:
    """The environment of a member of a zoo on PostgreSQL and S3, and an address on that S3 server."""
    return team.variables(), bucket.replace("/team", "/")


@pytest.fixture
def on_disk(tmp_path: Path, team: Team) -> tuple[dict[str, str], str]:
    """The environment of a member of a zoo of one SQLite file and one folder, and an address beside it."""
    given = team.variables(PHIZOO_DB=sqlite_url(tmp_path / "zoo.db"), PHIZOO_STORE=str(tmp_path / "store"))
    return given, f"{tmp_path}/"


@pytest.mark.parametrize("kills", [SMALL, pytest.param(FULL, marks=pytest.mark.long)])
@pytest.mark.parametrize("setting", ["on_servers", "on_disk"])
@pytest.mark.timeout(6000)
def test_killed_writers_lose_nothing(
    request: pytest.FixtureRequest, setting: str, kills: int, tmp_path: Path, short: Path, made: SimpleNamespace,
    tiny_phi: Path, monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    environment, beside = request.getfixturevalue(setting)
    for name in ("PHIZOO_DB", "PHIZOO_STORE"):
        monkeypatch.setenv(name, environment[name])
    places = make_places(tmp_path, beside, made)
    ledger = Ledger()
    with (
        open_nursery(short) as nursery,
        closing(Member(nursery, tmp_path / "homes" / "first", environment)) as first,
    ):
        assert first.run("models", "upgrade") == 0, first.err.read_text()
        first.check("models", "add", str(tiny_phi), "--name", places.runner)
        first.check("models", "push", places.runner, places.exchange)
        while sum(ledger.kills.values()) < kills and not ledger.faults:
            goal = min(kills, sum(ledger.kills.values()) + 50)
            write_until(goal, nursery, tmp_path / "homes", environment, places, ledger)
            assert not ledger.faults, "\n".join(ledger.faults)
            check_all(first, nursery, tmp_path, environment, places, ledger)
    print(f"\n{setting}: {sum(ledger.kills.values())} kills {dict(ledger.kills)}, acknowledged {dict(ledger.done)}")


def make_places(tmp_path: Path, beside: str, made: SimpleNamespace) -> Places:
    """Folders to add, some with files of several parts, and another zoo's exchange with checkpoints to pull."""
    folders = [made.phi(tmp_path / f"folder{number}", number) for number in range(16)]
    folders += [made.phi(tmp_path / f"folder{number}", number, vocab_size=160_000) for number in range(16, 20)]
    foreign = f"{beside}foreign"
    home = tmp_path / "another-zoo"
    home.mkdir()
    with open_registry(sqlite_url(home / "zoo.db"), str(home / "store")) as registry:
        for number in range(FOREIGN):
            registry.add(made.phi(tmp_path / f"foreign{number}", 100 + number), f"foreign-{number}")
            send(registry, f"foreign-{number}", foreign)
    return Places(folders, f"{beside}exchange", foreign, [f"foreign-{n}" for n in range(FOREIGN)], "runner")


def write_until(
    goal: int, nursery: Path, homes: Path, environment: dict[str, str], places: Places, ledger: Ledger
) -> None:
    """Lets the writers write until so many commands were killed."""
    enough, end = threading.Event(), time.monotonic() + 3000
    salt = sum(ledger.kills.values())
    members = [Member(nursery, homes / f"w{number}", environment) for number in range(WRITERS)]
    writers = [Writer(number + salt * WRITERS, each, places, ledger, enough) for number, each in enumerate(members)]
    for number, writer in enumerate(writers):
        writer.name = f"w{number}"
        writer.start()
    while sum(ledger.kills.values()) < goal and any(writer.is_alive() for writer in writers):
        time.sleep(0.1)
        if time.monotonic() > end:
            ledger.faults.append(f"only {sum(ledger.kills.values())} of {goal} kills in time")
        if ledger.faults:
            break
    enough.set()
    for writer in writers:
        writer.join(300)
        if writer.is_alive():
            ledger.faults.append(f"{writer.name} hangs: {writer.member.err.read_text()[-300:]}")
    for member in members:
        member.close()


def check_all(
    first: Member, nursery: Path, tmp_path: Path, environment: dict[str, str], places: Places, ledger: Ledger
) -> None:
    """What must be true whenever nobody writes."""
    seen = {f"{one['name']}:{one['version']}": one["digest"] for one in first.check("models", "list", "--all")}
    lost = {label: digest for label, digest in ledger.must_stand().items() if seen.get(label) != digest}
    assert not lost, f"acknowledged and lost: {lost}"
    assert not ledger.removed & seen.keys(), "removed and back"
    assert first.check("models", "verify") == []
    with open_registry(readonly=True) as registry:
        check_runs(registry, ledger)
    check_exchange(first, nursery, tmp_path, environment, places, ledger)
    homes = sorted((tmp_path / "homes").iterdir())
    for home in homes:  # each cleans up what was killed in its own home
        with closing(Member(nursery, home, environment)) as member:
            member.check("models", "gc", "--yes", "--grace", "0")
        assert not list((home / "cache" / "incoming").glob("*")), "left in a member's cache"
    with open_registry(readonly=True) as registry:
        check_no_orphans(registry)
    assert first.check("models", "verify") == []


def check_runs(registry: Registry, ledger: Ledger) -> None:
    """Each published run is there whole: its header, its scores, its lines."""
    runs = dict(registry.database.rows("SELECT id, results FROM runs"))
    scored = {row[0] for row in registry.database.rows("SELECT run FROM scores WHERE run <> ''")}
    assert ledger.published <= runs.keys(), f"published and lost: {ledger.published - runs.keys()}"
    assert runs.keys() <= scored | {""}, "a run without scores"
    for run, results in runs.items():
        assert not results or registry.store.has(results), f"the lines of run {run} are missing"


def check_exchange(
    first: Member, nursery: Path, tmp_path: Path, environment: dict[str, str], places: Places, ledger: Ledger
) -> None:
    """Each acknowledged push can be pulled into an empty zoo; each entry is whole; pushes that were killed go on."""
    for label in sorted(ledger.half_pushed):
        first.check("models", "push", label, places.exchange)
    ledger.half_pushed.clear()
    with tempfile.TemporaryDirectory(dir=tmp_path) as home:
        pair = {"PHIZOO_DB": sqlite_url(Path(home) / "zoo.db"), "PHIZOO_STORE": str(Path(home) / "store")}
        with closing(Member(nursery, Path(home), environment | pair)) as reader:
            labels = reader.check("models", "pull", "--list", places.exchange)
            assert ledger.pushed.keys() <= set(labels), "pushed and lost"
            for label in labels:
                digest = reader.check("models", "pull", label, places.exchange)["digest"]
                assert ledger.pushed.get(label, digest) == digest
            assert reader.check("models", "verify") == []
    with open_remote(places.exchange) as exchange:
        stored = {sha256 for sha256, _ in exchange.store.objects()}
        assert stored <= exchange.store.entry_objects(), "an object that no entry names, after each push was repeated"


def check_no_orphans(registry: Registry) -> None:
    """The store's objects are those that the database names, and no upload is unfinished."""
    named = {row[0] for row in registry.database.rows("SELECT sha256 FROM files UNION SELECT results FROM runs")} - {""}
    store = open_store(registry.store.url)
    assert {sha256 for sha256, _ in store.objects()} == named
    assert not store.leftovers()
    assert not registry.database.rows("SELECT owner FROM pins")
    if re.match(r"\w+://", registry.store.url) is None:
        assert not list((Path(registry.store.url) / "incoming").glob("*"))
