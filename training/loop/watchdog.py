"""Ends a run of several processes that hangs, with one line that names each process and the work it is stuck in.

A collective operation waits for every process. If one is missing (it crashed, or it waits elsewhere), the others
would wait in silence. Each process notes its work with `at`; a thread beside it writes that note to the run's folder
and looks at the clock. It ends its own process only; it neither repairs nor restarts anything.
"""

import contextlib
import json
import os
import shutil
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from training.parallel import World

TICK_SECONDS = 5.0  # between two notes in the folder
GONE_TICKS = 4  # a process whose note is older than this many ticks has ended


class Watchdog:
    """The watch over one process. limit_seconds 0, or a single process: it watches nothing.

    end  called with the exit code 2 after the line; replaced in tests
    """

    def __init__(
        self, world: World, folder: Path, limit_seconds: float, command: str, end: Callable[[int], object] = os._exit
    ) -> None:
        self.world, self.folder, self.limit, self.command, self.end = world, folder, limit_seconds, command, end
        self.tick = min(TICK_SECONDS, limit_seconds / 4)
        self.work, self.patient, self.since = "starting", False, time.monotonic()
        self.closed = threading.Event()
        self.thread = threading.Thread(target=self._watch, daemon=True)

    def at(self, work: str, patient: bool = False) -> None:
        """Notes the work that begins now. patient: it may take any time, such as scoring."""
        self.work, self.patient, self.since = work, patient, time.monotonic()

    def _file(self, rank: int) -> Path:
        return self.folder / f"{rank}.json"

    def _watch(self) -> None:
        while not self.closed.wait(self.tick):
            seconds = time.monotonic() - self.since
            with contextlib.suppress(OSError):  # a full disk must not end the watch
                part = self.folder / f"{self.world.rank}.part"
                part.write_text(json.dumps({"work": self.work, "patient": self.patient}))
                part.replace(self._file(self.world.rank))
            # the first process speaks; the others give it two ticks to do so
            if self.patient or seconds < self.limit + (0 if self.world.first else 2 * self.tick):
                continue
            print(f"phizoo: {self.line(seconds)}", file=sys.stderr, flush=True)
            self.end(2)
            return

    def line(self, seconds: float) -> str:
        """The reason in one line: the work of every process."""
        parts = []
        for rank in range(self.world.size):
            work, age = self.work, 0.0
            if rank != self.world.rank:
                try:
                    age = time.time() - self._file(rank).stat().st_mtime
                    work = str(json.loads(self._file(rank).read_text())["work"])
                except (OSError, ValueError, KeyError):
                    work, age = "nothing that it noted", 0.0
            gone = f" (gone, last seen {age:.0f} s ago)" if age > max(2.0, GONE_TICKS * self.tick) else ""
            parts.append(f"process {rank} in {work}{gone}")
        return (
            f"the run hung: no step for {seconds:.0f} s (states.hang_seconds={self.limit:g}); {', '.join(parts)}. "
            f"Ended; the same command resumes it: {self.command}"
        )


@contextlib.contextmanager
def watch(world: World, folder: Path, limit_seconds: float, command: str) -> Iterator[Watchdog]:
    """Watches this process while the block runs."""
    watchdog = Watchdog(world, folder / "watch", limit_seconds, command)
    if world.size == 1 or not limit_seconds:
        yield watchdog
        return
    watchdog.folder.mkdir(parents=True, exist_ok=True)
    watchdog.thread.start()
    try:
        yield watchdog
    finally:
        watchdog.closed.set()
        watchdog.thread.join()
        if world.first:
            shutil.rmtree(watchdog.folder, ignore_errors=True)
