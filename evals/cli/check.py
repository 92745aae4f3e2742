"""`phizoo eval check batch | boundary | parity`: tests whether an engine's answers can be trusted."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from zoo.cli.completion import A_CHECKPOINT, A_TASK, AN_ENGINE
from zoo.cli.options import AS_JSON, DTYPE, TIER, open_registry, repeated, task_option
from zoo.cli.output import emit_json, table
from zoo.errors import CheckFailed, NotResolvedError, ZooError

if TYPE_CHECKING:
    from evals.checks.engine_check import EngineDifference
    from evals.records import Sample
    from evals.task import Task

TOLERANCE = 1e-3  # nats, fp32: the contract of all engines; rounding of one batch against another is under 1e-4
LOCAL = ("transformers", "llama_cpp", "vllm")  # the engines that load a checkpoint's folder in this process

ENGINE = click.option("--engine", type=click.Choice(LOCAL), default="transformers", help="The engine to check.")
TASKS = task_option("Task to answer; may be given again.", default=("arc_easy", "mini_exercises"), show_default=True)


def _common(command: Callable[..., Any]) -> Callable[..., Any]:
    """Adds the options that all three checks take."""
    limit = click.option("--limit", type=click.IntRange(1), default=50, show_default=True, help="Samples of each task.")
    decorated: Callable[..., Any] = limit(DTYPE(AS_JSON(command)))
    return decorated


@click.command()
@click.argument("checkpoint", shell_complete=A_CHECKPOINT)
@TASKS
@ENGINE
@_common
def batch(checkpoint: str, tasks: tuple[str, ...], engine: str, limit: int, dtype: str, as_json: bool) -> None:
    """Compare batch sizes 1, 8 and auto, sample by sample.

    \b
    phizoo eval check batch phi-1-small-mini
    phizoo eval check batch phi-1-small-mini --task hellaswag --limit 200

    Exit code 1 if an answer depends on the batch size.
    """
    from evals.checks.engine_check import ask_at_batch_sizes, compare_answers
    from evals.engines import connect

    path, sizes, differences = _folder(checkpoint), (1, 8, None), []
    for spec in tasks:
        task, samples = _samples(spec, limit)
        answers = ask_at_batch_sizes(lambda size: connect(engine, path, dtype=dtype, batch=size), task, samples, sizes)
        for size, other in zip(("8", "auto"), answers[1:], strict=True):
            differences.append(compare_answers((f"{spec} batch 1", f"batch {size}"), answers[0], other, TOLERANCE))
    _report(differences, as_json, "batch size")


@click.command()
@click.argument("checkpoint", shell_complete=A_CHECKPOINT)
@repeated(
    "--engine", "engines", ("--backends",), metavar="ENGINE", shell_complete=AN_ENGINE,
    default=("transformers", "vllm"), show_default=True, help="Give two, such as transformers and llama_cpp.",
)  # fmt: skip
@TASKS
@click.option("--margin", type=click.FloatRange(0, 100, min_open=True), metavar="POINTS",
              help="Judge the scores instead: EQUIVALENT if they differ by less than this.")  # fmt: skip
@_common
def parity(
    checkpoint: str, engines: tuple[str, ...], tasks: tuple[str, ...], margin: float | None, limit: int, dtype: str,
    as_json: bool,
) -> None:  # fmt: skip
    """Compare two engines sample by sample.

    Prints the largest difference of a log-probability and the changed answers.

    \b
    phizoo eval check parity phi-1-small-mini --engine transformers --engine vllm
    phizoo eval check parity smollm2-q4 --engine transformers,llama_cpp --task arc_easy
    phizoo eval check parity smollm2-q4 --engine transformers,llama_cpp --task arc_easy --margin 1 --limit 2000

    Exit code 1 if an answer depends on the engine. With --margin the scores count: exit code 0 if every task's are
    EQUIVALENT, 1 if the engines are told apart, 3 if the samples decide neither.
    """
    from evals.checks.engine_check import ask_engine, compare_answers
    from evals.engines import connect

    if len(engines) != 2:
        raise ZooError(f"--engine is given {len(engines)} times; expected two: --engine transformers --engine vllm")
    path = _folder(checkpoint)
    chosen = [_samples(spec, limit) for spec in tasks]
    by_engine: dict[str, list[Any]] = {}
    # vLLM changes transformers' own classes when it loads, so it comes last
    for name in sorted(engines, key=lambda name: name == "vllm"):
        engine = connect(name, path, dtype=dtype)
        try:
            by_engine[name] = [ask_engine(engine, task, samples) for task, samples in chosen]
        finally:
            engine.close()
    first, second = engines
    if margin is not None:
        _judge(chosen, (first, second), by_engine, margin, as_json)
        return
    differences = [
        compare_answers((f"{task.name} {first}", second), one_side, other_side, TOLERANCE)
        for (task, _), one_side, other_side in zip(chosen, by_engine[first], by_engine[second], strict=True)
    ]
    _report(differences, as_json, "engine")


def _judge(
    chosen: "list[tuple[Task, list[Sample]]]", names: tuple[str, str], by_engine: dict[str, list[Any]], margin: float,
    as_json: bool,
) -> None:  # fmt: skip
    """Prints each task's verdict; CheckFailed if the engines are told apart, NotResolvedError if a task is open."""
    from evals.decisions.cli.comparing import points
    from evals.decisions.parity import judge_engines
    from zoo.metrics import metric_of

    sides = zip(chosen, by_engine[names[0]], by_engine[names[1]], strict=True)
    judged = [judge_engines(task, samples, names, (one, two), margin) for (task, samples), one, two in sides]
    if as_json:
        emit_json(judged)
    else:
        for row in judged:
            unscored = f", {row.unscored} unscored" if row.unscored else ""
            gap = points(row.difference, metric_of(row.metric))
            n = f"n={row.difference.n}{unscored}"
            click.echo(f"{row.task} {row.metric}: {names[0]} - {names[1]} {gap} {n}: {row.verdict}")
    verdicts = {row.verdict for row in judged}
    text = f"{' and '.join(names)}, margin {margin:g}"
    if verdicts & {"BETTER", "WORSE"}:
        raise CheckFailed(f"the score depends on the engine: {text}. The answers: the same command without --margin")
    if "NOT RESOLVED" in verdicts:
        raise NotResolvedError(f"not resolved: {text}; give more samples (--limit) or a wider --margin")


