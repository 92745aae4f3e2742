"""Renders a board's two blocks as HTML tables, every name escaped, for the page and the static export.

A column is one protocol. The leading column has an axis, ranks and lines between groups; both blocks share its axis.
`board.css` styles it; `board.js` sorts it, moves through it by keyboard and holds what is ticked.
"""

from collections.abc import Mapping, Sequence
from importlib.resources import files
from itertools import pairwise

from dashboard.board import benchmarks, facts
from dashboard.board.answer import protocol_words, tells, unused
from dashboard.board.blocks import Block, Blocks, make_blocks
from dashboard.board.cells import (
    Board,
    Cell,
    Column,
    Row,
    at_chance,
    cell_text,
    coverage_note,
    overlap_text,
    run_texts,
    size_text,
    value_text,
)  # fmt: skip
from dashboard.board.ranks import column_ranks
from dashboard.board.view import View
from dashboard.escape import cut, html
from evals.stats.ranks import Standing
from zoo.cli.output import count, range_text
from zoo.coverage import NOT_SEARCHED
from zoo.visible import plain

TITLES = {
    "measured": ("●", "Measured here", "one prompt a column: compare freely"),
    "reported": ("◇", "Reported elsewhere", "same benchmarks, other prompts: read large gaps only"),
}
NOT_MEASURED = '<span class="unseen">not measured</span><span class="dash" aria-hidden="true">–</span>'
NOT_REPORTED = NOT_MEASURED.replace("not measured", "not reported")


def read_asset(name: str) -> str:
    """The text of a file of this package, such as `board.css` or `board.js`."""
    return files("dashboard").joinpath(name).read_text(encoding="utf-8")


LEGEND = read_asset("legend.html").rstrip("\n")
KEY = (
    '<p class="key"><span><b class="mark measured">●</b> measured</span> <span><b class="mark reported">◇</b> '
    "reported by others</span> <span>[low–high] 95% interval</span> <span>#1–5 possible ranks</span> <span>– not "
    "measured</span> <span>⚑ found in training data</span> <span>≈ the interval covers not quite 95%</span></p>"
)


def render_blocks(
    board: Board, blocks: Blocks, view: View, rows: Sequence[Row] | None = None, ticks: bool = False
) -> str:
    """The tables of both blocks, each under its heading; a block without rows is not drawn.

    board  selected; its rows are those that ranks are among
    rows   the reported rows to draw (one page of them); None: all
    ticks  whether own rows can be chosen for a comparison
    """
    measured = _render_block(board, blocks.measured, blocks.measured.rows, view, ticks)
    return measured + _render_block(board, blocks.reported, blocks.reported.rows if rows is None else rows, view, ticks)


def render_table(board: Board) -> str:
    """Both blocks of a board with every row and column, as an exported page has them."""
    view = View(suite="all")
    return KEY + render_blocks(board, make_blocks(board, view, every_row=True), view)


def _render_block(board: Board, block: Block, rows: Sequence[Row], view: View, ticks: bool) -> str:
    mark, title, about = TITLES[block.origin]
    if any(cell.measured_at for row in block.rows for cell in row.cells.values()):
        title = "Measured, some elsewhere"
    rest = unused(block)
    head = f'<section class="block {block.origin}"><h2><span class="mark {block.origin}">{mark}</span> {title}'
    if not block.rows or not block.columns:
        return f'{head}</h2><p class="rest">{html(rest)}</p></section>' if rest else ""
    ranks = {
        column.key: {} if column.mixed else column_ranks(block.rows, column.key)
        for column in block.columns
        if column.key in (block.lead, view.sort)
    }
    breaks = _group_starts(block, view, ranks.get(block.lead, {}))
    lines = [
        f'{head}<span class="aside">{about}</span></h2><div class="wide"><table class="board" role="grid">'
        f"<caption>{title}</caption><thead><tr>",
        '<th scope="col" class="tick"><span class="unseen">Chosen</span></th>' if ticks else "",
        f'<th scope="col" class="model"{_aria_sort("name", view)}>{_sort_button("name", "Model")}</th>',
        '<th scope="col" class="fact">Licence</th>',
        *(_column_head(column, block, view, board.subset) for column in block.columns), "</tr></thead><tbody>",
    ]  # fmt: skip
    for row in rows:
        names = ["own" if row.own else "other"]
        names += ["pinned"] if row.key in view.pinned else []
        names += ["apart"] if row.key in breaks else []
        lines.append(_row(row, block, ranks, " ".join(names), ticks))
    return "".join(
        [*lines, "</tbody></table></div>", f'<p class="rest">{html(rest)}</p>' if rest else "", "</section>"]
    )


