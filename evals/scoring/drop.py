"""Compares a written answer with accepted ones by DROP's rules: words without order, numbers as numbers.

Source: Dua et al. 2019, arXiv:1903.00161, section 5, and its script, which lm-evaluation-harness 0.4.13 (drop,
version 3) and AI2's OLMES follow. The script aligns several written spans with those of an answer. A model writes
one text, so that here the best span counts, and the other spans of its answer count as missed.
"""

import re
import string
from collections.abc import Sequence

ARTICLES = re.compile(r"\b(a|an|the)\b")


def compare_with_spans(answer: str, accepted: Sequence[Sequence[str]]) -> tuple[float, float]:
    """Exact match and F1 of an answer, each the best over the accepted ones, every one a list of spans.

    F1 is rounded to two digits, as the script does. An accepted answer whose first span is empty counts as none.

    >>> compare_with_spans("the 2.0 yards", [["2 yards"]]), compare_with_spans("3 of them", [["4 of them"]])
    ((1.0, 1.0), (0.0, 0.0))
    >>> compare_with_spans("Nate Kaeding", [["Kaeding", "Hester"], ["Nate"]])
    (0.0, 0.67)
    """
    pairs = [_compare(answer, spans) for spans in accepted if spans[0].strip()]
    return max((exact for exact, _ in pairs), default=0.0), max((f1 for _, f1 in pairs), default=0.0)


def plain(text: str) -> str:
    """The words in lower case without punctuation and articles, numbers as decimals; a hyphen divides words.

    >>> plain("The well-known U.S. had 1,200 men")
    'well known us had 1200.0 men'
    """
    words = (" ".join(ARTICLES.sub(" ", _plain_word(word)).split()) for word in re.split(r" |-", text))
    return " ".join(word for word in words if word).strip()


def _plain_word(word: str) -> str:
    word = word.lower()
    if not _is_number(word):
        word = "".join(character for character in word if character not in string.punctuation)
    return str(float(word)) if _is_number(word) else word


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _compare(answer: str, spans: Sequence[str]) -> tuple[float, float]:
    mine, right = plain(answer), [plain(span) for span in spans]
    exact = float(len(right) == 1 and mine == right[0])
    best = max(_overlap(set(mine.split()), set(span.split())) for span in right)
    return exact, round(best / len(right), 2)


def _overlap(mine: set[str], right: set[str]) -> float:
    """F1 of two sets of words; 0 if the right one has numbers of which the other has none."""
    numbers = {word for word in right if _is_number(word)}
    if numbers and not numbers & mine:
        return 0.0
    same = len(mine & right)
    precision = same / len(mine) if mine else 1.0
    recall = same / len(right) if right else 1.0
    return 2 * precision * recall / (precision + recall) if precision + recall else 0.0
