"""`phizoo eval check-batch | check-boundary | parity`: whether an engine's answers can be trusted."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from zoo.cli.completion import A_CHECKPOINT, A_TASK, AN_ENGINE
from zoo.errors import CheckFailed, ZooError, unknown

TOLERANCE = 1e-3  # nats, fp32: the contract of all engines; rounding of one batch against another is under 1e-4

LOCAL_ENGINE = click.option(
    "--engine", shell_complete=AN_ENGINE, default="transformers", show_default=True, help="transformers or vllm."
)


def _told(differences: list[Any], as_json: bool, what: str) -> None:
    """Prints the differences; CheckFailed when a sample moved."""
    import msgspec

    if as_json:
        click.echo(msgspec.json.format(msgspec.json.encode(differences), indent=2))
    else:
        for one in differences:
            moved = f"{len(one.moved)} of {one.samples} moved, {one.flips} flipped"
            click.echo(f"{one.first} against {one.second}: {moved}, largest difference {one.largest:.1e}")
            for sample in one.moved:
                click.echo(f"  {sample.sample}: {sample.first!r} -> {sample.second!r}")
    count = sum(len(one.moved) for one in differences)
    if count:
        raise CheckFailed(f"{count} answers depend on the {what}; all of them: the same command with --json")


def _task(spec: str, limit: int) -> tuple[Any, list[Any]]:
    from itertools import islice

    from evals.tasks import task

    found = task(spec)
    return found, list(islice(found.samples(), limit))


def _folder(name: str) -> Path:
    from zoo.registry import open_registry

    with open_registry() as registry:
        return registry.path(name)


def _connect(engine: str, path: Path, **options: Any) -> Any:
    import importlib

    from evals.engines import BACKENDS

    local = [name for name in BACKENDS if name in ("transformers", "vllm")]
    if engine not in local:
        raise unknown("local engine", engine, local, ", ".join(local))
    return importlib.import_module(BACKENDS[engine]).connect(path, **options)


def _common(command: Callable[..., Any]) -> Callable[..., Any]:
    """The options that all three checks take."""
    for option in (
        click.option("--json", "as_json", is_flag=True, help="Print as JSON, every sample that moved in full."),
        click.option("--dtype", default="auto", show_default=True, help="auto, float32, bfloat16 or float16."),
        click.option("--limit", type=click.IntRange(1), default=50, show_default=True, help="Samples of each task."),
    ):
        command = option(command)
    return command


@click.command("check-batch")
@click.argument("name", shell_complete=A_CHECKPOINT)
@click.option(
    "--tasks",
    shell_complete=A_TASK,
    default="arc_easy,mini_exercises",
    show_default=True,
    help="Tasks, commas between.",
)
@LOCAL_ENGINE
@_common
def check_batch(name: str, tasks: str, engine: str, limit: int, dtype: str, as_json: bool) -> None:
    """Compare batch 1, 8 and auto, and list every sample whose answer moved.

    \b
    phizoo eval check-batch phi-1-small-mini
    phizoo eval check-batch phi-1-small-mini --tasks hellaswag --limit 200

    Exit code 1 when an answer depends on the batch.
    """
    from evals.checks.engine_check import difference, each_batch

    path, sizes, found = _folder(name), (1, 8, None), []
    for spec in tasks.split(","):
        task, samples = _task(spec.strip(), limit)
        read = each_batch(lambda batch: _connect(engine, path, dtype=dtype, batch=batch), task, samples, sizes)
        for size, other in zip(("8", "auto"), read[1:], strict=True):
            names = (f"{spec} batch 1", f"batch {size}")
            found.append(difference(names, read[0], other, TOLERANCE))
    _told(found, as_json, "batch")


@click.command()
@click.argument("name", shell_complete=A_CHECKPOINT)
@click.option("--backends", default="transformers,vllm", show_default=True, help="Two local engines.")
@click.option(
    "--tasks",
    shell_complete=A_TASK,
    default="arc_easy,mini_exercises",
    show_default=True,
    help="Tasks, commas between.",
)
@_common
def parity(name: str, backends: str, tasks: str, limit: int, dtype: str, as_json: bool) -> None:
    """Compare two engines sample by sample: largest difference of a log-probability, flips.

    \b
    phizoo eval parity phi-1-small-mini --backends transformers,vllm

    Exit code 1 when an answer depends on the engine.
    """
    from evals.checks.engine_check import answers, difference

    engines = [engine.strip() for engine in backends.split(",")]
    if len(engines) != 2:
        raise ZooError(f'--backends "{backends}" names {len(engines)} engines; expected two, like transformers,vllm')
    path = _folder(name)
    chosen = [_task(spec.strip(), limit) for spec in tasks.split(",")]
    found: dict[str, list[Any]] = {}
    # vLLM changes transformers' own classes when it loads, so it comes last
    for engine in sorted(engines, key=lambda one: one == "vllm"):
        backend = _connect(engine, path, dtype=dtype)
        try:
            found[engine] = [answers(backend, task, samples) for task, samples in chosen]
        finally:
            backend.close()
    told = []
    for (task, _), first, second in zip(chosen, found[engines[0]], found[engines[-1]], strict=True):
        told.append(difference((f"{task.name} {engines[0]}", engines[1]), first, second, TOLERANCE))
    _told(told, as_json, "engine")


@click.command("check-boundary")
@click.argument("name", shell_complete=A_CHECKPOINT)
@click.option(
    "--task",
    "spec",
    shell_complete=A_TASK,
    default="mini_exercises",
    show_default=True,
    help="A task of programs or texts.",
)
@LOCAL_ENGINE
@click.option("--tier", help="Sandbox tier instead of the best one.")
@_common
def check_boundary(name: str, spec: str, engine: str, tier: str | None, limit: int, dtype: str, as_json: bool) -> None:
    """Score a task with its prompts' ends raw, stripped and healed: what the last bytes are worth.

    Prompts are also tried with a newline at their end, the ending that costs most (a byte-pair tokenizer
    merges a newline with the indentation after it).

    \b
    phizoo eval check-boundary phi-1-small-mini
    phizoo eval check-boundary phi-1-small-mini --task humaneval --limit 164
    """
    import msgspec

    from evals.checks.engine_check import ended
    from evals.run import RunOptions, evaluate
    from zoo import settings
    from zoo.registry import open_registry

    with open_registry() as registry:
        checkpoint = registry.get(name)
        path = registry.path(checkpoint)
    task, _ = _task(spec, 1)
    if task.kind == "choices" or task.prompt is None:
        raise ZooError(f"{task.name} generates nothing, so it has no boundary; take a task like mini_exercises")
    backend = _connect(engine, path, dtype=dtype)
    rows = []
    try:
        for ending in ("", "\n"):
            for boundary in ("raw", "stripped", "healed"):
                tried = ended(task, ending, boundary)
                asked = RunOptions(limit=limit, tier=tier)
                done = evaluate(backend, tried, (checkpoint.digest, checkpoint.label), settings.runs_dir(), asked)
                scores = [one.score for one in done.results if one.score is not None]
                row = {"ends": "as written" if not ending else "newline", "boundary": boundary, "right": sum(scores)}
                rows.append({**row, "n": len(scores), "unscored": len(done.results) - len(scores)})
    finally:
        backend.close()
    if as_json:
        click.echo(msgspec.json.format(msgspec.json.encode(rows), indent=2))
        return
    for told in rows:
        unscored = f"  ({told['unscored']} unscored)" if told["unscored"] else ""
        click.echo(f"{told['ends']:<10}  {told['boundary']:<8}  {told['right']:g} of {told['n']}{unscored}")
