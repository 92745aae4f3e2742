"""Kills at random moments, many writers at once, a full disk, a read-only store."""

import ctypes
import errno
import importlib.util
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from urllib.parse import urlsplit

import pytest
import sqlalchemy

from zoo.cli import root as cli
from zoo.db.open import SCHEMA, open_database, upgrade_database
from zoo.db.postgres import with_driver
from zoo.errors import ZooError
from zoo.registry import Registry, open_registry

ADDER = """
import sys
from zoo.registry import open_registry
with open_registry() as registry:
    print("ready", flush=True)
    for folder in sys.argv[1:]:
        registry.add(folder, "one")
"""
PULLER = """
import sys
from zoo.registry import open_registry
from zoo.exchange.zoo_remote import pull
with open_registry() as registry:
    print("ready", flush=True)
    for version in range(1, 6):
        pull(registry, f"one:{version}", sys.argv[1])
"""
COLLECTOR = """
from zoo.registry import open_registry
with open_registry() as registry:
    print("ready", flush=True)
    for _ in range(200):
        registry.gc(most=1.0, grace=0)
"""
# The long form of all this is tests/bench/faults_registry.py: 200 kills of each kind, 8 writers of 500 operations.
ROUNDS = int(os.environ.get("PHIZOO_FAULT_ROUNDS", "6"))  # kills of each of four kinds
OPERATIONS = int(os.environ.get("PHIZOO_FAULT_OPERATIONS", "20"))  # of each of eight writers


