"""Pins: their age is the database's, a living writer renews them, and no row is entered without its pin."""

import contextlib
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tests.services.servers import Team
from zoo.db import pins
from zoo.db.open import upgrade_database
from zoo.errors import ZooError
from zoo.registry import open_registry
from zoo.store import store as stores
from zoo.store.bucket import BucketStore

# gc on another host, whose clock is eight days ahead
FAR_GC = """
import datetime, sys, time, types
import zoo.store.bucket
from zoo.registry import open_registry

real, now = datetime.datetime, time.time
class Same(type):
    def __instancecheck__(cls, value): return isinstance(value, real)
class Ahead(real, metaclass=Same):
    @classmethod
    def now(cls, tz=None): return real.now(tz) + datetime.timedelta(days=8)
ours = types.SimpleNamespace(**{**vars(datetime), "datetime": Ahead})
for name, module in sys.modules.items():
    if name.split(".")[0] == "zoo" and getattr(module, "datetime", None) is datetime:
        module.datetime = ours
time.time = lambda: now() + 8 * 86400
zoo.store.store._host = lambda: "elsewhere-1"
with open_registry() as registry:
    print(registry.gc(most=1.0, grace=0).objects)
"""


@pytest.fixture
def zoo(team: Team) -> Team:
    """A team's empty zoo."""
    upgrade_database(team.database.url)
    return team


