"""The task that a run was made on and the commands that make it again, both from its header alone."""

import shlex
from typing import Any

import msgspec

from evals.chat import ChatShape, chat_task
from evals.checks.engine_check import change_ending
from evals.protocol_name import ProtocolName
from evals.records import Decoding, Run
from evals.task import Task
from evals.tasks import task as find_task
from zoo.records import ProtocolRecord


def name_of_run(header: Run) -> ProtocolName:
    """The name of a run's protocol."""
    return ProtocolName.parse(str(header.protocol["name"]))


def task_of_run(header: Run) -> Task:
    """The task of a run as it is today, with the run's subset, sampling, end of the prompts and scoring.

    Raises  ZooError when the task no longer has that protocol, or another tool measured under its own
    """
    return task_of_protocol(header.task, header.protocol)


def task_of_protocol(name_of_task: str, protocol: dict[str, Any]) -> Task:
    """The task of a protocol's record, as plain data; as `task_of_run`."""
    name = ProtocolName.parse(str(protocol["name"]))
    task = find_task(f"{name_of_task}@{name.own}")
    if (shape := _shape_of(protocol)) is not None:
        task = chat_task(task, shape)
    if protocol["decoding"]:
        decoding = msgspec.convert(protocol["decoding"], Decoding)
        task = msgspec.structs.replace(task, decoding=decoding)
    if name.boundary:
        task = change_ending(task, "\n" if name.newline else "", name.boundary)
    if name.rescored_as:
        task = rescored_task(task, name.rescored_as)
    return msgspec.structs.replace(task, protocol=name.replace(imported=False).render())


def shape_of_run(header: Run) -> ChatShape | None:
    """How a run was asked by chat, with its template and day; None: as a completion."""
    return _shape_of(header.protocol)


def _shape_of(protocol: dict[str, Any]) -> ChatShape | None:
    chat = protocol.get("chat")
    return msgspec.convert(chat, ChatShape) if chat else None


def rescored_task(task: Task, protocol: str) -> Task:
    """The task with another protocol's extraction, program and metrics; prompts and decoding stay its own."""
    to = find_task(f"{task.name}@{protocol}")
    return msgspec.structs.replace(
        task, protocol=ProtocolName.parse(task.protocol).replace(rescored_as=protocol).render(),
        version=max(task.version, to.version), extract=to.extract, program=to.program, score=to.score,
        metrics=to.metrics,
    )  # fmt: skip


def source_of(header: Run) -> str:
    """The id of the run whose texts a run scored: a rescored run's first one, else its own."""
    return str(header.backend.identity.get("rescored", header.id))


def commands(header: Run) -> list[str]:
    """The command lines that make a run again, from its header and not from the words that were typed.

    A rescored run needs two: the run that wrote the texts, then its rescoring. Each can be pasted into a shell.
    """
    name, engine = name_of_run(header), header.backend.engine
    words = ["phizoo", "eval", "run", header.checkpoint[:16], "--task", f"{header.task}@{name.own}"]
    words += ["--engine", engine, "--dtype", header.backend.dtype]
    words += ["--generations", source_of(header)[:12]] if engine == "replay" else []
    words += ["--seed", str(header.seed), "--draws", str(header.draws)]
    lines = [shlex.join([*words, *_chat(name, shape_of_run(header)), *_sampling(name)])]
    if name.rescored_as:
        words = ["phizoo", "eval", "rescore", source_of(header)[:12], "--protocol", name.rescored_as]
        lines.append(shlex.join(words))
    return lines


def run_options(record: ProtocolRecord) -> str:
    """The options of `phizoo eval run` that ask for a protocol."""
    name = ProtocolName.parse(record.name)
    words = ["--task", f"{record.task}@{name.own}"]
    shape = msgspec.convert(record.chat, ChatShape) if record.chat else None
    return shlex.join([*words, *_chat(name, shape), *_sampling(name)])


def _chat(name: ProtocolName, shape: ChatShape | None) -> list[str]:
    """The options that ask in this shape; none where the protocol is always asked so."""
    if shape is None or not name.shape:
        return []
    words = ["--chat"]
    words += ["--system", shape.system] if shape.system else []
    words += ["--fewshot-as-turns"] if shape.fewshot_as_turns else []
    words += ["--thinking", name.thinking] if name.thinking else []
    return words + (["--thinking-budget", str(shape.budget)] if shape.budget is not None else [])


def _sampling(name: ProtocolName) -> list[str]:
    if name.temperature is None:
        return []
    return ["--temperature", f"{name.temperature:g}", "--top-p", f"{name.top_p:g}"]
