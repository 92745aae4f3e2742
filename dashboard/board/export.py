"""Exports a board: a self-contained sortable HTML page, Markdown, CSV, LaTeX (booktabs), Parquet or JSON.

The page loads nothing: it contains its style and script, and its content policy forbids anything else, so it can be
published anywhere or opened from disk. Every name is escaped for its format.
"""

import base64
import hashlib
from collections.abc import Callable
from pathlib import Path
from string import Template
from typing import Any

import msgspec

from dashboard.board import benchmarks
from dashboard.board.answer import answers
from dashboard.board.cells import (
    Board,
    Cell,
    Column,
    Row,
    at_chance,
    cell_text,
    coverage_note,
    numbers_text,
    overlap_notes,
    overlap_text,
    run_texts,
    size_text,
    value_text,
)  # fmt: skip
from dashboard.board.front import AXES, column_front
from dashboard.board.html_table import LEGEND, read_asset, render_table
from dashboard.board.ranks import board_ranks
from dashboard.board.signal import board_signals, column_prior
from dashboard.data.table_files import csv_text, latex_text, parquet_bytes
from dashboard.escape import html, latex, markdown
from zoo.cli.output import NONE, count, range_text
from zoo.digest import whole_file
from zoo.errors import ZooError, nearest
from zoo.metrics import metric_of
from zoo.visible import plain

FACTS = ("Model", "Parameters", "Unique tokens", "Tokens seen", "Date")
NOTE = "† reported elsewhere, not measured here; its 95% interval, if any, is derived here from value and n."


def heading(column: Column) -> str:
    """The whole name of a column on one line, for formats with one header row."""
    kind = "measured" if column.origin == "measured" else "reported †"
    metric = column.metric + metric_of(column.metric).mark
    return plain(f"{benchmarks.title_of(column.benchmark)} · {column.title} · {metric} · {kind}")


def html_page(board: Board, notes: tuple[str, ...] = (), title: str = "phi-zoo leaderboard") -> str:
    """One HTML page with the notes and the board; it needs no network."""
    script = read_asset("board.js") + read_asset("export.js")
    about = "".join(f'<p class="about">{html(note)}</p>' for note in (*notes, *overlap_notes(board)))
    return Template(read_asset("export.html")).substitute(
        title=html(title), hash=_hash(script), style=read_asset("board.css"), about=about, legend=LEGEND,
        table=render_table(board), script=script,
    )  # fmt: skip


