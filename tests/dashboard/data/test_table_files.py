"""Tables of the pages as files: whole, escaped, typed."""

import csv
import io

import pyarrow.parquet as pq
import pytest

from dashboard.data import table_files

HOSTILE = "=1+1|<img src=x>\x1b[2J\n\\input{x} [a](b)"
ROWS = [
    {"model": HOSTILE, "score": 51.25, "n": 164, "p": "< 0.001", "low": None},
    {"model": "mini:1", "score": 3.0, "n": 164, "p": None, "low": 1.5},
]


def test_csv_is_read_back_and_is_no_formula() -> None:
    rows = list(csv.DictReader(io.StringIO(table_files.as_csv(ROWS).decode())))
    assert [row["score"] for row in rows] == ["51.25", "3.0"]
    assert rows[0]["model"].startswith("'=1+1")
    assert "\x1b" not in rows[0]["model"]


def test_markdown_has_one_line_a_row_and_no_live_markup() -> None:
    lines = table_files.as_markdown(ROWS).decode().splitlines()
    assert len(lines) == 4
    assert all(len(line.replace("\\|", "").split("|")) == 7 for line in lines)
    assert "\\<img" in lines[2]
    assert "\\[a\\](b)" in lines[2]


def test_latex_is_balanced_and_aligned() -> None:
    text = table_files.as_latex(ROWS).decode()
    assert "\\begin{tabular}{lrrll}" in text
    assert text.count(r" \\") == 3
    assert r"\input" not in text


def test_parquet_keeps_numbers_as_numbers() -> None:
    table = pq.read_table(io.BytesIO(table_files.as_parquet(ROWS)))
    assert table["score"].to_pylist() == [51.25, 3.0]
    assert table["low"].to_pylist() == [None, 1.5]
    assert table["p"].to_pylist() == ["< 0.001", None]


@pytest.mark.parametrize("ending", table_files.FORMATS)
def test_no_rows_are_a_file_too(ending: str) -> None:
    assert isinstance(table_files.FORMATS[ending]([]), bytes)


def test_html_escapes_and_names_each_field_for_a_phone() -> None:
    page = table_files.html_table(ROWS)
    assert "<img" not in page and page.count("<tr>") == 3 and page.count('scope="row"') == 2
    assert page.count('class="number" data-label="n">164<') == 2
    assert 'class="number empty" data-label="low">–<' in page and 'class="empty" data-label="p">–<' in page
    assert table_files.html_table([]) == ""


@pytest.mark.parametrize(
    ("address", "is_link"),
    [
        ("https://arxiv.org/abs/2306.11644", True), ("https://a.org", True), ("javascript:alert(1)", False),
        ("https://a.org/\"onmouseover='x'", False), ("see https://a.org", False), ("http://a.org", False),
    ],
)  # fmt: skip
def test_only_a_plain_web_address_is_a_link(address: str, is_link: bool) -> None:
    table = table_files.html_table([{"model": "m", "address": address}])
    assert ("<a href=" in table) == is_link
    assert '"onmouseover' not in table
