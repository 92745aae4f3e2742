"""One side's end of the object graph that a test and a program share.

A value crosses as a tree of JSON's types with tags (`evals.sandbox.guest.kinds`). What changes in place and may be seen
from elsewhere has a number that both sides use: so a result that is the argument is the argument, rows that are one
list are one list, and a change on one side reaches the other with the next message. What nobody else can see crosses
without a number, as a copy. Objects of a class that both sides define cross with their attributes. All others stay
where they are, and the other side has a stand-in (`evals.sandbox.guest.standins`). Standard library only.

The judge reads what a program sent with this same code: it constructs values of Python's and numpy's own types, of
the judge's own classes, and stand-ins, and runs nothing of the program's. Anything malformed raises.
"""

import builtins
import enum
import inspect
import operator
import sys
from collections.abc import Callable
from typing import Any

from evals.sandbox.guest.kinds import (
    BY_TAG,
    INTEGER,
    KINDS,
    MOST_BITS,
    NAN,
    SMALL,
    Kind,
    Refused,
    _flat,
    _pairs,
    base_kind,
    hexadecimal,
    rare,
)  # fmt: skip
from evals.sandbox.guest.standins import (
    NUMBER,
    VALUES,
    Ask,
    StandInClass,
    StandIns,
    awaited,
    awaited_items,
    number_of,
    special_names,
)  # fmt: skip

# a private copy of builtins for every function below: a program that replaces Python's harms only itself
globals()["__builtins__"] = dict(vars(builtins))

_references = sys.getrefcount
_SCALARS = frozenset((str, bool, type(None), int, float))
_TEXTS = frozenset((str, bool, type(None)))
_BY_VALUE = frozenset((str, int, float, bytes, tuple, bool))
CLASS_MODULES = ("builtins", "collections", "collections.abc", "datetime", "decimal", "fractions", "numbers", "enum",
                 "array", "uuid", "numpy", "pathlib", "types", "typing", "abc")  # fmt: skip
PYTHONS = frozenset((*sys.stdlib_module_names, "numpy")) - {"test"}  # "test" is the test's own namespace here
MOST_TEXT = 10_000  # characters of an exception's own text
NO_NUMBER = 1 << 60  # above every count of references: nothing gets a number


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


def _same(old: Any, new: Any) -> bool:
    return old is new or (type(old) is type(new) and type(old) in _BY_VALUE and old == new)


def _unchanged(old: list[Any], new: list[Any]) -> bool:
    return len(old) == len(new) and (all(map(operator.is_, old, new)) or all(map(_same, old, new)))


def _slots(kind: type) -> list[str]:
    names: list[str] = []
    for base in kind.__mro__:
        own = base.__dict__.get("__slots__", ())
        names += [own] if isinstance(own, str) else list(own)
    return [name for name in names if not name.startswith("__")]


