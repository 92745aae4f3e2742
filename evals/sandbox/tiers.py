"""Which isolation this machine can give, and the sandbox opened at one of them.

namespaces   everything in docs/sandbox.md; needs unprivileged user namespaces, Linux 5.12, libseccomp
bubblewrap   one bwrap for each program: the same root and namespaces, about 15 times slower
container    one podman or docker container for each program: slower still
process      resource limits only: a program can read your files, use the network and outlive its
             verdict. Verdicts stay unforgeable. Refused unless asked for with allow_weak.
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from evals.sandbox.program import Program, Verdict
from zoo.errors import ZooError, unknown
from zoo.records import Record

TIERS = ("namespaces", "bubblewrap", "container", "process")  # best first


class TierReport(Record, frozen=True, kw_only=True):
    """Whether a tier works here. told: what was found (or what is missing); mend: what helps, "" if it works."""

    name: str
    available: bool
    told: str
    mend: str = ""


class Sandbox:
    """An open sandbox: `run` programs, know its `tier`."""

    def __init__(self, pool: "object", tier: str) -> None:
        self._pool, self.tier = pool, tier

    def run(self, programs: Iterable[Program]) -> Iterator[Verdict]:
        """One verdict for each program, as they come, in any order."""
        verdicts: Iterator[Verdict] = self._pool.run(programs)  # type: ignore[attr-defined]
        return verdicts


def _lacks() -> str:
    """What every tier needs and this machine does not have."""
    if sys.platform != "linux":
        return f"this is {sys.platform}: programs are isolated with Linux's means; use a Linux machine or container"
    from evals.sandbox.guest.linux import CLONE
    from evals.sandbox.host import syscall_filter as system_calls

    if CLONE < 0:
        return f"no system call numbers for {os.uname().machine} (known: x86_64, aarch64)"
    try:
        system_calls.compiled()
    except (ImportError, OSError, RuntimeError) as error:
        return f"libseccomp cannot be used ({error}): pip install 'phi-zoo[eval]', and libseccomp2 from the system"
    return ""


def _namespaces() -> str:
    """Why new namespaces cannot be made, read from the settings that forbid them; "" if none does."""
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
    """What stands in the way of a tier before anything is tried."""
    if lacks := _lacks():
        return lacks
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
            return f"{engine} is there and does not answer: start its service"
    return ""


TRIAL = Program(
    id="trial",
    prompt="def one():\n",
    completion="    return 1\n",
    test="def check(candidate):\n    assert candidate() == 1\n",
    entry_point="one",
    timeout_seconds=20.0,
)


def _try(tier: str) -> str:
    """Runs one good program in the tier; says what went wrong."""
    from evals.sandbox.host.pool import Pool
    from evals.sandbox.host.worker import CannotIsolate

    try:
        pool = Pool(1, tier)
    except (CannotIsolate, OSError) as error:
        return str(error)
    try:
        verdict = next(pool.run([TRIAL]))
    finally:
        pool.close()
    return "" if verdict.verdict == "passed" else f"a trial program was not run: {verdict.detail}"


def report(tier: str) -> TierReport:
    """Whether one tier works here, tried with a program."""
    missing = _absent(tier)
    if not missing and (failed := _try(tier)):
        why = _namespaces() if tier == "namespaces" else ""
        if not why:
            return TierReport(name=tier, available=False, told=failed, mend="see docs/sandbox.md")
        missing = f"{failed}; {why}"
    if not missing:
        weak = "limits only: reads your files, uses your network" if tier == "process" else "ran a trial program"
        return TierReport(name=tier, available=True, told=weak)
    told, _, mend = missing.rpartition(": ")
    return TierReport(name=tier, available=False, told=told or missing, mend=mend if told else "see docs/sandbox.md")


def probe() -> list[TierReport]:
    """What each tier needs here, best first; each is tried with a program of ours."""
    return [report(tier) for tier in TIERS]


def choose(tier: str | None, allow_weak: bool) -> str:
    """The tier to use: the one asked for, or the best that works.

    Raises  ZooError when it is unknown, does not work here, or is weak and that was not allowed.
    """
    if tier is not None and tier not in TIERS:
        raise unknown("tier", tier, TIERS, "phizoo doctor")
    if tier == "process" and not allow_weak:
        raise ZooError(
            'the tier "process" isolates nothing but limits, so nothing was run. '
            "To use it all the same: --allow-weak-isolation; what is missing for a better one: phizoo doctor"
        )
    said = []
    for name in (tier,) if tier else TIERS[:3]:
        found = report(name)
        if found.available:
            return name
        said.append(f"{name}: {found.told}")
    if tier is None and allow_weak and report("process").available:
        return "process"
    raise ZooError(f"cannot isolate code here, so nothing was run ({'; '.join(said)}). Details: phizoo doctor")


@contextmanager
def open_sandbox(workers: int | None = None, tier: str | None = None, allow_weak: bool = False) -> Iterator[Sandbox]:
    """A sandbox to run programs in.

    workers     programs at a time; None: one for each core this process may use
    tier        one of TIERS; None: the best that works here
    allow_weak  whether "process" may be used
    Raises      ZooError when this machine cannot isolate code.
    """
    from evals.sandbox.host.pool import Pool
    from evals.sandbox.host.worker import CannotIsolate

    count = workers or len(os.sched_getaffinity(0))
    first = tier or "namespaces"
    pool = None
    if first == "namespaces" and not _lacks():  # the usual case is not tried twice
        try:
            pool = Pool(count, first)
        except (CannotIsolate, OSError):
            pool = None
    if pool is None:
        first = choose(tier, allow_weak)
        pool = Pool(count, first)
    try:
        yield Sandbox(pool, first)
    finally:
        pool.close()
