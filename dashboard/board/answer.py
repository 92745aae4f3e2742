"""The answer to the view's question in a sentence: which rows may be best in the leading column, and is that proven.

It is made from the ranks of the rows shown, which hold together with 95% confidence. A number from elsewhere is never
called measured, and a model whose licence nobody knows is never passed silently.
"""

from dashboard.board import benchmarks, facts
from dashboard.board.blocks import Block, Blocks
from dashboard.board.cells import Board, Cell, Column, Row, value_text
from dashboard.board.ranks import column_ranks
from dashboard.board.view import View, select
from dashboard.escape import cut
from zoo.records import Record

NAMED = 3  # models that a sentence names
PROMPTS = {"openai": "OpenAI's prompt", "bigcode": "BigCode's prompt", "lm-eval": "lm-eval's prompt",
           "phizoo": "phi-zoo's prompt"}  # fmt: skip


class Answer(Record, frozen=True):
    """A sentence, what a reader should know beside it, and the rows that a button compares.

    pair  labels of the first model and the baseline; () if there is nothing to compare
    """

    text: str
    notes: tuple[str, ...] = ()
    pair: tuple[str, ...] = ()


def protocol_words(column: Column) -> str:
    """A column's protocol as a reader says it.

    >>> column = Column(key="k", benchmark="b", title="openai v1", protocol="", origin="measured", metric="pass@1")
    >>> protocol_words(column)
    "OpenAI's prompt"
    """
    name = column.title.partition(" v")[0]
    return PROMPTS.get(name, name) if column.origin == "measured" else column.title


def tells(column: Column) -> str:
    """What a column's problems can tell apart; empty if it is not known."""
    if not column.n:
        return ""
    return f"{column.n:,} problems" + (f" tell {column.resolves:.1f} points" if column.resolves else "")


def answer(board: Board, view: View, blocks: Blocks) -> Answer:
    """The answer of a view.

    board  the whole board, to count what the licence filter leaves out for want of a known licence
    """
    block = blocks.measured if blocks.measured.lead else blocks.reported
    column = next((one for one in block.columns if one.key == block.lead), None)
    if column is None:
        return Answer(text="No model here has a score on this question.", notes=left_out(board, view))
    rows = [row for row in block.rows if column.key in row.cells]
    reported = column.origin == "reported"
    where = f"{benchmarks.title_of(column.benchmark)} ({protocol_words(column)})"
    sentence, named = _reported(rows, column) if reported else _measured(rows, column)
    notes = [f"Nothing was measured here on {benchmarks.title_of(column.benchmark)}: others' numbers, read large gaps "
             "only."] if reported else []  # fmt: skip
    notes += [*_leaks(named, column), *_licences(named, view), *left_out(board, view)]
    pair = tuple(row.label for row in named[:2]) if not reported and all(row.own for row in named[:2]) else ()
    if len(pair) < 2 and not reported:
        pair = tuple(row.label for row in rows[:2] if row.own)
    return Answer(text=f"{where}: {sentence}", notes=tuple(notes), pair=pair if len(pair) == 2 else ())


def _measured(rows: list[Row], column: Column) -> tuple[str, list[Row]]:
    """The sentence from the ranks, and the rows that it names as possibly the best."""
    ranks = column_ranks(rows, column.key)
    best = [row for row in rows if row.key in ranks and ranks[row.key].first == 1] or rows[:1]
    first = best[0].cells[column.key]
    if len(rows) == 1:
        return f"{_name(best[0])} has {_value(first)}, the only one measured here.", best
    if len(best) > 1:
        names = _list([f"{_name(row)} {_value(row.cells[column.key])}" for row in best])
        why = f" ({tells(column)})" if tells(column) else ""
        return f"{names} cannot be told apart{why}.", best
    after = next((row for row in rows if row is not best[0]), None)
    beside = f"; next {_name(after)} {_value(after.cells[column.key])}" if after else ""
    return f"{_name(best[0])} is first, proven: {_value(first)}{beside}.", best


def _reported(rows: list[Row], column: Column) -> tuple[str, list[Row]]:
    best = max(rows, key=lambda row: row.cells[column.key].value)
    return f"{_name(best)} reports {_value(best.cells[column.key])}, the highest of {len(rows)}.", [best]


def _name(row: Row) -> str:
    return cut(row.name if row.own else row.label, 48)


def _value(cell: Cell) -> str:
    return value_text(cell) + (f" [{cell.low:.1f}–{cell.high:.1f}]" if cell.low is not None and cell.high is not None
                               else " (no interval)")  # fmt: skip


def _list(names: list[str]) -> str:
    if len(names) > NAMED:
        return f"{', '.join(names[:NAMED])} and {len(names) - NAMED} more"
    return f"{', '.join(names[:-1])} and {names[-1]}"


def _leaks(rows: list[Row], column: Column) -> list[str]:
    lines = []
    for row in rows[:NAMED]:
        cell = row.cells[column.key]
        if cell.overlaps:
            clean = f"; {cell.clean:.1f} on the unseen" if cell.clean is not None else ""
            lines.append(f"⚑ {_name(row)}: {cell.overlaps:,} of {cell.samples:,} seen in training{clean}.")
    return lines


def _licences(rows: list[Row], view: View) -> list[str]:
    """Of the named rows, those whose licence nobody knows, where the licence was asked about."""
    if not view.licences:
        return []
    unknown = [row for row in rows if facts.licence_class(row.licence) == facts.UNKNOWN]
    return [f"{len(unknown)} of {len(rows)} named has no known licence: check it before use."] if unknown else []


def left_out(board: Board, view: View) -> list[str]:
    """How many rows only the licence filter leaves out because their licence is not known."""
    if not view.licences or facts.UNKNOWN in view.licences:
        return []
    from msgspec.structs import replace

    rows = select(board, replace(view, licences=(facts.UNKNOWN,))).rows
    if not rows:
        return []
    own = sum(row.own for row in rows)
    return [f"Left out, because their licence is not known: {len(rows)} models, {own} of them measured here."]


def unused(block: Block) -> str:
    """What a block leaves out, in words; empty if nothing."""
    parts = [f"{block.more_columns} more column{'s' * (block.more_columns > 1)}"] if block.more_columns else []
    names = ", ".join(cut(label, 30) for label in block.without[:3])
    more = f" and {len(block.without) - 3} more" if len(block.without) > 3 else ""
    parts += [f"without a score here: {names}{more}"] if block.without and block.origin == "measured" else []
    return " · ".join(parts)