class Graph:
    """The numbered objects of one side.

    sign       1: this side's numbers are 0, 1, ...; -1: they are -1, -2, ...
    ask        how a stand-in asks the other side: verb, number, positional, named
    reference  of a function or class of Python's own, its (module, name); None to keep it here
    """

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
        self.least = 0
        self.base = LEAST
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
            if _references(value) <= HELD and number not in self.lent and number not in self.held:
                del self.numbers[id(value)], self.things[number]
                self.before.pop(number, None)

    # writing

    def write(self, value: Any, watched: bool = False) -> Any:
        """The tree of a value. watched: whether something else may hold it too."""
        kind = type(value)
        if kind is str or kind is bool or value is None:
            return value
        if kind is int:
            return value if -SMALL < value < SMALL else self._large(value)
        if kind is float:
            return value if value == value else self._nan(value, watched or _references(value) > self.base)
        number = self.numbers.get(id(value))
        if number is not None and number in self.written:
            return ["=", number]
        form = KINDS.get(kind) or rare(value, kind) or self._mirrored(value, kind)
        if form is None:
            return self._other(value, kind, number)
        watched = watched or number is not None or _references(value) > self.base
        try:
            parts = form.take(value)
        except Refused:
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
            return ["E", kind.__name__, value.name if value.name in kind.__members__ else self.write(value.value)]
        if (found := self.reference(value)) is not None:
            number = self.enter(value)
            self.held.add(number)
            return ["f", number, *found]
        scalar = next((base for base in (bool, int, float, str, bytes, complex) if isinstance(value, base)), None)
        if scalar is not None:
            return self._stay(value, self.write(scalar.__new__(scalar, _bare(value, scalar))))
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
        if self.shared.get(kind.__name__) is kind:
            return ["G", kind.__name__]
        module, name = kind.__module__, kind.__qualname__
        usual = module in CLASS_MODULES or (issubclass(kind, BaseException) and _is_pythons(module))
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
        own = type(error).__str__ is not _builtin_base(type(error)).__str__
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
            if number not in self.written and not _unchanged(parts, form.take(self.things[number])):
                trees.append(self.write(self.things[number], True))
        return trees

    # reading

    def read(self, tree: Any) -> Any:
        """The value of a tree."""
        if type(tree) is not list:
            if type(tree) is dict:
                raise Refused("an untagged mapping")
            return tree
        tag, *parts = tree
        form = self.tags.get(tag)
        if form is None:
            return getattr(self, _READERS[tag])(*parts)
        if form.fill is None:
            return form.make([self.read(part) for part in parts])
        number, *parts = parts
        value = form.make(parts)
        if number is not None:
            known = self.things.get(self._checked(number))
            if known is not None and type(known) is type(value):
                value = known
            else:
                self.enter(value, number)
        form.fill(value, parts if plain_parts(parts) else [self.read(part) for part in parts])
        if number is not None:
            form = self._mirrored(value, type(value)) if form.tag == "M" else form
            assert form is not None
            self.before[number] = form, form.take(value)
        return value

    def _checked(self, number: Any) -> int:
        if type(number) is not int or abs(number) > NO_NUMBER:
            raise Refused("an object without a number")
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
            raise Refused("an object that was not lent")
        if fetched:
            items = [self.read(item) for item in fetched]
            value = (item for part in (items, value) for item in part)
        return value

    def _read_remote(self, number: Any, described: Any, content: Any = None) -> Any:
        kind = self.read(described)
        known = self.things.get(self._checked(number))
        if known is not None and type(known) is kind:
            return known
        if not isinstance(kind, StandInClass) or number in self.lent:
            raise Refused("an object of no class")
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
        if not isinstance(kind, type) or not (module in CLASS_MODULES or issubclass(kind, BaseException)):
            raise Refused("a class of no kind")
        return kind

    def _read_class(self, number: Any, *description: Any) -> Any:
        if self._checked(number) in self.stand_ins.classes:
            return self.stand_ins.classes[number]
        name, module, bases, special = description
        kinds = tuple(self.read(base) for base in bases)
        if not all(isinstance(kind, type) for kind in kinds) or type(name) is not str or type(module) is not str:
            raise Refused("a class of no kind")
        kind = self.stand_ins.add_class(number, name, module, kinds, special)
        self.enter(kind, number)
        self.held.add(number)
        return kind

    def _read_reference(self, number: Any, module: Any, name: Any) -> Any:
        if self.sign > 0:
            raise Refused("a reference to a function")
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
            raise Refused("an exception of no class")
        error = _raised(kind, arguments)
        for name, value in state.items():
            if type(name) is str and not hasattr(kind, name):
                vars(error)[name] = value
        if isinstance(kind, StandInClass):
            vars(error)[NUMBER] = number
            if type(parts[5]) is str:
                text = parts[5]
                kind.__str__ = lambda self: text
        error.__cause__ = cause if isinstance(cause, BaseException) else None
        error.__context__ = context if isinstance(context, BaseException) else None
        error.__suppress_context__ = parts[4] is True
        self.enter(error, number)
        return error

    # objects of classes that both sides define

    def _mirrored(self, value: Any, kind: type) -> Kind | None:
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
            return [name, len(inner), *inner, *_flat(state)]

        def take_tuple(value: Any) -> list[Any]:
            return [name, *tuple.__iter__(value)]

        fixed = found is not None and found[1].fill is None
        form = Kind("m", take_tuple, self._named_tuple) if fixed else Kind("M", take, self._empty, self._fill)
        self.mirrored[kind] = form
        return form

    def _empty(self, parts: list[Any]) -> Any:
        kind: Any = self.shared[parts[0]]
        if issubclass(kind, BaseException | enum.Enum):
            raise Refused("an object of another class")
        found = base_kind(kind)
        return (object if found is None else found[0]).__new__(kind)

    def _fill(self, value: Any, parts: list[Any]) -> None:
        _, count, *rest = parts
        found = base_kind(type(value))
        if found is not None and found[1].fill is not None:
            found[1].fill(value, rest[:count])
        state = _pairs(rest[count:])
        for name in list(state):
            own = inspect.getattr_static(type(value), name, None)
            if type(own).__name__ == "cached_property":
                del state[name]  # this side finds it itself
            elif callable(own) or (hasattr(own, "__get__") and type(own).__name__ != "member_descriptor"):
                raise Refused(f"an attribute over the method {name}")
        if hasattr(value, "__dict__"):
            vars(value).clear()
        for name, part in state.items():
            if type(name) is not str or name.startswith("__"):
                raise Refused("an attribute of no name")
            object.__setattr__(value, name, part)

    def _named_tuple(self, parts: list[Any]) -> Any:
        kind: Any = self.shared[parts[0]]
        if not issubclass(kind, tuple):
            return base_kind(kind)[0].__new__(kind, parts[1:])  # type: ignore[index]
        return tuple.__new__(kind, parts[1:])


