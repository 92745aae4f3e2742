"""The process that candidates are cloned from: preloaded modules, no secret, no candidate code.

It runs inside the root that `launch` built, was exec'ed with an empty environment before any
program was read, and keeps two children ready. Each is already in its own user, pid, mount, ipc and uts
namespaces with its own /tmp, no capability, no new privileges, its limits and its system call filter,
and waits on a socket whose other end went to the judge.

A new net namespace costs as much as all the others together, so three of them are used in turn: no two
living children share one, and it is used again only when every process of its last child has ended.
Nothing is left in it then: an unbound loopback and unix sockets only (the filter refuses others), which
end with their last descriptor, and no descriptor can be in flight (the filter refuses sendmsg).

When the judge is done with a child, its pid namespace is killed (a whole tree, daemons and sessions
included) and a new one is made. The zygote ends when the judge or the pool does, and its children
with it.
"""

import ctypes
import gc
import importlib
import itertools
import json
import os
import random
import resource
import signal
import struct
import sys
from typing import Any, NamedTuple

from evals.sandbox.guest import candidate, linux, preload

READY = 2  # children kept waiting: one in use, one made while the other runs
SPACES = linux.NEWUSER | linux.NEWPID | linux.NEWNS | linux.NEWIPC | linux.NEWUTS
MIB = 1 << 20
# (limit, value): address space 2 GiB: Mbpp+/255 makes a list of over 1 GiB; 64 processes and threads run a pool
LIMITS = (
    (resource.RLIMIT_AS, 2048 * MIB), (resource.RLIMIT_FSIZE, 64 * MIB), (resource.RLIMIT_NOFILE, 1024),
    (resource.RLIMIT_CORE, 0), (resource.RLIMIT_MSGQUEUE, 0), (resource.RLIMIT_MEMLOCK, 0),
    (getattr(resource, "RLIMIT_SIGPENDING", 11), 256),
)  # fmt: skip
STACK = 64 * MIB  # of the main thread: deep recursion through C; other threads keep what libc saw at the start
PROCESSES = 64
POLLED = struct.Struct("ihhihh")  # two of poll's: descriptor, events asked for, events seen
CHANNEL = 3  # the descriptor of a child's socket
TMP_OPTIONS = b"size=64m,nr_inodes=4096,mode=1777"


def _enclosing_steps(channel: ctypes.c_int, code: bytes) -> tuple[linux.Step, ...]:
    """The steps by which a child encloses itself before it reads any program; the order matters.

    channel  the descriptor of its socket; code: the compiled filter
    A new session (its group must hold no other process); no capability in its new user namespace;
    parent-death after the last change of credentials, which would clear it; the filter last.
    """
    return (
        linux.step("dup2", channel, CHANNEL), linux.step("setsid"), linux.close_step(4), linux.step("chdir", b"/tmp"),
        linux.limit_step(resource.RLIMIT_NPROC, PROCESSES), linux.capabilities_step(),
        linux.prctl_step(linux.PR_SET_PDEATHSIG, signal.SIGKILL), linux.prctl_step(linux.PR_SET_DUMPABLE, 0),
        linux.seccomp_step(code),
    )  # fmt: skip


class ChildSteps(NamedTuple):
    """The steps and buffers that make a child, prepared once: new ones would cost each child pages (`linux.step`)."""

    before: tuple[linux.Step, ...]  # in the zygote, before a child is cloned and after
    after: tuple[linux.Step, ...]
    inside: tuple[linux.Step, ...]  # in the child
    session: candidate.Session
    ends: Any  # of the next child's socket: the judge's, the child's
    text: Any  # the child's process id in ten characters, which goes to the judge with its end
    right: linux.Right


def _prepare_steps(judge: int, code: bytes) -> ChildSteps:
    """Prepares a child's steps. judge: the descriptor of its socket; code: the compiled filter."""
    ends, text, right = (ctypes.c_int * 2)(), (ctypes.c_char * 10)(), linux.Right()
    ours, theirs = ctypes.c_int.from_buffer(ends), ctypes.c_int.from_buffer(ends, ctypes.sizeof(ctypes.c_int))
    flags = linux.MS_NOSUID | linux.MS_NODEV
    return ChildSteps(
        before=(
            linux.step("socketpair", linux.AF_UNIX, linux.SOCK_STREAM, 0, ends),
            linux.step("mount", b"none", b"/tmp", b"tmpfs", flags, TMP_OPTIONS),
        ),
        after=(
            linux.step("umount2", b"/tmp", linux.MNT_DETACH),
            linux.step("close", theirs),
            linux.send_step(judge, text, right),
            linux.step("close", ours),
        ),
        inside=_enclosing_steps(theirs, code),
        session=candidate.Session(candidate.CandidateChannel(CHANNEL, CHANNEL)),
        ends=ends,
        text=text,
        right=right,
    )


def serve_program(session: candidate.Session) -> None:
    """Loads the program that the judge sends and answers until it hangs up."""
    channel = session.channel
    source, cpu_seconds, classes, entry_point = channel.message()
    resource.setrlimit(resource.RLIMIT_CPU, (cpu_seconds, cpu_seconds))
    try:
        session.load(source, classes, entry_point)
    except BaseException as error:
        session.report_failure(error)
        return
    session.serve()


