"""Selects and sorts the rows and columns of a board: suites, filters, order.

A `View` holds all choices of the reader. The page keeps it in its address, the command line builds it from flags, and
`select` alone applies it.
"""

from collections.abc import Callable, Sequence
from itertools import chain
from pathlib import Path
from typing import Literal

import msgspec

from dashboard.board import facts
from dashboard.board.cells import Board, Column, Row, merit
from dashboard.board.front import Front, front_rows
from dashboard.board.where import matching
from evals.suites import benchmarks
from zoo.errors import ZooError, nearest, unknown
from zoo.published import HEADLINE
from zoo.records import Record

Bounds = tuple[float | None, float | None]
Shown = Literal["all", "measured", "reported"]


class Suite(Record, frozen=True):
    """A preset: the benchmarks, and the sources of the published columns shown beside the measured ones.

    title       as the page asks for it; empty: an address may hold it, but no menu offers it
    measured    only benchmarks that were measured here
    folds       published rows beside the measured ones are folded to those of the nearest size
    benchmarks  empty: all
    sources     prefixes of the published columns' sources; empty: all
    talk_rows   show only the talk's published rows
    one_protocol  show only the published columns whose numbers were all measured in one way
    """

    about: str
    title: str = ""
    benchmarks: tuple[str, ...] = ()
    sources: tuple[str, ...] = ()
    talk_rows: bool = False
    one_protocol: bool = False
    measured: bool = False
    folds: bool = False


def _read_suites() -> dict[str, Suite]:
    suites = msgspec.toml.decode(Path(__file__).with_name("suites.toml").read_bytes(), type=dict[str, Suite])
    for name, suite in suites.items():
        groups = (benchmarks(entry[1:]) if entry.startswith("@") else (entry,) for entry in suite.benchmarks)
        suites[name] = msgspec.structs.replace(suite, benchmarks=tuple(chain.from_iterable(groups)))
    return suites


SUITES = _read_suites()
# the published scores on part of a benchmark (phi-1's Table 3) shown beside the own scores on the same part
PARTS = {"clean": "non-similar", "overlapping": "similar"}
DEFAULT, WITHOUT = "here", "talk"  # the suite of an address without one; where nothing was measured here
SORTS = ("board", "name", "parameters", "unique", "tokens", "date")


class View(Record, frozen=True):
    """The rows and columns to show, and their order. Empty values filter nothing.

    sizes, tokens  lowest and highest parameters and tokens seen, None: no limit; a row of unknown size passes
                   only without limits
    licences       names of licences, or classes of `dashboard.board.facts.LICENCES`; a row passes if it has one of them
    where          a condition that rows must satisfy (`dashboard.board.where`)
    front          only rows on the Pareto front of a shown column (`dashboard.board.front`)
    sort           "board" (own first, then the published order), a row's fact, or a column key
    columns        keys of the columns to show instead of the suite's
    pinned         keys of rows that come first and pass every filter
    """

    suite: str = DEFAULT
    search: str = ""
    shown: Shown = "all"
    sizes: Bounds = (None, None)
    tokens: Bounds = (None, None)
    dates: tuple[str, str] = ("", "")
    families: tuple[str, ...] = ()
    weights: Literal["", "open", "closed", "unknown"] = ""
    style: Literal["", "base", "chat", "unknown"] = ""
    licences: tuple[str, ...] = ()
    quantised: Literal["", "yes", "no"] = ""
    where: str = ""
    front: Front = ""
    complete: bool = False
    every_metric: bool = False
    columns: tuple[str, ...] = ()
    sort: str = "board"
    descending: bool = True
    pinned: tuple[str, ...] = ()


def find_suite(name: str) -> Suite:
    """The suite with this name. Raises ZooError naming the nearest known one."""
    if name not in SUITES:
        raise unknown("suite", name, SUITES, "phizoo leaderboard --help")
    return SUITES[name]


def standing_suite(board: Board, suite: str) -> str:
    """The suite that stands for one that shows only what was measured here, where nothing was: the talk's tables."""
    if find_suite(suite).measured and all(column.origin != "measured" for column in board.columns):
        return WITHOUT
    return suite


def column_of_benchmark(board: Board, name: str) -> str:
    """The key of the main column of a benchmark, the fullest measured one before others; empty if it is none."""
    columns = [column for column in board.columns if column.benchmark == name and column.main]
    fill = {column.key: sum(column.key in row.cells for row in board.rows) for column in columns}
    best = max(columns, key=lambda column: (column.origin == "measured", fill[column.key]), default=None)
    return best.key if best else ""


