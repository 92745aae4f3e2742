"""The tasks: a literal table, name -> module, each module one task with its protocols.

A module has `PROTOCOLS`, a dict from protocol name to Task whose first entry is the default.
`humaneval` is the default protocol, `humaneval@bigcode` another one.
"""

import importlib
from collections.abc import Iterator

from evals.quick import SUFFIX, reduced
from evals.task import Task
from zoo.errors import ZooError, nearest, unknown

TASKS: dict[str, str] = {
    "humaneval": "evals.tasks.humaneval",
    "humaneval_plus": "evals.tasks.humaneval_plus",
    "mbpp": "evals.tasks.mbpp",
    "mbpp_sanitized": "evals.tasks.mbpp_sanitized",
    "mbpp_plus": "evals.tasks.mbpp_plus",
    "mini_exercises": "evals.tasks.mini_exercises",
    "unconventional": "evals.tasks.unconventional",
    "arc_easy": "evals.tasks.arc_easy",
    "arc_challenge": "evals.tasks.arc_challenge",
    "piqa": "evals.tasks.piqa",
    "siqa": "evals.tasks.siqa",
    "winogrande": "evals.tasks.winogrande",
    "hellaswag": "evals.tasks.hellaswag",
    "boolq": "evals.tasks.boolq",
    "openbookqa": "evals.tasks.openbookqa",
    "commonsense_qa": "evals.tasks.commonsense_qa",
    "sciq": "evals.tasks.sciq",
    "copa": "evals.tasks.copa",
    "lambada": "evals.tasks.lambada",
    "mmlu": "evals.tasks.mmlu",
    "gsm8k": "evals.tasks.gsm8k",
    "bbh": "evals.tasks.bbh",
    "squad": "evals.tasks.squad",
    "squad_v2": "evals.tasks.squad_v2",
    "trivia_qa": "evals.tasks.trivia_qa",
}


def protocols(name: str) -> dict[str, Task]:
    """All protocols of a task, the default first. Raises ZooError with the nearest known task."""
    if name not in TASKS:
        raise unknown("task", name, TASKS, "phizoo eval tasks")
    found: dict[str, Task] = importlib.import_module(TASKS[name]).PROTOCOLS
    return found


def task(spec: str) -> Task:
    """The task of `name` or `name@protocol` or `name@protocol-quick`. Raises ZooError with the nearest known name."""
    name, _, protocol = spec.partition("@")
    known = protocols(name)
    if not protocol:
        return next(iter(known.values()))
    if protocol.removesuffix(SUFFIX) in known and protocol.endswith(SUFFIX):
        return reduced(known[protocol.removesuffix(SUFFIX)])
    if protocol not in known:
        raise ZooError(
            f'{name} has no protocol "{protocol}"{nearest(protocol, known)}; it has: {", ".join(known)}. '
            "All tasks: phizoo eval tasks"
        )
    return known[protocol]


def every() -> Iterator[Task]:
    """Every task under every protocol."""
    for name in TASKS:
        yield from protocols(name).values()
