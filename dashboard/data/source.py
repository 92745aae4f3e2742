"""Loads the board from the environment's zoo, opened read-only, and the published table."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from dashboard.board.build import build_board
from dashboard.board.cells import Board
from dashboard.data.notes import board_notes
from evals.results.split import current_scores
from zoo import published, settings
from zoo.lineage import unique_tokens
from zoo.records import Subset

if TYPE_CHECKING:
    from zoo.registry import Registry

SERVER_SECONDS = 30  # how old the page may be when the zoo is on a database server


@contextmanager
def open_zoo() -> Iterator["Registry | None"]:
    """Opens the environment's zoo read-only; None if there is none yet.

    Raises  ZooError if the zoo cannot be read.
    """
    file = _sqlite_file()
    if file is not None and not file.exists():
        yield None
        return
    from zoo.registry import open_registry

    with open_registry(readonly=True) as registry:
        yield registry


def _sqlite_file() -> Path | None:
    """The SQLite file of the environment's zoo; None for a database server."""
    from zoo.db.database import sqlite_file

    return sqlite_file(settings.database_url())


def stamp() -> tuple[str, int, int]:
    """A cache key that changes when the zoo changes: its file's time and size; every 30 s for a database server."""
    file = _sqlite_file()
    if file is None:
        return settings.database_url(), int(time.time() // SERVER_SECONDS), 0
    if not file.exists():
        return settings.database_url(), 0, 0
    stats = [path.stat() for path in (file, Path(f"{file}-wal")) if path.exists()]
    return settings.database_url(), max(stat.st_mtime_ns for stat in stats), sum(stat.st_size for stat in stats)


def load_board(registry: "Registry | None", subset: Subset = "all", all_versions: bool = False) -> Board:
    """Builds the board of a zoo and the published table; without a zoo, of the published table alone."""
    if registry is None:
        return build_board(reported=published.load(), subset=subset)
    known = {checkpoint.digest for checkpoint in registry.list(all_versions=True)}
    runs = registry.runs()
    scores, splits = current_scores(registry)
    return build_board(
        imported={run["checkpoint"]: run["checkpoint_label"] for run in runs if run["checkpoint"] not in known},
        checkpoints=registry.list(all_versions=all_versions), scores=scores, splits=splits,
        protocols=registry.protocols(), tiers={run["id"]: run.get("sandbox", "") for run in runs},
        reported=published.load(), subset=subset, unique_tokens=unique_tokens(registry),
    )  # fmt: skip


def load_with_notes(suite: str, subset: Subset) -> tuple[Board, tuple[str, ...]]:
    """The environment's board, and the notes shown above it in a suite's view."""
    with open_zoo() as registry:
        board = load_board(registry, subset)
        return board, board_notes(suite, board, registry)
