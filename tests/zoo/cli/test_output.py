"""Formats of numbers, tables in a pipe and on a terminal, one shape of JSON, and no click on the way."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.hostile.texts import STEERING
from zoo.cli.output import cell, count, emit_json, json_text, share_cell, table
from zoo.records import Record


class Example(Record, frozen=True):
    name: str
    path: Path
    value: float


def test_a_cell_leaves_out_what_is_not_known() -> None:
    assert cell(51.2) == "51.2"
    assert cell(51.2, n=164) == "51.2 n=164"
    assert cell(51.2, 43.6, 58.75) == "51.2 [43.6–58.8]"
    assert share_cell(0.0, 0.0, 0.02288, 164) == "0.0 [0.0–2.3] n=164"


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (0, "0"),
        (0.5, "0.5"),
        (999, "999"),
        (1_000, "1K"),
        (1_250_000, "1.25M"),
        (1_418_270_720, "1.42B"),
        (1.4e12, "1.4T"),
    ],
)
def test_a_count_has_three_digits(number: float, text: str) -> None:
    assert count(number) == text


def test_a_table_in_a_pipe_is_plain_columns(capsys: pytest.CaptureFixture[str]) -> None:
    table([("phi-1", "7"), ("[red]a", "1,300")], ("NAME", ">TOKENS"))
    table([("a", ""), ("bb", "c")])
    assert capsys.readouterr().out.splitlines() == [
        "NAME    TOKENS",
        "phi-1        7",
        "[red]a   1,300",
        "a",
        "bb  c",
    ]


def test_a_table_on_a_terminal_shows_markup_as_text(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    table([("[red]a", "1")], ("NAME", ">N"), bold=[0])
    assert "[red]a" in capsys.readouterr().out


def test_json_is_indented_unescaped_and_valid(capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    emit_json({"rows": [Example(name="–\N{SNOWMAN}", path=Path("a/b"), value=float("nan"))]})
    out = capfdbinary.readouterr().out
    assert json.loads(out) == {"rows": [{"name": "–\N{SNOWMAN}", "path": "a/b", "value": None}]}
    assert b'\n  "rows": [\n    {\n' in out
    assert "–\N{SNOWMAN}".encode() in out


def test_json_of_half_a_surrogate_pair_is_still_utf_8(capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    emit_json([Example(name="a\udc80", path=Path("a"), value=1.0)])
    assert json.loads(capfdbinary.readouterr().out)[0]["name"] == "a?"


def test_importing_it_imports_no_click() -> None:
    code = "import sys, zoo.cli.output; print('click' in sys.modules, 'msgspec' in sys.modules)"
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ended.stdout.split() == ["False", "False"]


def test_json_of_half_a_surrogate_pair_has_no_nan_either() -> None:
    assert json.loads(json_text({"a\udc80": [float("nan"), "\udc80"]}), parse_constant=pytest.fail) == {
        "a?": [None, "?"]
    }


def test_json_of_a_value_without_a_form_is_refused() -> None:
    with pytest.raises(TypeError):
        json_text([object()])


@pytest.mark.parametrize("text", STEERING.values(), ids=STEERING.keys())
def test_a_table_shows_what_came_from_outside_on_its_own_line(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    table([(text, "1"), ("phi-1", "2")], ("NAME", ">N"))
    lines = capsys.readouterr().out.split("\n")
    assert len(lines) == 4
    assert all(line.isprintable() for line in lines)


def test_a_list_on_a_narrow_terminal_breaks_no_word(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    rows = [("phi-1-small-mini-unfiltered:1", "2026-11-29", "0123456789ab"), ("b:1", "2026-11-29", "ba9876543210")]
    titles = ("NAME", "CREATED", "DIGEST")
    for width, shown in ((80, True), (44, False)):
        monkeypatch.setenv("COLUMNS", str(width))
        table(rows, titles, optional=("DIGEST",))
        out = re.sub(r"\x1b\[[0-9;]*m", "", capsys.readouterr().out)
        assert all(len(line) <= width for line in out.splitlines())
        assert all(row[0] in out and row[1] in out for row in rows)
        assert ("0123456789ab" in out) is shown and ("hidden at this width: DIGEST" in out) is not shown


def test_a_list_that_fits_in_no_way_is_a_block_of_lines_a_row(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    monkeypatch.setenv("COLUMNS", "30")
    table([("phi-1-small-mini-unfiltered:1", "2026-11-29")], ("NAME", "CREATED"))
    assert capsys.readouterr().out == "phi-1-small-mini-unfiltered:1\n  created 2026-11-29\n"
