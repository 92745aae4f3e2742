"""Scores against model size, training tokens or FLOPs, with the Pareto front of each column."""

from collections.abc import Iterable, Sequence
from typing import Literal, get_args

import msgspec

from dashboard.board.cells import Board, Column, Row
from zoo.metrics import metric_of
from zoo.records import Record

Axis = Literal["parameters", "unique tokens", "tokens seen", "training FLOPs"]
AXES: tuple[Axis, ...] = get_args(Axis)
MAX_NAMES = 2  # names beside points at the same position
FLOPS_A_TOKEN = 6  # 6 x parameters x tokens seen, Kaplan et al. 2020, arXiv:2001.08361, section 2.1: attention left out


class ScalePoint(Record, frozen=True):
    """The score of one model in one column against its scale.

    x                   its value on the chosen axis
    front               no model of the column that is at most as large scores better
    parameters, unique, tokens  its size, its training data and the tokens seen, whatever the axis; None: unknown
    """

    name: str
    x: float
    value: float
    low: float | None
    high: float | None
    own: bool
    column: str
    protocol: str
    front: bool = False
    parameters: float | None = None
    unique: float | None = None
    tokens: float | None = None
    metric: str = ""


def scale_value(row: Row, axis: Axis, flops: dict[str, float] | None = None) -> float | None:
    """A row's value on the axis; training FLOPs that were not recorded are 6 x parameters x tokens seen."""
    if axis == "parameters":
        return row.parameters
    if axis == "unique tokens":
        return row.unique_tokens
    if axis == "tokens seen":
        return row.training_tokens
    if flops and row.key in flops:
        return flops[row.key]
    if row.parameters is None or row.training_tokens is None:
        return None
    return FLOPS_A_TOKEN * row.parameters * row.training_tokens


def scale_points(
    board: Board, columns: Sequence[Column], axis: Axis, flops: dict[str, float] | None = None
) -> tuple[ScalePoint, ...]:
    """The points of all models with a known scale in these columns; each column has its own Pareto front.

    A front never spans columns, since two protocols' numbers are not comparable.
    """
    points: list[ScalePoint] = []
    for column in columns:
        in_column = []
        for row in board.rows:
            cell, x = row.cells.get(column.key), scale_value(row, axis, flops)
            if cell is not None and x is not None and x > 0 and not cell.bound:
                point = ScalePoint(
                    name=row.label, x=x, value=cell.value, low=cell.low, high=cell.high,
                    own=row.own and not cell.measured_at,
                    column=column.key, protocol=cell.protocol or column.protocol, parameters=row.parameters,
                    unique=row.unique_tokens, tokens=row.training_tokens, metric=column.metric,
                )  # fmt: skip
                in_column.append(point)
        front = pareto_front(in_column)
        points += [msgspec.structs.replace(point, front=n in front) for n, point in enumerate(in_column)]
    return tuple(points)


def pareto_front(points: Sequence[ScalePoint]) -> frozenset[int]:
    """The positions of the points that no other dominates: at most as large and at least as good, one of them strictly.

    >>> points = [ScalePoint(name=n, x=x, value=v, low=None, high=None, own=True, column="", protocol="")
    ...           for n, x, v in (("a", 1, 10), ("b", 2, 9), ("c", 2, 12), ("d", 3, 12))]
    >>> sorted(pareto_front(points))
    [0, 2]
    """
    best, front = float("-inf"), []
    last: tuple[float, float] | None = None
    for position in sorted(range(len(points)), key=lambda n: (points[n].x, -_merit(points[n]))):
        place = (points[position].x, _merit(points[position]))
        if place[1] > best or place == last:
            front.append(position)
            best, last = max(best, place[1]), place
    return frozenset(front)


def _merit(point: ScalePoint) -> float:
    return metric_of(point.metric).merit(point.value)


def point_labels(points: Sequence[ScalePoint]) -> tuple[str, ...]:
    """The text beside each point: names on the front, joined for points at the same position in any column.

    >>> points = [ScalePoint(name=n, x=1, value=v, low=None, high=None, own=True, column="", protocol="", front=v > 0)
    ...           for n, v in (("a", 1), ("b", 0), ("c", 1), ("d", 1), ("e", 1))]
    >>> point_labels(points)
    ('a, c and 2 more', '', '', '', '')
    """
    names_at: dict[tuple[float, float], list[str]] = {}
    for point in points:
        if point.front:
            names_at.setdefault((point.x, point.value), []).append(point.name)
    labels = []
    for point in points:
        names = names_at.pop((point.x, point.value), []) if point.front else []
        more = f" and {len(names) - MAX_NAMES} more" if len(names) > MAX_NAMES else ""
        labels.append(", ".join(names[:MAX_NAMES]) + more)
    return tuple(labels)


def ratio(number: float | None, to: float | None) -> float | None:
    """`number` divided by `to`; None if either is unknown.

    >>> ratio(10.0, to=2.0), ratio(10.0, to=None)
    (5.0, None)
    """
    return number / to if number and to else None


def larger_models_matched(points: Iterable[ScalePoint], name: str) -> tuple[ScalePoint, ...]:
    """The larger models that a model equals or beats in its column, largest first."""
    points = list(points)
    own = next((point for point in points if point.name == name), None)
    if own is None:
        return ()
    matched = [
        point for point in points if point.column == own.column and point.x > own.x and _merit(point) <= _merit(own)
    ]
    return tuple(sorted(matched, key=lambda point: point.x, reverse=True))
