"""`phizoo eval judge`: a judge model grades solutions of a code task from 0 to 10, beside their tests."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from zoo.cli.completion import A_RUN, A_TASK
from zoo.cli.options import AS_JSON, TIER
from zoo.cli.output import cell, emit_json, share_cell
from zoo.errors import ZooError

if TYPE_CHECKING:
    from evals.results.judge import Solution


@click.command()
@click.argument("solutions", shell_complete=A_RUN)
@click.option("--url", required=True, help="The judge's endpoint, like http://127.0.0.1:8000/v1.")
@click.option("--model", required=True, help="The judge model, as the endpoint names it.")
@click.option("--task", "spec", metavar="TASK", shell_complete=A_TASK,
              help="The task of a file of completions, such as unconventional; a run records its own.")  # fmt: skip
@click.option("--out", type=click.Path(path_type=Path), help="Write each grade to this file as JSON lines.")
@click.option("--concurrency", type=click.IntRange(1, 64), default=8, show_default=True, help="Requests at a time.")
@click.option("--requests", type=click.IntRange(1), help="Most requests that this command may send.")
@TIER
@AS_JSON
def judge(
    solutions: str, url: str, model: str, spec: str | None, out: Path | None, concurrency: int, requests: int | None,
    tier: str | None, as_json: bool,
) -> None:  # fmt: skip
    """Grade the solutions of a code task with a judge model.

    SOLUTIONS is a run's id or a file of completions. The judge writes an evaluation and a grade from 0 to 10;
    each solution is sent once and its answer is kept. Prints the mean grade, pass@1 by the tests, and their
    agreement.

    \b
    phizoo eval judge 3f2a9c41d0aa --url http://127.0.0.1:8000/v1 --model grader
    phizoo eval judge samples.jsonl --task unconventional --url http://127.0.0.1:8000/v1 --model grader
    """
    import msgspec

    from evals.engines.http.endpoint import Limits
    from evals.engines.http.openai import connect
    from evals.results.judge import Grader, grade_all
    from zoo import settings
    from zoo.digest import whole_file
    from zoo.progress import progress

    rows = _of_file(Path(solutions), spec, tier) if Path(solutions).is_file() else _of_run(solutions)
    endpoint = connect(None, url=url, model=model, limits=Limits(requests=requests)).endpoint
    grader = Grader(endpoint, model, settings.home() / "grades")
    grades = []
    with progress(f"grading by {model}", len(rows), "solutions") as bar:
        for grade in grade_all(rows, grader, concurrency):
            grades.append(grade)
            bar.advance(1, "")
    if out is not None:
        with whole_file(out) as file:
            file.write(b"".join(msgspec.json.encode(grade) + b"\n" for grade in grades))
    row = summary(grades, model, grader.requests)
    if as_json:
        emit_json(row)
    else:
        click.echo("\n".join(_lines(row)))


def _of_file(path: Path, spec: str | None, tier: str | None) -> "list[Solution]":
    from evals.code import read_completions
    from evals.run import score_texts
    from evals.sandbox import open_sandbox, selftest
    from evals.tasks import task as find_task

    if spec is None:
        raise ZooError(f"{path} does not name its task; add --task unconventional. All tasks: phizoo eval tasks")
    texts, task = read_completions(path, find_task(spec))
    samples = {sample.id: sample for sample in task.samples()}
    with open_sandbox(tier=tier) as sandbox:
        selftest.require(sandbox.tier)
        scores = {(result.sample, result.draw): result.score for result in score_texts(task, samples, texts, sandbox)}
    return [
        _solution(task, samples[text.sample], text.draw, text.text, scores[text.sample, text.draw]) for text in texts
    ]


def _of_run(run: str) -> "list[Solution]":
    from evals.results.task_of_run import task_of_run
    from evals.run_folder import find_run, read_header, read_results
    from zoo import settings

    folder = find_run(settings.runs_dir(), run, "no file and no run")
    task = task_of_run(read_header(folder))
    if task.program is None:
        raise ZooError(
            f"run {folder.name[:12]} is of {task.name}, which has no programs to grade; give a run of a code task"
        )
    samples = {sample.id: sample for sample in task.samples()}
    solutions = [
        _solution(task, samples[result.sample], result.draw, result.answer or "", result.score)
        for result in read_results(folder / "results.jsonl")
    ]
    if not solutions:
        raise ZooError(f"run {folder.name[:12]} has no results to grade; finish that run first: phizoo eval runs")
    return solutions


def _solution(task: Any, sample: Any, draw: int, answer: str, score: float | None) -> "Solution":
    from evals.results.judge import Solution

    program, passed = task.program(sample, answer), None if score is None else score == 1.0
    code = str(program.prompt + program.completion)
    return Solution(sample=sample.id, draw=draw, task=sample.question, code=code, passed=passed)


def summary(grades: list[Any], model: str, asked: int) -> dict[str, Any]:
    """The mean grade with its interval (0..10), pass@1, ungraded solutions, agreement and the judge's protocol."""
    from evals.results.judge import MOST, measure_agreement, protocol_digest
    from evals.stats.intervals import mean_interval

    row: dict[str, Any] = {"grader": model, "protocol": protocol_digest(), "solutions": len(grades), "asked": asked}
    graded = [grade for grade in grades if grade.grade is not None]
    tested = [grade for grade in grades if grade.passed is not None]
    if graded:
        mean = mean_interval([grade.grade / MOST for grade in graded], [grade.sample for grade in graded])
        row |= {"grade": mean.value * MOST, "low": mean.low * MOST, "high": mean.high * MOST}
    row |= {"n": len(graded), "ungraded": len(grades) - len(graded)}
    row["faults"] = sorted({grade.fault for grade in grades if grade.fault})[:5]
    if tested:
        mean = mean_interval([float(grade.passed) for grade in tested], [grade.sample for grade in tested])
        row["tests"] = {"value": mean.value, "low": mean.low, "high": mean.high, "n": len(tested)}
    row["agreement"] = measure_agreement(grades)
    return row


def _lines(row: dict[str, Any]) -> list[str]:
    lines = []
    if "grade" in row:
        grade = cell(row["grade"], row["low"], row["high"], row["n"], digits=2)
        lines.append(f"grade by {row['grader']}, of 10: {grade}")
    if "tests" in row:
        lines.append(f"tests  {share_cell(**row['tests'])}")
    both = row["agreement"]
    if both is not None:
        kappa = cell(both.kappa, both.kappa_low, both.kappa_high, digits=2)
        kappa = "none (one side is constant)" if both.kappa is None else kappa
        share = cell(100 * both.accuracy, 100 * both.accuracy_low, 100 * both.accuracy_high, both.n)
        lines.append(f"agreement  grade of 5 or more = tests pass, in % of solutions: {share}, kappa {kappa}")
        if both.auc is not None:
            auc = cell(both.auc, both.auc_low, both.auc_high, digits=2)
            lines.append(f"           chance that a passing solution is graded above a failing one: {auc}")
    lines.append(
        f"{row['solutions']} solutions, {row['asked']} sent now, {row['ungraded']} not graded; "
        f"protocol {row['protocol'][:12]}"
    )
    return [*lines, *(f"  {fault}" for fault in row["faults"])]
