"""The board as one HTML table, every name escaped: the page and the static export draw the same.

Two header rows: the benchmark, and under it one protocol a column, told apart as measured (●) or
reported (◇). `board.css` gives it its look, `board.js` lets it be sorted and walked by keyboard.
"""

from collections.abc import Mapping, Sequence
from importlib.resources import files
from itertools import groupby, pairwise

from dashboard.board import benchmarks
from dashboard.board.cells import Board, Cell, Column, Row, cell_text, overlap_text, value_text
from dashboard.board.ranks import place_text, placed
from dashboard.board.view import View
from dashboard.escape import count, cut, html, plain
from evals.stats.ranks import Standing

FACTS = (("name", "Model"), ("parameters", "Parameters"), ("tokens", "Tokens"), ("date", "Date"))
RESOLVES = "the smallest difference in points that n samples tell apart, near 50%, with 80% power"
LEGEND = (
    '<p class="legend"><span class="mark measured">●</span> measured here, 95% interval '
    '<span class="mark reported">◇</span> reported elsewhere <span class="dagger">†</span>; where the number of '
    "problems is known, its 95% interval is derived here (hatched) "
    '<span class="rank">#2–5</span> the ranks that the data leave open among the rows shown, all of a column at once; '
    "sorted by a column, a thick line stands where a row is proven to be below the first one above it "
    "<span>Δ the smallest difference that a column tells apart</span></p>"
)


def asset(name: str) -> str:
    """The text of a file of this package: `board.css`, `board.js`."""
    return files("dashboard").joinpath(name).read_text(encoding="utf-8")


def table(board: Board, view: View | None = None, rows: Sequence[Row] | None = None, caption: str = "") -> str:
    """The table element of a board that is already selected.

    view     tells which header says it is sorted
    rows     the rows to draw (one page of them); ranks are always among all rows of the board
    caption  what the table shows, read out first by a screen reader
    """
    asked = view or View()
    ranked = placed(board)
    breaks = _breaks(board, asked, ranked)
    lines = ['<table class="board" role="grid">', f"<caption>{html(caption or 'Leaderboard')}</caption>", "<thead>"]
    lines += [*_heads(board, asked), "</thead>", "<tbody>"]
    for row in board.rows if rows is None else rows:
        names = ["own" if row.own else "other"]
        names += ["pinned"] if row.key in asked.pinned else []
        names += ["apart"] if row.key in breaks else []
        lines.append(_row(row, board.columns, ranked, " ".join(names)))
    return "\n".join([*lines, "</tbody>", "</table>"])


def _breaks(board: Board, view: View, placed: Mapping[str, Mapping[str, Standing]]) -> set[str]:
    """The rows that begin a new group of ties in the column that the table is sorted by."""
    places_here = placed.get(view.sort, {})
    ranked = [row.key for row in board.rows if row.key in places_here and row.key not in view.pinned]
    return {key for before, key in pairwise(ranked) if places_here[key].group != places_here[before].group}


def _heads(board: Board, view: View) -> list[str]:
    first = ["<tr>"]
    for key, title in FACTS:
        kind = "model" if key == "name" else "fact"
        first.append(f'<th scope="col" rowspan="2" class="{kind}"{_sorted(key, view)}>{_sort_button(key, title)}</th>')
    for benchmark, group in groupby(board.columns, key=lambda column: column.benchmark):
        held = list(group)
        title = html(benchmarks.title_of(benchmark))
        first.append(f'<th scope="colgroup" colspan="{len(held)}" class="benchmark"><span>{title}</span></th>')
    second = ["<tr>", *(_head(column, view, board.subset) for column in board.columns)]
    return ["".join([*first, "</tr>"]), "".join([*second, "</tr>"])]


def _sorted(key: str, view: View) -> str:
    if key != view.sort:
        return ""
    return ' aria-sort="descending"' if view.descending else ' aria-sort="ascending"'


def _sort_button(key: str, title: str) -> str:
    return f'<button type="button" class="sort" data-sort="{html(key)}">{title}</button>'


def _head(column: Column, view: View, subset: str) -> str:
    mark = "●" if column.origin == "measured" else "◇"
    said = f"{column.origin}: {column.protocol}. {column.comparable}"
    metric = html(cut(column.metric, 28)) if column.origin == "measured" else html(_printed(column))
    notes = [f"{mark} {metric}"]
    if column.resolves:
        how = "paired" if column.origin == "measured" else "unpaired"
        notes.append(f'<span class="resolves" title="{RESOLVES}">n={column.n}, Δ ≥ {column.resolves:.1f} {how}</span>')
    if column.subset:
        notes.append(html(cut(column.subset, 40)))
    elif subset != "all":
        part = f"{subset} samples only" if column.origin == "measured" else "all samples, leaked ones too"
        notes.append(f'<span class="part">{part}</span>')
    notes += [f'<span class="tier">sandbox: {html(cut(tier, 24))}</span>' for tier in column.tiers]
    title = html(cut(column.title, 34))
    return (
        f'<th scope="col" class="{column.origin}" data-column="{html(column.key)}" title="{html(said)}"'
        f"{_sorted(column.key, view)}>"
        f'{_sort_button(column.key, title)}<span class="how">{"<br>".join(notes)}</span></th>'
    )


