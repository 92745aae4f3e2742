"""Numbers of parameters and tokens as a person types them: 500M is a number everywhere."""

import re

UNITS = {"K": 1e3, "M": 1e6, "B": 1e9, "T": 1e12}
QUANTITY = re.compile(r"([0-9]{1,15}(?:\.[0-9]{1,6})?(?:[eE]\+?[0-9]{1,2})?)\s*([KMBT]?)", re.I)


def parse_quantity(text: str) -> float | None:
    """A positive number with or without a unit; None if it is none.

    >>> parse_quantity("500M"), parse_quantity("1.5b"), parse_quantity("3e9"), parse_quantity("20,000")
    (500000000.0, 1500000000.0, 3000000000.0, 20000.0)
    >>> parse_quantity("many"), parse_quantity("0"), parse_quantity("-5M")
    (None, None, None)
    """
    match = QUANTITY.fullmatch(text.strip().replace(",", "").replace("_", ""))
    number = float(match[1]) * UNITS.get(match[2].upper(), 1.0) if match else 0.0
    return number if 0 < number <= 1e18 else None
