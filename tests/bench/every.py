"""`make bench`: runs every comparison and writes one table into docs/benchmarks.md.

    python tests/bench/every.py [NAME...] [--again] [--quick] [--list]

Each bench is a script, and they run one after the other. A bench keeps its rows with `rows.row`; if it keeps none, its
last line is the row. A bench that fails, or whose peer is missing, gets a row with the reason. Results stay in
build/bench/, so a stopped run continues with the next bench; `--again` measures again. The table is written after each
bench, between the two marks of the page; the rest of the page stays. Each peer has a Python environment of its own,
named by the variables of PEERS or made by `.ci/setup-peers`.
"""

import argparse
import datetime
import json
import os
import platform
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, NamedTuple

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
KEPT, TABLE = ROOT / "build" / "bench", ROOT / "docs" / "benchmarks.md"
START, END = "<!-- make bench: start -->\n", "<!-- make bench: end -->\n"
# peer -> the variable that names its Python, the distributions whose versions are told
PEERS = {
    "lm-eval": ("LM_EVAL_PYTHON", ("lm_eval", "transformers", "torch")),
    "evalplus": ("EVALPLUS_PYTHON", ("evalplus",)),
    "mlflow": ("MLFLOW_PYTHON", ("mlflow-skinny", "mlflow")),
    "data": ("PEERS_PYTHON", ("datatrove", "datasketch")),
}


class Bench(NamedTuple):
    """One script: what it compares, the peer it cannot do without, and its arguments.

    quick   what --quick adds: arguments, and NAME=VALUE for the environment; none: the bench is the same
    """

    about: str
    script: str
    peer: str = ""
    arguments: tuple[str, ...] = ()
    quick: tuple[str, ...] = ()


# .ci/real-model adds the checkpoint; runs that are in PHIZOO_HOME are compared as they are
REAL = ("--checkpoint", "smollm2", "--task", "arc_easy@lm-eval", "--task", "piqa@lm-eval", "--task", "openbookqa@lm-eval",
        "--task", "humaneval@openai")  # fmt: skip
BENCHES = {
    "sanitize": Bench("cutting code out of an answer", "bench_sanitize.py"),
    "startup": Bench("how soon a command answers", "bench_startup.py", quick=("--rounds", "2")),
    "registry": Bench("the registry", "bench_registry.py"),
    "scale": Bench(
        "a zoo of 20,000 checkpoints and 200,000 scores",
        "bench_scale.py",
        quick=("--names", "200", "--rounds", "1"),
    ),
    "add": Bench("taking a checkpoint in", "bench_add.py", quick=("--gib", "0.25", "--rounds", "2")),
    "sandbox": Bench("running programs", "bench_sandbox.py", quick=("--repeats", "1", "--turns", "2")),
    "engines": Bench("scoring and generating", "bench_engines.py", "lm-eval", quick=("--questions", "20")),
    "small": Bench(
        "a real small model (SMALL_MODEL_GGUF)",
        "bench_small.py",
        "lm-eval",
        quick=("--prompts", "16", "--questions", "20"),
    ),
    "likelihood": Bench(
        "bits per byte of a real small model (SMALL_MODEL_GGUF)",
        "bench_likelihood.py",
        "lm-eval",
        quick=("--samples", "10", "--part", "gold", "--part", "texts"),
    ),
    "data": Bench("deduplicating and packing", "bench_data.py", "data", quick=("BENCH_FILES=3000", "BENCH_ROUNDS=1")),
    "memory": Bench("memory while the corpus doubles", "bench_memory.py", quick=("BENCH_DOCUMENTS=10000",)),
    "decontamination": Bench("finding leaks", "bench_decontamination.py", quick=("BENCH_EXERCISES=20000",)),
    "training": Bench("the training loop", "bench_training.py", quick=("--rounds", "2")),
    "grow": Bench("growing a model", "bench_grow.py", quick=("--rounds", "1")),
    "dashboard": Bench("the page", "bench_dashboard.py"),
    "statistics": Bench("intervals, power and ranks by simulation", "bench_statistics.py", quick=("--quick",)),
    "parity": Bench("the same scores as the harness", "parity_lm_eval.py", "lm-eval", quick=("--limit", "20")),
    "parity-real": Bench(
        "the same scores of SmolLM2 as the harness", "parity_lm_eval.py", "lm-eval", REAL, ("--limit", "20")
    ),
    "readings": Bench("the same prompts and readings as the harness", "parity_readings.py", "lm-eval"),
    "chat": Bench(
        "the same messages as the harness and EvalPlus", "parity_chat.py", "lm-eval", quick=("--pairs", "200")
    ),
    "ifeval": Bench(
        "the same verdicts on instructions as the harness", "parity_ifeval.py", "lm-eval", quick=("--prompts", "40")
    ),
    "mutants": Bench("the same verdicts as EvalPlus", "mutants_evalplus.py", "evalplus"),
    "mutants-plain": Bench("the same verdicts as plain Python", "mutants_plain.py"),
}


