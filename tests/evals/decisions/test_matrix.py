"""All pairs: Holm over all of them, letters for ties, exports of the same numbers."""

import csv
import io
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evals.decisions.matrix import all_pairs, matrix_csv
from evals.stats.letters import shared_letters
from evals.stats.paired import holm
from zoo.cli.root import run as phizoo


@settings(max_examples=50)
@given(st.integers(1, 7), st.data())
def test_two_rows_share_a_letter_unless_they_are_told_apart(count: int, data: Any) -> None:
    every = [(i, j) for i in range(count) for j in range(i + 1, count)]
    apart = data.draw(st.lists(st.sampled_from(every), unique=True)) if every else []
    letters = [set(row) for row in shared_letters(count, apart)]
    for i, j in every:
        assert bool(letters[i] & letters[j]) == ((i, j) not in apart)


@pytest.fixture
def four(made_up: Any) -> Any:
    for name, count in (("high", 160), ("near", 158), ("low", 100), ("lower", 60)):
        made_up.score(name, [float(i < count) for i in range(200)])
    made_up.score("other", [1.0] * 100, "humaneval@openai")
    return made_up


def test_pairs_hold_after_holm_over_all_of_them(four: Any) -> None:
    (matrix,) = all_pairs(four.registry, ())
    assert [row.label for row in matrix.rows] == ["high:1", "near:1", "low:1", "lower:1"]
    assert [row.letters for row in matrix.rows] == ["a", "a", "b", "c"]
    assert matrix.left_out == ("other:1",)
    assert [pair.p_holm for pair in matrix.pairs] == holm([pair.difference.p for pair in matrix.pairs])
    assert matrix.cell(2, 0, matrix.table[2][0]) == "-30.0*"
    assert matrix.cell(0, 1, matrix.table[0][1]) == "+1.0"


def test_equal_scores_differ_by_plus_zero_in_both_directions(made_up: Any) -> None:
    for name in ("one", "two"):
        made_up.score(name, [1.0, 0.0] * 50)
    (matrix,) = all_pairs(made_up.registry, ())
    assert [matrix.cell(n, 1 - n, matrix.table[n][1 - n]) for n in (0, 1)] == ["+0.0", "+0.0"]


def test_it_is_exported_and_printed(four: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for ending in (".csv", ".md", ".json"):
        assert (
            phizoo(["eval", "compare", "--matrix", "high", "low", "near", "--out", str(tmp_path / f"m{ending}")]) == 0
        )
    assert "2 of 3 pairs are told apart" in capsys.readouterr().out
    rows = list(csv.DictReader(io.StringIO((tmp_path / "m.csv").read_text())))
    assert [(row["first"], row["separated"]) for row in rows] == [
        ("high:1", "False"), ("high:1", "True"), ("near:1", "True"),
    ]  # fmt: skip
    assert "-30.0*" in (tmp_path / "m.md").read_text()
    assert len(json.loads((tmp_path / "m.json").read_text())[0]["pairs"]) == 3
    assert matrix_csv([]).startswith("column,first")
    assert phizoo(["eval", "compare", "--matrix", "--out", "m.pdf"]) == 2
    assert phizoo(["eval", "compare", "--matrix", "high", "--margin", "1"]) == 2
    assert phizoo(["eval", "compare", "high"]) == 2
    assert phizoo(["eval", "compare", "--matrix", "high", "other"]) == 2
