"""Names from outside are shown literally in every format and control nothing."""

import csv
import io
import re
from html.parser import HTMLParser

from hypothesis import example, given
from hypothesis import strategies as st

from dashboard import escape

hostile = st.text(max_size=80) | st.sampled_from(
    [
        "<script>alert(1)</script>",
        "\x1b]0;title\x07",
        "[x](javascript:1)",
        "=HYPERLINK(1)",
        "a\u202eb",
        "|",
        "\\input{x}",
    ]
)
UNSAFE = re.compile(r"[\x00-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2066-\u2069\ufeff\ud800-\udfff]")


@given(hostile)
@example("\x1b[31mred")
@example("a\u202egnp.exe")
def test_plain_leaves_nothing_that_steers_and_is_stable(name: str) -> None:
    shown = escape.plain(name)
    assert not UNSAFE.search(shown)
    assert escape.plain(shown) == shown
    shown.encode("utf-8")


class Reader(HTMLParser):
    """Collects what a browser would make of markup."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.text = ""
        self.attributes: dict[str, str | None] = {}

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes.update(attrs)

    def handle_data(self, data: str) -> None:
        self.text += data


@given(hostile)
@example('"><img src=x onerror=alert(1)>')
def test_html_is_text_in_content_and_in_attributes(name: str) -> None:
    reader = Reader()
    reader.feed(f'<p title="{escape.html(name)}">{escape.html(name)}</p>')
    reader.close()
    assert reader.tags == ["p"]
    assert reader.text == escape.plain(name)
    assert reader.attributes == {"title": escape.plain(name)}


@given(hostile)
@example("a|b")
def test_markdown_keeps_a_table_row_whole(name: str) -> None:
    shown = escape.markdown(name)
    assert "\n" not in shown
    assert not re.search(r"(?<!\\)(\\\\)*\|", shown)
    assert not re.search(r"(?<!\\)(\\\\)*<", shown)


def test_markdown_link_is_not_a_link() -> None:
    assert escape.markdown("![p](http://x.example/p.png)") == r"!\[p\](http\://x.example/p.png)"


@given(hostile)
@example("\\input{/etc/passwd}")
def test_latex_has_no_command_of_the_name(name: str) -> None:
    bare = escape.latex(name)
    for command in (
        r"\textbackslash{}",
        r"\textasciitilde{}",
        r"\textasciicircum{}",
        r"\textless{}",
        r"\textgreater{}",
    ):
        bare = bare.replace(command, "")
    bare = bare.replace(r"$^\dagger$", "")
    bare = re.sub(r"\\[{}$&#%_]", "", bare)
    assert not re.search(r"[\\{}$&#%_~^]", bare)


@given(hostile)
@example("=cmd|' /C calc'!A0")
@example(" =1+1")
@example("\u00a0\u3000@SUM(1)")
@example("\uff1d1+1")
@example("\uff0b1")
def test_spreadsheet_field_is_no_formula(name: str) -> None:
    out = io.StringIO()
    csv.writer(out).writerow([escape.spreadsheet(name), "next"])
    (row,) = csv.reader(io.StringIO(out.getvalue()))
    assert row[1] == "next"
    assert not re.match(r"\s*[=+\-@\uff1d\uff0b\uff0d\uff20\ufe66\ufe62\ufe63]", row[0])


@given(st.text(min_size=1, max_size=300), st.integers(1, 100))
def test_cut_is_never_longer(name: str, length: int) -> None:
    assert len(escape.cut(name, length)) <= length
