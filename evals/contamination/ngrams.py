"""Samples whose word n-grams stand in a document: 13 words in a row, letter case and punctuation aside.

A question of fewer words counts whole if it has 8 or more, and with its answer if it has fewer still. n-grams that
many samples of a task share are the task's own phrases and tell nothing.

Source  Brown et al. 2020, arXiv:2005.14165, appendix C: 13-grams, 8 words at least; Gunasekar et al. 2023,
        arXiv:2306.11644, section 5: 13-grams of docstrings. Every match is compared word by word: no hash decides.
"""

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

from evals.contamination.match import Found, excerpt
from evals.contamination.problems import Problem

WORD = re.compile(r"[0-9A-Za-z_\x80-\U0010ffff]+")
LEAST = 8  # words of a question that is telling without its answer
SHARED = 10  # an n-gram of more samples than this is a phrase of the task
TELLING = 5  # an n-gram needs so many different words with letters: "1, 2, 3 ..." is no leak
ODD = 0x9E3779B97F4A7C15

Gram = tuple[int, ...]


def words(text: str) -> list[str]:
    """The words of a text in lower case.

    >>> words("Don't add_up 3.5!")
    ['don', 't', 'add_up', '3', '5']
    """
    return WORD.findall(text.lower())


class Ngrams:
    """All n-grams of the problems, looked up in many documents at once."""

    def __init__(self, problems: Sequence[Problem], n: int) -> None:
        self.vocabulary: dict[str, int] = {}
        every = [self._grams(problem, n) for problem in problems]
        times = Counter(gram for grams in every for gram in grams)
        self.of: dict[Gram, list[int]] = {}
        self.counts: list[int] = []
        for number, grams in enumerate(every):
            whole = words(problems[number].whole)
            own = [gram for gram in grams if times[gram] <= SHARED] or [self._ids(whole)] * _telling(whole)
            self.counts.append(len(own))
            for gram in own:
                self.of.setdefault(gram, []).append(number)
        self.widths = sorted({len(gram) for gram in self.of})
        self._hashes = {width: self._sorted(width) for width in self.widths}

    def _ids(self, some: Sequence[str]) -> Gram:
        return tuple(self.vocabulary.setdefault(word, len(self.vocabulary) + 1) for word in some)

    def _grams(self, problem: Problem, n: int) -> list[Gram]:
        some = words(problem.question)
        if len(some) >= n:
            rows = [some[at : at + n] for at in range(len(some) - n + 1)]
            if telling := list(dict.fromkeys(self._ids(row) for row in rows if _telling(row))):
                return telling
            some = words(problem.whole)
        elif len(some) < LEAST:
            some = words(problem.whole)
        return [self._ids(some)] * _telling(some)

    @property
    def unsearched(self) -> frozenset[int]:
        """The problems whose few words tell nothing, such as a sum."""
        return frozenset(number for number, count in enumerate(self.counts) if not count)

    def _sorted(self, width: int) -> Any:
        import numpy as np

        grams = np.array([gram for gram in self.of if len(gram) == width], dtype=np.uint64)
        return np.sort(_hashed(grams.reshape(len(grams) * width), width)[::width])

    def matches(self, texts: Sequence[str]) -> Iterator[Found]:
        """Every problem that a text holds; the share of its n-grams that stand there is the similarity."""
        import numpy as np

        get = self.vocabulary.get
        ids: list[int] = []
        starts = []
        for text in texts:  # words of no problem and the ends of texts are 0, which no n-gram holds
            starts.append(len(ids))
            ids += [get(word, 0) for word in words(text)]
            ids.append(0)
        flat = np.array(ids, dtype=np.uint64)
        hits: dict[tuple[int, int], dict[Gram, int]] = {}
        for width in self.widths:
            hashes, known = _hashed(flat, width), self._hashes[width]
            if not len(hashes):
                continue
            places = np.minimum(np.searchsorted(known, hashes), len(known) - 1)
            for at in np.flatnonzero(known[places] == hashes).tolist():
                gram = tuple(ids[at : at + width])
                for number in self.of.get(gram, ()):
                    document = int(np.searchsorted(starts, at, side="right")) - 1
                    hits.setdefault((document, number), {}).setdefault(gram, at - starts[document])
        for (document, number), grams in hits.items():
            first, last = min(grams.values()), max(at + len(gram) for gram, at in grams.items())
            spans = [match.span() for match in WORD.finditer(texts[document])]
            text = excerpt(texts[document], spans[first][0], spans[last - 1][1])
            yield Found(document=document, problem=number, similarity=len(grams) / self.counts[number], text=text)


def _telling(row: Sequence[str]) -> bool:
    return len({word for word in row if not word[0].isdigit()}) >= TELLING


def _hashed(ids: Any, width: int) -> Any:
    """A 64-bit hash of each run of `width` ids, in order."""
    import numpy as np

    total = np.zeros(max(0, len(ids) - width + 1), dtype=np.uint64)
    for offset in range(width if len(total) else 0):
        total = total * np.uint64(ODD) + ids[offset : offset + len(total)]
    return total
