"""Loads the board from the environment's zoo, opened read-only, and the published table."""

import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec.structs import replace

from dashboard.board.build import build_board
from dashboard.board.cells import Board
from dashboard.board.view import SORTS, View, find_suite
from dashboard.data.notes import board_notes
from dashboard.escape import cut
from evals.results.recipe_runs import read_models
from evals.results.signal import MOST_ROWS, read_tests
from evals.results.split import current_scores
from evals.stats.signal import PairTest
from evals.tasks import benchmark_of
from zoo import published, settings
from zoo.db.query import list_tasks
from zoo.db.rows import read_elsewhere, read_results_of, read_sandboxes
from zoo.lineage import unique_tokens
from zoo.metrics import Metric, metric_of
from zoo.records import Score, Subset

if TYPE_CHECKING:
    from zoo.records import Reported
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


def missing_zoo() -> str:
    """What to say where the environment's zoo is not there; empty if it is."""
    file = _sqlite_file()
    if file is None or file.exists():
        return ""
    return (
        f"No zoo at {cut(str(file.parent), 200)} (PHIZOO_HOME, PHIZOO_DB). `phizoo quickstart` makes one. "
        "Below: published numbers only, none measured here."
    )


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


def _reported() -> "tuple[Reported, ...]":
    """The published rows of this package, and those that the user has taken in from other boards."""
    from zoo.published.reported_here import load_reported

    return (*published.load(), *load_reported())


def load_board(
    registry: "Registry | None", subset: Subset = "all", all_versions: bool = False, suite: str = ""
) -> Board:
    """Builds the board of a zoo and the published table; without a zoo, of the published table alone.

    Only the scores that it shows are read from the database, each once.

    suite  measured columns of the benchmarks of only this suite; empty: of all
    """
    if registry is None:
        return build_board(reported=_reported(), subset=subset)
    imported = read_elsewhere(registry.database)
    newest = None if all_versions else tuple(imported)
    scores, splits = current_scores(registry, _tasks_of(registry, suite), newest)
    checkpoints = registry.list(all_versions=all_versions)
    board = build_board(
        imported=imported, checkpoints=checkpoints, scores=scores, splits=splits,
        protocols=registry.protocols(), tiers=read_sandboxes(registry.database, newest),
        reported=_reported(), subset=subset,
        unique_tokens=unique_tokens(registry, [checkpoint.digest for checkpoint in checkpoints]),
    )  # fmt: skip
    return _with_signal(registry, board, scores, read_models(registry, checkpoints))


def _with_signal(registry: "Registry", board: Board, scores: Iterable[Score], models: Mapping[str, str]) -> Board:
    """The board with what its columns' signal needs: the rows that are runs of one model, and tests of its pairs."""
    rows = [replace(row, model=models.get(row.digest, "")) for row in board.rows]
    if board.subset != "all":
        return replace(board, rows=tuple(rows))
    by_cell = {(score.checkpoint, score.run, score.metric): score for score in scores if score.subset == "all"}
    results: dict[str, dict[str, str]] = {}
    columns = []
    for column in board.columns:
        cells = {row.key: (row.digest, cell) for row in rows if (cell := row.cells.get(column.key))}
        if column.origin == "measured" and column.main and 2 <= len(cells) <= MOST_ROWS:
            found = {key: by_cell.get((digest, cell.run, column.metric)) for key, (digest, cell) in cells.items()}
            if column.task not in results:
                results[column.task] = read_results_of(registry.database, column.task)
            known = {key: score for key, score in found.items() if score is not None}
            tests = read_tests(registry, known, results[column.task]) if len(known) == len(cells) else ()
            column = replace(column, tests=tuple(_shown(test, metric_of(column.metric)) for test in tests))
        columns.append(column)
    return replace(board, columns=tuple(columns), rows=tuple(rows))


def _shown(test: PairTest, metric: Metric) -> PairTest:
    """A test in the unit of the board's cells."""
    return replace(test, value=metric.shown(test.value), low=metric.shown(test.low), high=metric.shown(test.high))


def _tasks_of(registry: "Registry", suite: str) -> list[str] | None:
    """The tasks with scores whose columns a suite shows; None: all."""
    shown = find_suite(suite).benchmarks if suite else ()
    return [task for task in list_tasks(registry.database) if benchmark_of(task) in shown] if shown else None


def load_with_notes(view: View, subset: Subset) -> tuple[Board, tuple[str, ...]]:
    """The environment's board, with all that a view of it shows, and the notes shown above it."""
    whole = view.columns or view.where or view.sort not in SORTS  # a column of another suite
    with open_zoo() as registry:
        board = load_board(registry, subset, suite="" if whole else view.suite)
        return board, board_notes(view.suite, board, registry)
