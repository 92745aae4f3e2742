"""Scores against scale: each column has a true Pareto front of its own."""

from types import SimpleNamespace

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from dashboard.board.build import build_board
from dashboard.board.view import View, select
from dashboard.data.scale import (
    AXES,
    LONGEST,
    ScalePoint,
    larger_models,
    pareto_front,
    point_labels,
    scale_points,
    scale_value,
    spread_labels,
)
from zoo import published

places = st.lists(st.tuples(st.integers(1, 9), st.integers(0, 9)), min_size=1, max_size=25)


def at(places: list[tuple[int, int]]) -> list[ScalePoint]:
    return [
        ScalePoint(name=str(i), x=x, value=v, low=None, high=None, own=True, column="c", protocol="")
        for i, (x, v) in enumerate(places)
    ]


@given(places)
def test_front_is_what_nothing_dominates(places: list[tuple[int, int]]) -> None:
    best = pareto_front(at(places))
    for i, (x, v) in enumerate(places):
        dominated = any(ox <= x and ov >= v and (ox, ov) != (x, v) for ox, ov in places)
        assert (i in best) is not dominated


def test_phi_1_against_models_ten_times_larger_is_said_by_a_test() -> None:
    board = select(build_board(reported=published.load()), View(suite="talk"))
    columns = [column for column in board.columns if column.benchmark == "humaneval"]
    points = scale_points(board, columns, "parameters")
    larger = larger_models(points, "Phi-1")
    standing = {point.name: how for point, how in larger}
    assert (standing["PaLM-Coder"], standing["Code Llama 34B"]) == ("beaten", "alike")  # 35.9 and 48.8 against 50.6
    assert "better" not in {how for point, how in larger if point.value <= 50.6}
    assert [point.x for point, _ in larger] == sorted((point.x for point, _ in larger), reverse=True)
    assert all(point.x > 1.3e9 for point, _ in larger)


def test_flops_are_recorded_or_six_parameters_tokens(made: SimpleNamespace) -> None:
    (row,) = build_board([made.checkpoint()]).rows
    assert scale_value(row, "training FLOPs") == 6 * row.parameters * row.training_tokens
    assert scale_value(row, "training FLOPs", {row.key: 5.0}) == 5.0
    (unknown,) = build_board([made.checkpoint(training_tokens=None)]).rows
    assert scale_value(unknown, "training FLOPs") is None


def test_the_data_a_model_saw_and_the_size_of_that_data_are_two_axes(made: SimpleNamespace) -> None:
    rows = [made.reported("a", 40.0), made.reported("b", 50.0, unique_tokens=9e9, training_tokens=9e9)]
    board = build_board(reported=rows)
    fronts = {}
    for axis in AXES:
        points = scale_points(board, board.columns, axis)
        fronts[axis] = {point.name: (point.x, point.front) for point in points}
    assert fronts["unique tokens"] == {"a": (7e9, True), "b": (9e9, True)}
    assert fronts["tokens seen"] == {"a": (5.1e10, False), "b": (9e9, True)}
    assert fronts["training FLOPs"] == {"a": (6 * 1e9 * 5.1e10, False), "b": (6 * 1e9 * 9e9, True)}


def test_bounds_and_unknown_sizes_are_no_points(made: SimpleNamespace) -> None:
    rows = [made.reported("a", 3.0, op="<"), made.reported("b", 50.0, parameters=None), made.reported("c", 40.0)]
    board = build_board(reported=rows)
    assert [point.name for point in scale_points(board, board.columns, "parameters")] == ["c"]


def test_each_column_has_its_own_front(made: SimpleNamespace) -> None:
    rows = [made.reported("a", 90.0), made.reported("b", 10.0, protocol="another")]
    board = build_board(reported=rows)
    assert all(point.front for point in scale_points(board, board.columns, "parameters"))


def test_no_label_lies_on_a_point_or_leaves_the_plot(made: SimpleNamespace) -> None:
    rows = [made.reported("first", 50.0, parameters=2e9), made.reported("b", 50.1, parameters=2.5e9)]
    board = build_board(reported=rows)
    points = scale_points(board, board.columns, "parameters")
    assert spread_labels(points, ["the first of them", "b"]) == (
        ("the first of them", True),
        ("b", False),
    )  # the one has the other at its right
    (one, _) = points
    edge = msgspec.structs.replace(one, x=9.9e9)
    assert spread_labels([edge], ["at the edge"]) == (("at the edge", True),)
    crowd = [msgspec.structs.replace(one, x=x) for x in (2e9, 2.1e9, 1.9e9)]
    assert spread_labels(crowd, ["middle", "", ""])[0] == ("", False)
    twice = [msgspec.structs.replace(one, name="n" * 40), msgspec.structs.replace(one, name="m")]
    (label, _) = point_labels(twice)
    assert len(label) == LONGEST and label.endswith("… and 1 more")
