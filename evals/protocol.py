"""The protocol of a task: everything that can change a score, with a fingerprint."""

import hashlib
from collections.abc import Sequence

import msgspec

from evals.datasets import load
from evals.protocol_name import ProtocolName
from evals.records import Sample
from evals.task import Task
from zoo.records import ProtocolRecord


def sampled_task(task: Task, temperature: float | None, top_p: float | None) -> Task:
    """The task with another sampling, which its protocol's name carries; the task itself where none is given."""
    if temperature is None or task.kind == "choices":
        return task
    top_p = 1.0 if temperature == 0 else top_p or 0.95
    name = ProtocolName.parse(task.protocol).replace(temperature=temperature, top_p=top_p)
    decoding = msgspec.structs.replace(task.decoding, temperature=temperature, top_p=top_p)
    return msgspec.structs.replace(task, decoding=decoding, protocol=name.render())


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
    """The record of a task's protocol under one metric, over all of its samples, not over a limited few."""
    entry = load.entry(task.data, task.split) if task.data else None
    return ProtocolRecord(
        task=task.name, task_version=task.version, name=task.protocol, metric=metric, shots=task.shots,
        prompt=shown(task, samples[0]) if samples else "", prompts_sha256=prompts_sha256(task, samples),
        samples=len(samples), decoding=msgspec.to_builtins(task.decoding) if task.kind != "choices" else {},
        data=entry.digest if entry else "", partial=entry.partial if entry else "",
    )  # fmt: skip
