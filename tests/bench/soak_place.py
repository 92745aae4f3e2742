"""Where a soak's zoo lies, the faults that come while its commands run, and how a command is typed until it ends well.

soak_system.py says which faults there are.
"""

import contextlib
import json
import os
import random
import re
import shlex
import shutil
import signal
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

FAULTS = ("kill", "kill", "disk", "clock", "database", "")
DISK_MB, TRIES, STUCK_SECONDS, PERMITS = 600, 12, 300.0, 8
# the wall clock alone jumps, as on a real machine: sleeps and timeouts go by the monotonic one
SHIM = r"""
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
int clock_gettime(clockid_t clock, struct timespec *told) {
    static int (*real)(clockid_t, struct timespec *);
    if (!real) real = dlsym(RTLD_NEXT, "clock_gettime");
    int ended = real(clock, told);
    const char *place = getenv("SOAK_CLOCK");
    long seconds = 0;
    FILE *file = clock == CLOCK_REALTIME && place ? fopen(place, "r") : 0;
    if (file) { if (fscanf(file, "%ld", &seconds) == 1) told->tv_sec += seconds; fclose(file); }
    return ended;
}
"""
JUMPS = (400 * 86400, -3 * 86400, 7200, -1200)


class Place(NamedTuple):
    """Where the zoo of a soak lies, and how its database is ended and begun."""

    disk: Path
    environment: dict[str, str]
    server: Any
    log: Any
    lock: threading.Lock
    shim: Path | None
    broken: list[str]
    gate: threading.Lock
    permits: threading.Semaphore


def note(place: Place, **told: Any) -> None:
    """One line of the log."""
    with place.lock:
        place.log.write(json.dumps({"at": round(time.time(), 2), **told}) + "\n")
        place.log.flush()


def wrong(place: Place, what: str, **told: Any) -> None:
    """Something that must not be."""
    place.broken.append(what)
    note(place, WRONG=what, **told)
    print(f"WRONG: {what}", flush=True)


def started(line: str, environment: dict[str, str]) -> subprocess.Popen[str]:
    """A command line of phizoo in a process group of its own."""
    command = [sys.executable, "-m", "zoo.cli", *shlex.split(line)]
    return subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    )


