"""From a checkpoint and a task to scored samples.

The names in `__all__` are public and stay as they are (docs/python.md); they are imported when they are used.
"""

from typing import TYPE_CHECKING

from zoo.lazy_names import lazy_names

if TYPE_CHECKING:
    from evals.public import compare, evaluate, evaluate_many, list_tasks, read_samples
    from evals.records import Result
    from evals.results.compare import Comparison
    from evals.results.measure import ScoreRow

__all__ = ["Comparison", "Result", "ScoreRow", "compare", "evaluate", "evaluate_many", "list_tasks", "read_samples"]

if not TYPE_CHECKING:  # or a wrong name would pass the type checker
    __getattr__, __dir__ = lazy_names(
        __name__,
        {
            "Comparison": "evals.results.compare:Comparison",
            "Result": "evals.records:Result",
            "ScoreRow": "evals.results.measure:ScoreRow",
            "compare": "evals.public:compare",
            "evaluate": "evals.public:evaluate",
            "evaluate_many": "evals.public:evaluate_many",
            "list_tasks": "evals.public:list_tasks",
            "read_samples": "evals.public:read_samples",
        },
    )
