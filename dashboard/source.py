"""Where the board's records come from: the zoo of the environment, opened read-only, and the published table."""

from pathlib import Path

from dashboard.cells import Board, board, from_registry
from zoo import settings
from zoo.checkpoint import Subset


def load(subset: Subset = "all", all_versions: bool = False) -> Board:
    """The board of the environment's zoo; without one, the published rows alone.

    Raises  ZooError when there is a zoo that cannot be read.
    """
    from zoo import published

    if not exists():
        return board(reported=published.load(), subset=subset)
    from zoo.registry import open_registry

    with open_registry(readonly=True) as registry:
        return from_registry(registry, subset, all_versions)


def exists() -> bool:
    """Whether there is a zoo to read: a SQLite file that is there, or a server's address."""
    url = settings.database_url()
    file = url.removeprefix("sqlite:///")
    return file == url or Path(file).exists()
