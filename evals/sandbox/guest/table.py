"""The numbers of one side's end of an object graph, and the forms of objects of classes that both sides define.

See `evals.sandbox.guest.graph`. Standard library only.
"""

import builtins
import enum
import operator
import sys
from collections.abc import Callable
from typing import Any

from evals.sandbox.guest.kinds import BY_TAG, Kind, RefusedValue, base_kind, flat, pairs
from evals.sandbox.guest.standins import Ask, StandIns

# a private copy of builtins for every function below: a program that replaces Python's harms only itself
globals()["__builtins__"] = dict(vars(builtins))

references = sys.getrefcount
NO_NUMBER = 1 << 60  # above every count of references: nothing gets a number
PYTHONS = frozenset((*sys.stdlib_module_names, "numpy")) - {"test"}  # "test" is the test's own namespace here
CLASS_MODULES = ("builtins", "collections", "collections.abc", "datetime", "decimal", "fractions", "numbers", "enum",
                 "array", "uuid", "numpy", "pathlib", "types", "typing", "abc")  # fmt: skip
_BY_VALUE = frozenset((str, int, float, bytes, tuple, bool))


def is_pythons(module: str) -> bool:
    """Whether a module is Python's or numpy's own."""
    return module.partition(".")[0] in PYTHONS


def _same(old: Any, new: Any) -> bool:
    return old is new or (type(old) is type(new) and type(old) in _BY_VALUE and old == new)


def unchanged(old: list[Any], new: list[Any]) -> bool:
    """Whether the parts of a value are those that it had: the same objects, or equal constants."""
    return len(old) == len(new) and (all(map(operator.is_, old, new)) or all(map(_same, old, new)))


def _slots(kind: type) -> list[str]:
    names: list[str] = []
    for base in kind.__mro__:
        own = base.__dict__.get("__slots__", ())
        names += [own] if isinstance(own, str) else list(own)
    return [name for name in names if not name.startswith("__")]


def _count_held() -> int:
    table: dict[int, list[Any]] = {0: []}
    for number in list(table):
        value = table[number]
        held = references(value)
    return held


HELD = _count_held()  # references to a value that only the table holds


class NumberTable:
    """The numbered objects of one side.

    sign       1: this side's numbers are 0, 1, ...; -1: they are -1, -2, ...
    ask        how a stand-in asks the other side: verb, number, positional, named
    reference  of a function or class of Python's own, its (module, name); None to keep it here
    """

    base = 0  # references to a part that only its container holds

    def __init__(self, sign: int, ask: Ask, limit: int = 256, reference: Callable[[Any], Any] = lambda value: None):
        self.sign, self.reference = sign, reference
        self.stand_ins = StandIns(ask, limit)
        self.things: dict[int, Any] = {}
        self.numbers: dict[int, int] = {}
        self.before: dict[int, tuple[Kind, list[Any]]] = {}  # the parts of each value when the sides last agreed
        self.lent: set[int] = set()  # the numbers of objects that stayed here and that the other side may use
        self.held: set[int] = set()  # the numbers of others that are never forgotten
        self.written: set[int] = set()  # in this message
        self.shared: dict[str, type] = {}  # the classes that both sides define
        self.used = 0
        self.mirrored: dict[type, Kind] = {}
        self.tags = {**BY_TAG, "M": Kind("M", list, self._empty, self._fill), "m": Kind("m", list, self._named_tuple)}

    def new_number(self) -> int:
        """A number that was never used."""
        self.used += 1
        return self.sign * self.used if self.sign < 0 else self.used - 1

    def enter(self, value: Any, number: int | None = None) -> int:
        """The number of a value, assigned now if it has none."""
        if number is None:
            number = self.numbers.get(id(value))
            if number is not None:
                return number
            number = self.new_number()
        elif number in self.things and self.numbers.get(id(self.things[number])) == number:
            del self.numbers[id(self.things[number])]
        self.things[number], self.numbers[id(value)] = value, number
        return number

    def purge(self) -> None:
        """Forgets values that only this table holds: nobody can see whether they change."""
        for number in list(self.things):
            value = self.things[number]
            if references(value) <= HELD and number not in self.lent and number not in self.held:
                del self.numbers[id(value)], self.things[number]
                self.before.pop(number, None)

    def form_of(self, kind: type) -> Kind | None:
        """How objects of a class that both sides define are taken apart; None for another class."""
        if kind in self.mirrored:
            return self.mirrored[kind]
        name = kind.__name__
        if self.shared.get(name) is not kind or issubclass(kind, BaseException | enum.Enum):
            return None
        found = base_kind(kind)
        if found is None and any(issubclass(kind, one) for one in (int, float, str, bytes, complex)):
            return None
        slots = _slots(kind)

        def take(value: Any) -> list[Any]:
            state = list(getattr(value, "__dict__", {}).items())
            state += [(slot, getattr(value, slot)) for slot in slots if slot in dir(value) and hasattr(value, slot)]
            inner = [] if found is None else found[1].take(value)
            return [name, len(inner), *inner, *flat(state)]

        def take_tuple(value: Any) -> list[Any]:
            return [name, *tuple.__iter__(value)]

        fixed = found is not None and found[1].fill is None
        form = Kind("m", take_tuple, self._named_tuple) if fixed else Kind("M", take, self._empty, self._fill)
        self.mirrored[kind] = form
        return form

    def _empty(self, parts: list[Any]) -> Any:
        kind: Any = self.shared[parts[0]]
        if issubclass(kind, BaseException | enum.Enum):
            raise RefusedValue("an object of another class")
        found = base_kind(kind)
        base: Any = object if found is None else found[0]
        return base.__new__(kind)

    def _fill(self, value: Any, parts: list[Any]) -> None:
        _, count, *rest = parts
        found = base_kind(type(value))
        if found is not None and found[1].fill is not None:
            found[1].fill(value, rest[:count])
        state = pairs(rest[count:])
        for name in list(state):
            own = next((base.__dict__[name] for base in type(value).__mro__ if name in base.__dict__), None)
            if type(own).__name__ == "cached_property":
                del state[name]  # this side finds it itself
            elif callable(own) or (hasattr(own, "__get__") and type(own).__name__ != "member_descriptor"):
                raise RefusedValue(f"an attribute over the method {name}")
        if hasattr(value, "__dict__"):
            vars(value).clear()
        for name, part in state.items():
            if type(name) is not str or name.startswith("__"):
                raise RefusedValue("an attribute of no name")
            object.__setattr__(value, name, part)

    def _named_tuple(self, parts: list[Any]) -> Any:
        kind: Any = self.shared[parts[0]]
        if not issubclass(kind, tuple):
            return base_kind(kind)[0].__new__(kind, parts[1:])  # type: ignore[index]
        return tuple.__new__(kind, parts[1:])
