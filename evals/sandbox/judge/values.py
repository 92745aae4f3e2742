"""Reads what a candidate answered into plain values of the judge's own; bounded, never executing.

JSON through the C parser (safe on any bytes), then type tags. What cannot travel becomes a
`Remote`: an object of the judge's that is equal only to itself. Nothing of the candidate's classes
is ever run here. Anything malformed is a `Violation`.
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
    """The candidate broke the protocol: the program has failed, whatever the test makes of it."""


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


def _range(parts: list[Any]) -> range:
    return range(*(_hexadecimal(p) for p in parts))


def _deque(parts: list[Any]) -> deque[Any]:
    return deque(parts[1:], parts[0])


def _pairs(parts: list[Any]) -> dict[Any, Any]:
    return dict(zip(parts[::2], parts[1::2], strict=True))


def _array(parts: list[Any]) -> Any:
    import numpy

    kind = numpy.dtype(parts[0])
    if kind.kind not in "biufcSU" or kind.itemsize > 1024:
        raise Violation("an array of that type")
    return numpy.array(parts[1], dtype=kind)


def _array_of(parts: list[Any]) -> Any:
    return array.array(parts[0], parts[1:])


def _type(name: str) -> type:
    value = vars(builtins).get(name)
    if not isinstance(value, type):
        raise Violation("a type that is not builtin")
    return value


# tag -> what its decoded parts become
CONTAINERS: dict[str, Callable[[list[Any]], Any]] = {
    "l": list, "t": tuple, "s": set, "z": frozenset, "d": _pairs, "r": _range, "q": _deque, "n": _array, "a": _array_of,
    "K": lambda parts: dict.fromkeys(parts).keys(), "V": lambda parts: dict(enumerate(parts)).values(),
    "I": lambda parts: _pairs(parts).items(),
}  # fmt: skip
# tag -> what its raw parts become
LEAVES: dict[str, Callable[..., Any]] = {
    "b": lambda text: text.encode("latin-1"), "B": lambda text: bytearray(text.encode("latin-1")), "c": complex,
    "i": _hexadecimal, "D": _decimal, "F": lambda a, b: Fraction(_hexadecimal(a), _hexadecimal(b)),
    "dt": datetime.fromisoformat, "da": date.fromisoformat, "ti": time.fromisoformat,
    "td": lambda days, seconds, micro: timedelta(days, seconds, micro), "T": _type,
    "e": lambda name: {"Ellipsis": ..., "NotImplemented": NotImplemented}[name],
}  # fmt: skip


Twin = Callable[[list[Any], Callable[[Any], Any]], Any]


def _no_twin(parts: list[Any], read: Callable[[Any], Any]) -> Any:
    raise Violation("an object of no class of the test's")


def untag(value: Any, remote: Callable[[int, str, bool], Any], twin: Twin = _no_twin) -> Any:
    """The value of a tagged tree.

    remote  makes the stand-in of (number, type name, is an iterator)
    twin    the object of a class of the test's (`evals.sandbox.judge.mirrored`)
    """
    if type(value) is not list:
        if type(value) is dict:
            raise Violation("an untagged mapping")
        return value
    tag, *parts = value
    container = CONTAINERS.get(tag)
    if container is not None:
        return container([untag(p, remote, twin) for p in parts])
    if tag == "O":
        return twin(parts, lambda part: untag(part, remote, twin))
    if tag == "o":
        number, name, iterates = parts
        if type(number) is not int or number < 0:
            raise Violation("an object without a number")
        return remote(number, str(name), bool(iterates))
    return LEAVES[tag](*parts)


def read(kind: bytes, payload: bytes, remote: Callable[[int, str, bool], Any], twin: Twin = _no_twin) -> Any:
    """The value of a reply of kind v (plain) or any tagged kind.

    Raises  Violation on bytes that are no such value.
    """
    try:
        value = json.loads(str(payload, "utf-8", "surrogatepass"))  # text: of bytes it would guess the encoding
        return value if kind == b"v" else untag(value, remote, twin)
    except (ValueError, TypeError, LookupError, ArithmeticError, AttributeError, RecursionError, MemoryError) as error:
        raise Violation(f"an unreadable reply ({type(error).__name__})") from None
