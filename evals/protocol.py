"""What a task's numbers depend on, written down: its protocol record and fingerprint per metric."""

import hashlib
from collections.abc import Sequence

import msgspec

from evals.datasets import load
from evals.records import Sample
from evals.task import Task
from zoo.records import ProtocolRecord


def prompts_sha256(task: Task, samples: Sequence[Sample]) -> str:
    """sha256 over every byte that is shown to the model, sample by sample, each ended by a NUL pair."""
    seen = hashlib.sha256()
    for sample in samples:
        parts = [part for pair in task.pairs(sample) for part in pair] if task.pairs else [shown(task, sample)]
        for part in (sample.id, *parts):
            seen.update(part.encode("utf-8", "surrogatepass") + b"\0")
        seen.update(b"\0")
    return seen.hexdigest()


def shown(task: Task, sample: Sample) -> str:
    """The exact prompt of a sample; for choices whose contexts differ, the first context."""
    if task.prompt is not None:
        return task.prompt(sample)
    return task.pairs(sample)[0][0] if task.pairs else sample.question


def protocol(task: Task, samples: Sequence[Sample], metric: str) -> ProtocolRecord:
    """The record of a task's protocol under one metric, over all of its samples (never a limited few)."""
    wanted = load.entry(task.data, task.split) if task.data else None
    return ProtocolRecord(
        task=task.name,
        task_version=task.version,
        name=task.protocol,
        metric=metric,
        shots=task.shots,
        prompt=shown(task, samples[0]) if samples else "",
        prompts_sha256=prompts_sha256(task, samples),
        samples=len(samples),
        decoding=msgspec.to_builtins(task.decoding) if task.kind != "choices" else {},
        data=wanted.digest if wanted else "",
        partial=wanted.partial if wanted else "",
    )
