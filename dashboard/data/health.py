"""How the evaluations stand: runs under way with what is left, finished ones with what failed or is unscored."""

import os
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec

from evals.records import Run
from evals.run_folder import read_header, read_results
from zoo.errors import ZooError
from zoo.records import Record


class RunState(Record, frozen=True):
    """One run's folder on this machine.

    state         "running" while a process holds it, "finished", or "stopped" short of its end
    left_seconds  at the rate so far, while it runs
    """

    id: str
    label: str
    task: str
    state: str
    done: int
    wanted: int
    unscored: int
    failed: int
    tier: str
    left_seconds: float | None
    fault: str = ""


def runs(folder: Path, now: float | None = None) -> Iterator[RunState]:
    """The runs in a folder, the last written first; a damaged one says what is wrong with it."""
    held = [path for path in folder.glob("*/") if not path.name.startswith(".")] if folder.is_dir() else []
    for path in sorted(held, key=_written, reverse=True):
        try:
            yield state(path, time.time() if now is None else now)
        except (ZooError, msgspec.DecodeError, OSError) as error:
            yield RunState(id=path.name, label="", task="", state="damaged", done=0, wanted=0, unscored=0, failed=0,
                           tier="", left_seconds=None, fault=str(error))  # fmt: skip


def _written(path: Path) -> float:
    results = path / "results.jsonl"
    return (results if results.exists() else path).stat().st_mtime


def state(path: Path, now: float) -> RunState:
    """How one run stands, from its own files; nothing is locked."""
    header = read_header(path)
    results = {(one.sample, one.draw): one for one in read_results(path / "results.jsonl")}
    wanted = header.samples * header.draws
    unscored = sum(one.score is None for one in results.values())
    done = len(results)
    running = is_held(path / ".lock")
    told = "running" if running else "finished" if done >= wanted else "stopped"
    return RunState(
        id=header.id, label=header.checkpoint_label, task=_task(header), state=told, done=done, wanted=wanted,
        unscored=unscored, failed=sum(one.verdict in ("error", "timeout") for one in results.values()),
        tier=header.sandbox, left_seconds=_left(path, done, wanted, now) if running else None,
    )  # fmt: skip


def _task(header: Run) -> str:
    return f"{header.task} {header.protocol.get('name', '')}".strip()


def _left(path: Path, done: int, wanted: int, now: float) -> float | None:
    """Seconds left at the rate since the header was written."""
    spent = now - (path / "header.json").stat().st_mtime
    return spent / done * (wanted - done) if done and spent > 0 else None


def is_held(lock: Path) -> bool:
    """Whether a process is writing the run: it holds the folder's lock.

    Read from the kernel's list, since trying the lock would for a moment keep the writer from it.
    """
    try:
        node = lock.stat()
        held = Path("/proc/locks").read_text(encoding="ascii")
    except OSError:
        return False
    name = f"{os.major(node.st_dev):02x}:{os.minor(node.st_dev):02x}:{node.st_ino}"
    return any(name in line.split() for line in held.splitlines())
