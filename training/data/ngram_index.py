"""All word n-grams of the problems, looked up in one pass over a text: 13 words of a prompt, 10 of its code."""

import re
from collections.abc import Iterator, Sequence
from typing import Any

from training.data.dedup.shingles import ngrams, word_hashes
from training.data.problems import Problem

PROMPT_NGRAM, CODE_NGRAM = 13, 10
TELLING_WORDS = 5  # an n-gram needs so many different words with letters: "1, 2, 3 ..." is no leak
WORD = re.compile(r"[0-9A-Za-z_\x80-\U0010ffff]+")


def _telling(words: Sequence[str]) -> bool:
    return len({word for word in words if not word[0].isdigit()}) >= TELLING_WORDS


class NgramIndex:
    """The n-grams of some problems as sorted hashes; each hash knows the first problem that has it."""

    def __init__(self, chosen: Sequence[Problem]) -> None:
        import numpy as np

        self.names: dict[int, dict[int, list[str]]] = {PROMPT_NGRAM: {}, CODE_NGRAM: {}}
        for one in chosen:
            self._add(one.id, one.prompt, PROMPT_NGRAM)
            self._add(one.id, one.code, CODE_NGRAM)
        self.sorted: dict[int, Any] = {
            width: np.sort(np.array(list(known), np.uint64)) for width, known in self.names.items()
        }

    def _add(self, name: str, text: str, width: int) -> None:
        words = WORD.findall(text)
        for place, value in enumerate(ngrams(word_hashes(text), width).tolist()):
            if _telling(words[place : place + width]):
                owners = self.names[width].setdefault(value, [])
                if name not in owners:
                    owners.append(name)

    def matches(self, text: str) -> Iterator[tuple[str, int, int, int]]:
        """(problem, n, start, end) of each problem that the text shares an n-gram with, its first one."""
        import numpy as np

        words, seen = word_hashes(text), set[str]()
        for width, every in self.sorted.items():
            if not len(every) or len(words) < width:
                continue
            hashes = ngrams(words, width)
            places = np.minimum(np.searchsorted(every, hashes), len(every) - 1)
            for place in np.flatnonzero(every[places] == hashes).tolist():
                for name in self.names[width][int(hashes[place])]:
                    if name not in seen:
                        seen.add(name)
                        yield name, width, *_span(text, place, width)


def _span(text: str, place: int, width: int) -> tuple[int, int]:
    runs = [match.span() for match in WORD.finditer(text)]
    return runs[place][0], runs[place + width - 1][1]
