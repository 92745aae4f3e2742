"""The system calls a candidate may not make, compiled to a seccomp filter through libseccomp.

It lists forbidden calls, not allowed ones: the namespaces contain the program, and the filter removes
the rarely used parts of the kernel. A forbidden call fails with EPERM (clone3 with ENOSYS, so that
the C library falls back to clone, whose flags the filter can read).
"""

import contextlib
import errno
import os
import tempfile
from functools import cache
from pathlib import Path

from evals.sandbox.guest.linux import NAMESPACES

MOST_SHARED_BYTES = 1 << 20  # of one map of shared anonymous memory, which outlives its process unseen by the watch
MAP_SHARED, MAP_ANONYMOUS = 0x1, 0x20

CALLS = Path(__file__).with_name("forbidden_calls.txt")
FORBIDDEN = [line.partition("#")[0].strip() for line in CALLS.read_text(encoding="utf-8").splitlines()]
BINARY_TREE = 2  # the kernel tries a filter on every call's number when it is loaded: a list takes twice as long
PR_SET_PDEATHSIG = 1  # a candidate must not outlive the zygote
PR_SET_DUMPABLE = 4  # so that the machine starts no dump handler for it


@cache
def compile_filter() -> bytes:
    """The filter as the kernel reads it, for this machine.

    Raises  ImportError without pyseccomp or its library (`pip install pyseccomp`; libseccomp2).
    """
    import pyseccomp as seccomp

    rules = seccomp.SyscallFilter(seccomp.ALLOW)
    with contextlib.suppress(RuntimeError, ValueError, OSError):  # a libseccomp before 2.5 makes a list
        rules.set_attr(seccomp.Attr.CTL_OPTIMIZE, BINARY_TREE)
    refuse = seccomp.ERRNO(errno.EPERM)
    for name in FORBIDDEN:
        try:
            rules.add_rule(refuse, name)
        except (RuntimeError, ValueError, OSError):  # a call that this machine or library does not have
            continue
    for flag in (*NAMESPACES.values(), 0x80):  # 0x80: a time namespace
        rules.add_rule(refuse, "clone", seccomp.Arg(0, seccomp.MASKED_EQ, flag, flag))
    rules.add_rule(seccomp.ERRNO(errno.ENOSYS), "clone3")
    for option in (PR_SET_PDEATHSIG, PR_SET_DUMPABLE):
        rules.add_rule(refuse, "prctl", seccomp.Arg(0, seccomp.EQ, option))
    for name in ("socket", "socketpair"):
        rules.add_rule(refuse, name, seccomp.Arg(0, seccomp.NE, 1))  # AF_UNIX only
    shared = MAP_SHARED | MAP_ANONYMOUS
    large = (seccomp.Arg(1, seccomp.GT, MOST_SHARED_BYTES), seccomp.Arg(3, seccomp.MASKED_EQ, shared, shared))
    rules.add_rule(refuse, "mmap", *large)
    rules.add_rule(refuse, "ioctl", seccomp.Arg(1, seccomp.MASKED_EQ, 0xFFFFFFFF, 0x5412))  # TIOCSTI
    with tempfile.TemporaryFile() as out:
        rules.export_bpf(out)
        out.seek(0)
        return os.read(out.fileno(), 1 << 20)
