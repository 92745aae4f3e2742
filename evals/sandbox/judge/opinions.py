"""Whose opinion counts: the judge compares values itself, and asks a program's object only where the test means that.

An object of a class that the program made up (where a number was asked for) could agree with everything. So:

- Compared with a value of the judge's, it equals nothing, has no order and takes part in no arithmetic. What it
  contains is searched among its members.
- If the test means the class itself (the prompt begins it, or the test constructs it), its operators are used. Where
  it says that it equals or contains a value, it must pick that value out of a line-up of others.
- Two objects of the program's are compared by their own methods, unless these agree with things made up on the spot.
- A method that a text or a list has too and that gives an opinion (`startswith`, `count`) counts only if the test also
  uses methods that no plain value has: otherwise it meant a plain value.
"""

import contextlib
import random
from collections.abc import Callable
from typing import Any

from evals.sandbox.guest.standins import ARITHMETIC, COMPARISONS, StandInClass, number_of
from evals.sandbox.judge.values import Violation

OPINIONS = frozenset((*COMPARISONS, *ARITHMETIC, "__contains__"))
PLAIN_NAMES = frozenset(
    name for kind in (str, bytes, list, tuple, dict, set, int, float, complex, range) for name in dir(kind)
    if not name.startswith("_")
)  # fmt: skip
JUDGING = frozenset(
    name for name in PLAIN_NAMES
    if name.startswith("is") or name in ("startswith", "endswith", "count", "index", "find", "rfind", "rindex")
)  # fmt: skip
ENTRY = -1  # the number of the object that the test asked for: its attributes are meant
LINE_UP = 7  # others in a line-up

Ask = Callable[[str, int, tuple[Any, ...], dict[str, Any]], Any]


class _Thing:
    """An object that nothing equals."""


def others(value: Any, draw: random.Random) -> list[Any]:
    """Values like a value, but clearly other ones.

    >>> 5 in others(5, random.Random(0)), len(others("ab", random.Random(0)))
    (False, 7)
    """
    found: list[Any] = []
    for number in range(1, LINE_UP + 1):
        step = draw.randint(1, 40) * draw.choice((-1, 1)) * number
        if type(value) in (int, float, complex):
            found.append(value + step)
        elif type(value) is str:
            found.append("".join(draw.sample(value, len(value))) + chr(0x61 + draw.randint(0, 25)) * number)
        elif type(value) in (list, tuple):
            found.append(value + type(value)((step,) * number))
        elif type(value) is bool:
            found.append([not value, step * 100, f"{step}"][number % 3])
        else:
            found.append([step * 1000, f"{step}", (step,)][number % 3])
    return found


class Opinions:
    """The rules for one program. ask: a request to the program; meant: the names of the classes that the test means."""

    def __init__(self, ask: Ask, name_of: Callable[[int], Any]) -> None:
        self.ask, self.name_of = ask, name_of
        self.meant: frozenset[str] = frozenset()
        self.names: dict[Any, set[str]] = {}  # class of the program's -> names that the test asked its objects for
        self.draw = random.SystemRandom()

    def use(self, verb: str, number: int, positional: tuple[Any, ...], named: dict[str, Any]) -> Any:
        """A test's use of a program's object."""
        if verb == "special" and positional[0] in OPINIONS:
            return self._operator(number, *positional)
        if verb == "get":
            self._note(number, positional[0])
        return self.ask(verb, number, positional, named)

    def _class_of(self, number: int) -> Any:
        return type(self.name_of(number))

    def _is_meant(self, kind: Any) -> bool:
        return any(isinstance(one, StandInClass) and one.__name__ in self.meant for one in kind.__mro__)

    def _note(self, number: int, name: str) -> None:
        kind = self._class_of(number)
        if number != ENTRY and isinstance(kind, StandInClass) and not self._is_meant(kind):
            self.names.setdefault(kind, set()).add(name)

    def check(self) -> None:
        """Raises Violation if the test took an object's word where it meant a plain value."""
        for kind, names in self.names.items():
            if names & JUDGING and names <= PLAIN_NAMES:
                raise Violation(f"a {kind.__name__} object's own word for {', '.join(sorted(names & JUDGING))}")

    def _operator(self, number: int, name: str, other: Any = None, *rest: Any) -> Any:
        own = number_of(other) is not None
        if not own and not self._is_meant(self._class_of(number)):
            if name == "__contains__":
                return any(member is other or member == other for member in self.name_of(number))
            return NotImplemented
        answer = self._asked(number, name, other, *rest)
        if answer is True and name in ("__eq__", "__contains__"):
            self._line_up(number, name, self.draw.sample(LIKE_NOTHING, 3) if own else others(other, self.draw))
        return answer

    def _asked(self, number: int, name: str, *given: Any) -> Any:
        return self.ask("special", number, (name, *given), {})

    def _line_up(self, number: int, name: str, decoys: list[Any]) -> None:
        """Raises Violation if an object that agreed with a value agrees with others too."""
        for decoy in decoys:
            agrees = False
            with contextlib.suppress(Exception):  # it cannot be compared with that
                agrees = self._asked(number, name, decoy) is True
            if agrees:
                raise Violation("an object that agrees with everything")


LIKE_NOTHING: list[Any] = [_Thing(), _Thing(), "\x00\x01", -98_765_432_123, 3.5e-77, (None, None, 7)]
