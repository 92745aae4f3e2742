"""The traits of a program and its values that decide whether its verdict needs a second view.

The judge only uses them to look again (`evals.sandbox.judge.faithful`), so a program gains nothing by hiding them.
Standard library only, as in `evals.sandbox.guest.candidate`.
"""

import builtins
from typing import Any

# a private copy of builtins, so that a program that replaces Python's harms only itself
globals()["__builtins__"] = dict(vars(builtins))

LEAVES = frozenset((int, float, str, bytes, bool, complex, type(None)))


def exactly_plain(value: Any) -> bool:
    """Whether a value consists of exact builtin values: no subclass, no object. A cycle raises RecursionError."""
    kind = type(value)
    if kind in LEAVES:
        return True
    if kind is list or kind is tuple or kind is set or kind is frozenset:
        return set(map(type, value)) <= LEAVES or all(map(exactly_plain, value))
    return kind is dict and all(map(exactly_plain, value)) and all(map(exactly_plain, value.values()))
