"""The board of the zoo as a table: what `import dashboard` gives, and what `phizoo leaderboard` prints."""

from pathlib import Path
from typing import TYPE_CHECKING

from dashboard.board.answer import left_out
from dashboard.board.cells import Board
from dashboard.board.export import arrow_columns, write
from dashboard.board.front import Front
from dashboard.board.view import DEFAULT, View, find_suite, select
from dashboard.data.source import load_with_notes
from zoo.errors import ZooError
from zoo.records import Subset

if TYPE_CHECKING:
    import pandas as pd


def board_frame(
    suite: str = DEFAULT, *, subset: Subset = "all", search: str = "", where: str = "", front: Front = "",
    every_metric: bool = False,
) -> "pd.DataFrame":  # fmt: skip
    """The leaderboard as a pandas frame: one row a cell, with value, low, high, n, unscored and protocol.

    suite   here (what was measured here), all, or another of `phizoo leaderboard --help`
    subset  all, clean or overlapping: which samples
    search  only models whose name contains these words; where: a condition such as "parameters <= 500M"
    front   only models that no smaller one equals, by parameters, unique, tokens or flops
    Values are in percent, or in the metric's unit; `origin` says measured, measured elsewhere or reported.
    Raises  ZooError for an unknown suite or condition, or without pandas
    """
    board = select_board(suite, subset, search, "board", every_metric, where, front)[0]
    try:
        import pandas as pd
    except ImportError:
        raise ZooError("a frame needs pandas, which is not installed: pip install 'phi-zoo[dashboard]'") from None
    return pd.DataFrame({name: column.to_pandas() for name, column in arrow_columns(board).items()})


def write_board(path: str | Path, suite: str = DEFAULT, *, subset: Subset = "all", where: str = "") -> Path:
    """Writes the leaderboard as .html, .md, .csv, .tex or .parquet, by the ending; returns the path.

    Raises  ZooError for another ending, an unknown suite or a wrong condition
    """
    board, notes = select_board(suite, subset, "", "board", False, where)
    write(board, Path(path), notes)
    return Path(path)


def select_board(
    suite: str, subset: Subset, search: str, sort: str, every_metric: bool, where: str = "", front: Front = ""
) -> tuple[Board, tuple[str, ...]]:
    """The board of this zoo under these choices, and the notes above it."""
    find_suite(suite)
    view = View(
        suite=suite, search=search, sort=sort, every_metric=every_metric, descending=sort != "name", where=where,
        front=front,
    )  # fmt: skip
    return select_view(view, subset)


def select_view(view: View, subset: Subset) -> tuple[Board, tuple[str, ...]]:
    """A view of this zoo's board; its notes begin with those of models that a filter leaves out unseen."""
    whole, notes = load_with_notes(view, subset)
    return select(whole, view), (*left_out(whole, view), *notes)
