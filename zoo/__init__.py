"""The registry of checkpoints: their bytes, their origins and their scores.

The names in `__all__` are public and stay as they are (docs/python.md); they are imported when they are used.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from zoo.errors import ZooError
    from zoo.exchange.sources import import_source
    from zoo.records import About, Checkpoint, Dataset, Score
    from zoo.registry import Registry, open_registry

__all__ = ["About", "Checkpoint", "Dataset", "Registry", "Score", "ZooError", "import_source", "open_registry"]
# name -> where it is
_PLACES = {
    "About": "zoo.records:About",
    "Checkpoint": "zoo.records:Checkpoint",
    "Dataset": "zoo.records:Dataset",
    "Registry": "zoo.registry:Registry",
    "Score": "zoo.records:Score",
    "ZooError": "zoo.errors:ZooError",
    "import_source": "zoo.exchange.sources:import_source",
    "open_registry": "zoo.registry:open_registry",
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