def _printed(column: Column) -> str:
    """What a published column is, in a few words."""
    shots = "" if column.shots is None else f" {column.shots}-shot"
    return cut(f"reported {column.metric}{shots}", 40)


def _row(row: Row, columns: Sequence[Column], placed: Mapping[str, Mapping[str, Standing]], names: str) -> str:
    whole = html(row.name if row.name == row.label else f"{row.label} — {row.name}")
    facts_told = (count(row.parameters), f"{count(row.training_tokens)} tokens", html(row.date) or "–")
    told = " · ".join(f"<span>{one}</span>" for one in facts_told)
    lines = [
        f'<tr class="{names}" data-row="{html(row.key)}">'
        f'<th scope="row" class="model" data-v="{html(row.label.lower())}" title="{whole}">'
        f'<span class="name">{html(cut(row.label))}</span><span class="sub">{told}</span></th>',
        _fact(row.parameters, count(row.parameters)),
        _fact(row.training_tokens, count(row.training_tokens)),
        f'<td class="fact" data-v="{html(row.date)}">{html(row.date) or "–"}</td>',
    ]
    lines += [_cell(row.cells.get(column.key), placed[column.key].get(row.key)) for column in columns]
    return "".join([*lines, "</tr>"])


def _fact(value: float | None, text: str) -> str:
    return f'<td class="fact" data-v="{"" if value is None else f"{value:.0f}"}">{text}</td>'


def _cell(cell: Cell | None, place: Standing | None) -> str:
    """A cell in as few elements as it can be: a board has thousands, and each costs the browser layout and paint."""
    if cell is None:
        return '<td class="none">–</td>'
    dagger = '<span class="dagger">†</span>' if cell.origin == "reported" else ""
    rank = f' <span class="rank">#{place_text(place)}</span>' if place else ""
    return (
        f'<td class="{cell.origin}" data-v="{cell.value:g}"{_title(cell)}>'
        f'<span class="value">{html(value_text(cell))}{dagger}</span>{rank}{_bar(cell)}{_small(cell)}</td>'
    )


def _title(cell: Cell) -> str:
    """A tooltip for what the cell and its column's header do not show already."""
    plain_cell = cell.origin == "measured" and cell.subset == "all" and cell.clusters in (0, cell.n)
    return "" if plain_cell else f' title="{html(said(cell))}"'


def said(cell: Cell) -> str:
    """The whole cell in words, for a tooltip."""
    if cell.origin == "reported":
        derived = "; interval derived here from n" if cell.derived else ""
        return plain(f"{cell_text(cell)} · reported{derived} · {cell.protocol} · {cell.source}")
    parts = [cell_text(cell), "measured here"]
    if cell.clusters and cell.n and cell.clusters != cell.n:
        parts.append(f"{cell.clusters} independent groups")
    if cell.subset != "all":
        parts.append(f"{cell.subset} samples only")
    if cell.moved is not None:
        parts.append(f"{cell.moved:+.1f} against all samples")
    if cell.tier:
        parts.append(f"sandbox {cell.tier}")
    return plain(" · ".join(parts))


def _bar(cell: Cell) -> str:
    """The interval on a scale of 0 to 100, and the value on it: one element, drawn by its background."""
    if cell.low is None or cell.high is None:
        return ""
    width = min(max(cell.high - cell.low, 1.0), 99.0)
    at = 100 * min(max(cell.low, 0.0), 100 - width) / (100 - width)  # CSS places a background by its free room
    style = f"--w:{width:.1f}%;--x:{at:.1f}%;--v:{cell.value:.1f}%"
    return f'<span class="bar{" derived" if cell.derived else ""}" style="{style}"></span>'


def _small(cell: Cell) -> str:
    parts = []
    if cell.low is not None and cell.high is not None:
        parts.append(f"[{cell.low:.1f}–{cell.high:.1f}]")
    if cell.n is not None:
        parts.append(f"n={cell.n}")
    if cell.unscored:
        parts.append(f'<span class="unscored">{cell.unscored} unscored</span>')
    if overlap := overlap_text(cell):
        parts.append(f'<span class="unscored">{overlap}</span>')
    if cell.moved is not None and abs(cell.moved) >= 0.05:
        parts.append(f'<span class="moved">{"▲" if cell.moved > 0 else "▼"}{abs(cell.moved):.1f}</span>')
    return f' <span class="small">{" ".join(parts)}</span>' if parts else ""
