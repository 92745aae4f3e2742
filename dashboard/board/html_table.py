"""Renders a board's two blocks as HTML tables, every name escaped, for the page and the static export.

A column is one protocol. The leading column has an axis, ranks and lines between groups; both blocks share its axis.
`board.css` styles it; `board.js` sorts it, moves through it by keyboard and holds what is ticked.
"""

from collections.abc import Mapping, Sequence
from importlib.resources import files
from itertools import pairwise
from typing import NamedTuple

from dashboard.board import benchmarks, facts
from dashboard.board.blocks import Blocks, BoardBlock, make_blocks, unused
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
from dashboard.board.heads import metric_words, problems_text, protocol_words, tells
from dashboard.board.ranks import board_ranks
from dashboard.board.signal import board_signals, head_texts
from dashboard.board.view import View
from dashboard.escape import cut, html
from evals.results.compare import PUBLISHED
from evals.stats.ranks import Standing
from zoo import published
from zoo.cli.output import count, range_text
from zoo.coverage import NOT_SEARCHED
from zoo.metrics import metric_of
from zoo.visible import plain

TITLES = {
    "measured": ("●", "Measured here", "one prompt a column: compare freely"),
    "reported": ("◇", "Reported elsewhere", "same benchmarks, other prompts: read large gaps only"),
}
NOT_MEASURED = '<span class="unseen">not measured</span><span class="dash" aria-hidden="true">–</span>'
NOT_REPORTED = NOT_MEASURED.replace("not measured", "not reported")


class Drawn(NamedTuple):
    """A block with the ranks of its leading and sorted columns, and the end of each column's scale."""

    block: BoardBlock
    ranks: Mapping[str, Mapping[str, Standing]]
    tops: Mapping[str, float]


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
    ticks  whether rows can be chosen for a comparison
    """
    measured = _render_block(board, blocks.measured, blocks.measured.rows, view, ticks)
    return measured + _render_block(board, blocks.reported, blocks.reported.rows if rows is None else rows, view, ticks)


def render_table(board: Board) -> str:
    """Both blocks of a board with every row and column, as an exported page has them."""
    view = View(suite="all")
    return KEY + render_blocks(board, make_blocks(board, view, every_row=True, every_column=True), view)


def _render_block(board: Board, block: BoardBlock, rows: Sequence[Row], view: View, ticks: bool) -> str:
    mark, title, about = TITLES[block.origin]
    if any(cell.measured_at for row in block.rows for cell in row.cells.values()):
        title = "Measured, some elsewhere"
    about += " · click a number for its evidence, tick two models to compare them" if ticks else ""
    rest = unused(block)
    head = f'<section class="block {block.origin}"><h2><span class="mark {block.origin}">{mark}</span> {title}'
    if not block.rows or not block.columns:
        return f'{head}</h2><p class="rest">{html(rest)}</p></section>' if rest else ""
    whole = Board(columns=block.columns, rows=block.rows, subset=board.subset)
    ranks = board_ranks(whole)
    signals = board_signals(whole, ranks)
    texts = {column.key: head_texts(whole, column, signals.get(column.key)) for column in block.columns}
    tops = {column.key: _top(column, block.rows) for column in block.columns}
    shown = (key for key in (block.lead, view.sort) if len(ranks.get(key, ())) > 1)  # a lone row has no rank
    drawn = Drawn(block, {key: ranks[key] for key in shown}, tops)
    breaks = _group_starts(block, view, ranks.get(block.lead, {}))
    lines = [
        f'{head}<span class="aside">{about}</span></h2><div class="wide"><table class="board" role="grid">'
        f"<caption>{title}</caption><thead><tr>",
        '<th scope="col" class="tick"><span class="unseen">Chosen</span></th>' if ticks else "",
        f'<th scope="col" class="model"{_aria_sort("name", view)}>{_sort_button("name", "Model")}</th>',
        '<th scope="col" class="fact">Licence</th>',
        *(_column_head(column, drawn, view, board.subset, *texts[column.key]) for column in block.columns),
        "</tr></thead><tbody>",
    ]  # fmt: skip
    for row in rows:
        names = ["own" if row.own else "other"]
        names += ["pinned"] if row.key in view.pinned else []
        names += ["apart"] if row.key in breaks else []
        lines.append(_row(row, drawn, " ".join(names), ticks))
    return "".join(
        [*lines, "</tbody></table></div>", f'<p class="rest">{html(rest)}</p>' if rest else "", "</section>"]
    )


def _group_starts(block: BoardBlock, view: View, ranks: Mapping[str, Standing]) -> set[str]:
    """The keys of rows that start a new group of ties in the leading column."""
    keys = [row.key for row in block.rows if row.key in ranks and row.key not in view.pinned]
    return {key for before, key in pairwise(keys) if ranks[key].group > ranks[before].group}


def _aria_sort(key: str, view: View, lower: bool = False) -> str:
    """The direction of a sorted column's numbers. lower: less is better, so that the best first is upwards."""
    if key != view.sort:
        return ""
    return ' aria-sort="descending"' if view.descending != lower else ' aria-sort="ascending"'


