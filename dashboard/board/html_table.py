"""Renders the board as one HTML table, every name escaped, for the page and the static export.

It has two header rows: the benchmark, and under it one protocol per column, marked as measured (●) or reported (◇).
`board.css` styles it; `board.js` sorts it and moves through it by keyboard.
"""

from collections.abc import Mapping, Sequence
from importlib.resources import files
from itertools import groupby, pairwise

from dashboard.board import benchmarks
from dashboard.board.cells import (
    Board,
    Cell,
    Column,
    Row,
    at_chance,
    cell_text,
    numbers_text,
    overlap_text,
    run_texts,
    size_text,
    value_text,
)  # fmt: skip
from dashboard.board.ranks import board_ranks
from dashboard.board.signal import board_signals, head_texts
from dashboard.board.view import View
from dashboard.escape import cut, html
from evals.stats.ranks import Standing
from evals.stats.signal import Signal
from zoo.cli.output import NONE, count, range_text
from zoo.coverage import NOT_SEARCHED
from zoo.metrics import metric_of
from zoo.visible import plain

FACTS = (
    *(("name", "Model"), ("parameters", "Parameters"), ("unique", "Unique tokens"), ("tokens", "Tokens seen")),
    ("date", "Date"),
)
RESOLVES_REAL = "the smallest difference that n samples detect with 80% power"
RESOLVES = "the smallest difference in points, near 50%, that n samples detect with 80% power"


def read_asset(name: str) -> str:
    """The text of a file of this package, such as `board.css` or `board.js`."""
    return files("dashboard").joinpath(name).read_text(encoding="utf-8")


LEGEND = read_asset("legend.html").rstrip("\n")


def render_table(board: Board, view: View | None = None, rows: Sequence[Row] | None = None, caption: str = "") -> str:
    """The table element of a board that is already selected.

    view     marks the header of the sorted column and the pinned rows
    rows     the rows to draw (one page); ranks are always among all rows of the board
    caption  read first by a screen reader
    """
    view = view or View()
    ranks, tops = board_ranks(board), _tops(board)
    breaks = _group_starts(board, view, ranks)
    lines = ['<table class="board" role="grid">', f"<caption>{html(caption or 'Leaderboard')}</caption>", "<thead>"]
    lines += [*_head_rows(board, view, board_signals(board, ranks)), "</thead>", "<tbody>"]
    for row in board.rows if rows is None else rows:
        names = ["own" if row.own else "other"]
        names += ["pinned"] if row.key in view.pinned else []
        names += ["apart"] if row.key in breaks else []
        lines.append(_row(row, board.columns, ranks, " ".join(names), tops))
    return "\n".join([*lines, "</tbody>", "</table>"])


def _group_starts(board: Board, view: View, ranks: Mapping[str, Mapping[str, Standing]]) -> set[str]:
    """The keys of rows that start a new group of ties in the sorted column."""
    column = ranks.get(view.sort, {})
    keys = [row.key for row in board.rows if row.key in column and row.key not in view.pinned]
    return {key for before, key in pairwise(keys) if column[key].group != column[before].group}


def _head_rows(board: Board, view: View, signals: Mapping[str, Signal]) -> list[str]:
    first = ["<tr>"]
    for key, title in FACTS:
        kind = "model" if key == "name" else "fact"
        first.append(
            f'<th scope="col" rowspan="2" class="{kind}"{_aria_sort(key, view)}>{_sort_button(key, title)}</th>'
        )
    for benchmark, group in groupby(board.columns, key=lambda column: column.benchmark):
        title, width = html(benchmarks.title_of(benchmark)), len(list(group))
        first.append(f'<th scope="colgroup" colspan="{width}" class="benchmark"><span>{title}</span></th>')
    texts = {column.key: head_texts(board, column, signals.get(column.key)) for column in board.columns}
    second = ["<tr>", *(_column_head(column, view, board.subset, *texts[column.key]) for column in board.columns)]
    return ["".join([*first, "</tr>"]), "".join([*second, "</tr>"])]


