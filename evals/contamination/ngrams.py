"""Finds samples whose word n-grams stand in a document: 13 words in a row, letter case and punctuation aside.

A question of fewer words counts whole if it has 8 or more, and with its answer if it has fewer still. An n-gram that
more than a few samples of a task share is a phrase of the task and is ignored. `code-ngram` searches for 10 words in a
row of a solution or its tests instead, distinctive without the frame that the tests of a task have in common.

Source  Brown et al. 2020, arXiv:2005.14165, appendix C: 13-grams, 8 words at least; Gunasekar et al. 2023,
        arXiv:2306.11644, section 5: 13-grams of docstrings. Every match is compared word by word: no hash decides.
"""

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from evals.contamination.match import Match, excerpt
from evals.contamination.problems import DOCSTRING, Problem

WORD = re.compile(r"\w+")
LEAST = 8  # words of a question that is distinctive without its answer
SHARED = 3  # an n-gram of more samples than this is a phrase of the task
FRAME = 4  # words in a row that the code of more samples than SHARED has: a frame, such as `def check(candidate)`
MORE = 2  # words that an n-gram of code needs besides where its numbers make it distinctive
DISTINCT = 5  # an n-gram needs so many different words with letters: "1, 2, 3 ..." is no leak
ODD = 0x9E3779B97F4A7C15

Gram = tuple[int, ...]


def words(text: str) -> list[str]:
    """The words of a folded text, in one letter case.

    >>> words("Don't add_up 3.5!")
    ['don', 't', 'add_up', '3', '5']
    """
    return WORD.findall(text.casefold())


class NgramSearch:
    """Looks up all n-grams of the problems in many documents at once.

    width  words of an n-gram
    code   search for the solutions and tests, not for the questions
    """

    def __init__(self, problems: Sequence[Problem], width: int, code: bool = False) -> None:
        self.vocabulary: dict[str, int] = {}
        if code:
            frames = _count_frames(problems)
            all_grams = [self._code_grams(problem, width, frames) for problem in problems]
        else:
            all_grams = [self._question_grams(problem, width) for problem in problems]
        times = Counter(
            (problem.task, gram) for problem, grams in zip(problems, all_grams, strict=True) for gram in grams
        )
        self.problems_of: dict[Gram, list[int]] = {}
        self.counts: list[int] = []
        for number, (problem, grams) in enumerate(zip(problems, all_grams, strict=True)):
            own = [gram for gram in grams if times[problem.task, gram] <= SHARED]
            if not own and not code:
                own = self._whole(words(problem.whole))
            self.counts.append(len(own))
            for gram in own:
                self.problems_of.setdefault(gram, []).append(number)
        self.widths = sorted({len(gram) for gram in self.problems_of})
        self._hashes = {width: self._sorted_hashes(width) for width in self.widths}

    def _ids(self, row: Sequence[str]) -> Gram:
        return tuple(self.vocabulary.setdefault(word, len(self.vocabulary) + 1) for word in row)

    def _whole(self, row: Sequence[str]) -> list[Gram]:
        """All words as one n-gram, or none if they are not distinctive."""
        return [self._ids(row)] if _distinctive(row) else []

    def _windows(self, row: Sequence[str], width: int) -> list[Gram]:
        windows = (row[start : start + width] for start in range(len(row) - width + 1))
        return list(dict.fromkeys(self._ids(window) for window in windows if _distinctive(window)))

    def _question_grams(self, problem: Problem, width: int) -> list[Gram]:
        row = words(problem.question)
        if len(row) >= width:
            if grams := self._windows(row, width):
                return grams
            row = words(problem.whole)
        elif len(row) < LEAST:
            row = words(problem.whole)
        return self._whole(row)

    def _code_grams(self, problem: Problem, width: int, frames: Counter[tuple[str, ...]]) -> list[Gram]:
        """The n-grams of a problem's code that are distinctive without the words of a frame."""
        grams: dict[Gram, None] = {}
        for row in _code_parts(problem):
            own: list[str] = list(row)
            for start in range(len(row) - FRAME + 1):
                if frames[problem.task, *row[start : start + FRAME]] > SHARED:
                    own[start : start + FRAME] = [""] * FRAME
            for size, is_distinctive in ((width, _distinctive), (width + MORE, _distinctive_by_numbers)):
                for start in range(len(row) - size + 1):
                    if is_distinctive([word for word in own[start : start + size] if word]):
                        grams[self._ids(row[start : start + size])] = None
        return list(grams)

    def _holders(self, grams: Iterable[Gram]) -> set[int]:
        """The problems that hold all of these n-grams."""
        return set.intersection(*(set(self.problems_of[gram]) for gram in grams))

    @property
    def unsearched(self) -> frozenset[int]:
        """The problems whose few words are not distinctive, such as a sum."""
        return frozenset(number for number, count in enumerate(self.counts) if not count)

    def _sorted_hashes(self, width: int) -> Any:
        import numpy as np

        grams = np.array([gram for gram in self.problems_of if len(gram) == width], dtype=np.uint64)
        return np.sort(_run_hashes(grams.reshape(len(grams) * width), width)[::width])

    def matches(self, texts: Sequence[str]) -> Iterator[Match]:
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
            hashes, known = _run_hashes(flat, width), self._hashes[width]
            if not len(hashes):
                continue
            places = np.minimum(np.searchsorted(known, hashes), len(known) - 1)
            for place in np.flatnonzero(known[places] == hashes).tolist():
                gram = tuple(ids[place : place + width])
                for number in self.problems_of.get(gram, ()):
                    document = int(np.searchsorted(starts, place, side="right")) - 1
                    hits.setdefault((document, number), {}).setdefault(gram, place - starts[document])
        for (document, number), grams in hits.items():
            if any(grams.keys() < hits.get((document, other), {}).keys() for other in self._holders(grams)):
                continue  # these words stand there as a part of the other problem
            first, last = min(grams.values()), max(place + len(gram) for gram, place in grams.items())
            spans = [word.span() for word in WORD.finditer(texts[document])]
            start, end = spans[first][0], spans[last - 1][1]
            yield Match(
                document=document, problem=number, similarity=len(grams) / self.counts[number], start=start, end=end,
                text=excerpt(texts[document], start, end),
            )  # fmt: skip


