"""Stand-ins: objects of one side as the other side sees them. Each use asks the side where the object is.

A class of the other side becomes a class here with the same name, the same bases and only those special methods
that it has: so `len` of an object without a length fails, `isinstance` and `except` work, and Python's own rules
for operators (reflected ones, `NotImplemented`) hold. Standard library only.
"""

import builtins
import sys
import types
from collections.abc import Callable
from typing import Any

from evals.sandbox.guest.kinds import KINDS

# a private copy of builtins for every function below: a program that replaces Python's harms only itself
globals()["__builtins__"] = dict(vars(builtins))

BINARY = "add sub mul matmul truediv floordiv mod divmod pow lshift rshift and xor or".split()  # noqa: SIM905
COMPARISONS = ("__eq__", "__ne__", "__lt__", "__le__", "__gt__", "__ge__")
ARITHMETIC = tuple(f"__{prefix}{name}__" for prefix in ("", "r", "i") for name in BINARY)
OTHERS = (
    "hash bool len length_hint contains missing iter next reversed getitem setitem delitem call enter exit str repr "
    "format int float complex index round trunc floor ceil abs neg pos invert bytes fspath"
)
SPECIAL = (*COMPARISONS, *ARITHMETIC, *(f"__{name}__" for name in OTHERS.split()))
SPECIAL_NAMES = frozenset(SPECIAL)
# what may be read of a function or an object by a name with underscores
DATA = frozenset(
    ("__name__", "__qualname__", "__module__", "__doc__", "__dict__", "__annotations__", "__defaults__", "__wrapped__",
     "__kwdefaults__", "__code__", "__signature__", "__self__", "__func__", "__args__", "__type_params__")
)  # fmt: skip
TEXTS = ("__repr__", "__format__", "__missing__")  # of a class derived from a plain value's: the rest is the value's
ITERATORS = ("builtins", "itertools", "_collections", "collections", "re", "_sre", "numpy")
TEXT = "_text_on_the_other_side"
NUMBER = "_number_on_the_other_side"
MOST_AHEAD = 256  # items of an iterator that are fetched at once
ONE_BY_ONE = 16  # items at first: a test may look at what was done so far
VALUES = frozenset((object, int, float, complex, str, bytes, bool, *KINDS))  # their values cross as they are
TYPES = {kind.__name__: kind for kind in vars(types).values() if isinstance(kind, type)}

Ask = Callable[[str, int, tuple[Any, ...], dict[str, Any]], Any]


def _add_methods(base: Any) -> None:
    """Gives a stand-in's class its methods as functions, for `super` in a class that is derived from it."""
    number = base._class_number
    for name in base._ask("operator", number, ("dir",), {}):
        if name not in vars(base) and (name[:1] != "_" or name == "__init__"):
            found = base._ask("get", number, (name,), {})
            if type(found).__name__ == "function":
                type.__setattr__(base, name, _method(found))


def _method(function: Any) -> Any:
    return lambda self, *positional, **named: function(self, *positional, **named)


class StandInClass(type):
    """The class of the stand-ins' classes: calling one asks the other side to make an object.

    A class statement with a stand-in as its base makes the class on the other side, with the functions of this one.
    """

    _ask: Ask
    _class_number: int

    def __new__(cls, name: str, bases: tuple[type, ...], body: dict[str, Any]) -> Any:
        if "_class_number" in body or not any(isinstance(base, StandInClass) for base in bases):
            return type.__new__(cls, name, bases, body)
        if len(bases) > 1:
            raise TypeError(f"class {name}: a class of the program's as one of several bases")
        cell = body.pop("__classcell__", None)
        names = {one: value for one, value in body.items() if one != "__qualname__"}
        (base,) = bases
        _add_methods(base)
        made = base._ask("subclass", base._class_number, (name, names), {})  # type: ignore[attr-defined]
        type.__setattr__(made, "__getattribute__", _attribute)  # its methods come before those that `super` finds
        if cell is not None:
            cell.cell_contents = made
        return made

    def __call__(cls, *positional: Any, **named: Any) -> Any:
        return cls._ask("call", cls._class_number, positional, named)

    def __getattr__(cls, name: str) -> Any:
        if name in ("_ask", "_class_number") or (name.startswith("__") and name not in DATA) or cls is StandIn:
            raise AttributeError(name)
        value = cls._ask("get", cls._class_number, (name,), {})
        return value if name != "__signature__" else _signature(value)

    def __iter__(cls) -> Any:
        return iter(cls._ask("operator", cls._class_number, ("iter",), {}))

    def __len__(cls) -> int:
        return int(cls._ask("operator", cls._class_number, ("len",), {}))

    def __bool__(cls) -> bool:
        return True

    def __getitem__(cls, key: Any) -> Any:
        return cls._ask("operator", cls._class_number, ("item", key), {})

    def __contains__(cls, key: Any) -> bool:
        return any(member is key or member == key for member in cls)


