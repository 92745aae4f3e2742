"""The signal of each column among the rows shown: `evals.stats.signal` applied to cells, and its words in the head."""

from collections.abc import Mapping
from statistics import median

from dashboard.board.cells import Board, Column
from dashboard.board.ranks import span_of
from evals.results.signal import Prior, decision_accuracy, prior_text, short_text, signal_text
from evals.stats.ranks import Standing
from evals.stats.signal import Signal, signal_of


def board_signals(board: Board, ranks: Mapping[str, Mapping[str, Standing]]) -> dict[str, Signal]:
    """The signal of every column with two rows or more, by column key.

    ranks  of every column among the board's rows (`board_ranks`). A column of many papers' numbers has no signal
    """
    return {
        column.key: _signal(board, column, ranks[column.key])
        for column in board.columns
        if len(ranks[column.key]) > 1
    }  # fmt: skip


def _signal(board: Board, column: Column, ranks: Mapping[str, Standing]) -> Signal:
    rows = [(row, span) for row in board.rows if row.key in ranks and (span := span_of(row.cells[column.key]))]
    tests = [test for test in column.tests if test.first in ranks and test.second in ranks]
    chances = {row.cells[column.key].chance for row, _ in rows}
    return signal_of(
        [span for _, span in rows],
        [span.clusters for _, span in rows],
        [row.model or row.key for row, _ in rows],
        chances.pop() if len(chances) == 1 else None,
        tests if len(tests) == len(rows) * (len(rows) - 1) // 2 else (),
        sum(rank.first - 1 for rank in ranks.values()),
    )


def head_texts(board: Board, column: Column, signal: Signal | None) -> tuple[str, str]:
    """What a column's head says of its signal in a few words, and what its tooltip does; "" for nothing."""
    prior = column_prior(board, column)
    texts = [signal_text(signal)] if signal else []
    texts += [prior_text(prior)] if prior else []
    return short_text(signal) if signal else "", ". ".join(text[0].upper() + text[1:] for text in texts)


def column_prior(board: Board, column: Column) -> Prior | None:
    """The published decision accuracy of a measured column's benchmark, at the size of the models shown."""
    if column.origin != "measured":
        return None
    sizes = [row.parameters for row in board.rows if column.key in row.cells and row.parameters]
    return decision_accuracy(column.benchmark, median(sizes) if sizes else None, column.metric)
