"""The options of `phizoo eval run` that ask a task by chat, and the lines that say where another form is meant."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

from evals.chat import ChatShape
from evals.engines import SENDS_MESSAGES
from evals.evaluate import Subject, ask_as
from evals.suites import find_tasks
from evals.tasks import TASKS, protocols, with_shots
from zoo.admission.template_files import find_template
from zoo.errors import ZooError
from zoo.store.disk import DiskStore

if TYPE_CHECKING:
    from evals.run import RunOptions
    from evals.task import Task
    from zoo.registry import Registry

CHAT = "chat"  # the protocol of a task that is made for chats
OTHER_TOOL = "lm-eval"  # protocols of lm-evaluation-harness: by chat as that tool asks them


def read_shape(options: dict[str, Any]) -> ChatShape | None:
    """The shape that the options ask for; None without --chat. Raises ZooError for its options alone."""
    if not options["chat"]:
        for name in ("system", "fewshot_as_turns", "thinking", "thinking_budget"):
            if options[name] is not None and options[name] is not False:  # a budget of 0 is one
                raise ZooError(f"--{name.replace('_', '-')} belongs to a chat: add --chat")
        return None
    return ChatShape(
        system=options["system"] or "", fewshot_as_turns=options["fewshot_as_turns"],
        thinking={"on": True, "off": False}.get(options["thinking"]), budget=options["thinking_budget"],
    )  # fmt: skip


def choose_tasks(words: Sequence[str], options: "RunOptions", shots: int | None = None) -> "list[Task]":
    """The tasks of the command line, with the examples, the sampling and the shape of its options.

    By chat, a bare task whose default protocol is a completion of our own means its protocol for chats.
    """
    if options.chat is not None:
        words = [f"{word}@{CHAT}" if _means_chat(word) else word for word in words]
    found = find_tasks(",".join(words))
    found = [with_shots(task, shots) for task in found] if shots is not None else found
    tasks = [ask_as(task, options) for task in found]
    for task in tasks:
        base = task.protocol.split(",")[0]
        if options.chat is None or task.chat or CHAT not in protocols(task.name):
            continue
        if not base.startswith(OTHER_TOOL):
            raise ZooError(
                f"{task.name}@{base} reads completions; its stop strings would cut a chat's answer; made for chats: "
                f"--task {task.name}@{CHAT}"
            )
        click.echo(
            f"{task.name}@{base} reads completions; its reading and stop strings are kept; made for chats: "
            f"--task {task.name}@{CHAT}", err=True,
        )  # fmt: skip
    return tasks


def _means_chat(word: str) -> bool:
    if word not in TASKS:
        return False
    known = protocols(word)
    return CHAT in known and not next(iter(known)).startswith(OTHER_TOOL)


def note_kinds(registry: "Registry", subjects: Sequence[Subject], tasks: "Sequence[Task]", engine: str) -> None:
    """Refuses a base model that is asked by chat, and says which chat models are asked as completions.

    A checkpoint of a shared store without a template in its record is looked at when its turn comes.
    """
    if engine in SENDS_MESSAGES:
        return
    by_chat = [task for task in tasks if task.shape is not None]
    for subject in subjects:
        template = _has_template(registry, subject.label)
        if template is False and by_chat:
            raise ZooError(
                f"{subject.label} has no chat template: it is a base model, so {by_chat[0].name}@"
                f"{by_chat[0].protocol} cannot be asked. Leave out --chat, or take a protocol of completions: "
                f"phizoo eval tasks {by_chat[0].name}"
            )
        if template and len(by_chat) < len(tasks):
            click.echo(f"{subject.label} is a chat model and is asked as a completion; by chat: add --chat", err=True)


def _has_template(registry: "Registry", label: str) -> bool | None:
    """Whether a checkpoint has a template, by its record or its files; None where these are not on this machine."""
    checkpoint = registry.get(label)
    if checkpoint.chat_template:
        return True
    return find_template(registry.path(checkpoint)) is not None if isinstance(registry.store, DiskStore) else None
