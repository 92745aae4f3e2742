"""The tiers of isolation: which of them this machine supports, and a sandbox opened at one.

namespaces   everything in docs/sandbox.md; needs unprivileged user namespaces, Linux 5.12, libseccomp
bubblewrap   one bwrap for each program: the same root and namespaces, about 15 times slower
container    one podman or docker container for each program: slower still
process      resource limits only: a program can read your files, use the network and outlive its
             verdict. Verdicts stay unforgeable. Refused unless allow_weak is set.
"""

import contextlib
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from evals.sandbox.program import Program
from zoo.errors import ZooError, unknown
from zoo.records import Record

if TYPE_CHECKING:
    from evals.sandbox.host.pool import Sandbox as Sandbox

TIERS = ("namespaces", "bubblewrap", "container", "process")  # best first


class TierReport(Record, frozen=True, kw_only=True):
    """Whether a tier works here. detail: the result of the trial, or the obstacle; remedy: "" if the tier works."""

    name: str
    available: bool
    detail: str
    remedy: str = ""


def _missing_everywhere() -> str:
    """A requirement of every tier that this machine does not meet, and the remedy; "" if it meets all."""
    if sys.platform != "linux":
        return f"this is {sys.platform}, and isolation needs Linux: use a Linux machine or container"
    from evals.sandbox.guest.linux import CLONE
    from evals.sandbox.host import syscall_filter

    if CLONE < 0:
        return f"no system call numbers for {os.uname().machine} (known: x86_64, aarch64)"
    try:
        syscall_filter.compile_filter()
    except (ImportError, OSError, RuntimeError) as error:
        return f"libseccomp cannot be used ({error}): pip install 'phi-zoo[eval]', and libseccomp2 from the system"
    return ""


def _namespaces() -> str:
    """The kernel setting that forbids new namespaces, and the remedy; "" if none does."""
    settings = {
        "/proc/sys/kernel/unprivileged_userns_clone": ("0", "sysctl kernel.unprivileged_userns_clone=1"),
        "/proc/sys/kernel/apparmor_restrict_unprivileged_userns": (
            "1", "sysctl kernel.apparmor_restrict_unprivileged_userns=0"),
        "/proc/sys/user/max_user_namespaces": ("0", "sysctl user.max_user_namespaces=10000"),
    }  # fmt: skip
    for path, (bad, remedy) in settings.items():
        if os.path.exists(path):
            with open(path) as file:
                if file.read().strip() == bad:
                    return f"user namespaces are off ({path} is {bad}): {remedy}"
    return ""


def _absent(tier: str) -> str:
    """The obstacle to a tier that shows before a trial, and the remedy; "" if there is none."""
    if missing := _missing_everywhere():
        return missing
    if tier == "bubblewrap" and not shutil.which("bwrap"):
        return "no bwrap on the path: install bubblewrap"
    if tier == "container":
        from evals.sandbox.host.worker import container_engine

        engine = container_engine()
        if not engine:
            return "no podman or docker on the path: install one"
        try:
            answers = subprocess.run([engine, "info"], capture_output=True, timeout=20).returncode == 0
        except subprocess.TimeoutExpired:
            answers = False
        if not answers:
            return f"{engine} is installed but does not answer: start its service"
    return ""


TRIAL = Program(
    id="trial", prompt="def one():\n", completion="    return 1\n",
    test="def check(candidate):\n    assert candidate() == 1\n", entry_point="one", timeout_seconds=20.0,
)  # fmt: skip


def _try(tier: str) -> str:
    """Runs one good program in the tier; returns the error, or ""."""
    from evals.sandbox.host.pool import Sandbox
    from evals.sandbox.host.worker import CannotIsolate

    try:
        sandbox = Sandbox(1, tier)
    except (CannotIsolate, OSError) as error:
        return str(error)
    try:
        verdict = next(sandbox.run([TRIAL]))
    finally:
        sandbox.close()
    return "" if verdict.verdict == "passed" else f"a trial program did not run: {verdict.detail}"


def report(tier: str) -> TierReport:
    """Tests one tier with a trial program."""
    missing = _absent(tier)
    if not missing and (failed := _try(tier)):
        setting = _namespaces() if tier == "namespaces" else ""
        if not setting:
            return TierReport(name=tier, available=False, detail=failed, remedy="see docs/sandbox.md")
        missing = f"{failed}; {setting}"
    if not missing:
        works = "limits only: reads your files, uses your network" if tier == "process" else "ran a trial program"
        return TierReport(name=tier, available=True, detail=works)
    detail, _, remedy = missing.rpartition(": ")
    if not detail:
        detail, remedy = missing, "see docs/sandbox.md"
    return TierReport(name=tier, available=False, detail=detail, remedy=remedy)


def probe() -> list[TierReport]:
    """A report on each tier, best first; each runs a trial program."""
    return [report(tier) for tier in TIERS]


def choose(tier: str | None, allow_weak: bool) -> str:
    """The tier to use: `tier`, or the best that works.

    Raises  ZooError when the tier is unknown, does not work here, or is weak without allow_weak.
    """
    if tier is not None and tier not in TIERS:
        raise unknown("tier", tier, TIERS, "phizoo doctor")
    if tier == "process" and not allow_weak:
        raise ZooError(
            'the tier "process" only sets limits and isolates nothing, so nothing was run. '
            "To use it all the same: --allow-weak-isolation. Requirements of a better tier: phizoo doctor"
        )
    reasons = []
    for name in (tier,) if tier else TIERS[:3]:
        result = report(name)
        if result.available:
            return name
        reasons.append(f"{name}: {result.detail}")
    if tier is None and allow_weak and report("process").available:
        return "process"
    raise ZooError(f"cannot isolate code here, so nothing was run ({'; '.join(reasons)}). Details: phizoo doctor")


@contextmanager
def open_sandbox(workers: int | None = None, tier: str | None = None, allow_weak: bool = False) -> "Iterator[Sandbox]":
    """A sandbox to run programs in.

    workers     programs at a time; None: one for each core that this process may use
    tier        one of TIERS; None: the best that works here
    allow_weak  whether "process" may be used
    Raises      ZooError when this machine cannot isolate code.
    """
    from evals.sandbox.host.pool import Sandbox
    from evals.sandbox.host.worker import CannotIsolate

    count = workers or len(os.sched_getaffinity(0))
    sandbox = None
    if tier in (None, "namespaces") and not _missing_everywhere():  # the usual case, without a trial before it
        with contextlib.suppress(CannotIsolate, OSError):
            sandbox = Sandbox(count, "namespaces")
    if sandbox is None:
        sandbox = Sandbox(count, choose(tier, allow_weak))
    try:
        yield sandbox
    finally:
        sandbox.close()
