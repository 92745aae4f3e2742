"""Arranges a selected board as two dense blocks: what was measured here, and what others report.

One column leads: the answer is read from its ranks, and its values are drawn on an axis that both blocks share. A
column that is empty for the rows shown is not drawn, and the sparsest ones stay away until at most a fifth of a block's
cells are dashes. What is left out is counted, so that the page can say so. `html_table` draws the blocks.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from math import log

from msgspec.structs import replace

from dashboard.board.answer import leading
from dashboard.board.cells import Board, Column, Row, merit
from dashboard.board.view import SORTS, View, find_suite
from dashboard.escape import cut
from zoo.records import Origin, Record

MOST_DASHES = 0.2  # of a block's cells
MOST_DASHES_OF_A_TABLE = 0.5  # of a suite that shows a source's own tables: as printed, holes and all
MOST_COLUMNS = 8  # of a block: as many as stand beside the model's name at 1,440 pixels
TIMES = 3.0  # a model of the same size is at most so many times larger or smaller
FAR = 99.0  # where a size is not known
NEAREST = 5  # published rows that are shown beside the measured ones before the reader asks for all


class BoardBlock(Record, frozen=True):
    """Some rows and columns of one origin.

    lead           the key of its leading column; "" if it has none
    more_columns   columns with scores of these rows that are left out; `sparse` of them for their dashes
    more_rows      rows with a score that are folded away
    studies        of these, the rows whose weights are not known to be anywhere
    without        labels of rows without any score in the block's columns
    """

    origin: Origin
    columns: tuple[Column, ...]
    rows: tuple[Row, ...]
    lead: str = ""
    more_columns: int = 0
    more_rows: int = 0
    studies: int = 0
    without: tuple[str, ...] = ()

    @property
    def dashes(self) -> float:
        """The share of its cells that are empty, in 0..1."""
        cells = len(self.rows) * len(self.columns)
        return 1 - sum(c.key in row.cells for row in self.rows for c in self.columns) / cells if cells else 0.0


class Blocks(Record, frozen=True):
    """The two blocks of a view; `lead` is the column that its answer is read from."""

    measured: BoardBlock
    reported: BoardBlock
    lead: Column | None = None


def is_study(row: Row) -> bool:
    """Whether a published row's weights are not known to be anywhere, such as a paper's ablation."""
    return not row.own and not row.weights


def make_blocks(board: Board, view: View, every_row: bool = False, every_column: bool = False) -> Blocks:
    """The blocks of a board that `select` made for a view.

    every_row     also the rows that are folded away
    every_column  also the columns that are left out
    """
    free = bool(view.columns) or view.every_metric or every_column
    most = 1.0 if free else MOST_DASHES_OF_A_TABLE if find_suite(view.suite).sources else MOST_DASHES
    measured_columns = [column for column in board.columns if column.origin == "measured"]
    measured_rows = [row for row in board.rows if row.own or _filled(row, measured_columns)]
    lead = pick_lead(measured_columns, measured_rows, view)
    ordered = view.sort != "board"  # `select` has put them in order
    if not ordered and lead is not None:
        measured_rows = by_lead(measured_rows, lead, view.pinned)
    measured = _block("measured", measured_columns, measured_rows, lead, most)
    columns = [column for column in board.columns if column.origin == "reported"]
    rows = _with_scores(board.rows, columns)
    folds = find_suite(view.suite).folds and bool(measured.columns) and not every_row and view.sort in SORTS
    models = [row for row in rows if not is_study(row)] if folds else rows
    benchmark = lead.benchmark if lead else ""
    same = [column for column in columns if column.benchmark == benchmark]
    other = _fullest(same or columns, models or rows)
    with_same = [row for row in models if _filled(row, same)] if folds else []
    nearest = min(with_same, key=lambda row: far(row, measured_rows), default=None)
    if nearest is not None and far(nearest, measured_rows) <= log(TIMES):
        other = _fullest([column for column in same if column.key in nearest.cells], models)
    if view.sort in {column.key for column in columns}:
        other = next(column for column in columns if column.key == view.sort)
    shown = (
        nearest_in_size([row for row in models if other and other.key in row.cells], measured_rows) if folds else rows
    )
    if not ordered and other is not None and find_suite(view.suite).folds:
        shown = by_lead(shown, other, view.pinned)
    reported = _block("reported", columns, shown, other, most)
    drawn = {row.key for row in reported.rows}
    hidden = [row for row in rows if row.key not in drawn]
    reported = replace(reported, more_rows=len(hidden), studies=sum(map(is_study, hidden)))
    return Blocks(measured=measured, reported=reported, lead=lead or other)


def _filled(row: Row, columns: Iterable[Column]) -> bool:
    return not row.cells.keys().isdisjoint([column.key for column in columns])


def _with_scores(rows: Iterable[Row], columns: Iterable[Column]) -> list[Row]:
    keys = {column.key for column in columns}
    return [row for row in rows if not keys.isdisjoint(row.cells)]


def pick_lead(columns: Sequence[Column], rows: Sequence[Row], view: View) -> Column | None:
    """The column that leads: the one the view sorts by; else the one that an answer is read from."""
    by_key = {column.key: column for column in columns}
    if view.sort in by_key:
        return by_key[view.sort]
    return leading(columns, rows) or _fullest([column for column in columns if column.main] or columns, rows)


def _fullest(columns: Sequence[Column], rows: Sequence[Row]) -> Column | None:
    fill = _fill(rows)
    return max(columns, key=lambda column: (column.one_protocol, fill[column.key]), default=None)


def _fill(rows: Iterable[Row]) -> Counter[str]:
    """How many rows have a score in each column, by its key."""
    return Counter(key for row in rows for key in row.cells)


def nearest_in_size(rows: Sequence[Row], own: Sequence[Row]) -> list[Row]:
    """The published rows whose size is nearest to that of a measured one, in their order."""
    kept = {row.key for row in sorted(rows, key=lambda row: far(row, own))[:NEAREST]}
    return [row for row in rows if row.key in kept]


def far(row: Row, own: Sequence[Row]) -> float:
    """The distance of a model's size from the nearest of these, as a logarithm."""
    sizes = [log(one.parameters) for one in own if one.parameters]
    return min((abs(log(row.parameters) - size) for size in sizes), default=FAR) if row.parameters else FAR


