"""Where one model stands after its first runs: its row of the board, the nearest published models, what to do next."""

import shlex
from collections.abc import Collection, Sequence

from dashboard.board import benchmarks
from dashboard.board.blocks import is_study, nearest_in_size
from dashboard.board.cells import Board, Cell, Column, Row, cell_text, size_text
from evals.decisions.calibration import stated_metric
from zoo.errors import ZooError
from zoo.metrics import metric_of
from zoo.records import Record

MOST = 3  # published models beside it: more do not fit a terminal

Asked = Collection[tuple[str, str]]  # (task, protocol's name)


class TrialLine(Record, frozen=True):
    """One column of the board: the model's cell there, and what is published of its neighbours on that benchmark."""

    benchmark: str
    column: Column
    cell: Cell
    reported: dict[str, Cell]


class TrialResult(Record, frozen=True):
    """A model's row beside its neighbours.

    neighbours  published models, the nearest in size first
    rival       a model of the zoo with a score in the same column, the nearest in size; None: it is alone
    """

    row: Row
    lines: tuple[TrialLine, ...]
    neighbours: tuple[Row, ...]
    rival: Row | None = None


def find_standing(board: Board, label: str, asked: Asked) -> TrialResult:
    """The standing of a checkpoint under the protocols that it was asked by, by every metric of each.

    A published number that names its metric stands beside that metric of ours alone; most name none.

    Raises  ZooError where the board has no score of it there
    """
    row = next((row for row in board.rows if row.own and row.label == label), None)
    columns = [column for column in board.columns if _is_asked(column, asked) and row and column.key in row.cells]
    if row is None or not columns:
        raise ZooError(f"{label} has no published score of these tasks. Its runs: phizoo eval runs")
    named = {column.benchmark for column in columns}
    published = [column for column in board.columns if column.origin == "reported" and column.benchmark in named]
    published.sort(key=lambda column: not column.main)
    others = [other for other in board.rows if not other.own and not is_study(other)]
    reported = {other.key: _reported(other, columns, published) for other in others}
    near = _by_distance([other for other in board.rows if reported.get(other.key)], row)[:MOST]
    lines = [
        TrialLine(
            column.benchmark, column, row.cells[column.key],
            {other.key: cell for other in near if (cell := reported[other.key].get(column.key))},
        )
        for column in columns
    ]  # fmt: skip
    keys = {column.key for column in columns}
    rivals = [other for other in board.rows if other.own and other is not row and not keys.isdisjoint(other.cells)]
    return TrialResult(row, tuple(lines), tuple(near), next(iter(_by_distance(rivals, row)), None))


def _is_asked(column: Column, asked: Asked) -> bool:
    name = column.title.rpartition(" v")[0]  # "lm-eval-quick3 v2"
    return column.origin == "measured" and (column.task, name) in asked


def _reported(row: Row, columns: Sequence[Column], published: Sequence[Column]) -> dict[str, Cell]:
    """A published model's cell for each column of ours: of the first published one that may be of its metric."""
    cells: dict[str, Cell] = {}
    for column in columns:
        for other in published:
            cell = row.cells.get(other.key) if other.benchmark == column.benchmark else None
            if cell and stated_metric(cell.protocol) in ("", column.metric):
                cells.setdefault(column.key, cell)
    return cells


def _by_distance(rows: Sequence[Row], own: Row) -> list[Row]:
    """The rows of a known size that are nearest to a model's, the nearest first."""
    sized = [row for row in rows if row.parameters and own.parameters]
    near = nearest_in_size(sized, [own])
    return sorted(
        near,
        key=lambda row: max(row.parameters or 1, own.parameters or 1) / min(row.parameters or 1, own.parameters or 1),
    )


def table_rows(standing: TrialResult) -> tuple[list[tuple[str, ...]], tuple[str, ...]]:
    """The rows and titles of the table that a terminal shows."""
    beside = (f"{row.label} ({size_text(row)}) †" for row in standing.neighbours)
    titles = ("BENCHMARK", "PROTOCOL", f"{standing.row.label} ({size_text(standing.row)})", *beside)
    rows = [
        (
            benchmarks.title_of(line.benchmark), f"{line.column.title} {line.column.metric}"
            + metric_of(line.column.metric).mark, cell_text(line.cell),
            *(cell_text(line.reported.get(row.key)).removesuffix(" †") for row in standing.neighbours),
        )
        for line in standing.lines
    ]  # fmt: skip
    return rows, titles


def next_commands(standing: TrialResult) -> list[tuple[str, str]]:
    """(command, what it shows): three things to do with the result."""
    label, run = standing.row.label, standing.lines[0].cell.run
    other, about = "OTHER", "against another model of the zoo: is the difference real?"
    if standing.rival:
        other, about = standing.rival.label, "is the difference real?"
    elif standing.neighbours:
        other, about = shlex.quote(f"published:{standing.neighbours[0].name}"), "beside what is published of it"
    return [
        (f"phizoo eval compare {label} {other}", about),
        (f"phizoo eval show {run[:12]}", "its samples, one by one"),
        ("phizoo leaderboard", "the page, with everything measured and published"),
    ]
