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

from training.recipe import Evaluation
from zoo.digest import digest

if TYPE_CHECKING:
    import torch
    from transformers import PhiConfig

    from evals.task import Task

# (step, weights) -> the numbers of that step's line of metrics
Scorer = Callable[[int, "dict[str, torch.Tensor]"], dict[str, float]]


def tasks_of(asked: Evaluation) -> "list[Task]":
    """The parts that a recipe asks for. Raises ZooError before anything is trained: an unknown task, missing
    data, or no isolation for a task whose answers are programs.
    """
    from evals.sandbox import open_sandbox
    from evals.subset import part_task
    from evals.tasks import task as find_task

    tasks = [part_task(find_task(name), asked.samples) for name in asked.tasks]
    if any(task.kind == "code" for task in tasks):
        with open_sandbox():
            pass
    return tasks


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
    from evals.evaluate import Subject, evaluate_many
    from evals.run import RunOptions
    from evals.stats.summary import summarise
    from training import export

    options = RunOptions(connection={"device": device.partition(":")[0]})

    def score(step: int, weights: "dict[str, torch.Tensor]") -> dict[str, float]:
        numbers: dict[str, float] = {}
        with tempfile.TemporaryDirectory(dir=folder, prefix=".eval-") as place, _quiet():
            model = Path(place) / "model"
            export.write_folder(model, settings, weights, tokenizer, b"", {}, {})
            subject = Subject(digest=digest([identity, step]), label=f"step {step}", path=model)
            for outcome in evaluate_many([subject], tasks, options, folder / "evals"):
                name = f"eval_{outcome.run.header.task}"
                stat = summarise(outcome.run.results, outcome.run.protocols[0].metric)
                numbers |= {name: stat.value, f"{name}_low": stat.low, f"{name}_high": stat.high, f"{name}_n": stat.n}
        return numbers

    return score


@contextlib.contextmanager
def _quiet() -> Any:
    """Without a bar of its own: the run's stands on the same line."""
    with contextlib.redirect_stderr(io.StringIO()):
        yield
