"""The state of each evaluation run on this machine: progress, time left, failures and unscored samples."""

import os
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec

from evals.run_folder import read_header, read_results
from zoo.errors import ZooError
from zoo.records import Record


class RunState(Record, frozen=True):
    """The state of one run's folder.

    state         "running" while a process holds its lock, "finished", "stopped" before its end, or "damaged"
    left_seconds  time left at the rate so far; None unless running
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


def run_states(folder: Path, now: float | None = None) -> Iterator[RunState]:
    """The states of all runs in a folder, last written first; a damaged run has its fault."""
    runs = [path for path in folder.glob("*/") if not path.name.startswith(".")] if folder.is_dir() else []
    for path in sorted(runs, key=_last_written, reverse=True):
        try:
            yield run_state(path, time.time() if now is None else now)
        except (ZooError, msgspec.DecodeError, OSError) as error:
            yield RunState(id=path.name, label="", task="", state="damaged", done=0, wanted=0, unscored=0, failed=0,
                           tier="", left_seconds=None, fault=str(error))  # fmt: skip


def _last_written(path: Path) -> float:
    results = path / "results.jsonl"
    return (results if results.exists() else path).stat().st_mtime


def run_state(path: Path, now: float) -> RunState:
    """The state of one run, read from its files without locking them."""
    header = read_header(path)
    results = {(result.sample, result.draw): result for result in read_results(path / "results.jsonl")}
    wanted = header.samples * header.draws
    unscored = sum(result.score is None for result in results.values())
    done = len(results)
    running = is_locked(path / ".lock")
    state = "running" if running else "finished" if done >= wanted else "stopped"
    return RunState(
        id=header.id, label=header.checkpoint_label, task=f"{header.task} {header.protocol.get('name', '')}".strip(),
        state=state, done=done, wanted=wanted,
        unscored=unscored, failed=sum(result.verdict in ("error", "timeout") for result in results.values()),
        tier=header.sandbox, left_seconds=_seconds_left(path, done, wanted, now) if running else None,
    )  # fmt: skip


def _seconds_left(path: Path, done: int, wanted: int, now: float) -> float | None:
    """The seconds left at the rate since the header was written."""
    spent = now - (path / "header.json").stat().st_mtime
    return spent / done * (wanted - done) if done and spent > 0 else None


def is_locked(lock: Path) -> bool:
    """Whether a process holds a run's lock, that is, writes the run.

    Reads the kernel's list of locks: trying the lock would block the writer for a moment.
    """
    try:
        stat = lock.stat()
        locks = Path("/proc/locks").read_text(encoding="ascii")
    except OSError:
        return False
    name = f"{os.major(stat.st_dev):02x}:{os.minor(stat.st_dev):02x}:{stat.st_ino}"
    return any(name in line.split() for line in locks.splitlines())
