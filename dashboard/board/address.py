"""A view as the page's address holds it: `?suite=phi-1&search=codex&size=any&size=1.5B`. Pure.

The page's widgets write the address; this reads it back, so that the command line exports the very view that
somebody sent: `phizoo leaderboard --view 'http://…?suite=phi-1' --export page.html`.
"""

from collections.abc import Mapping, Sequence
from typing import Any, cast, get_args
from urllib.parse import parse_qs, urlsplit

from dashboard.board import benchmarks
from dashboard.board.cells import Board, Column, Row
from dashboard.board.view import SUITES, Shown, Span, View
from dashboard.escape import count, cut
from zoo.errors import unknown
from zoo.records import Subset

SIZES = ("any", "10M", "50M", "100M", "350M", "1B", "1.5B", "3B", "7B", "13B", "34B", "70B", "no limit")
TOKENS = ("any", "1M", "100M", "1B", "10B", "100B", "300B", "1T", "3T", "10T", "no limit")
UNITS = {"M": 1e6, "B": 1e9, "T": 1e12}
ORDERS = {"board": "Own first", "name": "Name", "parameters": "Parameters", "tokens": "Tokens", "date": "Date"}
# the parameters whose widgets stand under "Filters, columns and order"
FILTERS = ("shown", "subset", "complete", "every", "size", "seen", "date", "family", "weights", "kind", "column", "pin")
ORDERED = ("sort", "ascending")
HELP = "phizoo leaderboard --help"


def parameters(address: str) -> dict[str, list[str]]:
    """The parameters of an address, whole or only what stands behind its question mark.

    >>> parameters("http://127.0.0.1:8501/?suite=own&size=any&size=1B")
    {'suite': ['own'], 'size': ['any', '1B']}
    """
    query = urlsplit(address).query if "?" in address else "" if "://" in address else address
    return parse_qs(query)


def span(ends: Sequence[str]) -> Span:
    """What a slider's two ends ask for; an end at "any" or "no limit" is open.

    >>> span(("any", "1.5B"))
    (None, 1500000000.0)
    """
    low, high = (None if end in ("any", "no limit") else float(end[:-1]) * UNITS[end[-1]] for end in ends)
    return low, high


def years(board: Board) -> list[str]:
    """The years that the date slider runs over, two at least."""
    found = sorted({row.date[:4] for row in board.rows if row.date}) or ["2026"]
    return found if len(found) > 1 else [*found, str(int(found[-1]) + 1)]


def dates(since: str, until: str, board: Board) -> tuple[str, str]:
    """The two ends of the date slider, an outermost one open."""
    all_years = years(board)
    return ("" if since == all_years[0] else since, "" if until == all_years[-1] else until)


def column_name(column: Column) -> str:
    """A column as a person chooses it; the end of its key tells two alike apart."""
    mark = "●" if column.origin == "measured" else "◇"
    title = f"{benchmarks.title_of(column.benchmark)} · {cut(column.title, 40)} · {cut(column.metric, 30)}"
    return f"{mark} {title} · {column.key[-6:]}"


def row_name(row: Row) -> str:
    """A row as a person chooses it."""
    return f"{cut(row.label)} · {count(row.parameters)}"


def read(query: Mapping[str, Sequence[str]], board: Board) -> tuple[View, Subset]:
    """The view of an address, and which samples it scores.

    Raises  ZooError for a value that is none of the known ones, naming the nearest.
    """
    columns = {column_name(column): column.key for column in board.columns} | {c.key: c.key for c in board.columns}
    rows = {row_name(row): row.key for row in board.rows} | {row.key: row.key for row in board.rows}
    orders = {title: key for key, title in ORDERS.items()} | {key: key for key in ORDERS} | columns
    held = years(board)
    since, until = _ends(query, "date", held, (held[0], held[-1]))
    sort = _named(query, "sort", orders)[-1:] or ["board"]
    told: dict[str, Any] = {
        "suite": _one(query, "suite", tuple(SUITES), "talk"),
        "search": "".join(query.get("search", ())[-1:]),
        "shown": _one(query, "shown", get_args(Shown), "all"),
        "complete": _one(query, "complete", ("true", "false"), "false") == "true",
        "every_metric": _one(query, "every", ("true", "false"), "false") == "true",
        "sizes": span(_ends(query, "size", SIZES, ("any", "no limit"))),
        "tokens": span(_ends(query, "seen", TOKENS, ("any", "no limit"))),
        "dates": dates(since, until, board),
        "families": tuple(_named(query, "family", {row.family: row.family for row in board.rows})),
        "weights": _one(query, "weights", ("open", "closed"), ""),
        "style": _one(query, "kind", ("base", "chat"), ""),
        "columns": tuple(_named(query, "column", columns)),
        "pinned": tuple(_named(query, "pin", rows)),
        "sort": sort[0],
        "descending": _one(query, "ascending", ("true", "false"), "false") == "false",
    }
    return View(**told), cast(Subset, _one(query, "subset", get_args(Subset), "all"))


def _one(query: Mapping[str, Sequence[str]], key: str, known: Sequence[str], default: str) -> str:
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


def _named(query: Mapping[str, Sequence[str]], key: str, known: Mapping[str, str]) -> list[str]:
    values = query.get(key, ())
    for value in values:
        if value not in known:
            raise unknown(key, value, known, HELP)
    return [known[value] for value in values]
