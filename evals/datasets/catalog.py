"""Finds the evaluation sets. Each task lists its own in `SETS`, one `EvalSet` for each split."""

from functools import cache

from evals.datasets.forms import EvalSet
from evals.tasks import TASKS, file_of


@cache
def sets() -> dict[tuple[str, str], EvalSet]:
    """(name, split) -> set, in the order of the tasks. Imports every task, so call it only when a set is needed."""
    return {(row.name, row.split): row for name in TASKS for row in file_of(name).SETS}
