"""Which rows of a board satisfy a condition: `parameters <= 500M and licence = apache-2.0 and humaneval.low > 0.1`.

The language is that of `phizoo models find --where` (`zoo.db.condition`), which compiles a condition into SQL; here it
runs over the rows of a board in memory, so that both commands read and refuse a condition in the same way. A fact that
is not known satisfies no comparison, except `licence = unknown` and the like. A score condition holds if any column of
that benchmark has such a cell, measured or reported; `origin = measured` leaves only own models.
"""

import sqlite3
from collections.abc import Iterator
from contextlib import closing

from dashboard.board.cells import Board, Row
from dashboard.board.facts import UNKNOWN
from zoo.choice import CURRENT
from zoo.db.condition import Fields, Resolve, parse_condition
from zoo.errors import unknown
from zoo.metrics import metric_of

FIELDS = Fields(
    numbers=("parameters", "unique_tokens", "training_tokens"),
    texts=("name", "family", "licence", "kind", "weights", "quantisation", "released", "origin"),
    flags={"chat": "c.kind = 'chat'", "quantised": "c.quantisation != ''"},
)

SCORE = ("checkpoint", "task", "metric", "subset", "chosen", "headline", "low", "value", "high", "n", "unscored")


def matching(board: Board, condition: str) -> frozenset[str]:
    """The keys of the rows that satisfy a condition. Raises ZooError for a bad one, with the nearest known field."""
    benchmarks = sorted({column.benchmark for column in board.columns})
    parsed = parse_condition(condition, Resolve(_nothing_here, _nothing_here, lambda: benchmarks), fields=FIELDS)
    with closing(sqlite3.connect(":memory:")) as rows:
        names = (*FIELDS.numbers, *FIELDS.texts)
        rows.execute(f"CREATE TABLE checkpoints (digest TEXT, {', '.join(names)})")
        marks = ", ".join("?" * (len(names) + 1))
        rows.executemany(f"INSERT INTO checkpoints VALUES ({marks})", map(_facts, board.rows))
        if "scores" in parsed.sql:
            rows.execute(f"CREATE TABLE scores ({', '.join(SCORE)})")
            rows.executemany(f"INSERT INTO scores VALUES ({', '.join('?' * len(SCORE))})", _scores(board))
        found = rows.execute(f"SELECT c.digest FROM checkpoints c WHERE {parsed.sql}", parsed.values).fetchall()
    return frozenset(key for (key,) in found)


def _nothing_here(spec: str) -> str:
    raise unknown("field", spec, FIELDS.names, "phizoo leaderboard --help")


def _facts(row: Row) -> tuple[object, ...]:
    return (
        row.key, row.parameters, row.unique_tokens, row.training_tokens, row.name, row.family, row.licence or UNKNOWN,
        row.style or UNKNOWN, row.weights or UNKNOWN, row.quantisation, row.released or None,
        "measured" if row.own else "reported",
    )  # fmt: skip


def _scores(board: Board) -> Iterator[tuple[object, ...]]:
    """The cells of a board in the numbers that conditions are written in: shares of 1, or a metric's own unit."""
    columns = {column.key: column for column in board.columns}
    for row in board.rows:
        for key, cell in row.cells.items():
            column = columns[key]
            scale = metric_of(column.metric).scale  # a share is shown in percent, bits per byte as they are
            ends = (None if end is None else end / scale for end in (cell.low, cell.value, cell.high))
            yield (
                row.key, column.benchmark, column.metric, cell.subset, CURRENT, int(column.main and not cell.bound),
                *ends, cell.n, cell.unscored,
            )  # fmt: skip
