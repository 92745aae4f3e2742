"""Scores a run while it trains: exports a step's weights and evaluates them like a finished checkpoint.

It uses a fixed part of each task, so that two steps can be compared. That is too few samples for a leaderboard
cell, so these scores are never published. The samples of each evaluation stay in the run's folder (`evals/`).
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


def tasks_of(evaluation: Evaluation) -> "list[Task]":
    """The parts of the tasks that a recipe evaluates.

    Raises ZooError, before any training, for an unknown task, missing data, or a task of programs without isolation.
    """
    from evals.sandbox import open_sandbox
    from evals.subset import part_task
    from evals.suites import find_tasks

    tasks = [part_task(task, evaluation.samples) for task in find_tasks(",".join(evaluation.tasks))]
    if any(task.kind == "code" for task in tasks):
        with open_sandbox():
            pass
    return tasks


def make_scorer(
    evaluation: Evaluation, settings: "PhiConfig", tokenizer: Path, folder: Path, identity: dict[str, Any], device: str
) -> Scorer | None:
    """Makes the function that scores a step's weights, or None if the recipe evaluates nothing.

    Returns  a function that gives numbers named `eval_TASK`, with `_low`, `_high` (95% interval) and `_n`
    """
    if not evaluation.every_steps:
        return None
    for left in folder.glob(".eval-*"):  # left by a kill during an evaluation
        shutil.rmtree(left, ignore_errors=True)
    tasks = tasks_of(evaluation)
    from evals.run import RunOptions
    from evals.stats.summary import summarise
    from evals.subjects import Subject, evaluate_many
    from evals.tasks import groups_of
    from training import export

    options = RunOptions(connection={"device": device.partition(":")[0]})

    def score(step: int, weights: "dict[str, torch.Tensor]") -> dict[str, float]:
        numbers: dict[str, float] = {}
        with tempfile.TemporaryDirectory(dir=folder, prefix=".eval-") as place, _quiet():
            model = Path(place) / "model"
            export.write_folder(model, settings, weights, tokenizer, b"", {}, {})
            subject = Subject(digest=digest([identity, step]), label=f"step {step}", path=model)
            for outcome in evaluate_many([subject], tasks, options, folder / "evals"):
                task = outcome.run.header.task
                name = f"eval_{task}"
                stat = summarise(outcome.run.results, outcome.run.protocols[0].metric, groups_of(task))
                numbers |= {name: stat.value, f"{name}_low": stat.low, f"{name}_high": stat.high, f"{name}_n": stat.n}
        return numbers

    return score


@contextlib.contextmanager
def _quiet() -> Any:
    """Hides the evaluation's progress bar, which would overwrite the run's."""
    with contextlib.redirect_stderr(io.StringIO()):
        yield
