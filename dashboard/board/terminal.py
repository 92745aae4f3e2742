"""Prints the board in a terminal: one wide table if it fits, otherwise one table per column.

Names are printed as plain text, without markup and control characters; colours follow NO_COLOR.
"""

from textwrap import wrap
from typing import TYPE_CHECKING, TextIO

from dashboard.board import benchmarks
from dashboard.board.answer import answers
from dashboard.board.cells import Board, Cell, Column, cell_text, merit, overlap_notes, size_text
from dashboard.board.export import NOTE, heading
from dashboard.board.heads import metric_words, problems_text, protocol_words
from dashboard.board.ranks import board_ranks
from dashboard.board.signal import board_signals, head_texts
from dashboard.escape import cut
from zoo.cli import output
from zoo.cli.output import NONE, count

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

MODEL_WIDTH = 34
SIZE_WIDTH = 14  # of the column beside it, with the space around both
PLAIN_WIDTH = 1000  # a pipe or a file has no width to fit
RICH_CELLS = 2000  # rich takes 0.04 ms for each, also for a table that then does not fit


def show(board: Board, notes: tuple[str, ...] = (), file: TextIO | None = None, width: int | None = None) -> None:
    """Prints the board with its legend and the notes.

    width  columns of the terminal; None: its own width, without limit if the output is no terminal
    """
    from rich.console import Console

    console = Console(file=file, highlight=False, markup=False, emoji=False, width=width, soft_wrap=True)
    if width is None and not console.is_terminal:
        console = Console(file=file, highlight=False, markup=False, emoji=False, width=PLAIN_WIDTH, soft_wrap=True)
    for answer in answers(board):
        console.print(answer.text, soft_wrap=False)
    if not board.rows:
        console.print("No model to show. Fill an empty zoo: phizoo quickstart. All published models: --suite all")
        for note in notes:
            console.print(note, soft_wrap=False)
        return
    if len(board.rows) > output.FOLDED or len(board.rows) * len(board.columns) > RICH_CELLS:
        _print_long(console, board)
    elif (
        console.measure(wide := _wide_table(board), options=console.options.update(max_width=100_000)).maximum
        <= console.width
    ):
        console.print(wide)
    else:
        _print_columns(console, board)
    for note in _legend(board, notes):
        console.print(note, soft_wrap=False)  # a terminal breaks lines between words, a pipe has no width


def own_part(board: Board) -> Board:
    """The measured columns of a board and the rows with a number there; the board itself where nothing was measured."""
    columns = tuple(column for column in board.columns if column.origin == "measured")
    keys = {column.key for column in columns}
    rows = tuple(row for row in board.rows if row.own or not keys.isdisjoint(row.cells))
    return Board(columns=columns, rows=rows, subset=board.subset) if columns else board


def _table(title: str = "") -> "Table":
    from rich import box
    from rich.table import Table

    return Table(box=box.SIMPLE_HEAD, title=title or None, title_justify="left", pad_edge=False, title_style="bold")


def _name(label: str, own: bool) -> "Text":
    from rich.text import Text

    return Text(cut(label, MODEL_WIDTH), style="bold" if own else "")


def _cell(cell: Cell | None) -> "Text":
    from rich.text import Text

    style = "dim" if cell is None else "cyan" if cell.origin == "measured" else "yellow"
    return Text(cell_text(cell), style=style)


def _head(column: Column) -> "Text":
    from rich.text import Text

    origin = f"{column.origin} · {cut(column.metric, 24)}" + (" †" if column.origin == "reported" else "")
    lines = (benchmarks.title_of(column.benchmark), cut(protocol_words(column), 26), origin)
    return Text("\n".join(cut(line, 40) for line in lines))


def _wide_table(board: Board) -> "Table":
    table = _table()
    table.add_column("Model", no_wrap=True)
    for title in ("Size", "Unique\ntokens", "Tokens\nseen", "Date"):
        table.add_column(title, justify="right", no_wrap=True)
    for column in board.columns:
        table.add_column(_head(column), no_wrap=True)
    for row in board.rows:
        tokens = count(row.unique_tokens), count(row.training_tokens)
        facts = (size_text(row), *tokens, cut(row.date, 10) or NONE)
        table.add_row(_name(row.label, row.own), *facts, *(_cell(row.cells.get(c.key)) for c in board.columns))
    return table