def _aria_sort(key: str, view: View, lower: bool = False) -> str:
    """The direction of a sorted column's numbers. lower: less is better, so that the best first is upwards."""
    if key != view.sort:
        return ""
    return ' aria-sort="descending"' if view.descending != lower else ' aria-sort="ascending"'


def _sort_button(key: str, title: str) -> str:
    return f'<button type="button" class="sort" data-sort="{html(key)}">{title}</button>'


def _column_head(column: Column, view: View, subset: str, signal: str, why: str) -> str:
    mark = "●" if column.origin == "measured" else "◇"
    tooltip = f"{column.origin}: {column.protocol}. {column.comparable}" + (
        f" {why[0].upper()}{why[1:]}." if why else ""
    )
    metric = html(cut(column.metric, 28)) if column.origin == "measured" else html(_published_metric(column))
    kind = metric_of(column.metric)
    notes = [f"{mark} {metric}{kind.mark}"]
    if column.resolves:
        how = "paired" if column.origin == "measured" else "unpaired"
        smallest = f"n={column.n}, Δ ≥ {column.resolves:.{kind.digits}f} {how}"
        notes.append(f'<span class="resolves" title="{RESOLVES if kind.is_share else RESOLVES_REAL}">{smallest}</span>')
    if signal:
        notes.append(f'<span class="signal">{html(signal)}</span>')
    if column.subset:
        notes.append(html(cut(column.subset, 40)))
    elif subset != "all":
        part = f"{subset} samples only" if column.origin == "measured" else "all samples, leaked ones too"
        notes.append(f'<span class="part">{part}</span>')
    notes += [f'<span class="tier">sandbox: {html(cut(tier, 24))}</span>' for tier in column.tiers]
    title = html(cut(column.title, 34))
    lower = ' data-lower="true"' if kind.lower_is_better else ""
    return (
        f'<th scope="col" class="{column.origin}" data-column="{html(column.key)}" title="{html(tooltip)}"{lower}'
        f"{_aria_sort(column.key, view, kind.lower_is_better)}>"
        f'{_sort_button(column.key, title)}<span class="how">{"<br>".join(notes)}</span></th>'
    )


def _published_metric(column: Column) -> str:
    """The metric and shots of a published column."""
    shots = "" if column.shots is None else f" {column.shots}-shot"
    return cut(f"reported {column.metric}{shots}", 40)


def _row(
    row: Row, columns: Sequence[Column], ranks: Mapping[str, Mapping[str, Standing]], names: str,
    tops: Mapping[str, float],
) -> str:  # fmt: skip
    tooltip = html(row.name if row.name == row.label else f"{row.label} — {row.name}")
    tokens = f"{count(row.unique_tokens)} unique tokens", f"{count(row.training_tokens)} seen"
    facts = (html(size_text(row)), *tokens, html(row.date) or NONE)
    details = " · ".join(f"<span>{fact}</span>" for fact in facts)
    lines = [
        f'<tr class="{names}" data-row="{html(row.key)}">'
        f'<th scope="row" class="model" data-v="{html(row.label.lower())}" title="{tooltip}">'
        f'<span class="name">{html(cut(row.label))}</span><span class="sub">{details}</span></th>',
        _fact(row.parameters, html(size_text(row))),
        _fact(row.unique_tokens, count(row.unique_tokens)),
        _fact(row.training_tokens, count(row.training_tokens)),
        f'<td class="fact" data-v="{html(row.date)}">{html(row.date) or NONE}</td>',
    ]
    lines += [_cell(row.cells.get(column.key), ranks[column.key].get(row.key), tops[column.key]) for column in columns]
    return "".join([*lines, "</tr>"])


def _fact(value: float | None, text: str) -> str:
    return f'<td class="fact" data-v="{"" if value is None else f"{value:.0f}"}">{text}</td>'