def _is_pythons(module: str) -> bool:
    return module.partition(".")[0] in PYTHONS


def _crossing(base: Any) -> Any:
    """A base of a class as the other side has it: one of Python's own that it does not know is replaced by its base."""
    if base in VALUES or issubclass(base, BaseException) or not _is_pythons(base.__module__):
        return base
    return next(one for one in base.__mro__ if one in VALUES)


_AWAITED: dict[str, Callable[[Ask, int], Any]] = {"coroutine": awaited, "async_generator": awaited_items}
_READERS = {
    "=": "_known", INTEGER: "_read_integer", NAN: "_read_nan", "e": "_read_constant", "E": "_read_enum",
    "h": "_read_home", "o": "_read_remote", "G": "_read_global", "T": "_read_type", "k": "_read_class",
    "f": "_read_reference", "x": "_read_exception",
}  # fmt: skip


def _imported(module: str) -> Any:
    return sys.modules.get(module) or __import__(module, fromlist=["_"])


def _bare(value: Any, base: Any) -> Any:
    """The plain value of an object of a class derived from a scalar's."""
    if base is str or base is bytes:
        return base.__add__(value, base())
    return base.__pos__(value)


def _filled(kind: Any, content: Any) -> Any:
    """An object of a stand-in class that is derived from a plain value's class."""
    base = next((one for one in kind.__mro__ if type(content) is one), None)
    if base is None:
        raise Refused("content of another class")
    if base in KINDS and KINDS[base].fill is not None:
        value = base.__new__(kind)
        parts = KINDS[base].take(content)
        KINDS[base].fill(value, parts)  # type: ignore[misc]
        return value
    return base.__new__(kind, content)


def _builtin_base(kind: type) -> Any:
    return next(one for one in kind.__mro__ if one.__module__ == "builtins")


def _raised(kind: Any, arguments: tuple[Any, ...]) -> BaseException:
    """An exception of a class, made without running a method of the class itself."""
    base = _builtin_base(kind)
    if issubclass(base, UnicodeError) and len(arguments) == 5:
        start, end = arguments[2:4]
        if type(start) is not int or type(end) is not int or not 0 <= start <= end <= len(arguments[1]):
            raise Refused("an exception whose bounds are forged")
    try:
        error: BaseException = base.__new__(kind, *arguments)
        base.__init__(error, *arguments)
    except Exception:
        error = base.__new__(kind) if not issubclass(base, BaseExceptionGroup) else RuntimeError.__new__(RuntimeError)
    if not isinstance(error, OSError):
        error.args = arguments
    return error


def _calibrate() -> tuple[int, int]:
    """(references of a part that only its container holds, of a value that only the table holds), as Python counts."""
    graph = Graph(1, lambda *given: None)
    for least in range(1, 20):
        graph.base = least
        (tree,) = graph.all([[[]]], False)
        if tree == ["l", None, ["l", None]]:
            break
    table = {0: [None]}
    for number in list(table):
        value = table[number]
        held = _references(value)
    return least, held


LEAST = HELD = 0
LEAST, HELD = _calibrate()
