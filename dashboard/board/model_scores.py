"""Renders one model's scores as an HTML table: the interval drawn, the rank, models of its size, and what it rests on.

Every text from outside is escaped here; `page.css` styles it.
"""

from collections.abc import Sequence
from math import log
from urllib.parse import urlencode

from dashboard.board import benchmarks
from dashboard.board.blocks import TIMES
from dashboard.board.cells import Board, Cell, Column, Row, cell_text, value_text
from dashboard.board.heads import protocol_words
from dashboard.board.ranks import column_ranks
from dashboard.escape import cut, html
from zoo.cli.output import range_text
from zoo.metrics import metric_of

NEAR = 3  # models of the same size that are named
HEADS = ("Benchmark", "Protocol", "Score", "Rank", "Models of its size", "Rests on")


def score_lines(board: Board, row: Row, cells: Sequence[tuple[Column, Cell]]) -> str:
    """A model's scores as an HTML table, each with links to its evidence and its samples or source."""
    lines = []
    for column, cell in cells:
        metric = html(cut(column.metric, 24)) + metric_of(column.metric).mark
        mark = "●" if cell.origin == "measured" else "◇"
        standing = {} if column.mixed else column_ranks(board.rows, column.key)
        own = standing.get(row.key)
        rank = f"#{range_text(own.first, own.last)} of {len(standing):,}" if own else ""
        near = " · ".join(
            f"{cut(one.label, 30)} {value_text(one.cells[column.key])}" for one in near_in_size(board, row, column)
        )
        fields = (html(cut(protocol_words(column), 40)) + f", {metric}", f"{html(cell_text(cell))}{_bar(cell)}", rank,
                  html(near), _links(row, column, cell))  # fmt: skip
        body = "".join(
            f'<td class="{"some" if text else "empty"}" data-label="{name if name in HEADS[3:5] else ""}">{text}</td>'
            for name, text in zip(HEADS[1:], fields, strict=True)
        )
        lines.append(f'<tr><th scope="row">{mark} {html(benchmarks.title_of(column.benchmark))}</th>{body}</tr>')
    heads = "".join(f'<th scope="col">{name}</th>' for name in HEADS)
    return f'<table class="phizoo-rows"><thead><tr>{heads}</tr></thead><tbody>{"".join(lines)}</tbody></table>'


def near_in_size(board: Board, row: Row, column: Column) -> list[Row]:
    """The models of the same column whose size is nearest, at most TIMES larger or smaller.

    None if the row's size is unknown or the column collects numbers of many protocols.
    """
    if column.mixed or not row.parameters:
        return []
    far = {
        one.key: abs(log(one.parameters / row.parameters))
        for one in board.rows if one.parameters and one.key != row.key and column.key in one.cells
    }  # fmt: skip
    near = sorted((one for one in board.rows if far.get(one.key, 9.0) <= log(TIMES)), key=lambda one: far[one.key])
    return near[:NEAR]


def _links(row: Row, column: Column, cell: Cell) -> str:
    evidence = f"./?{urlencode({'suite': 'all', 'cell': f'{row.key}~{column.key}'})}"
    links = [f'<a href="{html(evidence)}" target="_self">evidence</a>']
    if cell.run:
        links.append(f'<a href="./samples?{urlencode({"run": cell.run})}" target="_self">samples</a>')
    if cell.address.startswith("https://"):
        links.append(f'<a href="{html(cell.address)}" rel="noreferrer">{html(cut(cell.source, 60))} ↗</a>')
    return " · ".join(links)


def _bar(cell: Cell) -> str:
    """The interval of a share on a scale of 0 to 100; the number beside it says the same."""
    if cell.low is None or cell.high is None or not metric_of(cell.metric).is_share:
        return ""
    style = f"--x:{cell.low:.1f}%;--w:{max(cell.high - cell.low, 1.0):.1f}%;--v:{cell.value:.1f}%"
    return f'<span class="phizoo-bar {cell.origin}" aria-hidden="true" style="{style}"><i></i><b></b></span>'