def peer_python(name: str) -> str:
    """A peer's Python: its variable, or the environment that .ci/setup-peers makes; "" when there is none."""
    made = ROOT / ".venv-peers" / name / "bin" / "python"
    return os.environ.get(PEERS[name][0]) or (str(made) if made.exists() else "")


def measure(name: str, bench: Bench, quick: bool, limit_seconds: float) -> dict[str, Any]:
    """Runs one bench. Gives its rows, its seconds and when it was; what goes wrong is a row."""
    found: dict[str, Any] = {"bench": name, "quick": quick and bool(bench.quick), "day": f"{datetime.date.today()}"}
    found["commit"] = commit()
    if bench.peer and not peer_python(bench.peer):
        lack = f"not measured: no Python with {bench.peer} ({PEERS[bench.peer][0]}, or .ci/setup-peers {bench.peer})"
        return {**found, "seconds": 0.0, "rows": [{"what": bench.about, "peer": bench.peer, "note": lack}]}
    place = KEPT / f"{name}.rows"
    place.unlink(missing_ok=True)
    given = {PEERS[one][0]: python for one in PEERS if (python := peer_python(one))}
    environment = {**os.environ, **given, "BENCH_ROWS": str(place), "PYTHONPATH": f"{HERE}{os.pathsep}{ROOT}"}
    shorter = bench.quick if quick else ()
    environment |= dict(one.split("=", 1) for one in shorter if one.startswith("BENCH_"))
    command = [sys.executable, str(HERE / bench.script), *bench.arguments]
    command += [one for one in shorter if not one.startswith("BENCH_")]
    began, log = time.monotonic(), KEPT / f"{name}.log"
    with log.open("w") as file:
        try:
            ended = subprocess.run(
                command, env=environment, cwd=ROOT, stdout=file, stderr=subprocess.STDOUT, timeout=limit_seconds
            ).returncode
        except subprocess.TimeoutExpired:
            ended = -1
    told = [line for line in log.read_text(errors="replace").splitlines() if line.strip()] or ["it printed nothing"]
    rows = [json.loads(line) for line in place.read_text().splitlines()] if place.exists() else []
    if ended:
        why = f"stopped after {limit_seconds:.0f} s" if ended == -1 else f"ended with code {ended}"
        rows.append({"what": bench.about, "note": f"{why}: {told[-1][:200]}"})
    elif not rows:
        rows = [{"what": bench.about, "peer": bench.peer, "figure": told[-1][:200]}]
    return {**found, "seconds": time.monotonic() - began, "rows": rows}


