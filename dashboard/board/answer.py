"""Answers "which of these is best": one sentence for each leading column, made from the ranks of the rows shown.

A row is first with certainty if its rank is 1 whatever the data allow; else the sentence names those that cannot be
told apart. Measured and reported columns are answered apart, each from one column; a column that collects many papers'
own numbers answers nothing. A published model whose weights are not known to be anywhere, such as a paper's ablation,
is no answer. Rows that a filter leaves out because a fact of theirs is not known are counted.
"""

import re
from collections.abc import Callable, Sequence

import msgspec

from dashboard.board import benchmarks
from dashboard.board.cells import Board, Column, Row, merit, numbers_text
from dashboard.board.facts import UNKNOWN, known
from dashboard.board.heads import protocol_words
from dashboard.board.ranks import column_ranks
from dashboard.board.view import View, select
from dashboard.escape import cut
from zoo.metrics import metric_of
from zoo.records import Origin, Record

NAMED = 3  # leaders that a sentence names


class Answer(Record, frozen=True):
    """The best rows of one column.

    leaders  keys of the rows that may be first, best value first
    certain  there is one leader, proven to be above all others, and no other row of its model denies it
    ranked   rows with a rank in the column
    """

    column: str
    benchmark: str
    origin: Origin
    leaders: tuple[str, ...]
    certain: bool
    ranked: int
    text: str


def answers(shown: Board) -> tuple[Answer, ...]:
    """The answers of a selected board: from its leading measured column, and from its leading reported one.

    The leading column ranks the most rows; a column of one protocol stands before the others, and of equal columns the
    first in the board's order.
    """
    rows = [row for row in shown.rows if row.own or row.weights]
    found = []
    for origin in ("measured", "reported"):
        column = leading([column for column in shown.columns if column.origin == origin], rows)
        if column is not None:
            found.append(answer_of(rows, column))
    return tuple(found)


def leading(columns: Sequence[Column], rows: Sequence[Row]) -> Column | None:
    """The column that an answer is read from; None if none ranks a row.

    One protocol before many; then the most rows; then the most groups that are told apart; then the board's order.
    """

    def weight(column: Column) -> tuple[bool, int, int]:
        ranks = column_ranks(rows, column.key)
        return column.one_protocol, len(ranks), len({standing.group for standing in ranks.values()})

    best = max((column for column in columns if column.main and not column.mixed), key=weight, default=None)
    return best if best is not None and weight(best)[1] else None


def answer_of(rows: Sequence[Row], column: Column) -> Answer:
    """The answer of one column among these rows, of which one at least has an interval there."""
    ranks = column_ranks(rows, column.key)
    best = sorted((row for row in rows if row.key in ranks), key=lambda row: -merit(row.cells[column.key]))
    leaders = [row for row in best if ranks[row.key].first == 1]
    doubles = _doubles(best, leaders)
    certain = len(leaders) == 1 and len(best) > 1 and not doubles
    return Answer(
        column=column.key, benchmark=column.benchmark, origin=column.origin,
        leaders=tuple(row.key for row in leaders), certain=certain, ranked=len(best),
        text=f"{_place(column)}: {_verdict(best, leaders, doubles, column)}{_licences(leaders)}",
    )  # fmt: skip


def _place(column: Column) -> str:
    how = "measured" if column.origin == "measured" else "reported"
    return f"{benchmarks.title_of(column.benchmark)} ({cut(protocol_words(column), 40)}, {how})"


def _doubles(best: Sequence[Row], leaders: Sequence[Row]) -> list[Row]:
    """The rows of the leaders' models that are not first: the same model, measured again by the same source."""
    keys, names = {row.key for row in leaders}, {row.name for row in leaders if row.variant}
    return [row for row in best if row.variant and row.name in names and row.key not in keys]