class StandIn(metaclass=StandInClass):
    """An object that stayed on the other side."""

    __slots__ = (NUMBER, "__weakref__")

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") and name not in DATA:
            raise AttributeError(name)
        value = type(self)._ask("get", number_of(self), (name,), {})
        return value if name != "__signature__" else _signature(value)

    def __setattr__(self, name: str, value: Any) -> None:
        type(self)._ask("set", number_of(self), (name, value), {})

    def __delattr__(self, name: str) -> None:
        type(self)._ask("delete", number_of(self), (name,), {})

    def __dir__(self) -> list[str]:
        return list(type(self)._ask("operator", number_of(self), ("dir",), {}))

    def __copy__(self) -> Any:
        return type(self)._ask("operator", number_of(self), ("copy",), {})

    def __deepcopy__(self, memo: Any) -> Any:
        return type(self)._ask("operator", number_of(self), ("deepcopy",), {})

    def __reduce_ex__(self, protocol: Any) -> Any:
        raise TypeError(f"cannot pickle a {type(self).__name__} object of another process")


def number_of(value: Any) -> Any:
    """The number of a stand-in; None of any other value."""
    kind = type(value)
    if issubclass(kind, StandInClass):
        return value._class_number if "_class_number" in vars(value) else None
    if not isinstance(kind, StandInClass):
        return None
    return getattr(kind, NUMBER).__get__(value) if issubclass(kind, StandIn) else vars(value).get(NUMBER)


_special_names: dict[type, list[str]] = {}  # of some classes, found before a program is there


def special_names(kind: type) -> list[str]:
    """The special methods that a class has beside those of objects and plain values; "-" before one that it removed."""
    if kind in _special_names:
        return _special_names[kind]
    found: dict[str, str] = {}
    for base in kind.__mro__[::-1]:
        if base not in VALUES:
            own = base.__dict__
            found |= {name: name if own[name] is not None else "-" + name for name in SPECIAL_NAMES & own.keys()}
    return list(found.values())


def _signature(parts: Any) -> Any:
    import inspect

    returned, parameters = parts
    empty = inspect.Parameter.empty
    made = [
        inspect.Parameter(
            name, inspect._ParameterKind(kind), default=(*default, empty)[0], annotation=(*noted, empty)[0]
        )
        for name, kind, default, noted in parameters
    ]
    return inspect.Signature(made, return_annotation=(*returned, empty)[0])


def _forward(name: str) -> Callable[..., Any]:
    def forward(self: Any, *given: Any, **named: Any) -> Any:
        return type(self)._ask("special", number_of(self), (name, *given), named)

    forward.__name__ = forward.__qualname__ = name
    return forward


def _call(self: Any, *positional: Any, **named: Any) -> Any:
    return type(self)._ask("call", number_of(self), positional, named)


def _exit(self: Any, kind: Any, error: Any, trace: Any) -> Any:
    return type(self)._ask("special", number_of(self), ("__exit__", kind, error, None), {})


def _absent(self: Any) -> Any:
    raise AttributeError("__copy__")


def _doc(self: Any) -> Any:
    return type(self)._ask("get", number_of(self), ("__doc__",), {})


def _python_base(kind: type) -> Any:
    return next(one for one in kind.__mro__ if not isinstance(one, StandInClass))


def _text(self: Any) -> Any:
    return vars(self)[TEXT] if TEXT in vars(self) else _python_base(type(self)).__str__(self)


_special_names |= {kind: special_names(kind) for kind in (types.FunctionType, types.GeneratorType)}


class FetchedItems:
    """What was fetched of an iterator and not yet read: items, then perhaps the exception at its end."""

    def __init__(self) -> None:
        self.items: list[Any] = []
        self.read = 0
        self.batch = 1
        self.end: BaseException | None = None


def _next_of(readers: dict[int, FetchedItems], most: int) -> Callable[[Any], Any]:
    def read_next(self: Any) -> Any:
        number = number_of(self)
        reader = readers.setdefault(number, FetchedItems())
        if not reader.items:
            if reader.end is not None:
                error, reader.end = reader.end, None
                raise error
            items, ended, error = type(self)._ask("next", number, (reader.batch,), {})
            reader.items = list(items)[::-1]
            reader.end = error if isinstance(error, BaseException) else StopIteration() if ended else None
            if not reader.items:
                raise StopIteration if reader.end is None else reader.end
        reader.read += 1
        reader.batch = min(reader.batch * 2, most) if reader.read >= ONE_BY_ONE else 1
        return reader.items.pop()

    return read_next


