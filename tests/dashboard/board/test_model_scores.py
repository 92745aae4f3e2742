"""A model's scores: the rank and the neighbours of its own column, everything escaped."""

from types import SimpleNamespace

from dashboard.board.build import build_board
from dashboard.board.model_scores import near_in_size, score_lines


def test_neighbours_are_of_the_same_size_and_column(made: SimpleNamespace) -> None:
    rows = [
        made.reported("middle", 40.0), made.reported("two times", 50.0, parameters=2e9),
        made.reported("four times", 60.0, parameters=4e9), made.reported("unknown", 60.0, parameters=None),
        made.reported("elsewhere", 60.0, protocol="another"),
    ]  # fmt: skip
    board = build_board(reported=rows)
    middle = next(row for row in board.rows if row.label == "middle")
    column = next(column for column in board.columns if column.key in middle.cells)
    assert [row.label for row in near_in_size(board, middle, column)] == ["two times"]


def test_a_line_has_rank_interval_neighbours_and_its_source_and_no_live_markup(made: SimpleNamespace) -> None:
    hostile = "<img src=x>"
    board = build_board(
        reported=[made.reported(hostile, 40.0, source=hostile), made.reported(f"low{hostile}", 5.0, source=hostile)]
    )
    row = next(row for row in board.rows if row.label == hostile)
    page = score_lines(board, row, [(column, row.cells[column.key]) for column in board.columns])
    assert "<img" not in page and page.count("<tr>") == 2
    assert "#1 of 2" in page and "low&lt;img src=x&gt; 5.0" in page and "--v:40.0%" in page
    assert 'href="https://arxiv.org/abs/2306.11644v2"' in page and ">evidence</a>" in page
