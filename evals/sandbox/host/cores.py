"""Keeps each worker on one core: its zygote, judge and children then share that core's caches.

A zygote that another core has run must tell it of every page table it changes, and it changes one for each
program: kept on one core, two workers judge a seventh more programs. Which core is the kernel's choice: each
second a worker is free for a moment, and stays where it is found then. So a core that something else keeps
busy is left again, and two pools need not know of each other.
"""

import contextlib
import os
from collections.abc import Sequence

from evals.sandbox.host.processes import last_core

KEPT_SECONDS = 1.0  # on one core
FREE_SECONDS = 0.05  # between: the kernel moves what waits for a core within a few milliseconds


class Cores:
    """The cores that this process may use, and which worker is on which."""

    def __init__(self) -> None:
        self.every = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []
        self.free = False
        self.since = float("-inf")

    def turn(self, workers: Sequence[Sequence[int]], now: float) -> None:
        """Keeps the workers, or frees them, when it is time. workers: the process ids of each, a zygote's first.

        Of more workers than cores, and of one core, the kernel alone disposes.
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
        for processes, core in zip(workers, chosen([last_core(one[0]) for one in workers], self.every), strict=True):
            _put(processes, [core])


def chosen(found: Sequence[int], every: Sequence[int]) -> list[int]:
    """A core for each worker, no two alike: the one it was found on, or one that is left over.

    >>> chosen([1, 1, 0], [0, 1, 2]), chosen([-1], [4, 5])
    ([1, 2, 0], [4])
    """
    kept = {core: number for number, core in reversed(list(enumerate(found))) if core in every}  # the first has it
    left = iter([core for core in every if core not in kept])
    return [core if kept.get(core) == number else next(left) for number, core in enumerate(found)]


def _put(processes: Sequence[int], cores: Sequence[int]) -> None:
    for process in processes:
        with contextlib.suppress(OSError):  # it has ended
            os.sched_setaffinity(process, cores)