def _group_starts(block: Block, view: View, ranks: Mapping[str, Standing]) -> set[str]:
    """The keys of rows that start a new group of ties in the leading column."""
    keys = [row.key for row in block.rows if row.key in ranks and row.key not in view.pinned]
    return {key for before, key in pairwise(keys) if ranks[key].group > ranks[before].group}


def _aria_sort(key: str, view: View) -> str:
    if key != view.sort:
        return ""
    return ' aria-sort="descending"' if view.descending else ' aria-sort="ascending"'


def _sort_button(key: str, title: str) -> str:
    return f'<button type="button" class="sort" data-sort="{html(key)}">{title}</button>'


def _column_head(column: Column, block: Block, view: View, subset: str) -> str:
    """Two lines: the benchmark and whose prompt; the leading column also has its axis and what it can tell."""
    leads = column.key == block.lead
    lines = [html(cut(protocol_words(column), 34))]
    if not column.main:
        lines.append(html(cut(column.metric, 28)))
    if column.subset:
        lines.append(html(cut(column.subset, 40)))
    elif subset != "all":
        part = f"{subset} samples only" if column.origin == "measured" else "all samples, leaked ones too"
        lines.append(f'<span class="part">{part}</span>')
    if column.n:
        lines.append(html(tells(column)) if leads else f"n={column.n:,}")
    axis = '<span class="scale" aria-hidden="true"><i>0</i><i>100</i></span>' if leads else ""
    names = f"{column.origin} lead at" if leads else column.origin
    title = html(benchmarks.title_of(column.benchmark))
    return (
        f'<th scope="col" class="{names}" data-column="{html(column.key)}" data-benchmark="{title}" '
        f'title="{html(head_tooltip(column))}"{_aria_sort(column.key, view)}>'
        f'{_sort_button(column.key, title)}<span class="how">{"<br>".join(lines)}</span>{axis}</th>'
    )


def head_tooltip(column: Column) -> str:
    """What a head does not show: metric, protocol, problems, resolution, sandbox, whether it may be compared."""
    how = "paired" if column.origin == "measured" else "unpaired"
    parts = [f"{column.origin}: {column.protocol}", column.metric, tells(column) and f"{tells(column)}, {how}"]
    parts += [f"sandbox: {tier}" for tier in column.tiers]
    return plain(". ".join([*(part for part in parts if part), column.comparable]))


def _row(row: Row, block: Block, ranks: Mapping[str, Mapping[str, Standing]], names: str, ticks: bool) -> str:
    licence = html(cut(row.licence, 24)) if facts.known(row.licence) else "unknown"
    kind = row.style or "kind unknown"
    tick = ""
    if ticks:
        label = html(row.label)
        box = f'<input type="checkbox" tabindex="-1" data-label="{label}" aria-label="Choose {label}">'
        tick = f'<td class="tick">{box if row.own and row.cells else ""}</td>'
    lines = [
        f'<tr class="{names}" data-row="{html(row.key)}">{tick}'
        f'<th scope="row" class="model" data-v="{html(row.label.lower())}" title="{html(row_tooltip(row))}">'
        f'<span class="name">{html(cut(row.label))}</span><span class="sub"><span>{html(size_text(row))}</span>'
        f' · <span>{kind}</span><span class="narrow"> · licence {licence}</span></span></th>'
        f'<td class="fact" data-v="{licence}">{licence}</td>'
    ]
    lines += [_cell(row.cells.get(column.key), column, block, ranks.get(column.key, {}).get(row.key))
              for column in block.columns]  # fmt: skip
    return "".join([*lines, "</tr>"])


