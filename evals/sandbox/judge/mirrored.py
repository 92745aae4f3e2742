"""Objects of a test's own classes, mirrored on both sides of the channel: attributes are sent, methods are not.

A prompt may define a class (a tree's node, a dataclass). The judge sends its objects as attributes under
a number and receives them in the same way, so that it sees a change in place, and an object that the
program made becomes one of the judge's own class: comparisons and isinstance are the prompt's, never the
program's. An attribute that would hide a method is a `Violation`.
"""

import inspect
from collections.abc import Callable
from typing import Any

from evals.sandbox.judge.values import Violation

SPACE = "test"  # __name__ of the module in which prompts and tests are executed


class MirroredObjects:
    """The numbered objects that one program's test and the program share."""

    def __init__(self) -> None:
        self.names: tuple[str, ...] = ()  # classes that the prompt defines
        self.classes: dict[str, type] = {}
        self.things: dict[int, Any] = {}
        self.numbers: dict[int, int] = {}

    def number(self, thing: Any) -> int:
        """The number of one of the judge's objects, assigned at the first call."""
        if id(thing) not in self.numbers:
            self._keep(len(self.things), thing)
        return self.numbers[id(thing)]

    def _keep(self, number: int, thing: Any) -> Any:
        self.things[number], self.numbers[id(thing)] = thing, number
        return thing

    def _get(self, number: Any, name: Any) -> Any:
        if type(number) is int and number in self.things:
            return self.things[number]
        kind = self.classes.get(name)
        if type(number) is not int or number >= 0 or kind is None:
            raise Violation("an object of no class of the test's")
        return self._keep(number, object.__new__(kind))

    def fill(self, parts: list[Any], read: Callable[[Any], Any]) -> Any:
        """The object of [number, class name] or [number, class name, attributes]; sets the attributes."""
        thing = self._get(parts[0], parts[1])
        if len(parts) > 2:
            state = read(parts[2])
            if not isinstance(state, dict):
                raise Violation("attributes that are no mapping")
            for name in state:
                own = inspect.getattr_static(type(thing), name, None)
                if callable(own) or hasattr(own, "__get__"):
                    raise Violation(f"an attribute over the method {name}")
            vars(thing).clear()
            vars(thing).update(state)
        return thing