def _child(ready: ChildSteps) -> None:
    try:
        linux.run_steps(ready.inside)
        gc.enable()
        serve_program(ready.session)
    except BaseException as error:
        candidate.report_fault(CHANNEL, f"{type(error).__name__}: {error}")
    finally:
        os._exit(0)


def spawn(ready: ChildSteps, net: int) -> int:
    """Clones one enclosed child into a net namespace and sends the judge its socket and process id.

    The child's /tmp is mounted here before the clone and unmounted here after it: the child keeps
    its own copy. So this namespace's users own the files, and the child's user namespace needs no
    user at all (the child sees itself as nobody, which stands for an unmapped user).
    """
    linux.enter_net(net)  # before the socket is made, which belongs to the namespace too
    linux.run_steps(ready.before)
    process = linux.clone(SPACES)
    if process == 0:
        _child(ready)
    ready.text.raw = b"%10d" % process
    ready.right.number = ready.ends[0]
    linux.run_steps(ready.after)
    return process


def _import_modules(numpy: bool, wide: bool) -> None:
    if numpy:
        sys.path.append("/python/numpy")
    for name in (*preload.NARROW, *(preload.WIDE if wide else ()), *(("numpy",) if numpy and wide else ())):
        importlib.import_module(name)


def set_limits() -> None:
    """Sets the limits of a candidate on this process."""
    for kind, value in LIMITS:
        most = resource.getrlimit(kind)[1]
        value = value if most == resource.RLIM_INFINITY else min(value, most)
        resource.setrlimit(kind, (value, value))
    most = resource.getrlimit(resource.RLIMIT_STACK)[1]
    resource.setrlimit(resource.RLIMIT_STACK, (STACK if most == resource.RLIM_INFINITY else min(STACK, most), most))


def serve_alone() -> None:
    """Serves as a candidate that `spawner` started, not a zygote: its channel is standard input and output."""
    channel, out, nothing = os.dup2(0, 10), os.dup2(1, 11), os.open("/dev/null", os.O_RDWR)
    for number in (0, 1, 2):
        os.dup2(nothing, number)
    linux.close_range(3, 9)
    linux.close_range(12)
    os.environ.clear()
    set_limits()
    resource.setrlimit(resource.RLIMIT_NPROC, (PROCESSES, PROCESSES))
    linux.prctl(linux.PR_SET_NO_NEW_PRIVS, 1)
    sys.path += sys.argv[1:]  # the folder of numpy
    sys.argv = [""]
    random.seed(0)
    serve_program(candidate.Session(candidate.CandidateChannel(channel, out)))
    os._exit(0)


def _prepare(given: dict[str, Any]) -> ChildSteps:
    """Prepares all that children inherit: imports, limits, no environment, the compiled filter."""
    _import_modules(given["numpy"], given["wide"])
    os.environ.clear()
    sys.argv = [""]
    sys.path.remove("/python/phizoo")
    set_limits()
    os.umask(0o077)
    random.seed(0)
    candidate.warm_up()
    return _prepare_steps(given["judge"], os.read(given["control"], 1 << 20))


def _serve(judge: int, control: int, ready: ChildSteps, nets: list[int], children: list[int]) -> None:
    """Replaces the oldest child for each byte from the judge, until the judge or the pool has ended."""
    events, done, process = (ctypes.c_char * 16)(), (ctypes.c_char * 64)(), ctypes.c_int()
    events.raw = POLLED.pack(judge, linux.POLLIN, 0, control, linux.POLLIN, 0)
    poll, read = linux.step("poll", events, 2, -1), linux.step("read", judge, done, ctypes.sizeof(done))
    kill, wait = linux.step("kill", process, signal.SIGKILL), linux.step("waitpid", process, None, 0)
    turns = itertools.cycle(nets[READY:] + nets[:READY])
    while True:
        linux.run_step(poll)
        if POLLED.unpack(events)[-1]:
            return
        number = linux.run_step(read)
        if not number:
            return
        for _ in range(number):
            process.value = children.pop(0)
            linux.run_step(kill)  # with its whole pid namespace
            children.append(spawn(ready, next(turns)))
            linux.run_step(wait)  # until every process of it has ended


def main() -> None:
    """Serves until the judge or the pool has ended."""
    given = json.loads(sys.argv[1])
    control, nets = given["control"], given["nets"]
    try:
        ready = _prepare(given)
        linux.prctl(linux.PR_SET_NO_NEW_PRIVS, 1)
        gc.collect()
        gc.disable()
        gc.freeze()  # the collector of a child must not write to the headers of shared pages
        children = [spawn(ready, net) for net in nets[:READY]]
    except BaseException as error:  # this process's standard error goes nowhere
        os.write(control, f"{type(error).__name__}: {error}"[:4096].encode())
        os._exit(1)
    os.write(control, b"ready")
    _serve(given["judge"], control, ready, nets, children)
    for process in children:
        os.kill(process, signal.SIGKILL)
        os.waitpid(process, 0)
    os._exit(0)