def killed(code: str, arguments: list[str], seconds: float, **environment: str) -> None:
    """Runs Python code in a process of its own and kills it so long after it says it is ready."""
    with subprocess.Popen(
        [sys.executable, "-c", code, *arguments],
        env=os.environ | environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()
        time.sleep(seconds)
        process.send_signal(signal.SIGKILL)


def whole(registry: Registry) -> None:
    """Holds that everything that can be found is whole, and every version has its own bytes."""
    assert registry.verify() == []
    found = registry.list(all_versions=True)
    assert len({one.digest for one in found}) == len(found)
    for one in found:
        assert {path.name for path in registry.path(one).iterdir()} == {file.path for file in one.files}


@pytest.fixture
def folders(tmp_path: Path, made: SimpleNamespace) -> list[str]:
    """Five folders of a size that takes some milliseconds to add, with one file shared by all."""
    found = []
    for number in range(5):
        folder = made.phi(tmp_path / f"x{number}", number, vocab_size=40_000)
        (folder / "shared.json").write_text(json.dumps({"shared": "x" * 300_000}))
        found.append(str(folder))
    return found


def test_a_kill_while_adding_leaves_no_half_version_and_the_next_command_works(
    folders: list[str], tmp_path: Path
) -> None:
    chance = random.Random(1)
    for _ in range(ROUNDS):
        killed(ADDER, folders, chance.uniform(0, 0.12))
        with open_registry() as registry:
            whole(registry)
    with open_registry() as registry:
        digests = [registry.add(folder, "one").digest for folder in folders]
        registry.gc(most=1.0, grace=0)
        assert sorted(one.digest for one in registry.list(all_versions=True)) == sorted(digests)
        whole(registry)
    store = tmp_path / "home" / "store"
    wanted = {file.sha256 for one in _list() for file in one.files}
    assert {path.name for path in store.glob("objects/??/*")} == wanted
    assert list(store.glob("incoming/*")) == []


def _list() -> list[Any]:
    with open_registry() as registry:
        return list(registry.list(all_versions=True))


def test_killed_while_collecting_or_beside_adding_nothing_wanted_is_lost(folders: list[str]) -> None:
    chance = random.Random(2)
    with open_registry() as registry:
        kept = registry.add(folders[0], "kept")
    for _ in range(ROUNDS // 2):
        with subprocess.Popen([sys.executable, "-c", ADDER, *folders], stdout=subprocess.PIPE) as adding:
            killed(COLLECTOR, [], chance.uniform(0, 0.3))
            adding.communicate()
            assert adding.returncode == 0
        with open_registry() as registry:
            assert registry.verify() == []
            assert len(registry.list("one", all_versions=True)) == len(folders)
            for one in registry.list("one", all_versions=True):
                registry.remove(one.label)
    with open_registry() as registry:
        registry.gc(most=1.0, grace=0)
        assert registry.verify() == []
        assert registry.get("kept") == kept


def test_killed_while_pulling_it_goes_on(folders: list[str], tmp_path: Path) -> None:
    from zoo.exchange.zoo_remote import pull, push

    chance = random.Random(3)
    remote, theirs = str(tmp_path / "remote"), str(tmp_path / "theirs")
    with open_registry() as registry:
        for folder in folders:
            registry.add(folder, "one")
        for one in registry.list(all_versions=True):
            push(registry, one.label, remote)
        digests = {one.digest for one in registry.list(all_versions=True)}
    for _ in range(ROUNDS):
        killed(PULLER, [remote], chance.uniform(0, 0.12), PHIZOO_HOME=theirs)
        with open_registry(f"sqlite:///{theirs}/zoo.db", f"{theirs}/store") as registry:
            whole(registry)
    with open_registry(f"sqlite:///{theirs}/zoo.db", f"{theirs}/store") as registry:
        for version in range(1, 6):
            pull(registry, f"one:{version}", remote)
        assert {one.digest for one in registry.list(all_versions=True)} == digests
        whole(registry)


def test_killed_while_migrating_the_schema_is_old_or_new_and_nothing_is_lost(
    tmp_path: Path, made: SimpleNamespace
) -> None:
    from tests.zoo.test_migrations import opened, populated_0001

    code = "import alembic.command\nimport zoo.db.migrations, zoo.registry\n"
    code += "print('ready', flush=True)\nwith zoo.registry.open_registry(): pass"
    (tmp_path / "begin").mkdir()
    before = populated_0001(f"sqlite:///{tmp_path}/begin/zoo.db", tmp_path / "x", made)
    chance = random.Random(4)
    for number in range(ROUNDS):
        home = tmp_path / f"home{number}"
        shutil.copytree(tmp_path / "begin", home)
        killed(code, [], chance.uniform(0, 0.2), PHIZOO_HOME=str(home))
        database = opened(f"sqlite:///{home}/zoo.db")
        assert database.schema_version() in ("0001", SCHEMA)
        database.close()
        with open_registry(f"sqlite:///{home}/zoo.db", f"{home}/store") as registry:
            assert registry.list(all_versions=True) == before
            assert len(registry.scores()) == 2
            assert [one.version for one in registry.find(tag="a")] == [1]


def test_eight_writers_at_once_lose_nothing(db: str, tmp_path: Path, made: SimpleNamespace) -> None:
    """The short form of tests/bench/faults_registry.py: adds, scores, aliases, datasets, tags, renames, removals, gc."""
    script = Path(__file__).parents[1] / "bench" / "writer.py"
    told = importlib.util.spec_from_file_location("writer", script)
    assert told is not None
    assert told.loader is not None
    writer = importlib.util.module_from_spec(told)
    told.loader.exec_module(writer)
    folders = [made.phi(tmp_path / f"x{number}", number) for number in range(6)]
    with open_registry(db, str(tmp_path / "store")) as registry:
        for folder in folders[:2]:
            registry.add(folder, "base")
    processes = [
        subprocess.Popen(
            [sys.executable, str(script), db, str(tmp_path), str(me), str(OPERATIONS)], stderr=subprocess.PIPE
        )
        for me in range(8)
    ]
    for process in processes:
        _, said = process.communicate()
        assert process.returncode == 0, said.decode()
    with open_registry(db, str(tmp_path / "store")) as registry:
        assert writer.check(registry, tmp_path, 8) == []
        registry.tag("base:2", add=["one more"])  # and the check can fail
        assert writer.check(registry, tmp_path, 8) == ["tags are lost"]


def test_a_database_that_goes_away_is_one_line_whenever_it_does(
    postgres: str, postgres_db: str, tmp_path: Path, made: SimpleNamespace
) -> None:
    name = urlsplit(postgres_db).path.removeprefix("/")

    def server(*commands: str) -> None:
        engine = sqlalchemy.create_engine(with_driver(postgres), isolation_level="AUTOCOMMIT")
        with engine.connect() as connection:
            for command in commands:
                connection.execute(sqlalchemy.text(command))
        engine.dispose()

    away = (
        f"ALTER DATABASE {name} ALLOW_CONNECTIONS false",
        f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'",
    )
    upgrade_database(postgres_db)
    with open_registry(postgres_db, str(tmp_path / "store")) as registry:
        kept = registry.add(made.phi(tmp_path / "a"), "a")

        def in_the_middle() -> None:
            with registry.database.write():
                server(*away)
                registry.database.run("UPDATE checkpoints SET name = 'lost'")

        for asked in (in_the_middle, registry.list, lambda: registry.tag("a", add=["x"])):
            with pytest.raises(ZooError, match="run the same command again"):
                asked()
        server(f"ALTER DATABASE {name} ALLOW_CONNECTIONS true")
        assert [(one.name, one.digest) for one in registry.list()] == [("a", kept.digest)]


def test_threads_share_the_connections_of_one_database(postgres_db: str) -> None:
    upgrade_database(postgres_db)
    database = open_database(postgres_db)

    def read(number: int) -> list[int]:
        return [int(database.rows("SELECT :number + :more", number=number, more=more)[0][0]) for more in range(40)]

    with ThreadPoolExecutor(12) as pool:
        assert list(pool.map(read, range(60))) == [list(range(number, number + 40)) for number in range(60)]
    database.close()


def test_eight_processes_make_the_same_zoo_at_once(tmp_path: Path) -> None:
    code = "from zoo.registry import open_registry\nwith open_registry() as registry: print(len(registry.list()))"
    processes = [subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE) for _ in range(8)]
    assert [process.communicate()[0] for process in processes] == [b"0\n"] * 8


@pytest.fixture
def line(capsys: pytest.CaptureFixture[str]) -> Callable[[list[str]], tuple[int, str]]:
    """Runs a command and gives back its exit code and what it said on standard error."""

    def run(arguments: list[str]) -> tuple[int, str]:
        capsys.readouterr()
        code = cli.run(arguments)
        return code, capsys.readouterr().err

    return run


def full(*_: object) -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "the file being written")


