"""This machine as the estimates take it: its memory, and its CPU measured for half a second.

A GPU has a data sheet (`evals.engines.gpus`); a CPU that others use too has none, so its speed is measured each time.
"""

import os
import time
from collections.abc import Callable
from functools import cache
from pathlib import Path

from evals.engines.gpus import Gpu

SIDE = 768  # matrices of 2.4 MB: in the cache, as a layer's blocks are
SECONDS, WINDOWS = 0.1, 3  # a window is several time slices, so that the load of others counts; the best of them
REQUEST_ROUNDS = 6  # of suite:small with 0.2M parameters, one took 6 to 11 ms of CPU; 100,000 numbers, 1.3 ms to add
MOVED = 1 << 26  # bytes: more than the caches of most CPUs


def free_memory(proc: Path = Path("/proc/meminfo"), group: Path = Path("/sys/fs/cgroup")) -> int:
    """Bytes of memory that a new process may take: what the system says is available, within the container's limit.

    proc, group  the files that are read: of Linux
    """
    try:
        lines = dict(line.split(":", 1) for line in proc.read_text().splitlines() if ":" in line)
        free = int(lines["MemAvailable"].split()[0]) * 1024
    except (OSError, KeyError, ValueError):
        free = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")  # another system: all of it
    try:
        limit = int((group / "memory.max").read_text()) - int((group / "memory.current").read_text())
    except (OSError, ValueError):  # no limit: "max"
        return free
    return max(0, min(free, limit))


@cache
def measure_cpu() -> Gpu:
    """The CPU's float32 FLOP/s and bytes/s as they are now, beside what else runs, and the free memory."""
    import numpy as np

    left = np.ones((SIDE, SIDE), dtype=np.float32)
    flops = 2 * SIDE**3 / _seconds(lambda: left @ left)
    block = np.ones(MOVED // 8)
    bandwidth = 2 * MOVED / _seconds(block.copy)  # read and written
    return Gpu(flops, bandwidth, free_memory())


@cache
def request_seconds() -> float:
    """Seconds of this program's own work for one request, beside what else runs: the tokenizer, the batch, its line."""
    return REQUEST_ROUNDS * _seconds(lambda: sum(range(100_000)))


def _seconds(work: Callable[[], object]) -> float:
    work()  # the first call starts threads
    return min(_window(work) for _ in range(WINDOWS))


def _window(work: Callable[[], object]) -> float:
    began, rounds = time.perf_counter(), 0
    while (passed := time.perf_counter() - began) < SECONDS or not rounds:
        work()
        rounds += 1
    return passed / rounds


def free_gpu_memory() -> int:
    """Bytes that are free on the first GPU; 0 where torch cannot use one."""
    import torch

    return int(torch.cuda.mem_get_info()[0]) if torch.cuda.is_available() else 0


def gpu_name() -> str:
    """The name of the first GPU; empty where torch cannot use one."""
    import torch

    return str(torch.cuda.get_device_name(0)) if torch.cuda.is_available() else ""
