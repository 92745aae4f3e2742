"""Shows texts from outside literally: no character steers a terminal, hides text or reverses it.

A name, a note or a model's text may come from another zoo, a file or an endpoint. `plain` is for one field, and the
command line writes everything through `VisibleStream`, so that no `print` can forget it.
"""

import codecs
import io
import os
import re
import unicodedata

UNSAFE = (
    r"[\x00-\x1f\x7f-\x9f\xad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb\ud800-\udfff"
    r"\U000e0000-\U000e007f]"
)
_UNSAFE = re.compile(UNSAFE)
STYLES = r"\x1b\[[0-9;]*m"  # colours and bold
CURSOR = r"\x1b\[\??[0-9;]*[A-GJKhl]|\r"  # what a progress bar needs to redraw itself


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
    if text.isascii() and text.isprintable():
        return text
    visible = _UNSAFE.sub(_make_visible, text)
    # more than two combining marks in a row overflow their line; no language of model names needs them
    kept, marks = [], 0
    for character in visible:
        marks = marks + 1 if unicodedata.combining(character) else 0
        if marks <= 2:
            kept.append(character)
    return "".join(kept)


class VisibleStream(io.TextIOWrapper):
    """A text stream that makes visible what `plain` does, and writes "?" for what its encoding cannot express.

    Line feeds and tabs pass. On a terminal colours pass too, and on standard error the moves of a progress bar.
    """

    def __init__(self, stream: io.TextIOWrapper, *, moves: bool) -> None:
        # click takes ASCII for a locale that was not set, and writes UTF-8 there; so does this
        ascii_only = codecs.lookup(stream.encoding).name == "ascii"
        super().__init__(
            stream.buffer, "utf-8" if ascii_only else stream.encoding, "replace",
            line_buffering=stream.line_buffering, write_through=stream.write_through,
        )  # fmt: skip
        self._source = stream  # it closes their buffer when it is collected
        allowed = [r"[\n\t]"]
        if stream.isatty() or "FORCE_COLOR" in os.environ:
            allowed.append(STYLES)
        if moves:
            allowed.append(CURSOR if stream.isatty() else r"\r")
        self._pattern = re.compile(f"({'|'.join(allowed)})|{UNSAFE}")

    def write(self, text: str) -> int:
        """Writes the text; returns the number of its characters."""
        super().write(self._pattern.sub(lambda match: match[1] or _make_visible(match), text))
        return len(text)