@pytest.mark.parametrize("step", ["fsync", "link", "mkdir"])
def test_a_full_disk_ends_in_one_line_and_leaves_nothing(
    step: str,
    tmp_path: Path,
    made: SimpleNamespace,
    monkeypatch: pytest.MonkeyPatch,
    line: Callable[[list[str]], tuple[int, str]],
) -> None:
    folder = made.phi(tmp_path / "x")
    assert line(["models", "list"])[0] == 0
    with open_registry():
        pass
    with monkeypatch.context() as patch:
        patch.setattr(os, step, full)
        code, said = line(["models", "add", str(folder), "--name", "one"])
    assert code == 2
    assert "the disk is full" in said
    assert said.count("\n") == 1
    with open_registry() as registry:
        assert registry.list() == []
        assert list((tmp_path / "home" / "store").glob("incoming/*")) == []
        assert registry.add(folder, "one").version == 1


def test_a_full_database_disk_is_reported(tmp_path: Path, made: SimpleNamespace) -> None:
    with open_registry() as registry:
        pages = registry.database.rows("PRAGMA page_count")[0][0]
        registry.database.rows(f"PRAGMA max_page_count = {pages}")
        registry.add(made.phi(tmp_path / "small"), "one")
        with pytest.raises(ZooError, match="the disk is full"):
            registry.note("one", "x" * 3_000_000)
        assert registry.list()[0].name == "one"


def drop_powers() -> None:
    """Lets even root be refused by file permissions, in a child process."""
    libc = ctypes.CDLL(None)
    for capability in (0, 1, 2, 3):  # CHOWN, DAC_OVERRIDE, DAC_READ_SEARCH, FOWNER
        libc.prctl(24, capability, 0, 0, 0)


@pytest.fixture
def read_only(tmp_path: Path, made: SimpleNamespace) -> Iterator[Path]:
    """A home with one checkpoint that may only be read; its folder was never asked for."""
    home = tmp_path / "home"
    with open_registry() as registry:
        registry.add(made.phi(tmp_path / "x"), "one")
    paths = [home, *home.rglob("*")]
    for path in paths:
        path.chmod(path.stat().st_mode & 0o555)
    yield home
    for path in paths:
        path.chmod(0o755)


def powerless(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Runs phizoo without the power to override permissions."""
    return subprocess.run(
        [sys.executable, "-W", "error", "-m", "zoo.cli", *arguments],
        preexec_fn=drop_powers,
        capture_output=True,
        text=True,
        check=False,
    )


def test_reading_needs_no_write_permission(read_only: Path) -> None:
    for arguments in (
        ["list"],
        ["show", "one"],
        ["verify"],
        ["find", "--where", "parameters < 3e9"],
        ["lineage", "one"],
    ):
        done = powerless("models", *arguments)
        assert (done.returncode, done.stderr) == (0, ""), arguments
    done = powerless("models", "path", "one")
    assert done.returncode == 0, done.stderr
    folder = Path(done.stdout.strip())
    assert sorted(path.name for path in folder.iterdir()) == ["config.json", "model.safetensors"]
    assert (folder / "config.json").read_bytes()
    assert not (read_only / "store" / "trees").exists()


def test_writing_where_one_may_only_read_ends_in_one_line(
    read_only: Path, tmp_path: Path, made: SimpleNamespace
) -> None:
    other = made.phi(tmp_path / "y", 1)
    for arguments in (
        ["add", str(other), "--name", "two"],
        ["alias", "one", "best"],
        ["gc"],
        ["edit", "one", "--note", "x"],
    ):
        done = powerless("models", *arguments)
        assert done.returncode == 2, arguments
        assert done.stderr.count("\n") == 1, done.stderr
        assert "read-only" in done.stderr or "permission denied" in done.stderr
    (tmp_path / "writable").mkdir()
    os.environ |= {"PHIZOO_DB": f"sqlite:///{tmp_path / 'writable' / 'zoo.db'}", "PHIZOO_STORE": str(read_only / "new")}
    done = powerless("models", "add", str(other), "--name", "two")
    del os.environ["PHIZOO_DB"], os.environ["PHIZOO_STORE"]
    assert done.returncode == 2
    assert "permission denied" in done.stderr
    assert done.stderr.count("\n") == 2  # one says which zoo the variable names
