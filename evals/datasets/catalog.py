"""Finds the evaluation sets. Each task lists its own in `SETS`, one `EvalSet` for each split."""

import importlib
from functools import cache

from evals.datasets.forms import EvalSet
from evals.tasks import TASKS


@cache
def sets() -> dict[tuple[str, str], EvalSet]:
    """(name, split) -> set, in the order of the tasks. Imports every task, so call it only when a set is needed."""
    return {(row.name, row.split): row for module in TASKS.values() for row in importlib.import_module(module).SETS}
