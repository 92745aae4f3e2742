"""Score against scale: which models no smaller one equals, in one column at a time."""

from collections.abc import Iterable, Sequence
from typing import Literal

import msgspec

from dashboard.board.cells import Board, Column, Row
from zoo.records import Record

Axis = Literal["parameters", "training tokens", "training FLOPs"]
NAMED = 2  # names beside points that lie at one place
FLOPS_A_TOKEN = 6  # 6 x parameters x tokens, Kaplan et al. 2020, arXiv:2001.08361, section 2.1: attention left out


class Point(Record, frozen=True):
    """One model in one column at its scale.

    front               no model of the column is at most as large and better
    parameters, tokens  its size and training tokens whatever the axis, None: not known
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
    tokens: float | None = None


def scale_of(row: Row, axis: Axis, flops: dict[str, float] | None = None) -> float | None:
    """A row's place on the axis: as recorded, FLOPs where none are recorded as 6 x parameters x tokens."""
    if axis == "parameters":
        return row.parameters
    if axis == "training tokens":
        return row.training_tokens
    if flops and row.key in flops:
        return flops[row.key]
    if row.parameters is None or row.training_tokens is None:
        return None
    return FLOPS_A_TOKEN * row.parameters * row.training_tokens


def points(
    board: Board, columns: Sequence[Column], axis: Axis, flops: dict[str, float] | None = None
) -> tuple[Point, ...]:
    """The models of these columns with a known scale, each column with a Pareto front of its own.

    Fronts are never drawn across columns: two protocols' numbers are not comparable.
    """
    found: list[Point] = []
    for column in columns:
        held = []
        for row in board.rows:
            cell, x = row.cells.get(column.key), scale_of(row, axis, flops)
            if cell is not None and x is not None and x > 0 and not cell.bound:
                point = Point(
                    name=row.label, x=x, value=cell.value, low=cell.low, high=cell.high, own=row.own,
                    column=column.key, protocol=cell.protocol or column.protocol, parameters=row.parameters,
                    tokens=row.training_tokens,
                )  # fmt: skip
                held.append(point)
        best = front(held)
        found += [msgspec.structs.replace(point, front=at in best) for at, point in enumerate(held)]
    return tuple(found)


def front(held: Sequence[Point]) -> frozenset[int]:
    """The positions of the points that no other dominates: at most as large and at least as good, one strictly.

    >>> at = [Point(name=n, x=x, value=v, low=None, high=None, own=True, column="", protocol="")
    ...       for n, x, v in (("a", 1, 10), ("b", 2, 9), ("c", 2, 12), ("d", 3, 12))]
    >>> sorted(front(at))
    [0, 2]
    """
    order = sorted(range(len(held)), key=lambda at: (held[at].x, -held[at].value))
    best, kept = float("-inf"), []
    last: tuple[float, float] | None = None
    for at in order:
        place = (held[at].x, held[at].value)
        if held[at].value > best or place == last:
            kept.append(at)
            best, last = max(best, held[at].value), place
    return frozenset(kept)


def labels(held: Sequence[Point]) -> tuple[str, ...]:
    """The text beside each point: a name for those of the front, one text for several at one place, whatever column.

    >>> at = [Point(name=n, x=1, value=v, low=None, high=None, own=True, column="", protocol="", front=v > 0)
    ...       for n, v in (("a", 1), ("b", 0), ("c", 1), ("d", 1), ("e", 1))]
    >>> labels(at)
    ('a, c and 2 more', '', '', '', '')
    """
    at_place: dict[tuple[float, float], list[str]] = {}
    for point in held:
        if point.front:
            at_place.setdefault((point.x, point.value), []).append(point.name)
    told = []
    for point in held:
        names = at_place.pop((point.x, point.value), []) if point.front else []
        more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
        told.append(", ".join(names[:NAMED]) + more)
    return tuple(told)


def times(one: float | None, other: float | None) -> float | None:
    """How many times more the other has; None where either is unknown.

    >>> times(2.0, 10.0), times(None, 10.0)
    (5.0, None)
    """
    return other / one if one and other else None


def matched(held: Iterable[Point], name: str) -> tuple[Point, ...]:
    """The larger models that a point equals or beats in its column: "as good as models ten times larger"."""
    everything = list(held)
    mine = next((point for point in everything if point.name == name), None)
    if mine is None:
        return ()
    beaten = [p for p in everything if p.column == mine.column and p.x > mine.x and p.value <= mine.value]
    return tuple(sorted(beaten, key=lambda point: point.x, reverse=True))