def _sort_button(key: str, title: str) -> str:
    return f'<button type="button" class="sort" data-sort="{html(key)}">{title}</button>'


def _column_head(column: Column, drawn: Drawn, view: View, subset: str, signal: str, why: str) -> str:
    """Two lines: the benchmark and whose prompt; the leading column also has its axis and what it can tell."""
    leads = column.key == drawn.block.lead
    kind = metric_of(column.metric)
    lines = [html(cut(protocol_words(column), 44))]
    if column.metric != "pass@1":
        lines.append(html(cut(metric_words(column), 44)))
    if column.subset:
        lines.append(html(cut(column.subset, 40)))
    elif subset != "all":
        part = f"{subset} samples only" if column.origin == "measured" else "all samples, leaked ones too"
        lines.append(f'<span class="part">{part}</span>')
    if column.n:
        lines.append(html(tells(column)) if leads else f"n={problems_text(column)}")
    if signal and leads:
        lines.append(f'<span class="signal">{html(signal)}</span>')
    top = f"{drawn.tops[column.key]:.3g}"
    axis = f'<span class="scale" aria-hidden="true"><i>0</i><i>{top}</i></span>' if leads else ""
    lower = ' data-lower="true"' if kind.lower_is_better else ""
    names = f"{column.origin} lead at" if leads else column.origin
    title = html(benchmarks.title_of(column.benchmark))
    return (
        f'<th scope="col" class="{names}" data-column="{html(column.key)}" data-benchmark="{title}" '
        f'title="{html(head_tooltip(column, why))}"{lower}{_aria_sort(column.key, view, kind.lower_is_better)}>'
        f'{_sort_button(column.key, title)}<span class="how">{"<br>".join(lines)}</span>{axis}</th>'
    )


def head_tooltip(column: Column, why: str = "") -> str:
    """What a head does not show: metric, protocol, problems, resolution, sandbox, whether it may be compared.

    why  what the column's signal rests on
    """
    how = "paired" if column.origin == "measured" else "unpaired"
    parts = [f"{column.origin}: {column.protocol}", column.metric, tells(column) and f"{tells(column)}, {how}"]
    parts += [f"sandbox: {tier}" for tier in column.tiers]
    return plain(". ".join([*(part for part in parts if part), column.comparable, why[:1].upper() + why[1:]]).rstrip())


def _row(row: Row, drawn: Drawn, names: str, ticks: bool) -> str:
    licence = html(cut(row.licence, 24)) if facts.known(row.licence) else "unknown"
    kind = row.style or "kind unknown"
    tick = ""
    if ticks:
        name = row.label if row.own else f"{PUBLISHED}{row.name}"
        label = f'data-label="{html(name)}" aria-label="Choose {html(row.label)}"'
        box = f'<input type="checkbox" tabindex="-1" {label}>'
        known = row.own or (row.name in published.by_model() and not row.variant)  # as `eval compare` finds it
        tick = f'<td class="tick">{box if known and row.cells else ""}</td>'
    lines = [
        f'<tr class="{names}" data-row="{html(row.key)}">{tick}'
        f'<th scope="row" class="model" data-v="{html(row.label.lower())}" title="{html(row_tooltip(row))}">'
        f'<span class="name">{html(cut(row.label))}</span><span class="sub"><span>{html(size_text(row))}</span>'
        f' · <span>{kind}</span><span class="narrow"> · licence {licence}</span></span></th>'
        f'<td class="fact" data-v="{licence}">{licence}</td>'
    ]
    lines += [_cell(row, column, drawn) for column in drawn.block.columns]
    return "".join([*lines, "</tr>"])


