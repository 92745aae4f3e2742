"""Numbers and names as text: the cell `51.2 [43.6–58.7] n=164`, sizes, and names made safe to show.

A name comes from outside (a published table, another zoo, a model): `plain` makes each character
that could steer a terminal, hide text or turn it around visible, before any output format escapes
what is special to itself.
"""

import re
import unicodedata
from html import escape

CUT = 72  # characters of a name shown in a table; the whole one stands in its title or tooltip
_UNSAFE = re.compile(
    r"[\x00-\x1f\x7f-\x9f\xad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb\ud800-\udfff]"
)
_MARKDOWN = re.compile(r"([\\`*\[\]|<>~$&@]|(?<!\w)_|_(?!\w)|:(?=//)|(?<=www)\.)", re.I)
_LATEX = {
    "\\": r"\textbackslash{}",
    "{": r"\{",
    "}": r"\}",
    "$": r"\$",
    "&": r"\&",
    "#": r"\#",
    "%": r"\%",
    "_": r"\_",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "–": "--",
    "†": r"$^\dagger$",
    "—": "---",
}


def _shown(found: re.Match[str]) -> str:
    code = ord(found[0])
    if code < 0x20:
        return chr(0x2400 + code)  # the control pictures: ␛ for escape, ␊ for a line feed
    return "␡" if code == 0x7F else f"⟨{code:04X}⟩"


def plain(text: str) -> str:
    """The text with every control, invisible and direction-turning character made visible.

    >>> plain("phi\\x1b[31m\\n"), plain("a\\u202eb")
    ('phi␛[31m␊', 'a⟨202E⟩b')
    """
    shown = _UNSAFE.sub(_shown, text)
    # more than two combining marks in a row overflow their line; no language of model names needs them
    kept, marks = [], 0
    for character in shown:
        marks = marks + 1 if unicodedata.combining(character) else 0
        if marks <= 2:
            kept.append(character)
    return "".join(kept)


def cut(text: str, length: int = CUT) -> str:
    """The text made plain, at most `length` characters, the end replaced by an ellipsis.

    >>> cut("phi-1-small-mini", 9)
    'phi-1-sm…'
    """
    safe = plain(text)
    return safe if len(safe) <= length else safe[: length - 1] + "…"


def html(text: str) -> str:
    """The text as HTML content or a quoted attribute's value."""
    return escape(plain(text), quote=True)


def lined(text: str) -> str:
    """The text as HTML, lines kept, everything else escaped."""
    return "\n".join(html(line) for line in text.expandtabs(4).split("\n"))


def markdown(text: str) -> str:
    """The text as Markdown that shows itself: no link, picture, tag, table cell or emphasis.

    >>> markdown("[a](b)|*c*"), markdown("mini_exercises (k-1)")
    ('\\\\[a\\\\](b)\\\\|\\\\*c\\\\*', 'mini_exercises (k-1)')
    """
    return _MARKDOWN.sub(r"\\\1", plain(text))


def latex(text: str) -> str:
    """The text as LaTeX that shows itself.

    >>> latex("a_b & 50%")
    'a\\\\_b \\\\& 50\\\\%'
    """
    return "".join(_LATEX.get(character, character) for character in plain(text))


def spreadsheet(text: str) -> str:
    """The text as a CSV field that no spreadsheet takes for a formula.

    >>> spreadsheet("=1+1"), spreadsheet("phi-1")
    ("'=1+1", 'phi-1')
    """
    safe = plain(text)
    return "'" + safe if safe[:1] in ("=", "+", "-", "@") else safe


def percent(value: float) -> str:
    """A value in percent, one decimal, more only where the source printed more.

    >>> percent(50.6), percent(67), percent(54.74)
    ('50.6', '67.0', '54.74')
    """
    return f"{value:.1f}" if abs(round(value, 1) - value) < 1e-9 else f"{value:.4g}"


def count(number: float | None) -> str:
    """A count with its magnitude, three digits at most; a dash when it is not known.

    >>> count(356794368), count(7e9), count(2.6e12), count(None), count(950)
    ('357M', '7B', '2.6T', '–', '950')
    """
    if number is None:
        return "–"
    for factor, unit in ((1e12, "T"), (1e9, "B"), (1e6, "M"), (1e3, "k")):
        if number >= factor * 0.9995:
            return f"{float(f'{number / factor:.3g}'):g}{unit}"
    return f"{number:.0f}"


def size(number: int) -> str:
    """Bytes as a person reads them.

    >>> size(999), size(1_430_000_000)
    ('999 B', '1.43 GB')
    """
    for factor, unit in ((1e12, "TB"), (1e9, "GB"), (1e6, "MB"), (1e3, "kB")):
        if number >= factor:
            return f"{number / factor:.3g} {unit}"
    return f"{number} B"


def probability(p: float) -> str:
    """A p-value as it is printed.

    >>> probability(0.0312), probability(1e-9), probability(1.0)
    ('p = 0.031', 'p < 0.001', 'p = 1')
    """
    return "p < 0.001" if p < 0.001 else f"p = {p:.2g}"