def _print_long(console: "Console", board: Board) -> None:
    """Prints many rows as padded lines, since rich takes milliseconds for each: all columns if they fit, or each."""
    facts = [
        (cut(row.label, MODEL_WIDTH), size_text(row), count(row.unique_tokens), count(row.training_tokens),
         cut(row.date, 10) or NONE)
        for row in board.rows
    ]  # fmt: skip
    cells = [[cell_text(row.cells.get(column.key)) for row in board.rows] for column in board.columns]
    heads = [heading(column) for column in board.columns]
    widths = [max(map(len, [head, *texts])) for head, texts in zip(heads, cells, strict=True)]
    if sum(widths) + 2 * len(widths) + MODEL_WIDTH + 60 <= console.width:
        rows = ((*fact, *texts) for fact, *texts in zip(facts, *cells, strict=True))
        output.table(rows, ("Model", ">Size", ">Unique tokens", ">Tokens seen", ">Date", *heads), file=console.file)
        return
    for column, head, texts in zip(board.columns, heads, cells, strict=True):
        values = [(merit(row.cells[column.key]), at) for at, row in enumerate(board.rows) if column.key in row.cells]
        best = (at for _, at in sorted(values, key=lambda pair: -pair[0]))
        free = console.width - MODEL_WIDTH - SIZE_WIDTH
        rows = (
            (*(("", "") if number else facts[at][:2]), line)
            for at in best
            for number, line in enumerate(wrap(texts[at], free) if len(texts[at]) > free else [texts[at]])
        )
        output.table(rows, ("Model", ">Size", cut(head, free)), file=console.file)
        console.print()
    _print_unscored(console, board)


def _print_columns(console: "Console", board: Board) -> None:
    """Prints the protocols of each benchmark below each other, best first, narrow enough for 80 columns."""
    from rich.table import Table
    from rich.text import Text

    before = ""
    for column in board.columns:
        if column.benchmark != before:
            console.print(Text(f"{chr(10) if before else ''}{benchmarks.title_of(column.benchmark)}", style="bold"))
        before = column.benchmark
        cells = [(row, row.cells[column.key]) for row in board.rows if column.key in row.cells]
        pulled = any(cell.measured_at for _, cell in cells)
        kind = "reported †"
        if column.origin == "measured":
            kind = "measured, some elsewhere" if pulled else "measured here"
        part = problems_text(column) if " of " in problems_text(column) else ""
        about = (kind, cut(protocol_words(column), 40), part and f"{part} problems", cut(metric_words(column), 34))
        for line in wrap(" · ".join(filter(None, about)), console.width, initial_indent="  ", subsequent_indent="    "):
            console.print(Text(line, style="dim"))
        table = Table(box=None, show_header=False, pad_edge=False, padding=(0, 2, 0, 0))
        table.add_column(no_wrap=True, width=MODEL_WIDTH + 4)
        table.add_column(justify="right", no_wrap=True, width=SIZE_WIDTH - 5)
        table.add_column()
        for row, cell in sorted(cells, key=lambda pair: -merit(pair[1])):
            table.add_row(Text("    ") + _name(row.label, row.own), size_text(row), _cell(cell))
        console.print(table)
    _print_unscored(console, board)


def _print_unscored(console: "Console", board: Board) -> None:
    unscored = [row.label for row in board.rows if not any(column.key in row.cells for column in board.columns)]
    if unscored:
        console.print("No score yet: " + ", ".join(cut(label, MODEL_WIDTH) for label in unscored), soft_wrap=True)


def _legend(board: Board, notes: tuple[str, ...]) -> list[str]:
    lines = list(notes)
    tiers = sorted({(benchmarks.title_of(c.benchmark), tier) for c in board.columns for tier in c.tiers})
    if tiers:
        lines.append("Sandbox: " + "; ".join(f"{title} ran under {cut(tier)}" for title, tier in tiers) + ".")
    measured = own_part(board)
    signals = board_signals(measured, board_ranks(measured)) if measured is not board else {}
    for column in board.columns:
        if column.key in signals:
            text = head_texts(board, column, signals[column.key])[1]
            lines.append(
                f"{benchmarks.title_of(column.benchmark)} ({cut(protocol_words(column), 40)}, {column.metric}): {text}."
            )
    if any(column.origin == "reported" for column in board.columns):
        lines.append(NOTE)
        own = {c.benchmark for c in board.columns if c.origin == "measured"}
        for column in board.columns:
            if column.origin == "reported" and column.benchmark in own:
                lines.append(f"{benchmarks.title_of(column.benchmark)} †: {column.comparable}")
                break
    return [*lines, *overlap_notes(board)]
