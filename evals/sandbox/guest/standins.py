"""Stand-ins: objects of one side as the other side sees them. Each use asks the side where the object is.

A class of the other side becomes a class here with the same name, the same bases and only those special methods
that it has: so `len` of an object without a length fails, `isinstance` and `except` work, and Python's own rules
for operators (reflected ones, `NotImplemented`) hold. Standard library only.
"""

import builtins
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
# what may be read of a function or an object by a name with underscores
DATA = frozenset(
    ("__name__", "__qualname__", "__module__", "__doc__", "__dict__", "__annotations__", "__defaults__", "__wrapped__",
     "__kwdefaults__", "__code__", "__signature__", "__self__", "__func__", "__args__", "__type_params__")
)  # fmt: skip
TEXTS = ("__repr__", "__format__", "__missing__")  # of a class derived from a plain value's: the rest is the value's
NUMBER = "_number_on_the_other_side"
MOST_AHEAD = 256  # items of an iterator that are fetched at once
VALUES = frozenset((object, int, float, complex, str, bytes, bool, *KINDS))  # their values cross as they are
TYPES = {kind.__name__: kind for kind in vars(types).values() if isinstance(kind, type)}

Ask = Callable[[str, int, tuple[Any, ...], dict[str, Any]], Any]


class StandInClass(type):
    """The class of the stand-ins' classes: calling one asks the other side to make an object."""

    _ask: Ask
    _class_number: int

    def __call__(cls, *positional: Any, **named: Any) -> Any:
        return cls._ask("call", cls._class_number, positional, named)

    def __getattr__(cls, name: str) -> Any:
        if name.startswith("__") and name not in DATA:
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

    __slots__ = (NUMBER,)

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
    if kind is StandInClass:
        return value._class_number if "_class_number" in vars(value) else None
    if type(kind) is not StandInClass:
        return None
    return getattr(kind, NUMBER).__get__(value) if issubclass(kind, StandIn) else vars(value).get(NUMBER)


def special_names(kind: type) -> list[str]:
    """The special methods that a class has beside those of objects and plain values; "-" before one that it removed."""
    found = []
    for name in SPECIAL:
        for base in kind.__mro__:
            if base not in VALUES and name in base.__dict__:
                found.append(name if base.__dict__[name] is not None else "-" + name)
                break
    return found


def _signature(parameters: list[Any]) -> Any:
    import inspect

    return inspect.Signature([
        inspect.Parameter(name, inspect._ParameterKind(kind), default=value if given else inspect.Parameter.empty)
        for name, kind, given, value in parameters
    ])  # fmt: skip


def _forward(name: str) -> Callable[..., Any]:
    def forward(self: Any, *given: Any, **named: Any) -> Any:
        return type(self)._ask("special", number_of(self), (name, *given), named)

    forward.__name__ = forward.__qualname__ = name
    return forward


def _call(self: Any, *positional: Any, **named: Any) -> Any:
    return type(self)._ask("call", number_of(self), positional, named)


def _exit(self: Any, kind: Any, error: Any, trace: Any) -> Any:
    return type(self)._ask("special", number_of(self), ("__exit__", kind, error, None), {})


def _doc(self: Any) -> Any:
    return type(self)._ask("get", number_of(self), ("__doc__",), {})


class _Reader:
    """What was fetched of an iterator and not yet read: items, then perhaps the exception at its end."""

    def __init__(self) -> None:
        self.items: list[Any] = []
        self.batch = 1
        self.end: BaseException | None = None


def _next_of(readers: dict[int, _Reader], limit: int) -> Callable[[Any], Any]:
    def read_next(self: Any) -> Any:
        number = number_of(self)
        reader = readers.setdefault(number, _Reader())
        if not reader.items:
            if reader.end is not None:
                error, reader.end = reader.end, None
                raise error
            items, ended, error = type(self)._ask("next", number, (reader.batch,), {})
            reader.batch = min(reader.batch * 2, limit)
            reader.items = list(items)[::-1]
            reader.end = error if isinstance(error, BaseException) else StopIteration() if ended else None
            if not reader.items:
                return read_next(self) if reader.end is not None else None
        return reader.items.pop()

    return read_next


class StandIns:
    """The classes of the other side, by number. limit: items of an iterator fetched at once."""

    def __init__(self, ask: Ask, limit: int = MOST_AHEAD) -> None:
        self.ask, self.limit = ask, limit
        self.classes: dict[int, Any] = {}
        self.readers: dict[int, _Reader] = {}

    def fetched(self, number: int) -> list[Any]:
        """The items of an iterator that were fetched and not read, which go back with it."""
        reader = self.readers.pop(number, None)
        return [] if reader is None else reader.items[::-1]

    def add_class(self, number: int, name: str, module: str, bases: tuple[type, ...], special: list[str]) -> Any:
        """The class that stands for one of the other side's, with its special methods."""
        real = TYPES.get(name) if module == "builtins" else None
        body: dict[str, Any] = {"_ask": staticmethod(self.ask), "_class_number": number, "__module__": module}
        plain = not any(type(base) is type and base is not object for base in bases)
        for one in special:
            if one in SPECIAL and plain:
                body[one] = _forward(one)
            elif one[:1] == "-" and one[1:] in SPECIAL:
                body[one[1:]] = None
        if "__call__" in body:
            body["__call__"] = _call
        if "__exit__" in body:
            body["__exit__"] = _exit
        if "__next__" in body:
            body["__next__"], body["__iter__"] = _next_of(self.readers, self.limit), lambda self: self
        if real is not None:
            body["__class__"], body["__doc__"] = property(lambda self: real), property(_doc)
        if plain:
            body["__slots__"] = ()
            bases = tuple(base for base in bases if base is not object) or (StandIn,)
        else:
            body["__getattr__"] = StandIn.__getattr__
            body |= {one: _forward(one) for one in special if one in TEXTS}
        try:
            kind: Any = StandInClass.__new__(StandInClass, name, bases, body)
        except TypeError:  # bases that do not go together here
            kind = StandInClass.__new__(StandInClass, name, (StandIn,), {**body, "__slots__": ()})
        self.classes[number] = kind
        return kind

    def make(self, kind: Any, number: int) -> Any:
        """The stand-in of one object."""
        value = object.__new__(kind)
        getattr(kind, NUMBER).__set__(value, number)
        return value
