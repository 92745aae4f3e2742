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


def test_of_bits_per_byte_the_least_is_best_on_a_front_and_in_a_condition(made: SimpleNamespace) -> None:
    under = made.protocol("lambada_bpb", "gold", metric="bits_per_byte", decoding={})
    sizes = {"small": (1_000_000, 0.9), "larger": (2_000_000, 0.8), "largest": (3_000_000, 0.85)}
    models = [made.checkpoint(name, at, parameters=size) for at, (name, (size, _)) in enumerate(sizes.items(), start=1)]
    scores = [made.score(one, under, sizes[one.name][1], high=1.2) for one in models]
    board = build_board(models, scores, {under.fingerprint: under})
    front = column_front(board.rows, board.columns[0], "parameters")
    assert {row.name for row in board.rows if row.key in front} == {"small", "larger"}
    shown = select(board, View(suite="all", where="lambada_bpb.value < 0.87"))
    assert {row.name for row in shown.rows} == {"larger", "largest"}
