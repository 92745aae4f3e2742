"""Measures the use of a process tree from /proc: CPU, resident memory, time waited for a core."""

import os
from typing import NamedTuple

TICKS = os.sysconf("SC_CLK_TCK")
PAGE = os.sysconf("SC_PAGE_SIZE")


class Usage(NamedTuple):
    """The use of a process and its descendants, ended children included."""

    cpu_seconds: float
    resident_bytes: int
    waited_seconds: float
    processes: int


def _stat(process: int) -> list[bytes] | None:
    """The fields of /proc/N/stat after the name; None if the process has ended."""
    try:
        with open(f"/proc/{process}/stat", "rb") as file:
            return file.read().rpartition(b")")[2].split()
    except OSError:
        return None


def cpu_seconds(process: int) -> float:
    """User and system time of one process; 0 if it has ended."""
    fields = _stat(process)
    return (int(fields[11]) + int(fields[12])) / TICKS if fields else 0.0


def waited_seconds(process: int) -> float:
    """Seconds for which the main thread of a process was ready and had no core."""
    try:
        with open(f"/proc/{process}/schedstat", "rb") as file:
            return int(file.read().split()[1]) / 1e9
    except (OSError, IndexError):
        return 0.0


def _processes() -> list[int]:
    return [int(name) for name in os.listdir("/proc") if name.isdigit()]


def _may_have_children(process: int) -> bool:
    """Whether all processes must be read: most programs are one process, and a machine has hundreds."""
    try:
        for thread in os.listdir(f"/proc/{process}/task"):
            with open(f"/proc/{process}/task/{thread}/children", "rb") as file:
                if file.read(1):
                    return True
    except OSError:  # it has ended, or the kernel does not say
        return True
    return False


def last_core(process: int) -> int:
    """The core that a process runs on, or ran on last; -1 if it has ended."""
    fields = _stat(process)
    return int(fields[36]) if fields else -1


def tree_usage(root: int, seen: dict[tuple[int, bytes], float] | None = None) -> Usage:
    """The usage of `root` and its descendants.

    seen  CPU seconds of every member at any call so far, updated here. A child whose parent ignores
          its end is in no sum once it has ended; its last reading still counts.
    """
    known = {}
    for process in _processes() if _may_have_children(root) else (root,):
        if (fields := _stat(process)) is not None:
            known[process] = fields
    members = {root} & known.keys()
    grew = True
    while grew:
        more = {p for p, fields in known.items() if p not in members and int(fields[1]) in members}
        members |= more
        grew = bool(more)
    spent = sum(int(known[p][i]) for p in members for i in (11, 12, 13, 14)) / TICKS
    if seen is not None:
        for p in members:
            seen[p, known[p][19]] = (int(known[p][11]) + int(known[p][12])) / TICKS
        spent = max(spent, sum(seen.values()))  # both are lower bounds, and count nothing twice
    resident = sum(int(known[p][21]) for p in members) * PAGE
    return Usage(spent, resident, waited_seconds(root), len(members))
