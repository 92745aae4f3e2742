"""The models that no smaller one equals."""

from types import SimpleNamespace

import pytest

from dashboard.board.build import build_board
from dashboard.board.cells import Board
from dashboard.board.export import as_data
from dashboard.board.front import column_front
from dashboard.board.view import View, select


@pytest.fixture(scope="module")
def whole(made: SimpleNamespace) -> Board:
    sizes = {"small": (1e8, 20.0), "worse": (2e8, 15.0), "large": (3e8, 40.0), "sizeless": (None, 90.0)}
    return build_board(
        reported=[
            *(
                made.reported(name, value, parameters=size, training_tokens=1e10)
                for name, (size, value) in sizes.items()
            ),
            made.reported("bounded", 95.0, parameters=1e8, op="<"),
        ]
    )


@pytest.mark.parametrize(
    ("axis", "front"), [("parameters", {"small", "large"}), ("tokens", {"sizeless"}), ("flops", {"small", "large"})]
)
def test_a_front(whole: Board, axis: str, front: set[str]) -> None:
    keys = column_front(whole.rows, whole.columns[0], axis)
    assert {row.name for row in whole.rows if row.key in keys} == front
    assert {row.name for row in select(whole, View(suite="all", front=axis)).rows} == front  # type: ignore[arg-type]


def test_a_front_is_taken_among_the_rows_that_pass_the_filters(whole: Board) -> None:
    shown = select(whole, View(suite="all", front="parameters", sizes=(1.5e8, None)))
    assert {row.name for row in shown.rows} == {"worse", "large"}


def test_the_json_says_of_each_cell_which_fronts_it_is_on(whole: Board) -> None:
    rows = {row["name"]: next(iter(row["cells"].values()))["front"] for row in as_data(whole)["rows"]}
    assert rows == {
        "small": ["parameters", "flops"], "worse": [], "large": ["parameters", "flops"],
        "sizeless": ["unique", "tokens"], "bounded": [],
    }  # fmt: skip
