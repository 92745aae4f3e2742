"""Repeats a run from its header: the same checkpoint, protocol, engine, seed and draws."""

from pathlib import Path
from typing import Any

import msgspec

from evals.engines import ENGINES, connect
from evals.records import Run
from evals.results.rescore import rescore
from evals.results.task_of_run import name_of_run, source_of, task_of_run
from evals.run import FinishedRun, RunOptions, evaluate
from evals.subjects import bind_to
from zoo import settings
from zoo.errors import ZooError
from zoo.registry import Registry


def rerun(registry: Registry, header: Run, runs: Path) -> FinishedRun:
    """Repeats a run in a new folder and ignores earlier results; a rescored run is generated and scored again.

    Raises  ZooError when the protocol has changed since (its fingerprint is another one now): the old
            number then belongs to the old version of the task
    """
    name = name_of_run(header)
    options = RunOptions(seed=header.seed, draws=header.draws)
    run = _repeat(registry, _with_name(header, name.replace(rescored_as="").render()), runs, options)
    if name.rescored_as:
        run = rescore(run.path.parent, name.rescored_as, runs, options)
    if run.header.fingerprint != header.fingerprint:
        before, now = header.protocol["task_version"], run.header.protocol["task_version"]
        raise ZooError(
            f"{header.task}@{header.protocol['name']} has changed since run {header.id[:12]} (version {before}, "
            f"now {now}); its commit was {header.commit[:12] or 'not recorded'}"
        )
    return run


def _with_name(header: Run, name: str) -> Run:
    return msgspec.structs.replace(header, protocol={**header.protocol, "name": name})


def _repeat(registry: Registry, header: Run, runs: Path, options: RunOptions) -> FinishedRun:
    task, engine_name = task_of_run(header), header.backend.engine
    if engine_name not in ENGINES:
        raise ZooError(f"run {header.id[:12]} was made by {engine_name}, which this version does not have")
    checkpoint = registry.get(header.checkpoint)
    connection: dict[str, Any] = {"dtype": header.backend.dtype}
    if engine_name == "replay":  # the texts that it was given are in the run's folder
        connection["generations"] = str(settings.runs_dir() / source_of(header))
    path = registry.path(checkpoint)
    engine = connect(engine_name, path, **connection)
    try:
        bound = bind_to(task, path, engine_name)
        return evaluate(engine, bound, (checkpoint.digest, checkpoint.label), runs, options)
    finally:
        engine.close()