def end(process: subprocess.Popen[str]) -> None:
    """Kills a command and all it started."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)


def begin_again(place: Place) -> None:
    """Starts the database server after a kill, once it has really ended."""
    for _ in range(60):
        time.sleep(0.5)
        number = place.server.get_pid()
        if number and Path(f"/proc/{number}").exists():
            with contextlib.suppress(Exception):
                place.server.psql("SELECT 1")
                return
        with place.lock, contextlib.suppress(Exception):
            place.server.ensure_postgres_running()
    wrong(place, "the database could not be started again")


@contextlib.contextmanager
def fault(
    place: Place, kind: str, process: subprocess.Popen[str], clock: Path, chance: random.Random
) -> Iterator[None]:
    """Lets one fault come while a command runs, and mends it afterwards."""
    wait = chance.uniform(0.1, 6.0)
    filler = place.disk / f"filler-{process.pid}"
    over = threading.Event()

    def come() -> None:
        if over.wait(wait):
            return
        if kind == "kill":
            end(process)
        elif kind == "clock":
            clock.write_text(str(chance.choice(JUMPS)))
        elif kind == "database" and (number := place.server.get_pid()):
            with contextlib.suppress(ProcessLookupError):
                os.kill(number, signal.SIGQUIT)
        elif kind == "disk":
            with contextlib.suppress(OSError), filler.open("wb") as file:
                while not over.is_set():
                    file.write(b"\0" * (1 << 20))

    thread = threading.Thread(target=come)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
        filler.unlink(missing_ok=True)
        clock.write_text("0")
        if kind == "database":
            begin_again(place)


@contextlib.contextmanager
def turn(place: Place, kind: str, peace: bool) -> Iterator[None]:
    """Faults that meet both users may meet; a try in peace waits for their end and holds new ones off."""
    needed = PERMITS if peace else int(kind in ("disk", "database"))
    with place.gate:
        for _ in range(needed):
            place.permits.acquire()
    try:
        yield
    finally:
        if needed:
            place.permits.release(needed)


def once(place: Place, user: str, line: str, kind: str, chance: random.Random) -> tuple[int, str]:
    """Runs a command under one fault. Gives its exit code (negative: killed) and its output."""
    clock = place.disk.parent / f"clock-{user}"
    clock.write_text("0")
    environment = {**place.environment, "PHIZOO_HOME": str(place.disk / user)}
    if kind == "clock":
        environment |= {"LD_PRELOAD": str(place.shim), "SOAK_CLOCK": str(clock)}
    began = time.monotonic()
    process = started(line, environment)
    with fault(place, kind, process, clock, chance):
        try:
            out, err = process.communicate(timeout=STUCK_SECONDS)
        except subprocess.TimeoutExpired:
            end(process)
            out, err = process.communicate()
            wrong(place, f"stuck: {line}", user=user, fault=kind)
    last = (err.strip().splitlines() or [""])[-1][:300]
    note(
        place,
        user=user,
        line=line,
        fault=kind,
        code=process.returncode,
        s=round(time.monotonic() - began, 1),
        said=last,
    )
    if "Traceback (most recent call last)" in err and process.returncode != -signal.SIGKILL:
        wrong(place, f"a traceback instead of a line: {line}", user=user, fault=kind, err=err[-3000:])
    elif process.returncode not in (0, 2, -signal.SIGKILL):
        wrong(place, f"exit code {process.returncode}: {line}", user=user, fault=kind, err=err[-1000:])
    return process.returncode, out


def typed(place: Place, user: str, line: str, chance: random.Random) -> str:
    """Types a command until it ends with 0; the last tries are left in peace by all faults, the other's too."""
    for number in range(TRIES):
        peace = number >= TRIES - 4
        kind = "" if peace else chance.choice(FAULTS)
        kind = "" if kind == "clock" and not place.shim else kind
        with turn(place, kind, peace):
            code, out = once(place, user, line, kind, chance)
        if code == 0:
            return out
        time.sleep(0.5 * number)
    wrong(place, f"did not end well in {TRIES} tries: {line}", user=user)
    raise SystemExit(1)


def number_of(rows: list[dict[str, Any]]) -> dict[str, list[float]]:
    """The scores of a run by column: value, bounds, n."""
    return {f"{row['column']} {row['metric']}": [row[key] for key in ("value", "low", "high", "n")] for row in rows}


def published(place: Place, digest: str) -> list[list[float]]:
    """What the registry holds of a checkpoint: value, bounds and n of each score, asked until the database answers."""
    from zoo.errors import ZooError
    from zoo.registry import open_registry

    for _ in range(10 * TRIES):
        try:
            with open_registry(
                place.environment["PHIZOO_DB"], place.environment["PHIZOO_STORE"], readonly=True
            ) as registry:
                return sorted([one.value, one.low, one.high, one.n] for one in registry.scores(checkpoint=digest))
        except (ZooError, OSError):
            time.sleep(1)
    wrong(place, "the database did not come back")
    return []


def held(place: Place, user: str, kept: dict[str, dict[str, Any]], chance: random.Random) -> None:
    """Whether all that was acknowledged, by either user, is there and shown."""
    with place.lock:
        wanted = {name: {**one} for name, one in kept.items()}
    there = {one["name"]: one["digest"] for one in json.loads(typed(place, user, "models list --json", chance))}
    board = typed(place, user, "leaderboard --suite own --json", chance)
    for name, one in wanted.items():
        if there.get(name) != one["digest"]:
            wrong(place, f"lost or changed: {name}", user=user, wanted=one["digest"], found=there.get(name))
        if one["scores"] and name not in board:
            wrong(place, f"not on the board: {name}", user=user)
        if one["scores"] and published(place, one["digest"]) != sorted(one["scores"].values()):
            wrong(place, f"other scores than were told: {name}", user=user, told=one["scores"])


