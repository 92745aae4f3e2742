"""Escapes names and texts from outside for the terminal, HTML, Markdown, LaTeX and CSV.

A name may come from a published table, another zoo or a model. `plain` first replaces each character that could steer
a terminal, hide text or reverse it by a visible one; then each format escapes its own special characters.
"""

import re
import unicodedata
from html import escape

CUT = 72  # characters of a name shown in a table; its tooltip has the whole name
_UNSAFE = re.compile(
    r"[\x00-\x1f\x7f-\x9f\xad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb\ud800-\udfff]"
)
_MARKDOWN = re.compile(r"([\\`*\[\]|<>~$&@]|(?<!\w)_|_(?!\w)|:(?=//)|(?<=www)\.)", re.I)
_LATEX = str.maketrans({character: f"\\{character}" for character in "{}$&#%_"}) | str.maketrans({
    "\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "<": r"\textless{}",
    ">": r"\textgreater{}", "–": "--", "—": "---", "†": r"$^\dagger$",
})  # fmt: skip


def _make_visible(match: re.Match[str]) -> str:
    code = ord(match[0])
    if code < 0x20:
        return chr(0x2400 + code)  # the control pictures: ␛ for escape, ␊ for a line feed
    return "␡" if code == 0x7F else f"⟨{code:04X}⟩"


def plain(text: str) -> str:
    """The text with every control, invisible and direction-changing character made visible.

    >>> plain("phi\\x1b[31m\\n"), plain("a\\u202eb")
    ('phi␛[31m␊', 'a⟨202E⟩b')
    """
    visible = _UNSAFE.sub(_make_visible, text)
    # more than two combining marks in a row overflow their line; no language of model names needs them
    kept, marks = [], 0
    for character in visible:
        marks = marks + 1 if unicodedata.combining(character) else 0
        if marks <= 2:
            kept.append(character)
    return "".join(kept)


def cut(text: str, length: int = CUT) -> str:
    """The text made plain and cut to `length` characters; an ellipsis replaces the rest.

    >>> cut("phi-1-small-mini", 9)
    'phi-1-sm…'
    """
    safe = plain(text)
    return safe if len(safe) <= length else safe[: length - 1] + "…"


def html(text: str) -> str:
    """The text as HTML content or as the value of a quoted attribute."""
    return escape(plain(text), quote=True)


def plain_lines(text: str) -> str:
    """The text made plain, with its line breaks kept and tabs expanded."""
    return "\n".join(plain(line) for line in text.expandtabs(4).split("\n"))


def html_lines(text: str) -> str:
    """The text as HTML, with its line breaks kept."""
    return escape(plain_lines(text), quote=True)


def markdown(text: str) -> str:
    """The text as literal Markdown: no link, picture, tag, table cell or emphasis.

    >>> markdown("[a](b)|*c*"), markdown("mini_exercises (k-1)")
    ('\\\\[a\\\\](b)\\\\|\\\\*c\\\\*', 'mini_exercises (k-1)')
    """
    return _MARKDOWN.sub(r"\\\1", plain(text))


def latex(text: str) -> str:
    """The text as literal LaTeX.

    >>> latex("a_b & 50%")
    'a\\\\_b \\\\& 50\\\\%'
    """
    return plain(text).translate(_LATEX)


def spreadsheet(text: str) -> str:
    """The text as a CSV field that no spreadsheet reads as a formula, also after spaces and with full-width signs.

    >>> spreadsheet("=1+1"), spreadsheet(" +1"), spreadsheet("phi-1")
    ("'=1+1", "' +1", 'phi-1')
    """
    safe = plain(text)
    return "'" + safe if unicodedata.normalize("NFKC", safe).lstrip()[:1] in ("=", "+", "-", "@") else safe