@click.command()
@click.argument("checkpoint", shell_complete=A_CHECKPOINT)
@click.option("--task", "spec", metavar="TASK", shell_complete=A_TASK, default="mini_exercises", show_default=True,
              help="A task that generates text.")  # fmt: skip
@ENGINE
@TIER
@_common
def boundary(checkpoint: str, spec: str, engine: str, tier: str | None, limit: int, dtype: str, as_json: bool) -> None:
    """Score a task with its prompts' last bytes raw, stripped and healed.

    Each prompt is also tried with a newline at its end, the most costly ending: a byte-pair tokenizer
    merges a newline with the indentation after it.

    \b
    phizoo eval check boundary phi-1-small-mini
    phizoo eval check boundary phi-1-small-mini --task humaneval --limit 164
    """
    from evals.checks.engine_check import change_ending
    from evals.engines import connect
    from evals.run import RunOptions, evaluate
    from zoo import settings

    with open_registry(readonly=True) as registry:
        record = registry.get(checkpoint)
        path = registry.path(record)
    task, _ = _samples(spec, 1)
    if task.by_logprob or task.prompt is None:
        raise ZooError(f"{task.name} generates no text, so it has no boundary; choose a task like mini_exercises")
    loaded = connect(engine, path, dtype=dtype)
    rows: list[dict[str, Any]] = []
    try:
        for ending in ("", "\n"):
            for handling in ("raw", "stripped", "healed"):
                options = RunOptions(limit=limit, tier=tier)
                about = (record.digest, record.label)
                done = evaluate(loaded, change_ending(task, ending, handling), about, settings.runs_dir(), options)
                scores = [result.score for result in done.results if result.score is not None]
                row = {"ends": "newline" if ending else "as written", "boundary": handling, "right": sum(scores)}
                rows.append({**row, "n": len(scores), "unscored": len(done.results) - len(scores)})
    finally:
        loaded.close()
    if as_json:
        emit_json(rows)
        return
    table([_boundary_fields(row) for row in rows], ("PROMPT ENDS", "BOUNDARY", "RIGHT"))


def _boundary_fields(row: dict[str, Any]) -> tuple[str, str, str]:
    unscored = f" ({row['unscored']} unscored)" if row["unscored"] else ""
    return row["ends"], row["boundary"], f"{row['right']:g} of {row['n']}{unscored}"


def _samples(spec: str, limit: int) -> "tuple[Task, list[Sample]]":
    from itertools import islice

    from evals.tasks import task as find

    task = find(spec)
    return task, list(islice(task.samples(), limit))


def _folder(name: str) -> Path:
    with open_registry(readonly=True) as registry:
        return registry.path(name)


def _report(differences: "Sequence[EngineDifference]", as_json: bool, cause: str) -> None:
    """Prints the differences; CheckFailed if a sample changed."""
    if as_json:
        emit_json(differences)
    else:
        for pair in differences:
            changed = f"{len(pair.moved)} of {pair.samples} changed, {pair.flips} flipped"
            click.echo(f"{pair.first} against {pair.second}: {changed}, largest difference {pair.largest:.1e}")
            for sample in pair.moved:
                click.echo(f"  {sample.sample}: {sample.first!r} -> {sample.second!r}")
    count = sum(len(pair.moved) for pair in differences)
    if count:
        raise CheckFailed(f"{count} answers depend on the {cause}. In full: the same command with --json")
