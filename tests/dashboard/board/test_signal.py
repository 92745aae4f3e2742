"""The signal in the heads of the board's columns, in JSON and in the terminal: among the rows that are shown."""

import json
import re
from pathlib import Path

import pytest

from dashboard.board.html_table import render_table
from dashboard.board.ranks import board_ranks
from dashboard.board.signal import board_signals
from dashboard.board.view import View, select
from dashboard.data.source import load_board, open_zoo
from zoo.cli import root


def test_a_head_says_how_many_pairs_are_apart_and_how_much_is_noise(zoo: Path) -> None:
    with open_zoo() as registry:
        board = select(load_board(registry), View(suite="own"))
    signals = board_signals(board, board_ranks(board))
    found = {column.task: signals[column.key] for column in board.columns}
    assert (found["mini_exercises"].resolved, found["mini_exercises"].pairs) == (3, 3)
    assert found["mini_exercises"].tests == "paired"
    assert (found["arc_easy"].resolved, found["arc_easy"].guessed) == (0, 3)
    noise = found["mini_exercises"].noise  # scores of 1, 19 and 63, each known to 1 to 3 points
    assert noise.source == "paired samples" and noise.share is not None
    assert 0.001 < noise.share < 0.01
    page = render_table(board)
    assert ">3/3 pairs apart, noise " in page
    assert "0 of 3 pairs are apart at 5% with Holm&#x27;s correction (paired tests on the same samples" in page
    assert "3 of 3 at chance. Published decision accuracy at 150M: 93%" in page


def test_the_signal_is_that_of_the_rows_shown(zoo: Path) -> None:
    with open_zoo() as registry:
        board = load_board(registry)
    shown = select(board, View(suite="own", search="base"))
    assert board_signals(shown, board_ranks(shown)) == {}
    two = select(board, View(suite="own", search="unfiltered", pinned=("phi-1-small-mini:1",)))
    assert {signal.pairs for signal in board_signals(two, board_ranks(two)).values()} == {1}


def test_json_and_terminal_have_it_too(zoo: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert root.run(["leaderboard", "--suite", "own", "--json"]) == 0
    columns = {column["task"]: column for column in json.loads(capsys.readouterr().out)["columns"]}
    mini, arc = columns["mini_exercises"], columns["arc_easy"]
    assert (mini["signal"]["resolved"], mini["signal"]["tests"], mini["decision_accuracy"]) == (3, "paired", None)
    assert set(mini["tests"][0]) == {"clusters", "first", "high", "low", "p", "second", "value"}
    assert arc["decision_accuracy"]["percent"] == 93
    assert root.run(["leaderboard", "--suite", "own", "--print"]) == 0
    out = capsys.readouterr().out
    assert re.search(r"^Mini exercises \(phi-zoo's prompt, pass@1\): 3 of 3 pairs are apart", out, re.MULTILINE)


def test_published_columns_are_judged_by_their_intervals(zoo: Path) -> None:
    with open_zoo() as registry:
        board = select(load_board(registry), View(suite="phi-1", shown="reported"))
    signals = board_signals(board, board_ranks(board))
    assert signals
    assert {signal.tests for signal in signals.values()} == {"intervals"}
    assert not any(column.key in signals for column in board.columns if column.mixed)
