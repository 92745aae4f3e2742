"""Linux calls that Python 3.11 does not wrap, through ctypes; each raises OSError.

Standard library only: `launch` and `zygote` load this file where no package is installed. Their callers
decide the order: `evals.sandbox.host.launch` (the root) and `evals.sandbox.guest.zygote` (the child).
"""

import ctypes
import os
import struct
from collections.abc import Iterable
from typing import Any

MS_NOSUID, MS_NODEV, MS_BIND, MS_REC, MS_PRIVATE = 2, 4, 4096, 16384, 1 << 18
MNT_DETACH = 2
NEWNS, NEWUTS, NEWIPC, NEWUSER, NEWPID, NEWNET = 0x20000, 0x4000000, 0x8000000, 0x10000000, 0x20000000, 0x40000000
NAMESPACES = {"user": NEWUSER, "pid": NEWPID, "mount": NEWNS, "net": NEWNET, "ipc": NEWIPC, "uts": NEWUTS}
PR_SET_PDEATHSIG, PR_SET_DUMPABLE, PR_SET_SECCOMP, PR_SET_NO_NEW_PRIVS = 1, 4, 22, 38
AF_UNIX, SOCK_STREAM, POLLIN = 1, 1, 1
AT_FDCWD, AT_RECURSIVE = -100, 0x8000
SIGCHLD = 17

# clone, pivot_root, capset, close_range, mount_setattr, by machine (from the kernel's tables)
NUMBERS = {"x86_64": (56, 155, 126, 436, 442), "aarch64": (220, 41, 91, 436, 442)}
CLONE, PIVOT_ROOT, CAPSET, CLOSE_RANGE, MOUNT_SETATTR = NUMBERS.get(os.uname().machine, (-1,) * 5)

# PyDLL keeps the interpreter lock during the call: the zygote has one thread, and a child that leaves
# clone() with the lock still held needs no repair of it.
_libc = ctypes.PyDLL(None, use_errno=True)
_syscall = _libc.syscall
_syscall.restype = ctypes.c_long
_THIS_PROCESS, _NOTHING = struct.pack("Ii", 0x20080522, 0), bytes(24)  # capability header of version 3, empty sets


def _check(result: int, call: str, subject: str = "") -> int:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{call} {subject}: {os.strerror(number)}")
    return result


def clone(flags: int) -> int:
    """A fork into new namespaces: 0 in the child, its process id in the parent.

    Not os.fork: that cannot make namespaces, and its at-fork hooks cost more than two namespaces.
    """
    return _check(_syscall(CLONE, flags | SIGCHLD, 0, 0, 0, 0), "clone")


def unshare(flags: int) -> None:
    """Moves this process into new namespaces (a pid namespace: its children)."""
    _check(_libc.unshare(flags), "unshare")


def enter_net(namespace: int) -> None:
    """Moves this process into the net namespace of an open descriptor."""
    _check(_libc.setns(namespace, NEWNET), "setns")


def mount(source: str, target: str, kind: str = "", flags: int = 0, options: str = "") -> None:
    """mount(2)."""
    _check(
        _libc.mount(source.encode(), target.encode(), kind.encode() or None, ctypes.c_ulong(flags), options.encode()),
        "mount",
        f"{source} on {target}",
    )


def unmount(target: str) -> None:
    """Detaches a mount and every mount below it."""
    _check(_libc.umount2(target.encode(), MNT_DETACH), "umount", target)


def pivot_root(new: str, old: str) -> None:
    """pivot_root(2)."""
    _check(_syscall(PIVOT_ROOT, new.encode(), old.encode()), "pivot_root")


def freeze_mounts(path: str) -> None:
    """Makes `path` and every mount below it read-only and without set-user-id (Linux 5.12 on)."""
    attributes = struct.pack("QQQQ", 0x1 | 0x2, 0, 0, 0)  # MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID
    _check(
        _syscall(MOUNT_SETATTR, AT_FDCWD, path.encode(), AT_RECURSIVE, attributes, ctypes.c_size_t(len(attributes))),
        "mount_setattr",
    )


def set_hostname(name: str) -> None:
    """sethostname(2), in this UTS namespace."""
    _check(_libc.sethostname(name.encode(), len(name)), "sethostname")


