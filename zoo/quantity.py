"""Reads numbers as people write them: 3e9, 500M, 1.3B, 350_000."""

import math
import re

from zoo.errors import ZooError

UNITS = {"K": 1e3, "M": 1e6, "B": 1e9, "G": 1e9, "T": 1e12}
_NUMBER = re.compile(r"([0-9][0-9_,]*(?:\.[0-9]+)?(?:e[+-]?[0-9]+)?)\s*([kmbgt]?)", re.I)


def parse_quantity(text: str) -> float:
    """The number that a text stands for.

    Raises  ZooError for a text that is none, with an example

    >>> parse_quantity("500M"), parse_quantity("1.3b"), parse_quantity("3e9"), parse_quantity("350_000")
    (500000000.0, 1300000000.0, 3000000000.0, 350000.0)
    """
    match = _NUMBER.fullmatch(text.strip())
    value = float(re.sub("[_,]", "", match[1])) * UNITS.get(match[2].upper(), 1.0) if match else math.inf
    if not math.isfinite(value):
        raise ZooError(f"{text!r:.40} is no number; write it as 500M, 1.3B or 3e9")
    return value
