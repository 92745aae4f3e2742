"""Files made of a board: whole, escaped, and the page without any network."""

import csv
import io
import json
import re
from html.parser import HTMLParser
from pathlib import Path
from types import SimpleNamespace

import msgspec
import pytest

from dashboard.board import export
from dashboard.board.build import build_board
from dashboard.board.cells import Board
from dashboard.board.terminal import show
from dashboard.board.view import View, select
from tests.talk_table import talk_table
from zoo import published
from zoo.cli.output import count
from zoo.errors import ZooError

HOSTILE = '"><img src=x onerror=alert(1)>|[a](javascript:alert(1))\x1b[2J\u202e\n=1+1 \\input{x} ' + "long " * 400


@pytest.fixture(scope="module")
def whole(made: SimpleNamespace) -> Board:
    mini, under = made.checkpoint(), made.protocol()
    score = made.score(mini, under, 0.0, low=0.0, high=0.0229, unscored=3)
    rows = [*published.load(), made.reported(HOSTILE, source=HOSTILE, protocol=HOSTILE)]
    return build_board([mini], [score], {under.fingerprint: under}, {score.run: "strong"}, rows)


class Page(HTMLParser):
    """What a browser would load and show of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.links: list[str] = []
        self.handlers: list[str] = []
        self.tags: list[str] = []
        self.texts: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        for name, value in attrs:
            if name in ("src", "href", "action", "srcset", "data"):
                self.links.append(value or "")
            if name.startswith("on"):
                self.handlers.append(name)

    def handle_data(self, data: str) -> None:
        self.texts.append(data)


def test_page_is_self_contained_and_escaped(whole: Board) -> None:
    text = export.html_page(select(whole, View(suite="all")), ("<b>a note</b>",))
    page = Page(text)
    assert page.links == ["data:,"]
    assert page.handlers == []
    assert "img" not in page.tags
    assert page.tags.count("script") == 1
    assert "default-src 'none'" in text
    assert not re.search(r"@import|url\(|fetch\(|XMLHttpRequest|https?://", text.replace("http-equiv", ""))
    assert "<b>a note</b>" in page.texts
    assert "\x1b" not in text
    assert "\u202e" not in text


def test_page_shows_every_row_of_the_talk_and_the_own_ones(whole: Board) -> None:
    text = export.html_page(select(whole, View(suite="talk")))
    texts = Page(text).texts
    for row in talk_table():
        assert row.label in texts
    assert "mini:1" in texts
    assert "[0.0–2.3] " in text and "n=164" in text
    assert "3 unscored: 0.0 to 1.8" in texts
    assert "sandbox: strong" in text
    assert 'class="mark measured"' in text
    assert 'class="mark reported"' in text


def test_clean_view_marks_what_moved_and_which_columns_are_whole(made: SimpleNamespace) -> None:
    mini, under = made.checkpoint(), made.protocol()
    scores = [made.score(mini, under, 0.5), made.score(mini, under, 0.3, subset="clean", n=93)]
    board = build_board([mini], scores, {under.fingerprint: under}, reported=published.load(), subset="clean")
    text = export.html_page(select(board, View()))
    assert '<span class="moved">▼20.0</span>' in text
    assert "-20.0 against all samples" in text
    assert "clean samples only" in Page(text).texts
    assert "all samples, leaked ones too" in Page(text).texts


def test_markdown_has_one_line_a_row_and_every_cell(whole: Board) -> None:
    shown = select(whole, View(suite="all"))
    lines = [line for line in export.as_markdown(shown).splitlines() if line.startswith("|")]
    assert len(lines) == len(shown.rows) + 2
    bars = {len(re.findall(r"(?<!\\)\|", line)) for line in lines}
    assert bars == {len(shown.columns) + 6}


def test_markdown_rows_are_whole_whatever_dates_and_notes_hold(made: SimpleNamespace) -> None:
    mini, other, under = made.checkpoint(), made.checkpoint("other", 2), made.protocol()
    scores = [made.score(mini, under, 0.5, engine="a|<b>"), made.score(other, under, 0.5, engine="b")]
    rows = [made.reported("model", date="2020|<x>")]
    board = build_board([mini, other], scores, {under.fingerprint: under}, {}, rows)
    lines = [line for line in export.as_markdown(select(board, View(suite="all"))).splitlines() if line[:1] == "|"]
    assert any("2020\\|" in line for line in lines)
    assert any("a\\|" in line for line in lines)
    assert len({len(re.findall(r"(?<!\\)\|", line)) for line in lines}) == 1
    assert not any(re.search(r"(?<!\\)<[bx]", line) for line in lines)


def test_csv_keeps_every_number_with_its_interval_and_source(whole: Board) -> None:
    shown = select(whole, View())
    rows = list(csv.DictReader(io.StringIO(export.as_csv(shown))))
    keys = {column.key for column in shown.columns}
    assert len(rows) == sum(key in keys for row in shown.rows for key in row.cells)
    phi = next(row for row in rows if row["model"] == "Phi-1" and row["benchmark"] == "humaneval")
    assert (float(phi["value"]), phi["n"], phi["origin"], phi["interval_derived"]) == (50.6, "164", "reported", "True")
    assert phi["source"] == "arXiv 2306.11644v2 Table 1"
    assert all(not value.startswith("=") for row in rows for value in row.values())


def test_latex_is_balanced_and_has_one_line_a_row(whole: Board) -> None:
    shown = select(whole, View(suite="all"))
    text = export.as_latex(shown)
    lines = [line for line in text.splitlines() if line.endswith(r"\\")]
    assert len(lines) == len(shown.rows) + 1
    assert {len(re.findall(r"(?<!\\)&", line)) for line in lines} == {len(shown.columns) + 4}
    assert r"\input" not in text
    assert text.count("\\toprule") == text.count("\\midrule") == text.count("\\bottomrule") == 1


def test_json_holds_only_the_shown_columns(whole: Board) -> None:
    shown = select(whole, View())
    data = json.loads(json.dumps(export.as_data(shown, ("note",))))
    keys = {column["key"] for column in data["columns"]}
    assert data["notes"] == ["note"]
    assert all(set(row["cells"]) <= keys for row in data["rows"])
    assert data["rows"][0]["cells"][data["columns"][0]["key"]]["unscored"] == 3


def test_parquet_keeps_every_number_typed(whole: Board, tmp_path: Path) -> None:
    import pyarrow.parquet as pq

    shown = select(whole, View(suite="all"))
    export.write(shown, tmp_path / "table.parquet")
    export.write(build_board(), tmp_path / "empty.parquet")
    table = pq.read_table(tmp_path / "table.parquet")
    assert table.column_names == list(export.LONG)
    assert table.num_rows == len(export.long_rows(shown))
    assert table["value"].to_pylist() == [line[export.LONG.index("value")] for line in export.long_rows(shown)]
    assert pq.read_table(tmp_path / "empty.parquet").schema.equals(table.schema)


def test_an_ending_without_format_names_the_known_ones(whole: Board, tmp_path: Path) -> None:
    with pytest.raises(ZooError, match=r"\.html, \.md, \.csv, \.tex, \.parquet"):
        export.write(whole, tmp_path / "table.xlsx")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("ending", export.FORMATS)
def test_every_format_writes_an_empty_board_and_hostile_names(whole: Board, tmp_path: Path, ending: str) -> None:
    for name, board in (("empty", build_board()), ("whole", whole)):
        export.write(board, tmp_path / (name + ending))
        assert (tmp_path / (name + ending)).read_bytes().strip()


@pytest.mark.parametrize("width", [None, 80])
def test_terminal_shows_value_interval_n_and_origin(whole: Board, width: int | None) -> None:
    out = io.StringIO()
    show(select(whole, View(suite="all")), file=out, width=width)
    text = " ".join(out.getvalue().split())
    assert "0.0 [0.0–2.3] n=164 (3 unscored: 0.0 to 1.8)" in text
    assert "50.6 [43.0–58.2] n=164 †" in text
    assert "reported elsewhere" in text
    assert "HumanEval ran under strong" in text
    assert "\x1b" not in text
    assert "\u202e" not in text
    if width:
        assert max(map(len, out.getvalue().split("Sandbox:")[0].splitlines())) <= width


def test_a_narrow_terminal_lists_a_benchmarks_scores_below_each_other_in_plain_words(made: SimpleNamespace) -> None:
    mini, under = made.checkpoint(), made.protocol("arc_easy", "lm-eval-quick3", metric="acc", samples=600)
    score = made.score(mini, under, 0.5, n=600, clusters=600)
    elsewhere = made.reported("Elsewhere-1B", benchmark="arc_easy", protocol="accuracy", n=2376)
    board = build_board([mini], [score], {under.fingerprint: under}, reported=[elsewhere])
    out = io.StringIO()
    show(select(board, View(suite="all")), file=out, width=80)
    lines = out.getvalue().splitlines()
    about, own, source, other = lines[lines.index("ARC-Easy") + 1 :][:4]
    assert about.split(" · ") == ["  measured here", "EleutherAI's prompt", "600 of 2,376 problems", "acc"]
    assert own.split()[0] == "mini:1" and "n=600" in own
    assert source.startswith("  reported † · a paper, Table 1") and other.split()[0] == "Elsewhere-1B"


def test_every_format_says_how_a_models_weights_are_quantised(whole: Board) -> None:
    board = select(whole, View(suite="all"))
    first = msgspec.structs.replace(board.rows[0], quantisation="Q4_K")
    board = msgspec.structs.replace(board, rows=(first, *board.rows[1:]))
    size, out = count(first.parameters), io.StringIO()
    show(board, file=out)
    for text in (export.html_page(board), export.as_markdown(board), export.as_latex(board), out.getvalue()):
        assert f"{size} Q4_K" in text.replace("\\_", "_")
    rows = list(csv.DictReader(io.StringIO(export.as_csv(board))))
    assert {row["quantisation"] for row in rows if row["model"] == first.label} == {"Q4_K"}


def test_terminal_shows_an_empty_board() -> None:
    out = io.StringIO()
    show(build_board(), file=out)
    assert "phizoo quickstart" in out.getvalue()