def commit() -> str:
    """The commit of the tree, "with changes" where files other than the table's page differ; "" outside of a clone."""

    def git(*words: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(["git", *words], cwd=ROOT, capture_output=True, text=True)

    name = git("rev-parse", "--short=12", "HEAD").stdout.strip()
    changed = name and git("diff", "--quiet", "HEAD", "--", ".", ":!docs/benchmarks.md").returncode
    return f"{name} with changes" if changed else name


def versions(commits: list[str]) -> list[str]:
    """What was compared with what, one line a side. commits: those that the benches ran at."""
    from importlib.metadata import version

    mine = ", ".join(f"{name} {version(name)}" for name in ("torch", "transformers", "rensa", "rapidfuzz"))
    lines = [f"phi-zoo {version('phi-zoo')} at {', '.join(commits) or 'no commit'} ({mine})"]
    ask = (
        "import sys\nfrom importlib.metadata import PackageNotFoundError, version\nfor n in sys.argv[1:]:\n"
        "    try: print(n, version(n))\n    except PackageNotFoundError: pass"
    )
    for peer, (_, packages) in PEERS.items():
        if python := peer_python(peer):
            told = subprocess.run([python, "-c", ask, *packages], capture_output=True, text=True).stdout.split("\n")
            lines.append(", ".join(filter(None, told)) or f"{peer}: its Python has none of {', '.join(packages)}")
    return lines


def machine() -> str:
    """The machine in a line."""
    cpu = next(
        (
            line.split(":", 1)[1].strip()
            for line in Path("/proc/cpuinfo").read_text().splitlines()
            if "model name" in line
        ),
        platform.machine(),
    )
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return (
        f"{cpu}, {len(os.sched_getaffinity(0))} cores, {memory:.0f} GiB, Linux {platform.release().split('-')[0]}, "
        f"Python {platform.python_version()}"
    )


def cells(bench: str, row: dict[str, Any]) -> str:
    """One row of the table."""
    ratio = f"{row['ratio']:.3g}" if "ratio" in row else ""
    spread = f"{row['low']:.3g}–{row['high']:.3g}, n={row['n']}" if "ratio" in row else ""
    parts = (bench, row["what"], row.get("peer", ""), ratio, spread)
    parts += (
        f"{row['share']:.0%}" if "share" in row else "",
        row.get("figure", ""),
        row.get("target", ""),
        row.get("note", ""),
    )
    return "| " + " | ".join(part.replace("|", "\\|").replace("\n", " ") for part in parts) + " |"


def table(results: list[dict[str, Any]]) -> str:
    """The generated section: how to read it, the versions, the machine, the table."""
    about = (
        "Each bench runs on one machine, and the sides take turns within it. A ratio is the number of times that phi-zoo is as\n"
        "fast as the other tool: above 1 phi-zoo is faster, below 1 it is slower. The spread is the least and the greatest ratio\n"
        "over the turns. The share of limit is the time that the model's matrix products alone would take, divided by the time\n"
        "taken. A comparison that was not made has a row that gives the reason.\n"
    )
    commits = sorted({result["commit"] for result in results if result.get("commit")})
    days = sorted({result["day"] for result in results if "day" in result})
    when = days[0] if days[:1] == days[-1:] else f"{days[0]} to {days[-1]}" if days else "never"
    facts = [f"Measured {when}.", f"Machine: {machine()}.", *(f"{line}." for line in versions(commits))]
    if any(result["quick"] for result in results):
        facts.append('A bench marked "short" ran with fewer turns or samples (--quick): its figures are rougher.')
    head = "| bench | measured | against | times as fast | spread | share of limit | value | target | note |\n| --- | --- | --- | ---: | --- | ---: | --- | --- | --- |"

    def at(result: dict[str, Any]) -> str:
        return f" (at {result['commit']})" if len(commits) > 1 and result.get("commit") else ""

    lines = [
        cells(f"{result['bench']}{', short' if result['quick'] else ''}{at(result)}", row)
        for result in results
        for row in result["rows"]
    ]
    return about + "\n" + "\n".join(f"- {fact}" for fact in facts) + "\n\n" + "\n".join([head, *lines]) + "\n"


def main() -> int:
    """Runs what is not measured yet; 1 when a bench failed, after all of them ran."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(BENCHES)}; all by default")
    parser.add_argument("--again", action="store_true", help="measure again what is measured already")
    parser.add_argument("--quick", action="store_true", help="fewer turns and smaller sizes where a bench has them")
    parser.add_argument("--list", action="store_true", help="print the benches and end")
    parser.add_argument("--limit-minutes", type=float, default=60, help="the most that one bench may take")
    parser.add_argument("--table", type=Path, default=TABLE, help="where the table is written")
    asked = parser.parse_args()
    if unknown := set(asked.names) - set(BENCHES):
        parser.error(f"no bench {', '.join(sorted(unknown))}; there are: {', '.join(BENCHES)}")
    if asked.list:
        print("\n".join(f"{name:16} {bench.script:28} {bench.about}" for name, bench in BENCHES.items()))
        return 0
    KEPT.mkdir(parents=True, exist_ok=True)
    for name in asked.names or BENCHES:
        kept = KEPT / f"{name}.json"
        if kept.exists() and not asked.again:
            print(f"{name}: measured {json.loads(kept.read_text())['day']}; --again measures anew", flush=True)
            continue
        print(f"{name}: {BENCHES[name].about} …", flush=True)
        result = measure(name, BENCHES[name], asked.quick, 60 * asked.limit_minutes)
        failed = any(
            "ended with" in row.get("note", "") or "stopped after" in row.get("note", "") for row in result["rows"]
        )
        place = KEPT / f"{name}{'.failed' if failed else '.json'}"
        place.write_text(json.dumps(result, ensure_ascii=False))
        for row in result["rows"]:
            print("  " + cells(name, row), flush=True)
        write(asked.table)
    write(asked.table)
    return int(any((KEPT / f"{name}.failed").exists() for name in asked.names or BENCHES))


def write(place: Path) -> None:
    """Writes everything measured so far between the page's marks, in the order of BENCHES; failures stay until fixed."""
    results = []
    for name in BENCHES:
        good, bad = KEPT / f"{name}.json", KEPT / f"{name}.failed"
        if good.exists() and bad.exists() and good.stat().st_mtime_ns > bad.stat().st_mtime_ns:
            bad.unlink()
        kept = next((one for one in (bad, good) if one.exists()), None)
        nothing = {"bench": name, "quick": False, "rows": [{"what": BENCHES[name].about, "note": "not run yet"}]}
        results.append(json.loads(kept.read_text()) if kept else nothing)
    page = place.read_text(encoding="utf-8") if place.exists() else START + END
    before, after = page.partition(START)[0], page.partition(END)[2]
    place.write_text(before + START + table(results) + END + after, encoding="utf-8")
    print(f"wrote {place}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
