"""From a checkpoint and a task to scored samples.

The names in `__all__` are public and stay as they are (docs/python.md); they are imported when they are used.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from evals.public import compare, evaluate, list_tasks, read_samples
    from evals.records import Result
    from evals.results.compare import Comparison
    from evals.results.measure import ScoreRow

__all__ = ["Comparison", "Result", "ScoreRow", "compare", "evaluate", "list_tasks", "read_samples"]
# name -> where it is
_PLACES = {
    "Comparison": "evals.results.compare:Comparison",
    "Result": "evals.records:Result",
    "ScoreRow": "evals.results.measure:ScoreRow",
    "compare": "evals.public:compare",
    "evaluate": "evals.public:evaluate",
    "list_tasks": "evals.public:list_tasks",
    "read_samples": "evals.public:read_samples",
}

if not TYPE_CHECKING:  # or a wrong name would pass the type checker

    def __getattr__(name: str) -> Any:
        """A public name, imported now."""
        if name not in _PLACES:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        from importlib import import_module

        module, _, attribute = _PLACES[name].partition(":")
        return getattr(import_module(module), attribute)


def __dir__() -> list[str]:
    """The public names."""
    return list(__all__)
