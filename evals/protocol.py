"""The protocol of a task: everything that can change a score, with a fingerprint."""

import hashlib
from collections import Counter
from collections.abc import Sequence
from typing import Any

import msgspec

from evals.datasets import load
from evals.protocol_name import ProtocolName
from evals.records import ChatShape, Sample
from evals.task import Asked, Task
from zoo.records import ProtocolRecord


def sampled_task(task: Task, temperature: float | None, top_p: float | None) -> Task:
    """The task with another sampling, which its protocol's name carries; the task itself where none is given."""
    if temperature is None or task.by_logprob:
        return task
    top_p = 1.0 if temperature == 0 else top_p or 0.95
    name = ProtocolName.parse(task.protocol).replace(temperature=temperature, top_p=top_p)
    decoding = msgspec.structs.replace(task.decoding, temperature=temperature, top_p=top_p)
    return msgspec.structs.replace(task, decoding=decoding, protocol=name.render())


def prompts_sha256(task: Task, samples: Sequence[Sample]) -> str:
    """sha256 over every byte that is shown to the model, sample by sample, each ended by a NUL pair.

    By chat these are the messages, each with its role: the checkpoint's template is another part of the protocol.
    """
    seen = hashlib.sha256()
    for sample in samples:
        if task.asked is not None:
            parts = [part for asked in task.asked(sample) for part in _asked_parts(asked)]
        else:
            parts = [part for pair in task.pairs(sample) for part in pair] if task.pairs else [shown(task, sample)]
        for part in (sample.id, *parts):
            seen.update(part.encode("utf-8", "surrogatepass") + b"\0")
        seen.update(b"\0")
    return seen.hexdigest()


def _asked_parts(asked: Asked) -> list[str]:
    messages, continuation = asked
    return [part for message in messages for part in (message.role, message.content)] + [continuation]


def shown(task: Task, sample: Sample) -> str:
    """The exact prompt of a sample; for choices whose contexts differ, the first context."""
    if task.prompt is not None:
        return task.prompt(sample)
    return task.pairs(sample)[0][0] if task.pairs else sample.question


def _chat_fields(shape: ChatShape) -> dict[str, Any]:
    """A shape as a protocol records it; parts that were not there from the first are left out where they are empty."""
    fields = {"system": shape.system, "fewshot_as_turns": shape.fewshot_as_turns, "template": shape.template}
    more = {"thinking": shape.thinking, "budget": shape.budget, "date": shape.date or None}
    return fields | {name: value for name, value in more.items() if value is not None}


def _count_trials(task: Task, samples: Sequence[Sample]) -> dict[str, int]:
    """metric -> the trials of all samples."""
    counts: Counter[str] = Counter()
    for sample in samples:
        counts.update(task.trials(sample) if task.trials is not None else {})
    return dict(counts)


def protocol(task: Task, samples: Sequence[Sample], metric: str) -> ProtocolRecord:
    """The record of a task's protocol under one metric, over all of its samples, not over a limited few."""
    entry = load.entry(task.data, task.split) if task.data else None
    return ProtocolRecord(
        task=task.name, task_version=task.version, name=task.protocol, metric=metric, shots=task.shots,
        prompt=shown(task, samples[0]) if samples else "", prompts_sha256=prompts_sha256(task, samples),
        samples=len(samples), decoding=msgspec.to_builtins(task.decoding) if not task.by_logprob else {},
        data=entry.digest if entry else "", partial=entry.partial if entry else "",
        chat=_chat_fields(task.shape) if task.shape is not None else msgspec.UNSET,
        trials=_count_trials(task, samples) if task.trials is not None else msgspec.UNSET,
    )  # fmt: skip
