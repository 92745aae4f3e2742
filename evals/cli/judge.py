"""`phizoo eval grade`: solutions of a code task graded 0 to 10 by a grader model, beside their tests."""

from pathlib import Path
from typing import Any

import click

from zoo.cli.completion import A_RUN, A_TASK
from zoo.errors import ZooError


@click.command()
@click.argument("solutions", shell_complete=A_RUN)
@click.option("--url", required=True, help="The grader's endpoint, like http://127.0.0.1:8000/v1.")
@click.option("--model", required=True, help="The grader, as the endpoint names it.")
@click.option(
    "--task",
    "spec",
    shell_complete=A_TASK,
    help="The task of a file of completions (unconventional, say); a run knows its own.",
)
@click.option("--out", type=click.Path(path_type=Path), help="Write each grade here as JSON lines.")
@click.option("--concurrency", type=click.IntRange(1, 64), default=8, help="Requests at a time (default 8).")
@click.option("--requests", type=click.IntRange(1), help="At most so many requests by this command.")
@click.option("--tier", help="Sandbox tier instead of the best one, for a file's tests.")
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
def grade(
    solutions: str, url: str, model: str, spec: str | None, out: Path | None, concurrency: int, requests: int | None,
    tier: str | None, as_json: bool,
) -> None:  # fmt: skip
    """Have a grader model judge the solutions of a run, or of a file of completions.

    SOLUTIONS is a run's id or a file as `phizoo eval code` reads it. The grader writes an evaluation
    and a grade from 0 to 10; the same solution is asked for once, its answer is kept. Printed: the mean
    grade, pass@1 by the tests, and how the two agree.

    \b
    phizoo eval grade 3f2a9c41d0aa --url http://127.0.0.1:8000/v1 --model grader
    phizoo eval grade samples.jsonl --task unconventional --url http://127.0.0.1:8000/v1 --model grader
    """
    import msgspec

    from evals.engines.http.endpoint import Limits
    from evals.engines.http.openai import connect
    from evals.results.judge import Grader, graded
    from zoo import settings
    from zoo.digest import whole_file
    from zoo.progress import progress

    found = _of_file(Path(solutions), spec, tier) if Path(solutions).is_file() else _of_run(solutions)
    endpoint = connect(None, url=url, model=model, limits=Limits(requests=requests)).endpoint
    grader = Grader(endpoint, model, settings.home() / "grades")
    grades = []
    with progress(f"grading by {model}", len(found), "solutions") as bar:
        for one in graded(found, grader, concurrency):
            grades.append(one)
            bar.advance(1, "")
    if out is not None:
        with whole_file(out) as file:
            file.write(b"".join(msgspec.json.encode(one) + b"\n" for one in grades))
    row = summary(grades, model, grader.asked)
    click.echo(msgspec.json.format(msgspec.json.encode(row), indent=2).decode() if as_json else _told(row))


def _of_file(path: Path, spec: str | None, tier: str | None) -> list[Any]:
    from evals.code import read_completions
    from evals.results.judge import Solution
    from evals.run import score_texts
    from evals.sandbox import open_sandbox, selftest
    from evals.tasks import task as find_task

    if spec is None:
        raise ZooError(f"{path} does not say its task; say --task unconventional (all tasks: phizoo eval tasks)")
    texts, task = read_completions(path, find_task(spec))
    samples = {sample.id: sample for sample in task.samples()}
    with open_sandbox(tier=tier) as sandbox:
        selftest.require(sandbox.tier)
        scores = {(result.sample, result.draw): result.score for result in score_texts(task, samples, texts, sandbox)}
    return [
        Solution(
            sample=text.sample,
            draw=text.draw,
            task=samples[text.sample].question,
            code=_code(task, samples[text.sample], text.text),
            passed=_passed(scores[text.sample, text.draw]),
        )
        for text in texts
    ]


def _of_run(run: str) -> list[Any]:
    from evals.results.judge import Solution
    from evals.results.task_of_run import task_of_run
    from evals.run_folder import find_run, read_header, read_results
    from zoo import settings

    folder = find_run(settings.runs_dir(), run, "no file and no run")
    task = task_of_run(read_header(folder))
    if task.program is None:
        raise ZooError(
            f"run {folder.name[:12]} is of {task.name}, which has no code to grade; give a run of a code task"
        )
    samples = {sample.id: sample for sample in task.samples()}
    solutions = [
        Solution(
            sample=result.sample,
            draw=result.draw,
            task=samples[result.sample].question,
            code=_code(task, samples[result.sample], result.answer or ""),
            passed=_passed(result.score),
        )
        for result in read_results(folder / "results.jsonl")
    ]
    if not solutions:
        raise ZooError(f"run {folder.name[:12]} holds no result to grade; end that run first: phizoo eval runs")
    return solutions


def _code(task: Any, sample: Any, answer: str) -> str:
    program = task.program(sample, answer)
    return str(program.prompt + program.completion)


def _passed(score: float | None) -> bool | None:
    return None if score is None else score == 1.0


def summary(grades: list[Any], model: str, asked: int) -> dict[str, Any]:
    """What is printed: mean grade with its interval (0..10), pass@1, ungraded, agreement, what it was made with."""
    from evals.results.judge import MOST, agreement, protocol_digest
    from evals.stats.intervals import mean_interval

    row: dict[str, Any] = {"grader": model, "protocol": protocol_digest(), "solutions": len(grades), "asked": asked}
    marked = [one for one in grades if one.grade is not None]
    tested = [one for one in grades if one.passed is not None]
    if marked:
        told = mean_interval([one.grade / MOST for one in marked], [one.sample for one in marked])
        row |= {"grade": told.value * MOST, "low": told.low * MOST, "high": told.high * MOST}
    row |= {"n": len(marked), "ungraded": len(grades) - len(marked)}
    row["faults"] = sorted({one.fault for one in grades if one.fault})[:5]
    if tested:
        told = mean_interval([float(one.passed) for one in tested], [one.sample for one in tested])
        row["tests"] = {"value": told.value, "low": told.low, "high": told.high, "n": len(tested)}
    row["agreement"] = agreement(grades)
    return row


def _told(row: dict[str, Any]) -> str:
    lines = []
    if "grade" in row:
        lines.append(
            f"grade by {row['grader']}  {row['grade']:.2f} of 10 [{row['low']:.2f}–{row['high']:.2f}] n={row['n']}"
        )
    if "tests" in row:
        one = row["tests"]
        lines.append(f"tests  {100 * one['value']:.1f} [{100 * one['low']:.1f}–{100 * one['high']:.1f}] n={one['n']}")
    both = row["agreement"]
    if both is not None:
        kappa = "none (one side is constant)" if both.kappa is None else f"{both.kappa:.2f}"
        lines.append(
            f"agreement  a grade of 5 or more is what the tests say in {100 * both.accuracy:.1f}% "
            f"[{100 * both.accuracy_low:.1f}–{100 * both.accuracy_high:.1f}] n={both.n}, kappa {kappa}"
        )
        if both.auc is not None:
            lines.append(
                f"           a passing solution is graded above a failing one with chance {both.auc:.2f} "
                f"[{both.auc_low:.2f}–{both.auc_high:.2f}]"
            )
    lines.append(
        f"{row['solutions']} solutions, {row['asked']} asked now, {row['ungraded']} not graded; "
        f"protocol {row['protocol'][:12]}"
    )
    return "\n".join([*lines, *(f"  {fault}" for fault in row["faults"])])
