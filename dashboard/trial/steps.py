"""The commands that `phizoo try` runs for a model: ordinary `phizoo eval run`, which resume by themselves."""

from collections.abc import Sequence

from evals.chat import ChatShape, shape_task
from evals.checks.candidate import AskedForm, by_form
from evals.suites import SUITES, find_tasks
from evals.task import Task


def suite_tasks(suite: str) -> list[Task]:
    """The tasks of `--suite`: suite:NAME, NAME, or tasks with commas between. Raises ZooError for an unknown one."""
    return find_tasks(f"suite:{suite}" if suite in SUITES else suite)


def run_commands(label: str, tasks: Sequence[Task], form: AskedForm, engine: str) -> list[list[str]]:
    """The arguments of `phizoo` for these tasks: one run as completions, one by chat, each only where it has tasks."""
    commands = []
    for part, by_chat in zip(by_form(tasks, form), (False, True), strict=True):
        if part:
            names = ",".join(f"{task.name}@{task.protocol}" for task in part)
            commands.append(
                ["eval", "run", label, "--task", names, "--engine", engine, *(["--chat"] if by_chat else [])]
            )
    return commands


def asked_protocols(tasks: Sequence[Task], form: AskedForm) -> set[tuple[str, str]]:
    """(task, protocol's name) of each task as it is asked: by chat the name says so."""
    plain, by_chat = by_form(tasks, form)
    shaped = [task if task.chat else shape_task(task, ChatShape()) for task in by_chat]
    return {(task.name, task.protocol) for task in (*plain, *shaped)}
