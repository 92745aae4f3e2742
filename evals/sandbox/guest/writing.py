"""Writing values as trees: one half of `evals.sandbox.guest.graph`. Standard library only."""

import builtins
import enum
import operator
import sys
from typing import Any

from evals.sandbox.guest.kinds import (
    INTEGER,
    KINDS,
    MOST_BITS,
    NAN,
    SMALL,
    RefusedValue,
    base_kind,
    module_of,
    rare,
)
from evals.sandbox.guest.standins import NUMBER, VALUES, number_of, special_names
from evals.sandbox.guest.table import CLASS_MODULES, NumberTable, is_pythons, references, unchanged

# a private copy of builtins for every function below: a program that replaces Python's harms only itself
globals()["__builtins__"] = dict(vars(builtins))

_SCALARS = frozenset((str, bool, type(None), int, float))
_TEXTS = frozenset((str, bool, type(None)))
SCALARS: tuple[Any, ...] = (int, float, str, bytes, complex)
MOST_TEXT = 10_000  # characters of an exception's own text


def plain_parts(parts: list[Any]) -> bool:
    """Whether the parts are scalars that a message holds as they are."""
    kinds = set(map(type, parts))
    if kinds <= _TEXTS:
        return True
    if not kinds <= _SCALARS:
        return False
    if int in kinds:
        whole = parts if len(kinds) == 1 else [part for part in parts if type(part) is int]
        if not (min(whole) > -SMALL and max(whole) < SMALL):
            return False
    return float not in kinds or not any(map(operator.ne, parts, parts))