def left_over(home: Path) -> list[str]:
    """Processes that still carry a home below this folder in their environment."""
    found = []
    for entry in Path("/proc").iterdir():
        with contextlib.suppress(OSError):
            if entry.name.isdigit() and f"PHIZOO_HOME={home}".encode() in (entry / "environ").read_bytes():
                found.append(f"{entry.name} {(entry / 'cmdline').read_bytes().replace(bytes(1), b' ')[:120]!r}")
    return found


def answered(address: str, name: str, chat: bool) -> None:
    """Asks a server once; ValueError or KeyError where the answer has no text."""
    asked: dict[str, Any] = {"model": name, "max_tokens": 8}
    asked |= {"messages": [{"role": "user", "content": "Say hello."}]} if chat else {"prompt": "def add(a, b):"}
    place = f"{address}/chat/completions" if chat else f"{address}/completions"
    request = urllib.request.Request(place, json.dumps(asked).encode(), {"content-type": "application/json"})
    with urllib.request.urlopen(request, timeout=60) as answer:
        choice = json.load(answer)["choices"][0]
    text = choice["message"]["content"] if chat else choice["text"]
    if not isinstance(text, str):
        raise ValueError(f"no text: {choice}")


def served(
    place: Place, user: str, name: str, engine: str = "transformers", chat: bool = False, kill: bool = False
) -> None:
    """Serves a checkpoint, asks it for a few tokens, ends the server: it must answer and leave no process.

    kill: by SIGKILL to the server alone, so that its children have to see for themselves that it is gone
    """
    environment = {**place.environment, "PHIZOO_HOME": str(place.disk / user)}
    line = f"serve {engine}{' by chat' if chat else ''}"
    for _ in range(TRIES):
        process = started(f"serve {name} --engine {engine} --port 0", environment)
        assert process.stdout is not None
        watch = threading.Timer(STUCK_SECONDS, end, (process,))
        watch.start()
        said = process.stdout.readline()
        try:
            if address := re.search(r"http://[^ ]+/v1", said):
                answered(address[0], name, chat)
                process.send_signal(signal.SIGKILL if kill else signal.SIGTERM)
                process.communicate(timeout=60)
                note(
                    place,
                    user=user,
                    line=line,
                    fault="kill of the server alone" if kill else "",
                    code=process.returncode,
                )
                if process.returncode != (-signal.SIGKILL if kill else 0):
                    wrong(place, f"the server of {name} ended with code {process.returncode}", user=user)
                until = time.monotonic() + 20
                while (rest := left_over(place.disk / user)) and time.monotonic() < until:
                    time.sleep(0.2)
                if rest:
                    wrong(place, f"{line} left processes: {rest}", user=user)
                return
            note(place, user=user, line=line, fault="of another user", code=process.wait(60))
        finally:
            watch.cancel()
            end(process)
            process.communicate()
        time.sleep(2)
    wrong(place, f"{name} was not served in {TRIES} tries", user=user)


@contextlib.contextmanager
def disk_of(folder: Path) -> Iterator[Path]:
    """A small disk of the soak's own, or a plain folder where none can be mounted (then no disk is filled)."""
    disk = folder / "disk"
    disk.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={DISK_MB}m", "tmpfs", disk], capture_output=True)
    if mounted.returncode:
        print("no tmpfs can be mounted here: the fault `disk` is left out", flush=True)
        globals()["FAULTS"] = tuple(kind for kind in FAULTS if kind != "disk")
    try:
        yield disk
    finally:
        if not mounted.returncode:
            subprocess.run(["umount", "--lazy", disk], check=False)


def shim_in(folder: Path) -> Path | None:
    """The compiled clock; None, which is told, where there is no compiler."""
    source, made = folder / "clock.c", folder / "clock.so"
    source.write_text(SHIM)
    compiler = shutil.which(os.environ.get("CC", "cc"))
    if not compiler or subprocess.run([compiler, "-shared", "-fPIC", "-O1", "-o", made, source, "-ldl"]).returncode:
        print("no C compiler works here: the fault `clock` is left out", flush=True)
        return None
    return made
