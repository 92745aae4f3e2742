"""One match: a document that is close to a problem, and the characters of it that are; and what finds it."""

from collections.abc import Iterator, Sequence
from typing import Protocol

from zoo.records import Record

EXCERPT = 2_000  # characters of a match that are kept, to be read beside the sample


class Match(Record, frozen=True):
    """A document that is close to a problem.

    document, problem  their numbers among the texts and the problems searched
    similarity         a share in 0..1; for embeddings the distance, where small is close
    start, end         the characters of the document that match
    text               those characters, cut to what is kept
    """

    document: int
    problem: int
    similarity: float
    start: int
    end: int
    text: str


class SearchMethod(Protocol):
    """Finds the matches between some texts and the problems that it was opened for."""

    @property
    def unsearched(self) -> frozenset[int]:
        """Numbers of the problems that this method cannot search for (too short, not parsable)."""

    def matches(self, texts: Sequence[str]) -> Iterator[Match]:
        """The matches of each text, the closest one of each problem."""


def excerpt(text: str, start: int, end: int) -> str:
    """The characters of a match, cut to what is kept, with the beginning of its line.

    >>> excerpt("x = 1\\ny = add(2, 3)\\n", 10, 13)
    'y = add'
    """
    line = text.rfind("\n", 0, start) + 1
    return text[line if start - line <= 200 else start : min(end, start + EXCERPT)]
