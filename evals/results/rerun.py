"""A run made again from its header: the same checkpoint, protocol, engine, seed and draws."""

import importlib
from pathlib import Path

import msgspec

from evals.engines import BACKENDS
from evals.records import Decoding, Run
from evals.run import Asked, Done, evaluate
from evals.task import Task
from evals.tasks import task as find_task
from zoo.errors import ZooError
from zoo.registry import Registry


def task_of(header: Run) -> Task:
    """The task of a run as it stands today, with the run's decoding."""
    base = str(header.protocol["name"]).split(" t=")[0]
    task = find_task(f"{header.task}@{base}")
    if not header.protocol["decoding"]:
        return task
    decoding = msgspec.convert(header.protocol["decoding"], Decoding)
    return msgspec.structs.replace(task, decoding=decoding, protocol=str(header.protocol["name"]))


def rerun(registry: Registry, header: Run, runs: Path) -> Done:
    """The run made again into another folder, whatever that folder's old one says.

    Raises ZooError when the protocol has changed since (its fingerprint is another one now): the old
    number then belongs to the old version of the task.
    """
    task = task_of(header)
    engine = header.backend.engine
    if engine not in BACKENDS:
        raise ZooError(f"run {header.id[:12]} was made by {engine}, which this version does not have")
    checkpoint = registry.get(header.checkpoint)
    backend = importlib.import_module(BACKENDS[engine]).connect(registry.path(checkpoint), dtype=header.backend.dtype)
    try:
        asked = Asked(seed=header.seed, draws=header.draws)
        done = evaluate(backend, task, (checkpoint.digest, checkpoint.label), runs, asked)
    finally:
        backend.close()
    if done.header.fingerprint != header.fingerprint:
        was = header.protocol["task_version"]
        raise ZooError(
            f"{header.task}@{header.protocol['name']} has changed since run {header.id[:12]} (version {was}, "
            f"now {task.version}); its commit was {header.commit[:12] or 'not recorded'}"
        )
    return done