def _code_parts(problem: Problem) -> list[list[str]]:
    return [words(part) for part in (DOCSTRING.sub(" ", problem.program), problem.tests)]


def _count_frames(problems: Sequence[Problem]) -> Counter[tuple[str, ...]]:
    """How many problems have each FRAME words of code in a row, by (task, *words)."""
    return Counter(
        frame
        for problem in problems
        for frame in {
            (problem.task, *row[start : start + FRAME])
            for row in _code_parts(problem)
            for start in range(len(row) - FRAME + 1)
        }
    )


def _distinctive(row: Sequence[str]) -> bool:
    return len({word for word in _no_sequence(row) if not word[0].isdigit()}) >= DISTINCT


def _distinctive_by_numbers(row: Sequence[str]) -> bool:
    """Of the values of a test, whose numbers count, too."""
    return len(set(_no_sequence(row))) > DISTINCT


def _no_sequence(row: Sequence[str]) -> Iterator[str]:
    """The words, without the numbers and letters that only go on from those before: 1 2 3, 10 20 30, a b c."""
    last, last_step = "", 1
    for word in row:
        step = 0
        if word.isdecimal() and last.isdecimal():
            step = int(word[:9]) - int(last[:9])
        elif len(word) == len(last) == 1:
            step = ord(word) - ord(last)
        if not last or not step or step not in (1, last_step):
            yield word
        last, last_step = word, step


def _run_hashes(ids: Any, width: int) -> Any:
    """A 64-bit hash of each run of `width` ids, in order."""
    import numpy as np

    total = np.zeros(max(0, len(ids) - width + 1), dtype=np.uint64)
    for offset in range(width if len(total) else 0):
        total = total * np.uint64(ODD) + ids[offset : offset + len(total)]
    return total
