"""Reading trees as values: one half of `evals.sandbox.guest.graph`. Standard library only.

It constructs values of Python's and numpy's own types, of classes that both sides define, and stand-ins; no code that
came with a tree is executed. Malformed trees raise; what they raise is `evals.sandbox.judge.values.MALFORMED`.
"""

import builtins
import sys
from collections.abc import Callable
from typing import Any

from evals.sandbox.guest.kinds import INTEGER, KINDS, NAN, RefusedValue, hexadecimal
from evals.sandbox.guest.standins import NUMBER, TEXT, Ask, StandInClass, awaited, awaited_items
from evals.sandbox.guest.table import CLASS_MODULES, NO_NUMBER, NumberTable, is_pythons
from evals.sandbox.guest.writing import builtin_base, plain_parts

# a private copy of builtins for every function below: a program that replaces Python's harms only itself
globals()["__builtins__"] = dict(vars(builtins))


class TreeReader(NumberTable):
    """Reads trees."""

    def read(self, tree: Any) -> Any:
        """The value of a tree."""
        if type(tree) is not list:
            if type(tree) is dict:
                raise RefusedValue("an untagged mapping")
            return tree
        tag, *parts = tree
        form = self.tags.get(tag)
        if form is None:
            return getattr(self, _READERS[tag])(*parts)
        if form.fill is None:
            return form.make(self._all(parts))
        number, *parts = parts
        value = form.make(parts)
        if number is not None:
            known = self.things.get(self._checked(number))
            if known is not None and type(known) is type(value):
                value = known
            else:
                self.enter(value, number)
        form.fill(value, self._all(parts))
        if number is not None:
            form = self.form_of(type(value)) if form.tag == "M" else form
            assert form is not None
            self.before[number] = form, form.take(value)
        return value

    def _all(self, trees: list[Any]) -> list[Any]:
        return trees if plain_parts(trees) else [self.read(tree) for tree in trees]

    def _checked(self, number: Any, theirs: bool = False) -> int:
        if type(number) is not int or abs(number) > NO_NUMBER or (theirs and (number < 0) == (self.sign < 0)):
            raise RefusedValue("an object without a number")
        return number

    def _known(self, number: Any) -> Any:
        return self.things[self._checked(number)]

    def _read_integer(self, *parts: Any) -> int:
        return hexadecimal(list(parts))

    def _read_nan(self, number: Any) -> float:
        if number is None or self._checked(number) not in self.things:
            value = float("nan")
            if number is not None:
                self.enter(value, number)
            return value
        return self.things[number]  # type: ignore[no-any-return]

    def _read_constant(self, is_ellipsis: Any) -> Any:
        return ... if is_ellipsis is True else NotImplemented

    def _read_enum(self, name: Any, value: Any) -> Any:
        kind: Any = self.shared[name]
        return kind.__members__[value] if type(value) is str and value in kind.__members__ else kind(self.read(value))

    def _read_home(self, number: Any, *fetched: Any) -> Any:
        value = self.things[self._checked(number)]
        if number not in self.lent and number not in self.held:
            raise RefusedValue("an object that was not lent")
        if fetched:
            items = [self.read(item) for item in fetched]
            value = (item for part in (items, value) for item in part)
        return value

    def _read_remote(self, number: Any, described: Any, content: Any = None) -> Any:
        kind = self.read(described)
        known = self.things.get(self._checked(number, theirs=True))
        if known is not None and type(known) is kind:
            return known
        if not isinstance(kind, StandInClass) or number in self.lent:
            raise RefusedValue("an object of no class")
        if kind.__module__ == "builtins" and kind.__name__ in _AWAITED:
            return _AWAITED[kind.__name__](self.stand_ins.ask, number)
        if content is not None and not issubclass(kind, BaseException):
            value = _filled(kind, self.read(content))
            vars(value)[NUMBER] = number
        else:
            value = self.stand_ins.make(kind, number)
        self.enter(value, number)
        return value

    def _read_global(self, name: Any) -> type:
        return self.shared[name]

    def _read_type(self, module: Any, name: Any) -> Any:
        kind = getattr(sys.modules[module] if self.sign > 0 else _imported(module), name)
        if not isinstance(kind, type) or not is_pythons(module):
            raise RefusedValue("a class of no kind")
        if module not in CLASS_MODULES and not issubclass(kind, BaseException):
            raise RefusedValue("a class of no kind")
        return kind

    def _read_class(self, number: Any, *description: Any) -> Any:
        if self._checked(number, theirs=True) in self.stand_ins.classes:
            return self.stand_ins.classes[number]
        name, module, bases, special = description
        kinds = tuple(self.read(base) for base in bases)
        if not all(isinstance(kind, type) for kind in kinds) or type(name) is not str or type(module) is not str:
            raise RefusedValue("a class of no kind")
        kind = self.stand_ins.add_class(number, name, module, kinds, special)
        self.enter(kind, number)
        self.held.add(number)
        return kind

    def _read_reference(self, number: Any, module: Any, name: Any) -> Any:
        if self.sign > 0:
            raise RefusedValue("a reference to a function")
        if number in self.things:
            return self.things[number]
        if module is None:
            import pickle

            value = pickle.loads(name)  # noqa: S301 (from the judge)
        else:
            value = _imported(module)
            for part in name.split(".") if name else ():
                value = getattr(value, part)
        self.enter(value, number)
        self.held.add(number)
        return value

    def _read_exception(self, number: Any, kind: Any, *parts: Any) -> BaseException:
        known = self.things.get(self._checked(number))
        if isinstance(known, BaseException):
            return known
        kind, (arguments, state, cause, context) = self.read(kind), map(self.read, parts[:4])
        if not (isinstance(kind, type) and issubclass(kind, BaseException) and type(arguments) is tuple):
            raise RefusedValue("an exception of no class")
        error = _raised(kind, arguments)
        for name, value in state.items():
            if type(name) is str and not hasattr(kind, name):
                vars(error)[name] = value
        if isinstance(kind, StandInClass):
            vars(error)[NUMBER] = number
            if type(parts[5]) is str:
                vars(error)[TEXT] = parts[5]
        error.__cause__ = cause if isinstance(cause, BaseException) else None
        error.__context__ = context if isinstance(context, BaseException) else None
        error.__suppress_context__ = parts[4] is True
        self.enter(error, number)
        return error