def _tops(board: Board) -> dict[str, float]:
    """The end of each column's scale: 100 for percent, else its largest number."""
    tops = {}
    for column in board.columns:
        ends = (max(c.value, c.high or 0.0) for row in board.rows if (c := row.cells.get(column.key)))
        tops[column.key] = 100.0 if metric_of(column.metric).is_share else max(ends, default=0.0) or 1.0
    return tops


def _cell(cell: Cell | None, standing: Standing | None, top: float) -> str:
    """A cell in as few elements as possible: a board has thousands, and each costs the browser layout and paint."""
    if cell is None:
        return '<td class="none">–</td>'
    dagger = '<span class="dagger">†</span>' if cell.origin == "reported" else ""
    rank = f' <span class="rank">#{range_text(standing.first, standing.last)}</span>' if standing else ""
    return (
        f'<td class="{cell.origin}" data-v="{cell.value:g}"{_title(cell)}>'
        f'<span class="value">{html(value_text(cell))}{dagger}</span>{rank}{_bar(cell, top)}{_details(cell)}</td>'
    )


def _title(cell: Cell) -> str:
    """The tooltip, if it says more than the cell and its column's header show."""
    plain_cell = cell.origin == "measured" and cell.subset == "all" and cell.clusters in (0, cell.n)
    plain_cell = plain_cell and not cell.unsearched
    return "" if plain_cell else f' title="{html(cell_tooltip(cell))}"'


def cell_tooltip(cell: Cell) -> str:
    """The whole cell in words."""
    if cell.origin == "reported":
        derived = "; interval derived here from n" if cell.derived else ""
        return plain(f"{cell_text(cell)} · reported{derived} · {cell.protocol} · {cell.source}")
    parts = [cell_text(cell), *(() if cell.measured_at else ("measured here",))]
    if cell.chance is not None:
        parts.append(f"guessing scores {cell.chance:.1f}")
    if cell.clusters and cell.n and cell.clusters != cell.n:
        parts.append(f"{cell.clusters} independent groups")
    if cell.subset != "all":
        parts.append(f"{cell.subset} samples only")
    if cell.moved is not None:
        parts.append(f"{cell.moved:+.{metric_of(cell.metric).digits}f} against all samples")
    if cell.tier:
        parts.append(f"sandbox {cell.tier}")
    parts.append(overlap_text(cell, why=True) or NOT_SEARCHED)
    return plain(" · ".join(parts))


def _bar(cell: Cell, top: float) -> str:
    """The interval, the value and the chance level on a scale of 0 to `top`: one element, drawn by its background."""
    if cell.low is None or cell.high is None:
        return ""
    low, high, value = (100 * end / top for end in (cell.low, cell.high, cell.value))
    width = min(max(high - low, 1.0), 99.0)
    offset = 100 * min(max(low, 0.0), 100 - width) / (100 - width)  # CSS offsets are shares of the free room
    style = f"--w:{width:.1f}%;--x:{offset:.1f}%;--v:{value:.1f}%"
    names = ["bar", *(["derived"] if cell.derived else [])]
    if cell.chance is not None:
        names, style = [*names, "chance"], f"{style};--c:{cell.chance:.1f}%"
    return f'<span class="{" ".join(names)}" style="{style}"></span>'


def _details(cell: Cell) -> str:
    kind = metric_of(cell.metric)
    parts = [text] if (text := numbers_text(cell, "").strip()) else []
    if at_chance(cell):
        parts.append('<span class="guess">at chance</span>')
    parts += [_note(text, "unscored" in text) for text in run_texts(cell)]
    if overlap := overlap_text(cell):
        parts.append(_note(overlap, bool(cell.overlaps)))
    if cell.moved is not None and abs(cell.moved) >= 0.5 * 10**-kind.digits:
        parts.append(f'<span class="moved">{"▲" if cell.moved > 0 else "▼"}{abs(cell.moved):.{kind.digits}f}</span>')
    return f' <span class="small">{" ".join(parts)}</span>' if parts else ""


def _note(text: str, warns: bool) -> str:
    """A line of its own below the interval."""
    return f'<span class="note{" unscored" if warns else ""}">{html(text)}</span>'
