"""A model's row of the board beside the nearest published models, and the commands that follow."""

import pytest
from msgspec.structs import replace

from dashboard.board.cells import Board, Cell, Column, Row
from dashboard.trial.standing import find_standing, next_commands, table_rows
from zoo.errors import ZooError

ASKED = {("arc_easy", "lm-eval-quick3")}


def cell(value: float, origin: str = "measured", **facts: object) -> Cell:
    numbers = {"low": value - 2, "high": value + 2, "n": 600}
    return Cell(origin=origin, value=value, **(numbers | facts))  # type: ignore[arg-type]


def row(label: str, parameters: float, cells: dict[str, Cell], own: bool = False) -> Row:
    return Row(
        key=label, label=label, name=label, own=own, parameters=parameters, training_tokens=None, date="", family="",
        style="base", weights="open", cells=cells,
    )  # fmt: skip


def column(key: str, title: str, origin: str = "measured", main: bool = True, benchmark: str = "arc_easy") -> Column:
    return Column(
        key=key, benchmark=benchmark, title=title, protocol="", origin=origin, metric="acc", task=benchmark, main=main,  # type: ignore[arg-type]
    )  # fmt: skip


BOARD = Board(
    columns=(
        column("m", "lm-eval-quick3 v2"),
        column("x", "lm-eval-quick3 v2", main=False),
        column("q", "lm-eval-quick3, chat v2"),
        column("r", "a paper", "reported"),
        column("s", "another subject", "reported", benchmark="boolq"),
    ),
    rows=(
        row("mine:1", 100e6, {"m": cell(41.0, run="ab" * 32), "x": cell(44.0), "q": cell(30.0)}, own=True),
        row("far:1", 900e6, {"m": cell(60.0)}, own=True),
        row("close:1", 120e6, {"m": cell(50.0)}, own=True),
        row("elsewhere:1", 101e6, {"q": cell(33.0)}, own=True),
        row("big", 7e9, {"r": cell(80.0, "reported")}),
        row("middle", 350e6, {"r": cell(47.0, "reported")}),
        row("small", 125e6, {"r": cell(43.5, "reported")}),
        row("other", 100e6, {"s": cell(70.0, "reported")}),
        row("larger", 1e9, {"r": cell(66.0, "reported")}),
        replace(row("ablation", 100e6, {"r": cell(30.0, "reported")}), weights=""),  # of a paper: nobody has it
    ),
)


def test_the_row_has_the_columns_that_were_asked_and_neighbours_by_size() -> None:
    standing = find_standing(BOARD, "mine:1", ASKED)
    assert [line.column.key for line in standing.lines] == ["m", "x"]
    assert [neighbour.label for neighbour in standing.neighbours] == ["small", "middle", "larger"]
    assert standing.rival is not None
    assert standing.rival.label == "close:1"
    rows, titles = table_rows(standing)
    assert titles == ("BENCHMARK", "PROTOCOL", "mine:1 (100M)", "small (125M) †", "middle (350M) †", "larger (1B) †")
    assert rows[0][2:4] == ("41.0 [39.0–43.0] n=600", "43.5 [41.5–45.5] n=600")
    assert next_commands(standing)[0][0] == "phizoo eval compare mine:1 close:1"
    assert next_commands(standing)[1][0] == "phizoo eval show abababababab"


def test_a_model_that_is_alone_is_compared_with_a_published_one() -> None:
    alone = Board(columns=BOARD.columns, rows=tuple(row for row in BOARD.rows if not row.own or row.key == "mine:1"))
    assert next_commands(find_standing(alone, "mine:1", ASKED))[0][0] == ("phizoo eval compare mine:1 published:small")
    bare = Board(columns=BOARD.columns, rows=BOARD.rows[:1])
    standing = find_standing(bare, "mine:1", ASKED)
    assert (standing.neighbours, standing.rival) == ((), None)
    assert len(table_rows(standing)[1]) == 3


def test_a_published_number_stands_beside_the_metric_that_it_names() -> None:
    named = cell(55.0, "reported", protocol="accuracy (lm-eval, acc_norm), 0-shot")
    columns = tuple(replace(column, metric="acc_norm") if column.key == "x" else column for column in BOARD.columns)
    board = Board(columns=columns, rows=(*BOARD.rows[:5], row("small", 125e6, {"r": named})))
    by_key = {line.column.key: line.reported for line in find_standing(board, "mine:1", ASKED).lines}
    assert list(by_key["m"]) == ["big"]  # it may be any metric
    assert list(by_key["x"]) == ["small", "big"]


def test_a_size_that_is_not_known_has_no_neighbours() -> None:
    unsized = Board(columns=BOARD.columns, rows=(replace(BOARD.rows[0], parameters=None), *BOARD.rows[1:]))
    assert find_standing(unsized, "mine:1", ASKED).neighbours == ()


def test_a_model_without_a_score_is_refused() -> None:
    with pytest.raises(ZooError, match="no published score"):
        find_standing(BOARD, "mine:1", {("piqa", "lm-eval")})
    with pytest.raises(ZooError, match="no published score"):
        find_standing(BOARD, "nobody:1", ASKED)
