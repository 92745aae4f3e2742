"""Extracts answers from generated text, in the few ways that the protocols use.

Pure functions of text. Their results are published, so a change here raises the version of every task
that uses it.
"""

import re
import string
from collections import Counter
from collections.abc import Callable, Sequence

from evals.records import Sample


def cut(text: str, stops: Sequence[str]) -> str:
    """The text before the first stop string, wherever it begins earliest.

    >>> cut("a = 1\\nprint(a)\\ndef f():", ["\\ndef", "\\nprint"])
    'a = 1'
    """
    ends = [at for stop in stops if stop and (at := text.find(stop)) >= 0]
    return text[: min(ends)] if ends else text


def cut_at(stops: Sequence[str]) -> Callable[[Sample, str], str]:
    """A task's `extract`: the text before the first of these strings."""
    return lambda sample, text: cut(text, stops)


def find_match(pattern: re.Pattern[str], text: str, which: int = 0) -> str | None:
    """A match of a pattern, or its first group that is not empty, stripped; None without one.

    which   0 the first match, -1 the last
    Source  lm-evaluation-harness 0.4.13, filters/extraction.py, RegexFilter ("[invalid]" is None here)

    >>> find_match(re.compile(r"(-?[$0-9.,]{2,})|(-?[0-9]+)"), "first 7, then $12.50", -1)
    '$12.50'
    """
    matches = pattern.findall(text)
    if not matches:
        return None
    match = matches[which]
    groups = [match] if isinstance(match, str) else [group for group in match if group]
    return groups[0].strip() if groups else None


ARTICLES = re.compile(r"\b(a|an|the)\b")


def plain_words(text: str) -> list[str]:
    """The words in lower case without punctuation and articles.

    Source  SQuAD's evaluation script (Rajpurkar et al. 2016), normalize_answer.

    >>> plain_words("The Eiffel Tower's top!")
    ['eiffel', 'towers', 'top']
    """
    bare = "".join(character for character in text.lower() if character not in string.punctuation)
    return ARTICLES.sub(" ", bare).split()


def exact_and_f1(answer: str, accepted: Sequence[str]) -> tuple[float, float]:
    """Whether an answer is one of the accepted ones in plain words, and its best overlap with one of them.

    accepted  none of them has words: the right answer is no answer
    Source    SQuAD 2.0's evaluation script (Rajpurkar et al. 2018): without words on either side F1 is exactness

    >>> exact_and_f1("in the north of France", ["France", "northern France"])
    (0.0, 0.4)
    >>> exact_and_f1(" The France.", ["France"]), exact_and_f1("", []), exact_and_f1("x", [])
    ((1.0, 1.0), (1.0, 1.0), (0.0, 0.0))
    """
    mine = plain_words(answer)
    right = [words for words in map(plain_words, accepted) if words] or [[]]
    return float(mine in right), max(_f1(mine, words) for words in right)


def word_f1(answer: str, right: str) -> tuple[float, float]:
    """Whether an answer is the right one in plain words, and the F1 of their words.

    Source  SQuAD 1.1's evaluation script (Rajpurkar et al. 2016): without words on a side, F1 is 0

    >>> word_f1("in the north of France", "France"), word_f1("The France.", "France"), word_f1("the", "a")
    ((0.0, 0.4), (1.0, 1.0), (1.0, 0.0))
    """
    mine, theirs = plain_words(answer), plain_words(right)
    return float(mine == theirs), _f1(mine, theirs) if mine and theirs else 0.0


def _f1(mine: list[str], right: list[str]) -> float:
    if not mine or not right:
        return float(mine == right)
    same = sum((Counter(mine) & Counter(right)).values())
    precision, recall = same / len(mine), same / len(right)
    return 2 * precision * recall / (precision + recall) if same else 0.0