def prctl(option: int, argument: int) -> None:
    """prctl(2) with one argument."""
    _check(_libc.prctl(option, ctypes.c_ulong(argument), 0, 0, 0), "prctl")


def close_range(first: int, last: int = 0x7FFFFFFF) -> None:
    """Closes every descriptor from first to last."""
    _check(_syscall(CLOSE_RANGE, first, last, 0), "close_range")


class _FilterProgram(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("code", ctypes.c_char_p))


Step = tuple[str, Any, tuple[Any, ...]]  # its name in errors, the libc function, its arguments


def step(name: str, *arguments: Any) -> Step:
    """A libc call that `run_steps` makes later, with its arguments built now.

    A child that only runs prepared steps touches few memory pages, and each page that it touches must be copied:
    the same calls through `os` and `resource` touch eight times as many.
    """
    return name, getattr(_libc, name), tuple(ctypes.c_ulong(a) if isinstance(a, int) else a for a in arguments)


def run_step(step: Step) -> int:
    """Makes the call and returns its result."""
    name, function, arguments = step
    return _check(function(*arguments), name)


def run_steps(steps: Iterable[Step]) -> None:
    """Makes the calls in order; raises OSError at the first that fails."""
    for name, function, arguments in steps:
        if function(*arguments) < 0:
            _check(-1, name)


def capabilities_step() -> Step:
    """Drops every capability of this process."""
    return step("syscall", CAPSET, _THIS_PROCESS, _NOTHING)


def close_step(first: int) -> Step:
    """Closes every descriptor from `first` on."""
    return step("syscall", CLOSE_RANGE, first, 0x7FFFFFFF, 0)


def limit_step(kind: int, most: int) -> Step:
    """setrlimit(2), soft and hard."""
    return step("setrlimit", kind, struct.pack("LL", most, most))


def prctl_step(option: int, argument: int) -> Step:
    """prctl(2) with one argument."""
    return step("prctl", option, argument, 0, 0, 0)


def seccomp_step(code: bytes) -> Step:
    """Puts a compiled filter on the calling process; it cannot be removed."""
    return step("prctl", PR_SET_SECCOMP, 2, ctypes.byref(_FilterProgram(len(code) // 8, code)), 0, 0)


class _Buffer(ctypes.Structure):
    _fields_ = (("start", ctypes.c_void_p), ("size", ctypes.c_size_t))


class _Message(ctypes.Structure):
    _fields_ = (
        ("name", ctypes.c_void_p), ("name_size", ctypes.c_uint), ("buffers", ctypes.POINTER(_Buffer)),
        ("buffers_number", ctypes.c_size_t), ("control", ctypes.c_void_p), ("control_size", ctypes.c_size_t),
        ("flags", ctypes.c_int),
    )  # fmt: skip


class Right(ctypes.Structure):
    """The control message that carries one descriptor over a unix socket: SCM_RIGHTS of SOL_SOCKET."""

    _fields_ = (("size", ctypes.c_size_t), ("level", ctypes.c_int), ("kind", ctypes.c_int), ("number", ctypes.c_int))

    def __init__(self) -> None:
        super().__init__(size=type(self).number.offset + 4, level=1, kind=1)


def send_step(socket: int, text: Any, right: Right) -> Step:
    """sendmsg(2) of a ctypes buffer and a descriptor, with their content at the time of the call."""
    start = ctypes.cast(text, ctypes.c_void_p)
    buffers = ctypes.pointer(_Buffer(start, ctypes.sizeof(text)))
    control = ctypes.cast(ctypes.pointer(right), ctypes.c_void_p)
    message = _Message(None, 0, buffers, 1, control, ctypes.sizeof(right), 0)
    return step("sendmsg", socket, ctypes.byref(message), 0)


def write_id_maps(proc: int, inside: int, user: int, group: int) -> None:
    """Maps one user and one group into this process's new user namespace. proc: an open /proc."""
    for name, text in (("setgroups", "deny"), ("uid_map", f"{inside} {user} 1"), ("gid_map", f"{inside} {group} 1")):
        handle = os.open("self/" + name, os.O_WRONLY, dir_fd=proc)
        try:
            os.write(handle, text.encode())
        finally:
            os.close(handle)