def _verdict(best: Sequence[Row], leaders: Sequence[Row], doubles: Sequence[Row], column: Column) -> str:
    if len(best) == 1:
        return f"{_named(best[0], column)}; no other model has a score with an interval here."
    if len(leaders) == 1:
        if doubles:
            others = ", ".join(_named(row, column) for row in doubles[:NAMED])
            return (
                f"{_named(best[0], column)} is first of {len(best):,}, but the same model also has {others}: its "
                "source does not say what differs, the chat template or the revision."
            )
        return f"{_named(best[0], column)} is first of {len(best):,}, with certainty; next {_named(best[1], column)}."
    more = f" and {len(leaders) - NAMED:,} more" if len(leaders) > NAMED else ""
    named = ", ".join(_named(row, column) for row in leaders[:NAMED])
    metric = metric_of(column.metric)
    told = ""
    if column.resolves and column.n:
        told = f" {column.n:,} samples tell {column.resolves:.{metric.digits}f} {metric.unit}."
    return f"{len(leaders):,} of {len(best):,} cannot be told apart at the top: {named}{more}.{told}"


def _named(row: Row, column: Column) -> str:
    return f"{cut(row.label, 48)} {numbers_text(row.cells[column.key])}"


def _licences(leaders: Sequence[Row]) -> str:
    unknown = sum(not known(row.licence) for row in leaders)
    if not unknown:
        return ""
    who = "its licence is" if len(leaders) == 1 else f"the licence of {unknown:,} of them is"
    return f" Check before use: {who} not known."


def left_out(board: Board, view: View) -> tuple[str, ...]:
    """How many rows a filter leaves out only because a fact of theirs is not known, one sentence a filter."""
    filters: dict[str, tuple[str, object, Callable[[Row], object]]] = {
        "sizes": ("size", (None, None), lambda row: row.parameters),
        "tokens": ("number of tokens", (None, None), lambda row: row.training_tokens),
        "dates": ("date", ("", ""), lambda row: row.date),
        "licences": ("licence", (), lambda row: known(row.licence)),
        "style": ("kind", "", lambda row: row.style),
        "weights": ("weights", "", lambda row: row.weights),
    }
    shown = {row.key for row in select(board, view).rows}
    notes = []
    for field, (word, empty, fact) in filters.items():
        value = getattr(view, field)
        if value == empty or (isinstance(value, (str, tuple)) and UNKNOWN in value):
            continue
        if number := _unseen(board, msgspec.structs.replace(view, **{field: empty}), shown, fact):
            whose = "their" if number > 1 else "its"
            notes.append(f"{_more(number)} would be here if {whose} {word} were known.")
    return (*notes, *_unknown_to_condition(board, view, shown))


def _unseen(board: Board, wider: View, shown: set[str], fact: Callable[[Row], object]) -> int:
    """How many rows of a wider view are not shown and have no such fact."""
    return sum(row.key not in shown and not fact(row) for row in select(board, wider).rows)


def _more(number: int) -> str:
    return f"{number:,} more models" if number > 1 else "1 more model"


def _unknown_to_condition(board: Board, view: View, shown: set[str]) -> list[str]:
    """The same for the facts that a condition names; whether they would satisfy it is not known."""
    named: dict[str, Callable[[Row], object]] = {
        "parameters": lambda row: row.parameters,
        "licence": lambda row: known(row.licence),
        "kind": lambda row: row.style,
        "weights": lambda row: row.weights,
        "released": lambda row: row.released,
    }
    wider = msgspec.structs.replace(view, where="")
    found = {
        word: _unseen(board, wider, shown, fact)
        for word, fact in named.items()
        if re.search(rf"\b{word}\b", view.where) and UNKNOWN not in view.where
    }
    words = {"parameters": "number of parameters", "released": "release"}
    return [
        f"{_more(number)} could be here: the {words.get(word, word)} that the condition names is not known."
        for word, number in found.items()
        if number
    ]


def leak_notes(rows: Sequence[Row], column: Column) -> tuple[str, ...]:
    """Which of the named rows saw how many of a column's samples in training, a sentence each."""
    notes = []
    for row in rows[:NAMED]:
        cell = row.cells.get(column.key)
        if cell is not None and cell.overlaps and cell.samples:
            clean = f"; {cell.clean:.1f} on the unseen" if cell.clean is not None else ""
            notes.append(f"⚑ {cut(row.label, 48)}: {cell.overlaps:,} of {cell.samples:,} seen in training{clean}.")
    return tuple(notes)
