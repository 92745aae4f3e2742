"""Reads a sequence of closing brackets or an order of words in a chat answer. Functions of text."""

import re
from collections.abc import Sequence

from evals.scoring.statements import CUE, EMPHASIS, abstains

BRACKETS = re.compile(r"[()\[\]{}<>](?:[\s,]*[()\[\]{}<>])*")


def read_brackets(text: str, opened: str) -> str | None:
    """The brackets that complete a sequence, one space between them, of the last statement or else the last run.

    opened  the sequence that is completed; an answer may repeat it

    >>> read_brackets("The answer is: ] }", "{ ["), read_brackets("So it is `{ [ ] }`.", "{ [")
    ('] }', '] }')
    """
    text = EMPHASIS.sub("", text)
    for match in reversed(list(CUE.finditer(text))):
        if run := BRACKETS.search(text, match.end()):
            return _completion(run[0], opened)
    runs = BRACKETS.findall(text)
    return _completion(runs[-1], opened) if runs and not abstains(text) else None


def _completion(run: str, opened: str) -> str:
    signs, before = re.sub(r"[\s,]", "", run), re.sub(r"\s", "", opened)
    return " ".join(signs.removeprefix(before))


def read_order(text: str, words: Sequence[str]) -> str | None:
    """The words in the order in which an answer names them last, one space between them; None unless it names all.

    Source  the harness's bbh_cot_zeroshot, whose filter orders by the last place too; here after the last statement
            first

    >>> read_order("List: b a. Sorted: 1. a 2. b", ["b", "a"]), read_order("The answer is a", ["b", "a"])
    ('a b', None)
    """
    cues = [match.end() for match in CUE.finditer(text)]
    for start in (*cues[-1:], 0):
        places = [_last_place(text[start:], word) for word in words]
        if min(places, default=-1) >= 0:
            return " ".join(word for _, word in sorted(zip(places, words, strict=True)))
    return None


def _last_place(text: str, word: str) -> int:
    places = [match.start() for match in re.finditer(rf"(?<!\w){re.escape(word)}(?!\w)", text, re.IGNORECASE)]
    return places[-1] if places else -1