def row_tooltip(row: Row) -> str:
    """What a model's row does not show: its whole name, tokens, dates, family, weights."""
    name = row.name if row.name == row.label else f"{row.label} — {row.name}"
    parts = [f"{count(row.unique_tokens)} unique tokens, {count(row.training_tokens)} seen", row.family]
    parts += [f"released {row.released}" if row.released else "release unknown"]
    parts += [f"added {row.date}"] if row.own and row.date else []
    return plain(" · ".join([name, *parts, f"weights {row.weights or 'unknown'}"]))


def _cell(row: Row, column: Column, drawn: Drawn) -> str:
    """A cell in as few elements as possible: a board has thousands, and each costs the browser layout and paint."""
    cell, standing = row.cells.get(column.key), drawn.ranks.get(column.key, {}).get(row.key)
    leads = column.key == drawn.block.lead
    if cell is None:
        empty = NOT_MEASURED if column.origin == "measured" else NOT_REPORTED
        return f'<td class="none{" at" if leads else ""}">{empty}</td>'
    dagger = '<span class="dagger">†</span>' if cell.origin == "reported" else ""
    rank = f' <span class="rank">#{range_text(standing.first, standing.last)}</span>' if standing else ""
    return (
        f'<td class="{cell.origin}{" lead at" if leads else ""}" data-v="{cell.value:g}"{_title(cell)}>'
        f'<span class="value">{html(value_text(cell))}{dagger}{_marks(cell)}</span>{rank}'
        f"{_bar(cell, drawn.tops[column.key])}{_details(cell, column)}</td>"
    )


def _marks(cell: Cell) -> str:
    """The signs beside a value; the tooltip and the dialog say what they mean."""
    signs = ("⚑" if cell.overlaps else "") + ("≈" if coverage_note(cell) else "")
    return f'<span class="sign">{signs}</span>' if signs else ""


def _title(cell: Cell) -> str:
    """The tooltip, if it says more than the cell and its column's header show."""
    plain_cell = cell.origin == "measured" and cell.subset == "all" and cell.clusters in (0, cell.n)
    plain_cell = plain_cell and not cell.unsearched and not cell.overlaps and not coverage_note(cell)
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


def _top(column: Column, rows: Sequence[Row]) -> float:
    """The end of a column's scale: 100 for percent, else its largest number."""
    if metric_of(column.metric).is_share:
        return 100.0
    ends = (max(cell.value, cell.high or 0.0) for row in rows if (cell := row.cells.get(column.key)))
    return max(ends, default=0.0) or 1.0


def _details(cell: Cell, column: Column) -> str:
    """The interval, n where it is not the column's, and what a reader must know before the number is used."""
    kind = metric_of(cell.metric)
    parts = []
    if cell.low is not None and cell.high is not None:
        parts.append(f"[{cell.low:.{kind.digits}f}–{cell.high:.{kind.digits}f}]")
    parts += [f"n={cell.n:,}"] if cell.n and cell.n != column.n else []
    if at_chance(cell):
        parts.append('<span class="guess">at chance</span>')
    note = coverage_note(cell)
    parts += [_note(text, "unscored" in text) for text in run_texts(cell) if text != note]
    if cell.moved is not None and abs(cell.moved) >= 0.5 * 10**-kind.digits:
        parts.append(f'<span class="moved">{"▲" if cell.moved > 0 else "▼"}{abs(cell.moved):.{kind.digits}f}</span>')
    return f' <span class="small">{" ".join(parts)}</span>' if parts else ""


def _note(text: str, warns: bool) -> str:
    """A line of its own below the interval."""
    return f'<span class="note{" unscored" if warns else ""}">{html(text)}</span>'
