"""Reads the bytes of a candidate's message: JSON through the C parser, which is safe on any bytes.

The tree becomes values in `evals.sandbox.guest.graph`, within bounds and without executing anything of the
program's. Malformed input is a `Violation`.
"""

import json
import sys
from collections.abc import Callable
from typing import Any

from evals.sandbox.guest.graph import ObjectGraph
from evals.sandbox.guest.kinds import RefusedValue

# what malformed trees raise while they are read
MALFORMED = (
    RefusedValue, ValueError, TypeError, LookupError, ArithmeticError, AttributeError, RecursionError, MemoryError,
    AssertionError, NameError, ImportError, OSError,
)  # fmt: skip


DEEP = 30_000  # calls while a tree is read: Python's own, which need no stack of C's


class Violation(BaseException):
    """The candidate broke the protocol: the program has failed, whatever the test says."""


def _nothing_else(text: str) -> Any:
    if text == "NaN":
        raise Violation("a number that is not one without its tag")
    return float(text.replace("Infinity", "inf"))


_decode = json.JSONDecoder(parse_constant=_nothing_else).decode


def parse(payload: bytes) -> Any:
    """The tree of a message's bytes: JSON, or a zero byte and the tree's lists, as `guest.candidate` writes a deep one.

    Raises  Violation on any other bytes.
    """
    try:
        if payload[:1] == b"\0":
            return _linked(_decode(str(payload[1:], "utf-8", "surrogatepass")))
        return _decode(str(payload, "utf-8", "surrogatepass"))
    except MALFORMED as error:
        raise Violation(f"an unreadable reply ({type(error).__name__})") from None


def _linked(rows: Any) -> Any:
    """The tree of flat lists: the lists in them are [1], [2], [3], …, so that each has one place and none holds itself.

    >>> _linked([[1, [1], [2]], [2, [3]], [4], [3]])
    [1, [2, [3]], [4]]
    """
    places = 0
    for at, row in enumerate(rows):
        for index, part in enumerate(row):
            if type(part) is list:
                places += 1
                if part != [places] or places <= at:
                    raise ValueError("a list in the wrong place")
                row[index] = rows[places]
    if places + 1 != len(rows):
        raise ValueError("lists without a place")
    return rows[0]


def guarded(read: Callable[..., Any], *given: Any) -> Any:
    """What `read` makes of a message's parts.

    Raises  Violation when they are malformed.
    """
    limit = sys.getrecursionlimit()
    sys.setrecursionlimit(DEEP)
    try:
        return read(*given)
    except MALFORMED as error:
        raise Violation(f"an unreadable reply ({type(error).__name__}: {error!s:.80})") from None
    finally:
        sys.setrecursionlimit(limit)


def read_message(graph: ObjectGraph, payload: bytes, least: int) -> tuple[Any, list[Any]]:
    """(value, the parts after it) of a message [tree, changes, ...]; changes are applied first.

    least  how many parts the message has
    """
    parts = parse(payload)

    def read() -> tuple[Any, list[Any]]:
        if type(parts) is not list or len(parts) != least or type(parts[1]) is not list:
            raise RefusedValue("a message of another form")
        graph.written = set()
        value = graph.read(parts[0])
        for tree in parts[1]:
            graph.read(tree)
        return value, parts[2:]

    return guarded(read)  # type: ignore[no-any-return]