_AWAITED: dict[str, Callable[[Ask, int], Any]] = {"coroutine": awaited, "async_generator": awaited_items}
_READERS = {
    "=": "_known", INTEGER: "_read_integer", NAN: "_read_nan", "e": "_read_constant", "E": "_read_enum",
    "h": "_read_home", "o": "_read_remote", "G": "_read_global", "T": "_read_type", "k": "_read_class",
    "f": "_read_reference", "x": "_read_exception",
}  # fmt: skip


def _imported(module: str) -> Any:
    return sys.modules.get(module) or __import__(module, fromlist=["_"])


def _filled(kind: Any, content: Any) -> Any:
    """An object of a stand-in class that is derived from a plain value's class."""
    base: Any = next((one for one in kind.__mro__ if type(content) is one), None)
    if base is None:
        raise RefusedValue("content of another class")
    if base in KINDS and KINDS[base].fill is not None:
        value = base.__new__(kind)
        parts = KINDS[base].take(content)
        KINDS[base].fill(value, parts)  # type: ignore[misc]
        return value
    return base.__new__(kind, content)


def _raised(kind: Any, arguments: tuple[Any, ...]) -> BaseException:
    """An exception of a class, made without running a method of the class itself."""
    base = builtin_base(kind)
    if issubclass(base, UnicodeError) and len(arguments) == 5:
        start, end = arguments[2:4]
        if type(start) is not int or type(end) is not int or not 0 <= start <= end <= len(arguments[1]):
            raise RefusedValue("an exception whose bounds are forged")
    try:
        error: BaseException = base.__new__(kind, *arguments)
        base.__init__(error, *arguments)
    except Exception:
        error = base.__new__(kind) if not issubclass(base, BaseExceptionGroup) else RuntimeError.__new__(RuntimeError)
    if not isinstance(error, OSError):
        error.args = arguments
    return error
