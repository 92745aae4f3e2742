"""Reads JSON, and JSON lines, that come from outside, and names the line or the fault.

The one reader for what an endpoint, a file or another zoo sends. JSON that readers take in different ways is refused:
duplicate keys, NaN and infinities, deep nesting, halves of surrogate pairs. Lines end at a line feed alone, since JSON
texts may contain U+2028 and U+0085.
"""

import json
import math
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from zoo import gz
from zoo.errors import ZooError

DEPTH = 100  # levels of lists and objects; no format here has 20, and Python's own readers fail near 500
_HALF = re.compile("[\ud800-\udfff]")
_HALF_ESCAPED = re.compile(r"\\u[dD][89a-fA-F]")  # also the halves of whole pairs


def parse_json(data: bytes | str, *, nonfinite: bool = False, repair: bool = False, negative_zero: bool = True) -> Any:
    """The value of one JSON text.

    nonfinite      NaN and infinities are read too, as Python writes them
    repair         half a surrogate pair, which no file can hold, becomes U+FFFD, and a byte order mark is skipped
    negative_zero  whether -0 is read as a whole number; loaders in other languages refuse it
    Raises         ValueError for what is not JSON, a duplicate key, NaN or an infinity, nesting deeper than DEPTH,
                   bytes that are not UTF-8, and half a surrogate pair

    >>> parse_json(b'{"a": 1}'), parse_json('"a\\\\ud835"', repair=True)
    ({'a': 1}, 'a\\ufffd')
    """
    text = data if isinstance(data, str) else data.decode("utf-8-sig" if repair else "utf-8")
    number: dict[str, Any] = {} if nonfinite else {"parse_float": _finite, "parse_constant": _refuse_constant}
    if not negative_zero:
        number["parse_int"] = _unsigned_zero
    try:
        value = json.loads(text, object_pairs_hook=_unique_keys, **number)
    except RecursionError:
        raise ValueError("nested too deeply") from None
    _check_depth(text, value)
    if not _HALF_ESCAPED.search(text) and (isinstance(data, bytes) or not _HALF.search(text)):
        return value  # UTF-8 cannot hold a half
    whole = without_halves(value)
    if not repair and whole != value:
        raise ValueError("a text has half a surrogate pair")
    return whole


def without_halves(value: Any) -> Any:
    """Plain data with U+FFFD in place of each half of a surrogate pair, in keys too."""
    if isinstance(value, str):
        return _HALF.sub("\ufffd", value)
    if isinstance(value, dict):
        return {without_halves(key): without_halves(item) for key, item in value.items()}
    return [without_halves(item) for item in value] if isinstance(value, list) else value


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(f"the number {text[:40]} is out of range")
    return number


def _unsigned_zero(text: str) -> int:
    if text == "-0":
        raise ValueError("-0 is not a whole number for every reader")
    return int(text)


def _refuse_constant(text: str) -> Any:
    raise ValueError(f"{text} is not JSON")


def _unique_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for key, value in pairs:
        if key in values:
            raise ValueError(f"the key {key[:80]!r} is a duplicate")
        values[key] = value
    return values


def _check_depth(text: str, value: Any) -> None:
    """Raises ValueError if a value is nested deeper than DEPTH."""
    if text.count("[") + text.count("{") <= DEPTH:
        return  # too few brackets
    level: list[Any] = [value]
    for _ in range(DEPTH):
        level = [item for each in level for item in _items(each) if isinstance(item, dict | list)]
        if not level:
            return
    raise ValueError("nested too deeply")


def _items(value: Any) -> Iterable[Any]:
    return value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()


def split_lines(data: bytes) -> list[bytes]:
    """The lines of a text, without their line feeds; blank ones are left out."""
    return [line for line in data.split(b"\n") if line.strip()]


def read_lines(path: Path, expected: str, *, nonfinite: bool = False) -> Iterator[tuple[str, Any]]:
    """The values of a file's lines as ("FILE:NUMBER", value), in their order; blank lines are skipped.

    expected   the kind of lines, for the error's text: "task_id and completion"
    nonfinite  as in `parse_json`; halves of surrogate pairs are replaced
    Raises     ZooError if the file cannot be read or a line is not JSON
    """
    number = 0
    try:
        for number, line in enumerate(gz.lines(path), 1):
            if line.strip():
                yield f"{path}:{number}", parse_json(line, nonfinite=nonfinite, repair=True)
    except OSError as error:
        raise ZooError(f"cannot read {path} ({error.strerror or error}); expected lines of {expected}") from None
    except ValueError as error:
        raise ZooError(f"{path}:{number} is not JSON ({error}); expected lines of {expected}") from None
