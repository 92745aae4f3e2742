"""Keeps each worker on one core: its zygote, judge and children then share that core's caches.

A zygote that has run on another core must notify that core of every page table that it changes, and it changes
one for each program: kept on one core, two workers judge a seventh more programs. The kernel chooses the core:
every second a worker is freed for a moment and then stays on the core that it runs on. So it leaves a core that
another program keeps busy, and two pools need no knowledge of each other.
"""

import contextlib
import os
from collections.abc import Sequence

from evals.sandbox.host.processes import last_core

KEPT_SECONDS = 1.0  # on one core
FREE_SECONDS = 0.05  # between: the kernel moves a process that waits for a core within a few milliseconds


class Cores:
    """The cores that this process may use, and whether the workers are kept on one each."""

    def __init__(self) -> None:
        self.every = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []
        self.free = False
        self.since = float("-inf")

    def turn(self, workers: Sequence[Sequence[int]], now: float) -> None:
        """Keeps the workers, or frees them, when it is time. workers: the process ids of each, the zygote's first.

        With more workers than cores, or with one core, it leaves the choice to the kernel.
        """
        if not 1 <= len(workers) <= len(self.every) or len(self.every) == 1:
            return
        if now - self.since < (FREE_SECONDS if self.free else KEPT_SECONDS):
            return
        self.since, self.free = now, not self.free
        if self.free:
            for processes in workers:
                _put(processes, self.every)
            return
        current = [last_core(processes[0]) for processes in workers]
        for processes, core in zip(workers, choose_cores(current, self.every), strict=True):
            _put(processes, [core])


def choose_cores(current: Sequence[int], every: Sequence[int]) -> list[int]:
    """A core for each worker, no two the same: its current one, or one that is left over.

    >>> choose_cores([1, 1, 0], [0, 1, 2]), choose_cores([-1], [4, 5])
    ([1, 2, 0], [4])
    """
    kept = {core: number for number, core in reversed(list(enumerate(current))) if core in every}  # the first keeps it
    left = iter([core for core in every if core not in kept])
    return [core if kept.get(core) == number else next(left) for number, core in enumerate(current)]


def _put(processes: Sequence[int], cores: Sequence[int]) -> None:
    for process in processes:
        with contextlib.suppress(OSError):  # it has ended
            os.sched_setaffinity(process, cores)
