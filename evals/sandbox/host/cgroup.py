"""Control groups for a worker, where this user may make them: the kernel's own bound on memory and processes.

The watch (`evals.sandbox.host.pool`) reads resident memory every 50 ms. A group also counts memory that no
process shows: files of a tmpfs, full pipes and sockets, shared memory that is not mapped. Version 1 or 2 is
used, whichever has the controllers. Root may usually make groups, an ordinary user where systemd delegates
one; without that right the watch is the only bound.
"""

import contextlib
import os
import time
from collections.abc import Iterator

PREFIX = "phizoo-"
# controller -> (file of its limit in version 1, in version 2)
LIMITS = {"memory": ("memory.limit_in_bytes", "memory.max"), "pids": ("pids.max", "pids.max")}
REMOVE_TRIES = 100  # 10 ms each: the processes of a killed worker end one after another


def _read(path: str) -> str:
    try:
        with open(path) as file:
            return file.read()
    except OSError:
        return ""


def parse_mounts(text: str) -> dict[str, str]:
    """Controller -> mount point of version 1; "" -> that of version 2. text: /proc/mounts.

    >>> parse_mounts("cgroup /c/memory cgroup rw,memory 0 0\\ncgroup2 /c/unified cgroup2 rw 0 0\\ntmpfs /c tmpfs rw")
    {'memory': '/c/memory', '': '/c/unified'}
    """
    points = {}
    for line in text.splitlines():
        _, place, kind, options = line.split()[:4]
        if kind == "cgroup2":
            points[""] = place
        elif kind == "cgroup":
            points |= {name: place for name in LIMITS if name in options.split(",")}
    return points


def parse_own(text: str) -> dict[str, str]:
    """Controller ("" for version 2) -> path of this process's group. text: /proc/self/cgroup.

    >>> parse_own("4:memory:/a/b\\n1:cpu,pids:/\\n0::/user.slice")
    {'memory': '/a/b', 'cpu': '/', 'pids': '/', '': '/user.slice'}
    """
    rows = [line.split(":", 2) for line in text.splitlines()]
    return {name: path for _, names, path in rows for name in names.split(",")}


def _parents(top: str, path: str) -> Iterator[str]:
    """A group of version 2 and the groups above it, nearest first."""
    while True:
        yield top + path.rstrip("/")
        if path in ("", "/"):
            return
        path = os.path.dirname(path)


def find_places() -> dict[str, tuple[str, int]]:
    """Controller -> (folder in which a group with it may be made, version)."""
    folders: dict[str, tuple[str, int]] = {}
    places, mine = parse_mounts(_read("/proc/mounts")), parse_own(_read("/proc/self/cgroup"))
    for name in LIMITS:
        if name in places and name in mine:
            folders[name] = (places[name] + mine[name].rstrip("/"), 1)
        elif "" in places:
            for folder in _parents(places[""], mine.get("", "/")):
                if name in _read(folder + "/cgroup.subtree_control").split():
                    folders[name] = (folder, 2)
                    break
    return folders


def _sweep(folder: str) -> None:
    """Removes the groups of pools that were killed."""
    for name in os.listdir(folder):
        if name.startswith(PREFIX) and not os.path.exists("/proc/" + name.split("-")[1]):
            with contextlib.suppress(OSError):
                os.rmdir(os.path.join(folder, name))


def enclose(process: int, memory_bytes: int, processes: int) -> list[str]:
    """Puts a process into groups of its own. Returns their folders; none where that is not allowed."""
    made: list[str] = []
    values = {"memory": memory_bytes, "pids": processes}
    for name, (folder, version) in find_places().items():
        group = f"{folder}/{PREFIX}{os.getpid()}-{process}"
        try:
            _sweep(folder)
            if group not in made:
                os.mkdir(group)
                made.append(group)
            for file, value in ((LIMITS[name][version - 1], values[name]), ("cgroup.procs", process)):
                with open(f"{group}/{file}", "w") as out:
                    out.write(str(value))
        except OSError:
            continue
    return made


def remove(groups: list[str]) -> None:
    """Removes the folders, once the processes in them have ended."""
    for group in groups:
        for _ in range(REMOVE_TRIES):
            try:
                os.rmdir(group)
                break
            except FileNotFoundError:
                break
            except OSError:
                time.sleep(0.01)
