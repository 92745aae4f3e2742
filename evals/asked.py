"""In which form tasks are asked: by chat or as completions, and the lines that say where another form is meant."""

import sys
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from evals.engines import SENDS_MESSAGES
from evals.run import RunOptions
from evals.subjects import Subject, ask_as
from evals.suites import find_tasks
from evals.task import Task
from evals.tasks import TASKS, protocols, with_shots
from zoo.admission.template_files import find_template
from zoo.errors import ZooError
from zoo.store.disk import DiskStore

if TYPE_CHECKING:
    from zoo.registry import Registry

CHAT = "chat"  # the protocol of a task that is made for chats
OTHER_TOOL = "lm-eval"  # protocols of lm-evaluation-harness: by chat as that tool asks them
Say = Callable[[str], None]


def note(line: str) -> None:
    """Prints a line to standard error, as progress is printed."""
    print(line, file=sys.stderr)


def choose_tasks(words: Sequence[str], options: RunOptions, shots: int | None = None, say: Say = note) -> list[Task]:
    """The tasks that are named, with the examples, the sampling and the shape of the options.

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
        say(
            f"{task.name}@{base} reads completions; its reading and stop strings are kept; made for chats: "
            f"--task {task.name}@{CHAT}"
        )
    return tasks


def _means_chat(word: str) -> bool:
    if word not in TASKS:
        return False
    known = protocols(word)
    return CHAT in known and not next(iter(known)).startswith(OTHER_TOOL)


def note_kinds(
    registry: "Registry", subjects: Sequence[Subject], tasks: Sequence[Task], engine: str, say: Say = note
) -> None:
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
        if template and any(task.shape is None and task.kind != "likelihood" for task in tasks):
            say(f"{subject.label} has a chat template and is asked by completions; by chat: add --chat")


def _has_template(registry: "Registry", label: str) -> bool | None:
    """Whether a checkpoint has a template, by its record or its files; None where these are not on this machine."""
    checkpoint = registry.get(label)
    if checkpoint.chat_template:
        return True
    return find_template(registry.path(checkpoint)) is not None if isinstance(registry.store, DiskStore) else None
