"""Text -> answer: the few ways in which an answer is read out of what a model wrote.

Pure functions of text. What they give is what a protocol publishes, so a change here is a change
of every task's version that uses it.
"""

import re
from collections.abc import Sequence


def cut(text: str, stops: Sequence[str]) -> str:
    """The text before the first stop string, wherever it begins earliest.

    >>> cut("a = 1\\nprint(a)\\ndef f():", ["\\ndef", "\\nprint"])
    'a = 1'
    """
    ends = [at for stop in stops if stop and (at := text.find(stop)) >= 0]
    return text[: min(ends)] if ends else text


NUMBER = re.compile(r"-?\d[\d,]*(?:\.\d+)?|-?\.\d+")


def last_number(text: str) -> str | None:
    """The last number in the text with its thousands separators removed, or None.

    >>> last_number("so 3 boxes of 1,200 make $3,600."), last_number("none")
    ('3600', None)
    """
    found = NUMBER.findall(text)
    return found[-1].replace(",", "").rstrip(".") if found else None
