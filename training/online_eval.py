"""Scores while a run trains: its weights of this step, exported, through the same evals as a finished checkpoint.

A fixed part of each task, so that the values of two steps compare; too few samples for a leaderboard
cell, and never published. The samples of each evaluation stay in the run's folder (`evals/`).
"""

import contextlib
import io
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from training.recipe import Evaluation
from zoo.digest import digest

if TYPE_CHECKING:
    import torch
    from transformers import PhiConfig

    from evals.task import Task

# (step, weights) -> the numbers of that step's line of metrics
Scorer = Callable[[int, "dict[str, torch.Tensor]"], dict[str, float]]


def part(task: "Task", size: int) -> "Task":
    """A task's fixed part of that many samples, under a protocol name of its own."""
    from evals.subset import chosen

    every = list(task.samples())
    some = chosen(every, min(size, len(every)))
    return msgspec.structs.replace(
        task, protocol=f"{task.protocol}-part-{len(some)}", samples=lambda: iter(some), size=len(some)
    )


def tasks_of(asked: Evaluation) -> "list[Task]":
    """The parts that a recipe asks for. Raises ZooError before anything is trained: an unknown task, missing
    data, or no isolation for a task whose answers are programs.
    """
    from evals.sandbox import open_sandbox
    from evals.tasks import task

    found = [part(task(name), asked.samples) for name in asked.tasks]
    if any(one.kind == "code" for one in found):
        with open_sandbox():
            pass
    return found


def scorer(
    asked: Evaluation, settings: "PhiConfig", tokenizer: Path, folder: Path, identity: dict[str, Any], device: str
) -> Scorer | None:
    """What scores a step's weights, or None where the recipe asks for no scores.

    Returns  a function to numbers named `eval_TASK`, with `_low`, `_high` (95% interval) and `_n`
    """
    if not asked.every_steps:
        return None
    for left in folder.glob(".eval-*"):  # what a kill during an evaluation left
        shutil.rmtree(left, ignore_errors=True)
    tasks = tasks_of(asked)
    from evals.engines import transformers_local
    from evals.run import Asked, evaluate
    from evals.stats.summary import summarise
    from training import export

    def score(step: int, weights: "dict[str, torch.Tensor]") -> dict[str, float]:
        told: dict[str, float] = {}
        checkpoint = (digest([identity, step]), f"step {step}")
        with tempfile.TemporaryDirectory(dir=folder, prefix=".eval-") as place, _quiet():
            export.write_folder(Path(place) / "model", settings, weights, tokenizer, b"", {}, {})
            where = device.partition(":")[0]
            backend = transformers_local.connect(Path(place) / "model", device=where)
            try:
                for task in tasks:
                    done = evaluate(backend, task, checkpoint, folder / "evals", Asked())
                    found = summarise(done.results, task.metrics[0])
                    told[f"eval_{task.name}"] = found.value
                    told |= {f"eval_{task.name}_low": found.low, f"eval_{task.name}_high": found.high}
                    told[f"eval_{task.name}_n"] = found.n
            finally:
                backend.close()
        return told

    return score


@contextlib.contextmanager
def _quiet() -> Any:
    """Without a bar of its own: the run's stands on the same line."""
    with contextlib.redirect_stderr(io.StringIO()):
        yield