def _iter_of(readers: dict[int, FetchedItems]) -> Callable[[Any], Any]:
    def iterate(self: Any) -> Any:
        readers.pop(number_of(self), None)
        return type(self)._ask("special", number_of(self), ("__iter__",), {})

    return iterate


def _attribute(self: Any, name: str) -> Any:
    """A name of an object whose class has a base here: its methods are those of the other side all the same."""
    return object.__getattribute__(self, name) if name[:2] == "__" else StandIn.__getattr__(self, name)


def _new_class(name: str, bases: tuple[type, ...], body: dict[str, Any]) -> Any:
    others = {type(base) for base in bases} - {type, StandInClass}
    try:
        maker = StandInClass if not others else type("StandInClass", (StandInClass, *others), {})
        kind: Any = maker.__new__(maker, name, bases, body)
        if others:
            kind.__abstractmethods__ = frozenset()  # abc: the other side makes the objects
    except TypeError:  # bases that do not go together here
        kind = StandInClass.__new__(StandInClass, name, (StandIn,), {**body, "__slots__": ()})
    return kind


async def awaited(ask: Ask, number: int) -> Any:
    """A coroutine of the other side's, which runs there."""
    return ask("await", number, (), {})


async def awaited_items(ask: Ask, number: int) -> Any:
    """An asynchronous generator of the other side's."""
    while True:
        items = ask("await items", number, (), {})
        if not items:
            return
        yield items[0]


class StandIns:
    """The classes of the other side, by number. limit: items of an iterator fetched at once."""

    def __init__(self, ask: Ask, limit: int = MOST_AHEAD) -> None:
        self.ask, self.limit = ask, limit
        self.classes: dict[int, Any] = {}
        self.readers: dict[int, FetchedItems] = {}

    def fetched(self, number: int) -> list[Any]:
        """The items of an iterator that were fetched and not read, which go back with it."""
        reader = self.readers.pop(number, None)
        return [] if reader is None else reader.items[::-1]

    def add_class(self, number: int, name: str, module: str, bases: tuple[type, ...], special: list[str]) -> Any:
        """The class that stands for one of the other side's, with its special methods."""
        real = TYPES.get(name) if module == "builtins" else None
        if real is None and module in sys.modules and module.partition(".")[0] in sys.stdlib_module_names:
            found = getattr(sys.modules[module], name, None)
            real = found if isinstance(found, type) and found not in VALUES else None
        values = any(base in VALUES or issubclass(base, BaseException) for base in bases if base is not object)
        body: dict[str, Any] = {"_ask": staticmethod(self.ask), "_class_number": number, "__module__": module}
        body |= {one[1:]: None for one in special if one[:1] == "-" and one[1:] in SPECIAL}
        if values:
            if any(issubclass(base, BaseException) for base in bases):
                body["__str__"] = _text
            body["__getattr__"] = StandIn.__getattr__
            body |= {one: _forward(one) for one in special if one in TEXTS}
        else:
            body |= {"__slots__": (), **{one: _forward(one) for one in special if one in SPECIAL}}
            body |= {one: method for one, method in (("__call__", _call), ("__exit__", _exit)) if one in body}
            if "__next__" in body:
                body["__copy__"] = property(_absent)  # itertools.tee reads on where there is none
                own = module not in ITERATORS  # of the program's: what it did so far can be seen in its attributes
                body["__next__"] = _next_of(self.readers, 1 if own else self.limit)
                body["__iter__"] = _iter_of(self.readers) if own and "__iter__" in body else lambda self: self
            if real is not None:
                body["__class__"], body["__doc__"] = property(lambda self: real), property(_doc)
            own_bases = tuple(base for base in bases if base is not object)
            if not any(isinstance(base, StandInClass) for base in own_bases):
                own_bases = (StandIn, *own_bases)
            if any(not isinstance(base, StandInClass) for base in own_bases):
                body["__getattribute__"] = _attribute
            bases = own_bases
        kind: Any = _new_class(name, bases, body)
        self.classes[number] = kind
        return kind

    def make(self, kind: Any, number: int) -> Any:
        """The stand-in of one object."""
        value = object.__new__(kind)
        getattr(kind, NUMBER).__set__(value, number)
        return value