def select(board: Board, view: View) -> Board:
    """The columns and rows of the view, in its order.

    Raises  ZooError for an unknown suite, column or order, naming the nearest.
    """
    view = msgspec.structs.replace(
        view, suite=standing_suite(board, view.suite), sort=column_of_benchmark(board, view.sort) or view.sort
    )
    columns = _select_columns(board, view)
    keys = {column.key for column in columns}
    found = matching(board, view.where) if view.where.strip() else None
    rows = [
        row
        for row in board.rows
        if row.key in view.pinned or ((found is None or row.key in found) and _passes(row, keys, view))
    ]
    if not view.columns:
        filled = {key for row in rows for key in row.cells}
        columns = [column for column in columns if column.key in filled]
        keys = {column.key for column in columns}
    if view.front:
        front = front_rows(rows, columns, view.front)
        rows = [row for row in rows if row.key in view.pinned or row.key in front]
    if view.complete:
        rows = [row for row in rows if row.key in view.pinned or keys <= row.cells.keys()]
    return Board(columns=tuple(columns), rows=tuple(_sort_rows(rows, view, board)), subset=board.subset)


def _select_columns(board: Board, view: View) -> list[Column]:
    suite = find_suite(view.suite)
    here = {column.benchmark for column in board.columns if column.origin == "measured"}
    if view.columns:
        by_key = {column.key: column for column in board.columns}
        if missing := [key for key in view.columns if key not in by_key]:
            raise unknown("column", missing[0], by_key, "phizoo leaderboard --suite all --json")
        return [column for column in board.columns if column.key in view.columns]

    def wanted(column: Column) -> bool:
        if view.shown != "all" and column.origin != view.shown:
            return False
        if suite.measured and column.benchmark not in here:
            return False
        if suite.benchmarks and column.benchmark not in suite.benchmarks:
            return False
        if column.origin == "reported" and suite.sources and not column.source.startswith(suite.sources):
            return False
        if column.origin == "reported" and suite.one_protocol and not column.one_protocol:
            return False
        part = PARTS.get(board.subset)
        return column.main or view.every_metric or (part is not None and column.subset.startswith(part))

    return [column for column in board.columns if wanted(column)]


def _passes(row: Row, keys: set[str], view: View) -> bool:
    """Whether a row belongs to the view. Own rows without scores stay: they are still to be measured."""
    return (
        _in_suite(row, keys, view)
        and (view.shown == "all" or row.own == (view.shown == "measured"))
        and all(word in f"{row.label} {row.name} {row.family}".lower() for word in view.search.lower().split())
        and _within(row.parameters, view.sizes)
        and _within(row.training_tokens, view.tokens)
        and (not view.dates[0] or (row.date != "" and row.date[: len(view.dates[0])] >= view.dates[0]))
        and (not view.dates[1] or (row.date != "" and row.date[: len(view.dates[1])] <= view.dates[1]))
        and (not view.families or row.family in view.families)
        and facts.passes(row.weights, view.weights)
        and facts.passes(row.style, view.style)
        and facts.passes_licence(row.licence, view.licences)
        and view.quantised in ("", "yes" if row.quantisation else "no")
    )


def _in_suite(row: Row, keys: set[str], view: View) -> bool:
    if view.suite == "headline":
        return not row.own and row.name in HEADLINE
    if row.own:
        return True
    if SUITES[view.suite].talk_rows and not view.columns:
        return row.talk
    return not keys.isdisjoint(row.cells)


def _within(value: float | None, bounds: Bounds) -> bool:
    low, high = bounds
    if value is None:
        return low is None and high is None
    return (low is None or value >= low) and (high is None or value <= high)


def _sort_rows(rows: Sequence[Row], view: View, board: Board) -> list[Row]:
    """Pinned rows first in the order of pinning, then the others; rows without a value come last."""
    by_fact: dict[str, Callable[[Row], str | float | None]] = {
        "name": lambda row: row.label.lower(),
        "parameters": lambda row: row.parameters,
        "unique": lambda row: row.unique_tokens,
        "tokens": lambda row: row.training_tokens,
        "date": lambda row: row.date or None,
    }
    if view.sort in by_fact:
        value = by_fact[view.sort]
    elif view.sort in {column.key for column in board.columns}:
        value = lambda row: merit(row.cells[view.sort]) if view.sort in row.cells else None  # noqa: E731
    elif view.sort == "board":
        value = lambda _row: None  # noqa: E731
        if view.suite == "headline":  # the talk's order
            rows = sorted(rows, key=lambda row: HEADLINE.index(row.name) if row.name in HEADLINE else -1)
    else:
        raise _no_order(view.sort, board)
    pinned = sorted((row for row in rows if row.key in view.pinned), key=lambda row: view.pinned.index(row.key))
    free = [row for row in rows if row.key not in view.pinned]
    known = sorted((r for r in free if value(r) is not None), key=value, reverse=view.descending)  # type: ignore[arg-type]
    return [*pinned, *known, *(row for row in free if value(row) is None)]


def _no_order(name: str, board: Board) -> ZooError:
    """The error for an unknown order, with the few names that a reader may type."""
    tasks = list(dict.fromkeys(column.benchmark for column in board.columns if column.origin == "measured"))
    known = [*SORTS, *tasks, *(column.key for column in board.columns)]
    return ZooError(f'no order "{name}"{nearest(name, known)}. Orders: {", ".join([*SORTS, *tasks])}, or a column key')