def far_gc(zoo: Team) -> int:
    done = subprocess.run([sys.executable, "-c", FAR_GC], env=zoo.variables("far"), capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return int(done.stdout)


def after_upload(monkeypatch: pytest.MonkeyPatch, action: Any) -> list[int]:
    """Does something between the upload of a checkpoint and its row; the results of each time."""
    results: list[int] = []
    publish = BucketStore.publish

    def publishing(store: BucketStore, *arguments: Any) -> None:
        publish(store, *arguments)
        results.append(action())

    monkeypatch.setattr(BucketStore, "publish", publishing)
    return results


def test_a_gc_whose_clock_is_ahead_leaves_a_living_writers_bytes(
    zoo: Team, tmp_path: Path, made: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    freed = after_upload(monkeypatch, lambda: far_gc(zoo))
    with open_registry() as registry:
        registry.add(made.phi(tmp_path / "phi"), "one")
        assert freed == [0]
        assert registry.verify() == []


def test_bytes_that_a_gc_took_meanwhile_are_sent_again(
    zoo: Team, tmp_path: Path, made: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    with open_registry() as registry:

        def steal() -> int:
            if len(freed) == 0:
                zoo.database.sql("DELETE FROM pins")
                return far_gc(zoo)
            return 0

        freed: list[int] = after_upload(monkeypatch, steal)
        registry.add(made.phi(tmp_path / "phi"), "one")
        assert freed == [2, 0]
        assert registry.verify() == []
        assert registry.database.rows("SELECT count(*) FROM pins")[0][0] == 0


def test_a_row_whose_pin_never_stands_is_not_entered(
    zoo: Team, tmp_path: Path, made: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    tried = after_upload(monkeypatch, lambda: len(zoo.database.sql("DELETE FROM pins RETURNING owner")))
    with open_registry() as registry:
        with pytest.raises(ZooError, match=r"nothing was entered; run the same command again"):
            registry.add(made.phi(tmp_path / "phi"), "one")
        assert tried == [2, 2, 2]
        assert registry.list() == []


def test_published_lines_and_pulled_checkpoints_are_sent_again_too(
    zoo: Team, tmp_path: Path, made: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    from zoo.exchange.zoo_remote import pull, push

    results = tmp_path / "results.jsonl"
    results.write_text("{}\n")
    with open_registry(f"sqlite:///{tmp_path / 'other' / 'zoo.db'}", str(tmp_path / "other" / "store")) as other:
        checkpoint = other.add(made.phi(tmp_path / "phi"), "one")
    stolen: list[int] = []

    def steal() -> int:
        stolen.append(len(zoo.database.sql("DELETE FROM pins RETURNING owner")))
        return far_gc(zoo) if sum(stolen[:-1]) == 0 else 0

    with open_registry() as registry:
        with monkeypatch.context() as patch:
            after_upload(patch, steal)
            with contextlib.suppress(ZooError):  # every try is robbed: an error, or a whole checkpoint
                pull(registry, "one", str(tmp_path / "other"))
        assert registry.verify() == []
        pull(registry, "one", str(tmp_path / "other"))
        with monkeypatch.context() as patch:
            once = iter([True])

            def steal_once() -> int:
                if next(once, False):
                    zoo.database.sql("DELETE FROM pins")
                    return far_gc(zoo)
                return 0

            taken = after_upload(patch, steal_once)
            header = {"id": "r" * 64, "checkpoint": checkpoint.digest, "protocol": {}}
            registry.add_scores(header, made.protocol(), [made.score(checkpoint.digest, "r" * 64)], results)
        assert taken == [1, 0]
        assert registry.results("r" * 64).read_text() == "{}\n"
        push(registry, "one", str(tmp_path / "sent"))


def test_a_living_writer_renews_its_pin_for_as_long_as_it_uploads(
    zoo: Team, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    garbage = tmp_path / "garbage"
    garbage.write_bytes(b"garbage")
    monkeypatch.setattr(pins, "RENEWAL_SECONDS", 0.2)
    owner = "elsewhere-9.1.1.x"  # of a third host
    with open_registry() as registry, pins.pin(registry.database, owner, ["a" * 64]) as stands:
        zoo.database.sql("UPDATE pins SET created = '2001-01-01T00:00:00.000000+00:00'")
        deadline = time.monotonic() + 20
        while zoo.database.sql("SELECT created FROM pins")[0][0] < "2002" and time.monotonic() < deadline:
            time.sleep(0.1)
        registry.store.upload(garbage, "c" * 64)  # type: ignore[attr-defined]
        assert far_gc(zoo) == 1  # it looks for dead pins where it deletes
        with registry.database.write():
            assert stands()
    assert not [thread for thread in threading.enumerate() if thread.name == "pins"]


def test_a_dead_writer_on_another_host_is_forgotten_after_a_week_of_the_databases_clock(
    zoo: Team, tmp_path: Path
) -> None:
    garbage = tmp_path / "garbage"
    garbage.write_bytes(b"garbage")
    week = "to_char(clock_timestamp() AT TIME ZONE 'UTC' - interval '{}', 'YYYY-MM-DD\"T\"HH24:MI:SS.US+00:00')"
    for owner, age in (("elsewhere-2.1.1", "8 days"), ("elsewhere-3.1.1", "6 days")):
        zoo.database.sql(f"INSERT INTO pins VALUES ('{owner}', '{'b' * 64}', {week.format(age)})")
    with open_registry() as registry:
        registry.store.upload(garbage, "c" * 64)  # type: ignore[attr-defined]
        registry.gc(most=1.0, grace=0)
    assert zoo.database.sql("SELECT owner FROM pins") == [("elsewhere-3.1.1",)]
    assert stores._host().startswith(socket.gethostname()[:3])


def test_a_gc_that_stands_still_before_a_deletion_takes_nothing_in_use(
    zoo: Team, tmp_path: Path, made: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = made.phi(tmp_path / "phi")
    with open_registry() as registry:
        registry.add(folder, "one")
        registry.remove("one")
    frozen, thawed = threading.Event(), threading.Event()
    delete = BucketStore.delete

    def stand_still(store: BucketStore, sha256: str) -> None:
        frozen.set()
        thawed.wait(60)
        delete(store, sha256)

    monkeypatch.setattr(BucketStore, "delete", stand_still)
    outcome: list[Any] = []

    def collect() -> None:
        with open_registry() as own:
            outcome.append(own.gc(most=1.0, grace=0))

    gc = threading.Thread(target=collect)
    gc.start()
    assert frozen.wait(60), outcome
    with contextlib.ExitStack() as ending, open_registry() as registry:
        ending.callback(thawed.set)
        registry.add(
            made.phi(tmp_path / "other", 2, max_position_embeddings=32), "other"
        )  # nothing of it is claimed: nobody waits
        with monkeypatch.context() as patch:
            patch.setattr(pins, "WAIT_SECONDS", 0.5)
            with pytest.raises(ZooError, match=r"phizoo models gc on .* has been deleting one of these files since 20"):
                registry.add(folder, "one")
        threading.Timer(1.0, thawed.set).start()
        registry.add(folder, "one")
        gc.join(60)
        assert outcome[0].objects == 2
        assert registry.verify() == []
        assert zoo.database.sql("SELECT count(*) FROM pins") == [(0,)]


def test_a_killed_gcs_claim_holds_nobody_up(zoo: Team, tmp_path: Path, made: SimpleNamespace) -> None:
    folder = made.phi(tmp_path / "phi")
    with open_registry() as registry:
        checkpoint = registry.add(folder, "one")
        registry.remove("one")
        dead = f"{pins.CLAIM}{stores._host()}.999999999.1"
        for file in checkpoint.files:
            zoo.database.sql(f"INSERT INTO pins VALUES ('{dead}', '{file.sha256}', '{registry.database.now()}')")
        registry.add(folder, "one")
        assert registry.verify() == []
        registry.remove("one:2")
        assert registry.gc(most=1.0, grace=0).objects == 2
        assert zoo.database.sql("SELECT count(*) FROM pins") == [(0,)]