class TreeWriter(NumberTable):
    """Writes values."""

    def write(self, value: Any, watched: bool = False) -> Any:
        """The tree of a value. watched: whether something else may hold it too."""
        kind = type(value)
        if kind is str or kind is bool or value is None:
            return value
        if kind is int:
            return value if -SMALL < value < SMALL else self._large(value)
        if kind is float:
            return value if value == value else self._nan(value, watched or references(value) > self.base)
        number = self.numbers.get(id(value))
        if number is not None and number in self.written:
            return ["=", number]
        form = KINDS.get(kind) or rare(value, kind) or self.form_of(kind)
        if form is None:
            return self._other(value, kind, number)
        watched = watched or number is not None or references(value) > self.base
        try:
            parts = form.take(value)
        except RefusedValue:
            return self._stay(value)
        if form.fill is None:
            return [form.tag, *self.all(parts, watched)]
        if not watched:
            return [form.tag, None, *self.all(parts, False)]
        number = self.enter(value)
        self.written.add(number)
        self.before[number] = form, parts
        return [form.tag, number, *self.all(parts, True)]

    def all(self, parts: list[Any], watched: bool) -> list[Any]:
        """The trees of the parts of one value."""
        return parts if plain_parts(parts) else [self.write(part, watched) for part in parts]

    def _large(self, value: int) -> Any:
        return [INTEGER, hex(value)] if value.bit_length() <= MOST_BITS else self._stay(value)

    def _nan(self, value: float, watched: bool) -> Any:
        return [NAN, self.enter(value) if watched or id(value) in self.numbers else None]

    def _other(self, value: Any, kind: type, number: int | None) -> Any:
        home = number_of(value)
        if home is not None:
            return ["h", home, *map(self.write, self.stand_ins.fetched(home))]
        if isinstance(value, type):
            return self.write_class(value, True)
        if number is not None and number * self.sign < 0:
            return ["=", number]  # it came from the other side as a copy
        if value is Ellipsis or value is NotImplemented:
            return ["e", value is Ellipsis]
        if isinstance(value, BaseException):
            return self.write_exception(value)
        if isinstance(value, enum.Enum) and self.shared.get(kind.__name__) is kind:
            named = value.name in type(value).__members__
            return ["E", kind.__name__, value.name if named else self.write(value.value)]
        if (found := self.reference(value)) is not None:
            number = self.enter(value)
            self.held.add(number)
            return ["f", number, *found]
        scalar = next((base for base in SCALARS if isinstance(value, base)), None)
        if scalar is not None:
            return self._stay(value, self.write(_bare(value, scalar)))
        if (found := base_kind(kind)) is not None:
            form = found[1]
            number_or_none = [] if form.fill is None else [None]
            return self._stay(value, [form.tag, *number_or_none, *self.all(form.take(value), True)])
        return self._stay(value)

    def _stay(self, value: Any, content: Any = None) -> Any:
        """The tree of an object that stays here; content: its plain value, if its class is derived from one."""
        number = self.enter(value)
        self.lent.add(number)
        tree = ["o", number, self.describe(type(value))]
        return tree if content is None else [*tree, content]

    def write_class(self, kind: Any, lend: bool = False) -> Any:
        """The tree of a class. lend: whether the other side may use it, not only know it."""
        if (home := number_of(kind)) is not None:
            return ["h", home]
        name = kind.__name__
        if name in self.shared and self.shared[name] is kind:
            return ["G", name]
        module, name = module_of(kind), kind.__qualname__
        usual = module in CLASS_MODULES or (issubclass(kind, BaseException) and is_pythons(module))
        if usual and getattr(sys.modules.get(module), name, None) is kind:
            return ["T", module, name]
        if (found := self.reference(kind)) is not None:
            return ["f", self.enter(kind), *found]
        tree = self.describe(kind)
        if lend:
            self.lent.add(self.numbers[id(kind)])
        return tree

    def describe(self, kind: Any) -> Any:
        """The tree of a class for which the other side makes a stand-in."""
        number = self.numbers.get(id(kind))
        if number is not None and number in self.held:
            return ["k", number]
        number = self.enter(kind)
        self.held.add(number)
        bases = [self.write_class(base) for base in map(_crossing, kind.__bases__) if base is not object]
        return ["k", number, kind.__name__, str(kind.__module__), bases, special_names(kind)]

    def write_exception(self, error: BaseException, depth: int = 0) -> Any:
        """The tree of an exception: class, arguments, attributes, causes, and its text if its class makes one."""
        number = self.enter(error)
        if number in self.written:
            return ["=", number]
        self.written.add(number)
        kind = self.write_class(type(error))
        if kind[0] in "kh":  # its class may have methods, which run here
            self.lent.add(number)
        own = type(error).__str__ is not builtin_base(type(error)).__str__
        causes = [None if cause is None or depth > 2 else self.write_exception(cause, depth + 1)
                  for cause in (error.__cause__, error.__context__)]  # fmt: skip
        state = {name: value for name, value in vars(error).items() if name != NUMBER}
        arguments = tuple(error.args)
        if isinstance(error, OSError) and error.filename is not None and len(arguments) == 2:
            arguments = *arguments, error.filename, None, error.filename2
        return ["x", number, kind, self.write(arguments, True), self.write(state), *causes,
                error.__suppress_context__, str(error)[:MOST_TEXT] if own else None]  # fmt: skip

    def changes(self) -> list[Any]:
        """The trees of the numbered values that changed since the sides last agreed and are not in this message."""
        trees: list[Any] = []
        for number, (form, parts) in list(self.before.items()):
            if number not in self.written and not unchanged(parts, form.take(self.things[number])):
                trees.append(self.write(self.things[number], True))
        return trees


def _crossing(base: Any) -> Any:
    """A base of a class as the other side has it: one of Python's own that it does not know is replaced by its base."""
    if base in VALUES or issubclass(base, BaseException) or not is_pythons(base.__module__):
        return base
    return next(one for one in base.__mro__ if one in VALUES)


def _bare(value: Any, base: Any) -> Any:
    """The plain value of an object of a class derived from a scalar's."""
    return base.__add__(value, base()) if base in (str, bytes) else base.__pos__(value)


def builtin_base(kind: type) -> Any:
    """The nearest of Python's own classes that a class is derived from."""
    return next(one for one in kind.__mro__ if one.__module__ == "builtins")


def _calibrate() -> int:
    """References to a part that only its container holds, as Python counts them in `TreeWriter.write`."""
    writer = TreeWriter(1, lambda *given: None)
    for least in range(1, 20):
        writer.base = least
        if writer.all([[[]]], False) == [["l", None, ["l", None]]]:
            return least
    raise AssertionError("no count of references")


TreeWriter.base = _calibrate()