def _hash(script: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()


def as_markdown(board: Board, notes: tuple[str, ...] = ()) -> str:
    """The board as a Markdown table."""
    heads = [*FACTS, *(markdown(heading(column)) for column in board.columns)]
    lines = [f"| {' | '.join(heads)} |", "|" + " --- |" + " ---: |" * (len(heads) - 1)]
    ranks = board_ranks(board)
    for row in board.rows:
        fields = [markdown(row.label), *map(markdown, _facts(row))]
        for column in board.columns:
            standing = ranks[column.key].get(row.key)
            rank = f" #{range_text(standing.first, standing.last)}" if standing else ""
            fields.append(_markdown_cell(row.cells.get(column.key)) + rank)
        lines.append(f"| {' | '.join(fields)} |")
    every = (*notes, *overlap_notes(board))
    return "\n".join([*lines, "", *(markdown(note) for note in every), "", NOTE, ""])


def _markdown_cell(cell: Cell | None) -> str:
    """The cell, with its notes escaped; its own numbers stay readable in the source."""
    numbers = NONE if cell is None else numbers_text(cell)
    return numbers + markdown(cell_text(cell).removeprefix(numbers))


def _facts(row: Row) -> list[str]:
    return [size_text(row), count(row.unique_tokens), count(row.training_tokens), row.date or NONE]


def as_csv(board: Board, notes: tuple[str, ...] = ()) -> str:
    """The board as CSV, one line per cell, so that every number keeps its interval, n and source."""
    return csv_text(LONG, long_rows(board))


LONG = (
    *("model", "own", "parameters", "training_tokens", "date", "benchmark", "column", "protocol", "metric", "origin"),
    *("value", "low", "high", "n", "unscored", "interval_derived", "bound", "subset", "run", "sandbox", "source"),
    *("rank_first", "rank_last", "overlaps", "clean", "unique_tokens", "chance", "at_chance", "address", "accessed"),
    *("samples", "unsearchable", "searched", "unsearched", "clean_low", "clean_high", "clean_n"),
    *("seeds", "draws", "setting", "worst", "best", "coverage_note", "measured_at", "quantisation", "unfinished"),
    *("disputed", "licence", "style", "weights", "released", "variant"),
)


def long_rows(board: Board) -> list[tuple[object, ...]]:
    """The board as one row per cell, with the fields of `LONG`, for CSV and Parquet.

    The ranks are the possible ones among the board's rows, as the page and `phizoo eval ranks` show them.
    """
    ranks = board_ranks(board)
    return [
        (
            *(row.label, row.own, row.parameters, row.training_tokens, row.date, column.benchmark, column.key),
            *(cell.protocol or column.protocol, column.metric, _origin(cell)),
            *(cell.value, cell.low, cell.high, cell.n),
            *(cell.unscored, cell.derived, cell.bound, cell.subset, cell.run, cell.tier, cell.source),
            *((standing.first, standing.last) if standing else (None, None)),
            *(cell.overlaps, cell.clean, row.unique_tokens, cell.chance, at_chance(cell), cell.address, cell.accessed),
            *(cell.samples, cell.unsearchable, cell.searched, cell.unsearched),
            *(cell.clean_low, cell.clean_high, cell.clean_n),
            *(cell.seeds, cell.draws, cell.setting, cell.worst, cell.best),
            *(coverage_note(cell), cell.measured_at, row.quantisation, cell.unfinished, cell.disputed),
            *(row.licence, row.style, row.weights, row.released, row.variant),
        )
        for row in board.rows
        for column in board.columns
        if (cell := row.cells.get(column.key))
        for standing in (ranks[column.key].get(row.key),)
    ]


def _origin(cell: Cell) -> str:
    return "measured elsewhere" if cell.measured_at else cell.origin


def as_latex(board: Board, notes: tuple[str, ...] = ()) -> str:
    """The board as a LaTeX tabular with booktabs: each value with its interval and n."""
    heads = [*FACTS, *(latex(heading(column)) for column in board.columns)]
    rows = (
        [latex(row.label), *map(latex, _facts(row)), *(_latex_cell(row, column) for column in board.columns)]
        for row in board.rows
    )
    return latex_text("l" + "r" * (len(heads) - 1), heads, rows, (*notes, *overlap_notes(board), NOTE))


def _latex_cell(row: Row, column: Column) -> str:
    cell = row.cells.get(column.key)
    if cell is None:
        return "--"
    dagger = r"^\dagger" if cell.origin == "reported" else ""
    digits = metric_of(cell.metric).digits
    ends = "" if cell.low is None else rf"\;{{\scriptstyle[{cell.low:.{digits}f},\,{cell.high:.{digits}f}]}}"
    size = "" if cell.n is None else rf"\;{{\scriptstyle n={cell.n}}}"
    guess = r"\;{\scriptstyle\mathrm{at\ chance}}" if at_chance(cell) else ""
    return f"${value_text(cell)}{dagger}{ends}{size}{guess}{_latex_notes(cell)}$"


def _latex_notes(cell: Cell) -> str:
    texts = [*run_texts(cell), *([overlap_text(cell)] if overlap_text(cell) else [])]
    return "".join(rf"\;{{\scriptstyle\mbox{{({latex(text)})}}}}" for text in texts)


def as_data(board: Board, notes: tuple[str, ...] = ()) -> dict[str, Any]:
    """The board as plain data for `--json`: answers, columns, rows of cells by column key, with ranks.

    Values are in percent, or in the metric's unit.

    A cell's `front` names the axes on whose Pareto front it is.
    """
    keys = {column.key for column in board.columns}
    rows = [
        msgspec.structs.replace(row, cells={key: cell for key, cell in row.cells.items() if key in keys})
        for row in board.rows
    ]
    data: dict[str, Any] = msgspec.to_builtins(msgspec.structs.replace(board, rows=tuple(rows)))
    ranks, cells = board_ranks(board), {row.key: row.cells for row in rows}
    fronts = {column.key: _fronts(board, column) for column in board.columns}
    for row in data["rows"]:
        for key, cell in row["cells"].items():
            standing = ranks[key].get(row["key"])
            cell |= {"rank_first": standing and standing.first, "rank_last": standing and standing.last}
            shown = cells[row["key"]][key]
            cell |= {"at_chance": at_chance(shown), "coverage_note": coverage_note(shown)}
            cell["front"] = [axis for axis, on in fronts[key].items() if row["key"] in on]
    signals, columns = board_signals(board, ranks), {column.key: column for column in board.columns}
    for column in data["columns"]:
        prior = column_prior(board, columns[column["key"]])
        column["signal"] = msgspec.to_builtins(signals.get(column["key"]))
        column["decision_accuracy"] = msgspec.to_builtins(prior)
    return {"notes": list(notes), "answers": msgspec.to_builtins(answers(board)), **data}


def _fronts(board: Board, column: Column) -> dict[str, frozenset[str]]:
    """The rows on each Pareto front of a column, by axis."""
    return {} if column.mixed else {axis: column_front(board.rows, column, axis) for axis in AXES}


def as_parquet(board: Board, notes: tuple[str, ...] = ()) -> bytes:
    """The board as a Parquet file, one row per cell with the fields of `LONG`; empty columns are typed too."""
    return parquet_bytes(arrow_columns(board))


def arrow_columns(board: Board) -> dict[str, Any]:
    """The fields of `LONG` as Arrow arrays, one value per cell; empty ones are typed too."""
    import pyarrow as pa

    kinds = dict.fromkeys(("own", "interval_derived", "bound", "at_chance"), pa.bool_())
    kinds |= dict.fromkeys(
        ("n", "unscored", "rank_first", "rank_last", "overlaps", "seeds", "draws", "unfinished", "disputed"), pa.int64()
    )
    floats = (
        "parameters",
        "training_tokens",
        "unique_tokens",
        "value",
        "low",
        "high",
        "clean",
        "chance",
        "worst",
        "best",
    )
    kinds |= dict.fromkeys(floats, pa.float64())
    kinds |= dict.fromkeys(("samples", "unsearchable", "clean_n"), pa.int64())
    kinds |= dict.fromkeys(("clean_low", "clean_high"), pa.float64())
    lines = long_rows(board)
    columns = {}
    for number, name in enumerate(LONG):
        values = [plain(value) if isinstance(value, str) else value for value in (line[number] for line in lines)]
        columns[name] = pa.array(values, kinds.get(name, pa.string()))
    return columns


def _encode(form: Callable[[Board, tuple[str, ...]], str]) -> Callable[[Board, tuple[str, ...]], bytes]:
    return lambda board, notes: form(board, notes).encode("utf-8", "replace")


FORMATS: dict[str, Callable[[Board, tuple[str, ...]], bytes]] = {
    ".html": _encode(html_page), ".md": _encode(as_markdown), ".csv": _encode(as_csv), ".tex": _encode(as_latex),
    ".parquet": as_parquet,
}  # fmt: skip


def write(board: Board, path: Path, notes: tuple[str, ...] = ()) -> None:
    """Writes the board in the format of the file name's ending, whole or not at all.

    Raises  ZooError if no format has that ending.
    """
    form = FORMATS.get(path.suffix.lower())
    if form is None:
        close, known = nearest(path.suffix, FORMATS), ", ".join(FORMATS)
        raise ZooError(f'cannot export to "{path.name}"{close}: the name must end with one of {known}')
    with whole_file(path) as file:
        file.write(form(board, notes))