def row_tooltip(row: Row) -> str:
    """What a model's row does not show: its whole name, tokens, dates, family, weights."""
    name = row.name if row.name == row.label else f"{row.label} — {row.name}"
    parts = [f"{count(row.unique_tokens)} unique tokens, {count(row.training_tokens)} seen", row.family]
    parts += [f"released {row.released}" if row.released else "release unknown"]
    parts += [f"added {row.date}"] if row.own and row.date else []
    return plain(" · ".join([name, *parts, f"weights {row.weights or 'unknown'}"]))


def _cell(cell: Cell | None, column: Column, block: Block, standing: Standing | None) -> str:
    """A cell in as few elements as possible: a board has thousands, and each costs the browser layout and paint."""
    leads = column.key == block.lead
    if cell is None:
        empty = NOT_MEASURED if column.origin == "measured" else NOT_REPORTED
        return f'<td class="none{" at" if leads else ""}">{empty}</td>'
    dagger = '<span class="dagger">†</span>' if cell.origin == "reported" else ""
    rank = f' <span class="rank">#{range_text(standing.first, standing.last)}</span>' if standing else ""
    return (
        f'<td class="{cell.origin}{" lead at" if leads else ""}" data-v="{cell.value:g}"{_title(cell)}>'
        f'<span class="value">{html(value_text(cell))}{dagger}{_marks(cell)}</span>{rank}{_bar(cell)}'
        f"{_details(cell, column)}</td>"
    )


def _marks(cell: Cell) -> str:
    """The signs beside a value; the tooltip and the dialog say what they mean."""
    signs = ("⚑" if cell.overlaps else "") + ("≈" if coverage_note(cell) else "")
    return f'<span class="sign">{signs}</span>' if signs else ""


def _title(cell: Cell) -> str:
    """The tooltip, if it says more than the cell and its column's header show."""
    plain_cell = cell.origin == "measured" and cell.subset == "all" and cell.clusters in (0, cell.n)
    plain_cell = plain_cell and not cell.unsearched and not cell.overlaps
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
        parts.append(f"{cell.moved:+.1f} against all samples")
    if cell.tier:
        parts.append(f"sandbox {cell.tier}")
    parts.append(overlap_text(cell, why=True) or NOT_SEARCHED)
    return plain(" · ".join(parts))


def _bar(cell: Cell) -> str:
    """The interval, the value and the chance level on a scale of 0 to 100: one element, drawn by its background."""
    if cell.low is None or cell.high is None:
        return ""
    width = min(max(cell.high - cell.low, 1.0), 99.0)
    offset = 100 * min(max(cell.low, 0.0), 100 - width) / (100 - width)  # CSS offsets are shares of the free room
    style = f"--w:{width:.1f}%;--x:{offset:.1f}%;--v:{cell.value:.1f}%"
    names = ["bar", *(["derived"] if cell.derived else [])]
    if cell.chance is not None:
        names, style = [*names, "chance"], f"{style};--c:{cell.chance:.1f}%"
    return f'<span class="{" ".join(names)}" style="{style}"></span>'


def _details(cell: Cell, column: Column) -> str:
    """The interval, n where it is not the column's, and what a reader must know before the number is used."""
    parts = [f"[{cell.low:.1f}–{cell.high:.1f}]"] if cell.low is not None and cell.high is not None else []
    parts += [f"n={cell.n:,}"] if cell.n and cell.n != column.n else []
    if at_chance(cell):
        parts.append('<span class="guess">at chance</span>')
    note = coverage_note(cell)
    parts += [_note(text, "unscored" in text) for text in run_texts(cell) if text != note]
    if cell.moved is not None and abs(cell.moved) >= 0.05:
        parts.append(f'<span class="moved">{"▲" if cell.moved > 0 else "▼"}{abs(cell.moved):.1f}</span>')
    return f' <span class="small">{" ".join(parts)}</span>' if parts else ""


def _note(text: str, warns: bool) -> str:
    """A line of its own below the interval."""
    return f'<span class="note{" unscored" if warns else ""}">{html(text)}</span>'
