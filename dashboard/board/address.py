"""Reads a view from the page's address: `?suite=phi-1&search=codex&size=any&size=1.5B`.

The page's widgets write the address. The command line reads it, so it exports exactly the view of a shared address:
`phizoo leaderboard --view 'http://…?suite=phi-1' --out page.html`.
"""

from collections.abc import Mapping, Sequence
from typing import Any, cast, get_args
from urllib.parse import parse_qs, urlsplit

from dashboard.board import benchmarks, facts
from dashboard.board.cells import Board, Column, Row
from dashboard.board.front import AXES
from dashboard.board.view import DEFAULT, SUITES, Bounds, Shown, View, column_of_benchmark
from dashboard.escape import cut
from zoo.cli.output import count
from zoo.errors import ZooError, unknown
from zoo.quantity import parse_quantity
from zoo.records import Subset

SIZES = ("any", "10M", "50M", "100M", "350M", "1B", "1.5B", "3B", "7B", "13B", "34B", "70B", "no limit")
TOKENS = ("any", "1M", "100M", "1B", "10B", "100B", "300B", "1T", "3T", "10T", "no limit")
ORDERS = {
    "board": "Own first", "name": "Name", "parameters": "Parameters", "unique": "Unique tokens",
    "tokens": "Tokens seen", "date": "Date",
}  # fmt: skip
# the parameters of the widgets under "Filters, columns and order"
FILTERS = (
    "shown", "subset", "complete", "every", "size", "seen", "date", "family", "weights", "kind", "licence", "quantised",
    "where", "front", "column", "pin",
)  # fmt: skip
NO_BOUND = ("any", "no limit")
ORDERED = ("sort", "ascending")
HELP = "phizoo leaderboard --help"


def parameters(address: str) -> dict[str, list[str]]:
    """The query parameters of a whole address or of its part from the question mark on.

    >>> parameters("http://127.0.0.1:8501/?suite=own&size=any&size=1B")
    {'suite': ['own'], 'size': ['any', '1B']}
    """
    query = urlsplit(address).query if "?" in address else "" if "://" in address else address
    return parse_qs(query)


def parse_bounds(ends: Sequence[str]) -> Bounds:
    """The bounds that two ends stand for, stops of a slider or typed; "any" and "no limit" are None.

    >>> parse_bounds(("any", "1.5B")), parse_bounds(("any", "500M"))
    ((None, 1500000000.0), (None, 500000000.0))
    """
    low, high = (None if end in NO_BOUND else parse_quantity(end) for end in ends)
    return low, high


def years(board: Board) -> list[str]:
    """The years of the date slider, at least two."""
    dated = sorted({row.date[:4] for row in board.rows if row.date}) or ["2026"]
    return dated if len(dated) > 1 else [*dated, str(int(dated[-1]) + 1)]


def date_bounds(since: str, until: str, board: Board) -> tuple[str, str]:
    """The date slider's two ends; an end at the slider's limit is empty."""
    all_years = years(board)
    return ("" if since == all_years[0] else since, "" if until == all_years[-1] else until)


def column_name(column: Column) -> str:
    """The name of a column in a menu; it ends with part of the key, so that similar names differ."""
    mark = "●" if column.origin == "measured" else "◇"
    title = f"{benchmarks.title_of(column.benchmark)} · {cut(column.title, 40)} · {cut(column.metric, 30)}"
    return f"{mark} {title} · {column.key[-6:]}"


def row_name(row: Row) -> str:
    """The name of a row in a menu."""
    return f"{cut(row.label)} · {count(row.parameters)}"


def read(query: Mapping[str, Sequence[str]], board: Board) -> tuple[View, Subset]:
    """The view and the subset of samples that an address stands for.

    Raises  ZooError for an unknown value, naming the nearest.
    """
    columns = {column_name(column): column.key for column in board.columns} | {c.key: c.key for c in board.columns}
    rows = {}
    if "pin" in query:
        rows = {row_name(row): row.key for row in board.rows} | {row.key: row.key for row in board.rows}
    orders = {title: key for key, title in ORDERS.items()} | {key: key for key in ORDERS} | columns
    orders |= {one.benchmark: one.benchmark for one in board.columns if one.main}
    all_years = years(board)
    since, until = _ends(query, "date", all_years, (all_years[0], all_years[-1]))
    sort = _choices(query, "sort", orders)[-1:] or ["board"]
    fields: dict[str, Any] = {
        "suite": _choice(query, "suite", tuple(SUITES), DEFAULT), "search": "".join(query.get("search", ())[-1:]),
        "shown": _choice(query, "shown", get_args(Shown), "all"),
        "complete": _choice(query, "complete", ("true", "false"), "false") == "true",
        "every_metric": _choice(query, "every", ("true", "false"), "false") == "true",
        "sizes": parse_bounds(_sizes(query, "size")), "tokens": parse_bounds(_sizes(query, "seen")),
        "dates": date_bounds(since, until, board),
        "families": tuple(_choices(query, "family", {row.family: row.family for row in board.rows})),
        "weights": _choice(query, "weights", facts.WEIGHTS, ""), "style": _choice(query, "kind", facts.KINDS, ""),
        "licences": tuple(_choices(query, "licence", licences(board))),
        "quantised": _choice(query, "quantised", facts.QUANTISED, ""), "where": "".join(query.get("where", ())[-1:]),
        "front": _choice(query, "front", tuple(AXES), ""),
        "columns": tuple(_choices(query, "column", columns)),
        "pinned": tuple(_choices(query, "pin", rows)), "sort": column_of_benchmark(board, sort[0]) or sort[0],
        "descending": _choice(query, "ascending", ("true", "false"), "false") == "false",
    }  # fmt: skip
    return View(**fields), cast(Subset, _choice(query, "subset", get_args(Subset), "all"))


def _choice(query: Mapping[str, Sequence[str]], key: str, known: Sequence[str], default: str) -> str:
    value = query.get(key, ())[-1:]
    if not value:
        return default
    if value[0] not in known:
        raise unknown(key, value[0], known, HELP)
    return value[0]


def _ends(
    query: Mapping[str, Sequence[str]], key: str, known: Sequence[str], default: tuple[str, str]
) -> Sequence[str]:
    ends = query.get(key, ())
    if len(ends) != len(default):
        return default
    for end in ends:
        if end not in known:
            raise unknown(key, end, known, HELP)
    return ends


def licences(board: Board) -> dict[str, str]:
    """What the licence filter knows: the classes, then the licences of the board's rows."""
    return {name: name for name in (*facts.LICENCES, *sorted({row.licence for row in board.rows if row.licence}))}


def _sizes(query: Mapping[str, Sequence[str]], key: str) -> Sequence[str]:
    """The two ends of a range of sizes; one end alone is the upper one: `?size=500M` asks for at most that."""
    ends = query.get(key, ())
    if len(ends) not in (1, 2):
        return NO_BOUND
    for end in ends:
        if end not in NO_BOUND:
            try:
                parse_quantity(end)
            except ZooError as error:
                raise ZooError(f"{key}: {error}, or any. More: {HELP}") from error
    return ("any", *ends)[-2:]


def _choices(query: Mapping[str, Sequence[str]], key: str, known: Mapping[str, str]) -> list[str]:
    values = query.get(key, ())
    for value in values:
        if value not in known:
            raise unknown(key, value, known, HELP)
    return [known[value] for value in values]
