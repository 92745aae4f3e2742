# ruff: noqa: S108, S606
"""Builds the root that candidates see, then becomes the zygote inside it.

Run by the bare interpreter with an empty environment: `launch.main(json)`. Order: new namespaces,
a tmpfs as the new root, read-only binds of the interpreter, the shared libraries, numpy, time zones
and two devices (not /dev/zero: a shared map of it is memory that no process shows), pivot_root,
everything else detached, root's identity given up, exec of `zygote`. There is
no /proc, no site-packages (they hold the benchmarks' answers), no home, nothing writable: each
child mounts its own /tmp.

Source: bubblewrap's order of steps (pivot first, bind from the old root, detach it).
"""

import json
import os
import stat
import sys
from collections.abc import Iterator, Sequence

from evals.sandbox.guest import linux

INSIDE = "/python"  # the interpreter's folder inside: a fixed place, so that no real path shows
ZONES = "/usr/share/zoneinfo"
NOBODY = 65534  # root becomes this user: a real uid of 0 would be exempt from RLIMIT_NPROC
NETS = 3  # net namespaces of a worker: for the child that ends, the one that runs and the one that waits
OLD = "/.old"
COPIED = 1 << 16  # bytes of the largest file that is copied into the root
ENVIRONMENT = {"LD_LIBRARY_PATH": f"{INSIDE}/lib", "PYTHONHASHSEED": "0", "OPENBLAS_NUM_THREADS": "1"}


def _bind(source: str, target: str) -> None:
    """Makes `source` of the old root appear at `target`, read-only; skips a path that does not exist.

    Small files are copied, since each mount is copied for each child and costs more than they do. A bound path is
    read-only at once, so that no later target can be made in one of the machine's own folders.
    """
    source = OLD + source
    if os.path.isdir(source):
        os.makedirs(target, exist_ok=True)
    elif os.path.exists(source):
        os.makedirs(os.path.dirname(target), exist_ok=True)
        status = os.stat(source)
        with open(target, "xb") as file:
            if stat.S_ISREG(status.st_mode) and status.st_size <= COPIED:
                with open(source, "rb") as original:
                    file.write(original.read())
                os.fchmod(file.fileno(), 0o444 | status.st_mode & 0o111)
                return
    else:
        return
    linux.mount(source, target, flags=linux.MS_BIND | linux.MS_REC)
    linux.freeze_mounts(target)


def _hide_packages(library: str) -> None:
    """An empty folder over every site-packages and dist-packages below `library`."""
    for folder in (library, *(os.path.join(library, n) for n in os.listdir(library) if n.startswith("python"))):
        for name in ("site-packages", "dist-packages"):
            if os.path.isdir(os.path.join(folder, name)):
                linux.mount("none", os.path.join(folder, name), "tmpfs", options="size=4k,mode=755")


def library_folders(multiarch: str) -> Iterator[str]:
    """The folders of shared libraries, the architecture's own where there is one. Call before pivot_root."""
    for top in ("/lib", "/usr/lib"):
        narrow = f"{top}/{multiarch}"
        yield narrow if multiarch and os.path.isdir(narrow) else top
    yield from ("/lib64", "/usr/lib64")


def _libraries(folders: Sequence[str]) -> None:
    for folder in folders:
        top = folder if folder.count("/") == 1 else os.path.dirname(folder)
        if os.path.islink(OLD + top) and top.count("/") == 1:  # merged /usr: /lib -> usr/lib
            if not os.path.lexists(top):
                os.symlink(os.readlink(OLD + top), top)
        else:
            _bind(folder, folder)
            if os.path.isdir(folder):
                _hide_packages(folder)


