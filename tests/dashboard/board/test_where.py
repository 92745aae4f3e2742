"""A condition over a board's rows, in the language of `models find --where`."""

from types import SimpleNamespace

import pytest

from dashboard.board.build import build_board
from dashboard.board.cells import Board
from dashboard.board.view import View, select
from dashboard.board.where import matching
from zoo.errors import ZooError
from zoo.records import ModelFacts


@pytest.fixture(scope="module")
def whole(made: SimpleNamespace) -> Board:
    mini = made.checkpoint("mini", 1, parameters=1_000_000, licence="MIT", quantisation="Q4_1")
    under = made.protocol()
    chat = ModelFacts(licence="apache-2.0", kind="chat", weights="open", released="2024-09")
    rows = [
        made.reported("Chatty", 30.0, parameters=5e8, facts=chat),
        made.reported("Larger", 40.0, parameters=5.1e8, facts=ModelFacts(licence="gemma", kind="base", weights="open")),
        made.reported("Nameless", 50.0, parameters=None, n=None),
        made.reported("Bounded", 60.0, parameters=1e8, op="<"),
    ]
    return build_board([mini], [made.score(mini, under, 0.2)], {under.fingerprint: under}, reported=rows)


@pytest.mark.parametrize(
    ("condition", "names"),
    [
        ("parameters <= 500M", ["Bounded", "Chatty", "mini"]),
        ("parameters <= 500M and licence = apache-2.0", ["Chatty"]),
        ("licence = mit or licence = 'Apache-2.0'", ["Chatty", "mini"]),
        ("licence = unknown", ["Bounded", "Nameless"]),
        ("not parameters > 500M", ["Bounded", "Chatty", "mini"]),
        ("chat = yes", ["Chatty"]),
        ("kind = unknown", ["Bounded", "Nameless"]),
        ("quantised = yes", ["mini"]),
        ("quantisation ~ q4", ["mini"]),
        ("weights = open and released >= 2024-01", ["Chatty"]),
        ("released < 2024-10", ["Chatty"]),
        ("released < 2030", ["Chatty"]),
        ("origin = measured", ["mini"]),
        ("humaneval.value >= 0.3", ["Chatty", "Larger", "Nameless"]),
        ("humaneval.low > 0.3", ["Larger"]),
        ("humaneval.value > 0.3 and parameters < 1B", ["Larger"]),
        ("name ~ LARGE", ["Larger"]),
    ],
)
def test_conditions(whole: Board, condition: str, names: list[str]) -> None:
    assert sorted(row.name for row in whole.rows if row.key in matching(whole, condition)) == names
    shown = select(whole, View(suite="all", where=condition))
    assert sorted(row.name for row in shown.rows) == names


@pytest.mark.parametrize(
    ("condition", "said"),
    [
        ("lisence = mit", "no field 'lisence' .nearest: \"licence\""),
        ("humanevl.low > 0.1", 'nearest: "humaneval"'),
        ("tag = keep", "no field 'tag'"),
        ("parent = mini", "no field 'parent'"),
        ("parameters <= small", "is a number"),
        ("parameters <=", "missing"),
        ("parameters <= 500M'; DROP TABLE checkpoints; --", "cannot be parsed"),
    ],
)
def test_a_bad_condition_is_an_error_with_the_nearest_field(whole: Board, condition: str, said: str) -> None:
    with pytest.raises(ZooError, match=said):
        select(whole, View(suite="all", where=condition))


def test_a_pinned_row_passes_any_condition(whole: Board) -> None:
    key = next(row.key for row in whole.rows if row.name == "Nameless")
    assert key in {row.key for row in select(whole, View(suite="all", where="parameters < 1", pinned=(key,))).rows}
