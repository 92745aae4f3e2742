"""Folds a text to plain characters, so that a copy with other spaces, widths, marks or look-alikes is still a copy.

Compatibility forms (full width, ligatures, mathematical letters) become plain ones, accents and invisible characters
go, every space is a blank, every line end a line feed, and letters of other scripts that look like Latin ones become
these. Letter case stays: code is parsed as it is, and words are compared in one case by `ngrams.words`. Pages turned to
text have such characters without anyone's intent.

Source  Unicode Standard Annex 15 (NFKD, general categories); the look-alikes are single letters of Unicode Technical
        Standard 39's confusables whose Latin counterpart is one letter.
"""

import re
import unicodedata
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from itertools import accumulate

from msgspec.structs import replace

from evals.contamination.match import Match, SearchMethod, excerpt
from evals.contamination.problems import Problem
from zoo.records import Record

_LOOK_ALIKES = {
    "АВЕЅІЈКМНОРСТУХԌԚԜҮ": "ABESIJKMHOPCTYXGQWY",  # Cyrillic
    "авеѕіјкмнорсту\u0445ԍԛԝүһԁӏ": "abesijkmhopctyxgqwyhdl",
    "ΑΒΕΖΗΙΚΜΝΟΡΤΥΧϹϳ": "ABEZHIKMNOPTYXCj",  # Greek
    "αικνορτυχϲ": "aikvoptuxc",
    "օոսհցքԱՕ": "onuhgqUO",  # Armenian
    "ᴀʙᴄᴅᴇꜰɢʜɪᴊᴋʟᴍɴᴏᴘʀꜱᴛᴜᴠᴡʏᴢ": "abcdefghijklmnoprstuvwyz",  # small capitals
    "ıȷɑɡɩ": "ijagi",  # Latin letters with another shape
}
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0e-\x1f\x7f]")


class _PlainForms(dict[int, str]):
    """What each character becomes, worked out once a character."""

    def __missing__(self, code: int) -> str:
        plain = "".join(_LATIN.get(part, part) for part in unicodedata.normalize("NFKD", chr(code)))
        self[code] = "".join(_plain_form(part) for part in plain)
        return self[code]


_LATIN = {mark: latin for marks, latins in _LOOK_ALIKES.items() for mark, latin in zip(marks, latins, strict=True)}
_TABLE = _PlainForms()


def _plain_form(character: str) -> str:
    if character in "\t\n\r\f":
        return character
    category = unicodedata.category(character)
    if category in ("Zl", "Zp") or character == "\x85":
        return "\n"
    if category == "Zs":
        return " "
    return "" if category in ("Mn", "Me", "Cf", "Cc", "Cs") else character


def fold(text: str) -> str:
    """The text in plain characters, in its own letter case; an ASCII text is returned as it is.

    >>> fold("ａdd\\u00a0tw\\u200bо ｎumbers, caf\\u00e9")
    'add two numbers, cafe'
    """
    return text if _is_plain(text) else text.translate(_TABLE)


def fold_case(text: str) -> str:
    """The folded text in one letter case: equal for copies that differ in nothing that a reader sees.

    >>> fold_case("ＡDD\\u00a0tw\\u200bо") == fold_case("add two")
    True
    """
    return fold(text).casefold()


def _is_plain(text: str) -> bool:
    return text.isascii() and not _CONTROL.search(text)


class FoldedPlaces(Record, frozen=True):
    """Where each character of a folded text stands in the text: `ends[i]` folded characters come from the first i+1."""

    ends: tuple[int, ...]

    @classmethod
    def of(cls, text: str) -> "FoldedPlaces":
        """The places of a text's characters."""
        return cls(ends=tuple(accumulate(len(_TABLE[ord(character)]) for character in text)))

    def span(self, start: int, end: int) -> tuple[int, int]:
        """The span of the text that makes a span of at least one character of the folded text."""
        return bisect_right(self.ends, start), bisect_right(self.ends, end - 1) + 1


class FoldedSearch:
    """A search that compares folded texts, and whose matches stand in the texts as they are."""

    def __init__(self, method: SearchMethod) -> None:
        self._method = method

    @property
    def unsearched(self) -> frozenset[int]:
        """Numbers of the problems that the method cannot search for."""
        return self._method.unsearched

    def matches(self, texts: Sequence[str]) -> Iterator[Match]:
        """The matches of each text, with their spans in the text as it is."""
        places: dict[int, FoldedPlaces] = {}
        for match in self._method.matches([fold(text) for text in texts]):
            text = texts[match.document]
            if _is_plain(text) or match.start == match.end:
                yield match
                continue
            if match.document not in places:
                places[match.document] = FoldedPlaces.of(text)
            start, end = places[match.document].span(match.start, match.end)
            yield replace(match, start=start, end=end, text=excerpt(text, start, end))


def fold_problem(problem: Problem) -> Problem:
    """The problem with each form that is searched for folded."""
    return replace(
        problem, question=fold(problem.question), whole=fold(problem.whole), program=fold(problem.program),
        tests=fold(problem.tests),
    )  # fmt: skip