def _block(
    origin: Origin, columns: Sequence[Column], rows: Sequence[Row], lead: Column | None, most: float
) -> BoardBlock:  # fmt: skip
    """The block of these rows with at most a share of dashes; 1: with every column that the reader asked for."""
    free = most == 1.0
    fill = _fill(rows)
    wanted = [column for column in columns if fill[column.key]]
    kept = wanted if free else _one_a_benchmark(wanted, fill, lead)
    shown = _with_scores(rows, kept)
    if not free:
        kept = _dense(kept, shown, lead, most)
    if lead is not None and lead in kept:
        kept = [lead, *(column for column in kept if column is not lead)]
    shown_keys = {row.key for row in _with_scores(shown, kept)}
    return BoardBlock(
        origin=origin, columns=tuple(kept), rows=tuple(row for row in shown if row.key in shown_keys),
        lead=lead.key if lead is not None and lead in kept else "", more_columns=len(wanted) - len(kept),
        without=tuple(row.label for row in rows if row.key not in shown_keys),
    )  # fmt: skip


def by_lead(rows: Sequence[Row], lead: Column, pinned: Sequence[str] = ()) -> list[Row]:
    """The rows by their value in the leading column, pinned ones first, the best first, those without one last."""

    def order(row: Row) -> tuple[int, bool, float]:
        cell = row.cells.get(lead.key)
        pin = pinned.index(row.key) if row.key in pinned else len(pinned)
        return pin, cell is None, -merit(cell) if cell else 0.0

    return sorted(rows, key=order)


def _one_a_benchmark(columns: Sequence[Column], fill: Mapping[str, int], lead: Column | None) -> list[Column]:
    """Of each benchmark its leading or fullest main column, in the board's order."""
    best: dict[str, Column] = {}
    for column in columns:
        before = best.get(column.benchmark)
        if before is None or column == lead or (before != lead and _better(column, before, fill, lead)):
            best[column.benchmark] = column
    return list(best.values())


def _better(column: Column, before: Column, fill: Mapping[str, int], lead: Column | None) -> bool:
    """Whether a column stands for its benchmark in place of another; of equal ones that of the lead's source."""
    source = lead.source if lead else ""
    weights = [(one.main, fill[one.key], one.source == source) for one in (column, before)]
    return weights[0] > weights[1]


def _dense(columns: Sequence[Column], rows: Sequence[Row], lead: Column | None, most: float) -> list[Column]:
    """The columns without the sparsest, until few enough cells are dashes; the leading one always stays."""
    kept = list(columns)
    fill, keys = _fill(rows), [frozenset(row.cells) for row in rows]

    def too_sparse() -> bool:
        full = sum(fill[column.key] for column in kept)
        left = {column.key for column in kept}
        seen = sum(not left.isdisjoint(own) for own in keys)
        return seen * len(kept) * (1 - most) > full

    while len(kept) > 1 and (len(kept) > MOST_COLUMNS or too_sparse()):
        least = min((column for column in reversed(kept) if column != lead), key=lambda column: fill[column.key])
        kept.remove(least)
    return kept


def unused(block: BoardBlock) -> str:
    """What a block leaves out, in words; empty if nothing."""
    parts = [f"{block.more_columns} more column{'s' * (block.more_columns > 1)}"] if block.more_columns else []
    names = ", ".join(cut(label, 30) for label in block.without[:3])
    more = f" and {len(block.without) - 3} more" if len(block.without) > 3 else ""
    parts += [f"without a score here: {names}{more}"] if block.without and block.origin == "measured" else []
    return " · ".join(parts)
