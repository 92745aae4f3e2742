"""Reads a candidate's answer into plain values of the judge's own, within bounds and without executing anything.

JSON through the C parser (safe on any bytes), then type tags. A value that cannot be sent becomes a
`RemoteObject`, which equals only itself. The candidate's classes never run here. Malformed input is a
`Violation`.
"""

import array
import builtins
import json
from collections import deque
from collections.abc import Callable
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from fractions import Fraction
from typing import Any

MOST_BITS = 1 << 24
MOST_EXPONENT = 100_000


class Violation(BaseException):
    """The candidate broke the protocol: the program has failed, whatever the test says."""


def _hexadecimal(part: Any) -> int:
    if type(part) is int:
        return part
    text = part[1] if type(part) is list else part
    if len(text) > MOST_BITS // 4 + 4:
        raise Violation("an integer of too many digits")
    return int(text, 16)


def _decimal(text: str) -> Decimal:
    if len(text) > MOST_EXPONENT + 20:
        raise Violation("a Decimal of too many digits")
    value = Decimal(text)
    exponent = value.as_tuple().exponent
    if isinstance(exponent, int) and abs(exponent) > MOST_EXPONENT:
        raise Violation("a Decimal of too large an exponent")
    return value


def _pairs(parts: list[Any]) -> dict[Any, Any]:
    return dict(zip(parts[::2], parts[1::2], strict=True))


def _array(parts: list[Any]) -> Any:
    import numpy

    kind = numpy.dtype(parts[0])
    if kind.kind not in "biufcSU" or kind.itemsize > 1024:
        raise Violation("an array of that type")
    return numpy.array(parts[1], dtype=kind)


def _type(name: str) -> type:
    value = vars(builtins).get(name)
    if not isinstance(value, type):
        raise Violation("a type that is not builtin")
    return value


# tag -> the function that takes the decoded parts
CONTAINERS: dict[str, Callable[[list[Any]], Any]] = {
    "l": list, "t": tuple, "s": set, "z": frozenset, "d": _pairs, "n": _array,
    "r": lambda parts: range(*map(_hexadecimal, parts)), "q": lambda parts: deque(parts[1:], parts[0]),
    "a": lambda parts: array.array(parts[0], parts[1:]),
    "K": lambda parts: dict.fromkeys(parts).keys(), "V": lambda parts: dict(enumerate(parts)).values(),
    "I": lambda parts: _pairs(parts).items(),
}  # fmt: skip
# tag -> the function that takes the raw parts
LEAVES: dict[str, Callable[..., Any]] = {
    "b": lambda text: text.encode("latin-1"), "B": lambda text: bytearray(text.encode("latin-1")), "c": complex,
    "i": _hexadecimal, "D": _decimal, "F": lambda a, b: Fraction(_hexadecimal(a), _hexadecimal(b)),
    "dt": datetime.fromisoformat, "da": date.fromisoformat, "ti": time.fromisoformat,
    "td": lambda days, seconds, micro: timedelta(days, seconds, micro), "T": _type,
    "e": lambda name: {"Ellipsis": ..., "NotImplemented": NotImplemented}[name],
}  # fmt: skip


Mirror = Callable[[list[Any], Callable[[Any], Any]], Any]


def _no_mirror(parts: list[Any], read: Callable[[Any], Any]) -> Any:
    raise Violation("an object of no class of the test's")


def untag(value: Any, remote: Callable[[int, str, bool], Any], mirror: Mirror = _no_mirror) -> Any:
    """The value of a tagged tree.

    remote  makes the stand-in of (number, type name, is an iterator)
    mirror  makes the object of one of the test's classes (`evals.sandbox.judge.mirrored`)
    """
    if type(value) is not list:
        if type(value) is dict:
            raise Violation("an untagged mapping")
        return value
    tag, *parts = value
    container = CONTAINERS.get(tag)
    if container is not None:
        return container([untag(p, remote, mirror) for p in parts])
    if tag == "O":
        return mirror(parts, lambda part: untag(part, remote, mirror))
    if tag == "o":
        number, name, iterates = parts
        if type(number) is not int or number < 0:
            raise Violation("an object without a number")
        return remote(number, str(name), bool(iterates))
    return LEAVES[tag](*parts)


def read(kind: bytes, payload: bytes, remote: Callable[[int, str, bool], Any], mirror: Mirror = _no_mirror) -> Any:
    """The value of a reply of kind v (plain) or any tagged kind.

    Raises  Violation on any other bytes.
    """
    try:
        value = json.loads(str(payload, "utf-8", "surrogatepass"))  # as text: given bytes, json guesses the encoding
        return value if kind == b"v" else untag(value, remote, mirror)
    except (ValueError, TypeError, LookupError, ArithmeticError, AttributeError, RecursionError, MemoryError) as error:
        raise Violation(f"an unreadable reply ({type(error).__name__})") from None