def build_root(config: dict[str, object]) -> None:
    """Makes the new root and enters it. config: see `evals.sandbox.host.worker.launch_config`."""
    os.umask(0o022)
    linux.mount("none", "/", flags=linux.MS_REC | linux.MS_PRIVATE)
    linux.mount("none", "/tmp", "tmpfs", linux.MS_NOSUID | linux.MS_NODEV, "size=16m,mode=755")
    os.mkdir("/tmp" + OLD)
    linux.pivot_root("/tmp", "/tmp" + OLD)
    os.chdir("/")
    binds, folders, links = config["binds"], config["libraries"], config["links"]
    assert isinstance(binds, list) and isinstance(folders, list) and isinstance(links, list)
    _libraries(folders)
    _bind(str(config["stdlib"]), f"{INSIDE}/lib/python{config['version']}")
    _hide_packages(f"{INSIDE}/lib")
    for source, target in (*binds, *((f"/dev/{name}",) * 2 for name in ("null", "urandom"))):
        _bind(source, target)
    for place, target in links:
        os.makedirs(os.path.dirname(place), exist_ok=True)
        os.symlink(target, place)
    os.mkdir("/tmp")
    os.makedirs("/var")
    for link, target in (("/dev/shm", "/tmp"), ("/var/tmp", "/tmp"), ("/dev/random", "urandom")):
        os.symlink(target, link)
    _bind(ZONES, ZONES)
    linux.unmount(OLD)
    os.rmdir(OLD)
    linux.freeze_mounts("/")


def _become_nobody() -> None:
    os.setgroups([])
    os.setresgid(NOBODY, NOBODY, NOBODY)
    os.setresuid(NOBODY, NOBODY, NOBODY)
    linux.prctl(linux.PR_SET_DUMPABLE, 1)  # or the id maps below belong to root and cannot be written


def enclose(config: dict[str, object], proc: int) -> None:
    """Puts this process into its own namespaces and root, with no identity of root's outside them.

    Root builds the new root first (the interpreter may lie in a folder that only root can read) and drops
    its identity before it makes the user namespace; an ordinary user needs that namespace to mount at all.
    """
    spaces = linux.NEWUSER | linux.NEWNS | linux.NEWIPC | linux.NEWUTS | linux.NEWNET
    if os.geteuid() == 0:
        linux.unshare(linux.NEWNS)
        build_root(config)
        _become_nobody()
    user, group = os.getuid(), os.getgid()
    linux.unshare(spaces)
    linux.write_id_maps(proc, 0, user, group)
    if user != NOBODY or not os.path.isdir(INSIDE):
        build_root(config)
    linux.set_hostname("sandbox")


def make_net_namespaces(proc: int) -> list[int]:
    """Empty net namespaces, as descriptors that the zygote inherits: its children take turns in them."""
    descriptors = []
    for _ in range(NETS):
        linux.unshare(linux.NEWNET)
        descriptors.append(os.open("self/ns/net", os.O_RDONLY, dir_fd=proc))
        os.set_inheritable(descriptors[-1], True)
    return descriptors


def main(text: str) -> None:
    """Builds the root and execs the zygote; if a step fails, names it on standard error and exits with 3."""
    config = json.loads(text)
    proc = os.open("/proc", os.O_RDONLY | os.O_DIRECTORY)
    try:
        enclose(config, proc)
        nets = make_net_namespaces(proc)
    except OSError as error:
        sys.stderr.write(f"{error}\n")
        sys.exit(3)
    handle = os.open("self/oom_score_adj", os.O_WRONLY, dir_fd=proc)
    os.write(handle, b"1000")  # candidates inherit it: when memory runs out, they are killed first
    os.close(handle)
    os.set_inheritable(config["judge"], True)
    os.set_inheritable(config["control"], True)
    os.dup2(os.open("/dev/null", os.O_RDWR), 2)
    python = f"{INSIDE}/bin/python{config['version']}"
    start = f"import sys; sys.path.insert(0, '{INSIDE}/phizoo'); from evals.sandbox.guest.zygote import main; main()"
    given = {"nets": nets, **{name: config[name] for name in ("judge", "control", "numpy", "wide")}}
    os.execve(python, [python, "-s", "-S", "-P", "-B", "-c", start, json.dumps(given)], ENVIRONMENT)
