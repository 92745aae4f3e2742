"""The price of a model behind an endpoint."""

from typing import NamedTuple

from zoo.errors import ZooError


class Price(NamedTuple):
    """Money per million tokens of prompts and of generated text."""

    prompt: float
    written: float


def parse_price(text: str) -> Price:
    """Reads `IN,OUT`, money per million tokens.

    >>> parse_price("0.15,0.60")
    Price(prompt=0.15, written=0.6)
    """
    try:
        prompt, written = (float(part) for part in text.split(","))
    except ValueError:
        prompt = written = -1.0
    if not (0 <= prompt < float("inf") and 0 <= written < float("inf")):
        raise ZooError(f'--price "{text}" is not a pair of prices; expected IN,OUT per million tokens, like 0.15,0.60')
    return Price(prompt, written)
