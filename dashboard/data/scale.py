"""Scores against model size, training tokens or FLOPs, with the Pareto front of each column."""

from collections.abc import Iterable, Sequence
from math import ceil, floor, log10
from typing import Literal, get_args

import msgspec

from dashboard.board.cells import Board, Column, Row
from dashboard.escape import cut
from evals.stats.intervals import Interval, effective_n
from evals.stats.paired import Difference, holm, unpaired_difference
from zoo.metrics import metric_of
from zoo.records import Record

Axis = Literal["parameters", "unique tokens", "tokens seen", "training FLOPs"]
AXES: tuple[Axis, ...] = get_args(Axis)
Standing = Literal["beaten", "alike", "better", "untested"]
LEVEL = 0.05
PLOT, LETTER, LINE = (760, 330), 6.0, 14  # pixels: the narrowest plot with labels, a letter and a line of these
NUDGE, MARK = 7, 5  # pixels: a label is so far right of and above its point; a point's radius
LONGEST = 30  # letters of a label
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
    n: int | None = None


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
                    unique=row.unique_tokens, tokens=row.training_tokens, metric=column.metric, n=cell.n,
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
    """The text beside each point: own names and those on the front, joined for points at the same position.

    >>> points = [ScalePoint(name=n, x=1, value=v, low=None, high=None, own=False, column="", protocol="", front=v > 0)
    ...           for n, v in (("a", 1), ("b", 0), ("c", 1), ("d", 1), ("e", 1))]
    >>> point_labels(points)
    ('a, c and 2 more', '', '', '', '')
    """
    names_at: dict[tuple[float, float], list[str]] = {}
    for point in points:
        if point.front or point.own:
            names_at.setdefault((point.x, point.value), []).append(point.name)
    labels = []
    for point in points:
        names = names_at.pop((point.x, point.value), []) if point.front or point.own else []
        shown = min(MAX_NAMES, len(names))
        if len(", ".join(names[:shown])) > LONGEST - len(" and 9 more"):
            shown = min(1, len(names))
        more = f" and {len(names) - shown} more" if len(names) > shown else ""
        labels.append(cut(", ".join(names[:shown]), LONGEST - len(more)) + more)
    return tuple(labels)


def ratio(number: float | None, to: float | None) -> float | None:
    """`number` divided by `to`; None if either is unknown.

    >>> ratio(10.0, to=2.0), ratio(10.0, to=None)
    (5.0, None)
    """
    return number / to if number and to else None


def decades(points: Sequence[ScalePoint]) -> tuple[int, int]:
    """The range of powers of ten around the points, at least one decade wide."""
    low = floor(log10(min(point.x for point in points)))
    return low, max(ceil(log10(max(point.x for point in points))), low + 1)


def spread_labels(points: Sequence[ScalePoint], labels: Sequence[str]) -> tuple[tuple[str, bool], ...]:
    """The labels, each with whether it stands left of its point instead of right.

    Empty where it would lie on another or on a point, or leave the plot: own models come first, then the best; the rest
    is on hover. Places are those of a plot of PLOT pixels, a letter LETTER wide.

    >>> near = [ScalePoint(name=n, x=x, value=50.0, low=None, high=None, own=n == "own", column="", protocol="")
    ...         for n, x in (("own", 1e6), ("other", 1.01e6), ("far", 2e8), ("left", 5e7))]
    >>> spread_labels(near, ("own", "other", "far", "left left left left left"))
    (('own', False), ('', False), ('far', False), ('left left left left left', True))
    """
    if not points:
        return ()
    start, end = decades(points)
    ends = [one for point in points for one in (point.value, point.low, point.high) if one is not None]
    wide, high = PLOT[0] / (end - start), PLOT[1] / max(max(ends) - min(ends), 1e-9)
    places = [((log10(point.x) - start) * wide, (point.value - min(ends)) * high) for point in points]
    marks = [(x - MARK, x + MARK, y - MARK, y + MARK) for x, y in places]
    kept = [("", False)] * len(points)
    boxes: list[tuple[float, float, float, float]] = []
    for n in sorted(range(len(points)), key=lambda n: (not points[n].own, -_merit(points[n]))):
        label, (x, y) = labels[n], places[n]
        others = [*boxes, *(mark for at, mark in enumerate(marks) if places[at] != places[n])]
        for left in (False, True) if label else ():
            edges = sorted((x + (-NUDGE if left else NUDGE), x + (-1 if left else 1) * (NUDGE + LETTER * len(label))))
            box = (edges[0], edges[1], y + NUDGE - LINE / 2, y + NUDGE + LINE / 2)
            if box[0] >= 0 and box[1] <= PLOT[0] and not any(_overlap(box, other) for other in others):
                kept[n] = (label, left)
                boxes.append(box)
                break
    return tuple(kept)


def _overlap(a: tuple[float, ...], b: tuple[float, ...]) -> bool:
    return a[0] < b[1] and b[0] < a[1] and a[2] < b[3] and b[2] < a[3]


def larger_models(points: Iterable[ScalePoint], name: str) -> tuple[tuple[ScalePoint, Standing], ...]:
    """The larger models of a model's column, largest first, and how it stands against each by an unpaired test.

    p is adjusted over all of them (Holm): "beaten" and "better" are proven, "alike" are not told apart.
    """
    points = list(points)
    own = next((point for point in points if point.name == name), None)
    if own is None:
        return ()
    larger = sorted((one for one in points if one.column == own.column and one.x > own.x), key=lambda one: -one.x)
    gaps = [_gap(own, point) for point in larger]
    adjusted = iter(holm([gap.p for gap in gaps if gap is not None]))
    return tuple(
        (point, _standing(gap, 1.0 if gap is None else next(adjusted), own.metric))
        for point, gap in zip(larger, gaps, strict=True)
    )


def _standing(gap: Difference | None, p: float, metric: str) -> Standing:
    if gap is None:
        return "untested"
    if p >= LEVEL:
        return "alike"
    return "beaten" if metric_of(metric).merit(gap.value) > 0 else "better"


def _gap(first: ScalePoint, second: ScalePoint) -> Difference | None:
    """The difference of two points from their intervals; None if one has none."""
    metric = metric_of(first.metric)
    intervals: list[Interval] = []
    for point in (first, second):
        if point.low is None or point.high is None or not point.n:
            return None
        value, low, high = (end / metric.scale for end in (point.value, point.low, point.high))
        effective = effective_n(value, low, high, point.n) if metric.is_share else float(point.n)
        intervals.append(Interval(value=value, low=low, high=high, effective=effective))
    return unpaired_difference(intervals[0], intervals[1], min(first.n or 0, second.n or 0), metric)
