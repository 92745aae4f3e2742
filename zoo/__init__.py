"""The registry of checkpoints: their bytes, their origins and their scores.

The names in `__all__` are public and stay as they are (docs/python.md); they are imported when they are used.
"""

from typing import TYPE_CHECKING

from zoo.lazy_names import lazy_names

if TYPE_CHECKING:
    from zoo.errors import ZooError
    from zoo.exchange.sources import import_source
    from zoo.records import About, Checkpoint, Dataset, Score
    from zoo.registry import Registry, open_registry

__all__ = ["About", "Checkpoint", "Dataset", "Registry", "Score", "ZooError", "import_source", "open_registry"]

if not TYPE_CHECKING:  # or a wrong name would pass the type checker
    __getattr__, __dir__ = lazy_names(
        __name__,
        {
            "About": "zoo.records:About",
            "Checkpoint": "zoo.records:Checkpoint",
            "Dataset": "zoo.records:Dataset",
            "Registry": "zoo.registry:Registry",
            "Score": "zoo.records:Score",
            "ZooError": "zoo.errors:ZooError",
            "import_source": "zoo.exchange.sources:import_source",
            "open_registry": "zoo.registry:open_registry",
        },
    )
