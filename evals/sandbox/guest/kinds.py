"""The kinds of values that cross the channel with their exact type: how each is taken apart and put together.

Both sides use this table, so a value comes back as it went. It holds only types whose methods are Python's or
numpy's own: nothing of a program runs when a value is read. A kind that changes in place is made empty and then
filled, so that a value which holds itself can be read. What is too large to be compared within a time limit is
refused. Standard library only; a module that a program did not import is not imported to write its values.
"""

import builtins
import sys
from collections import ChainMap, Counter, OrderedDict, UserDict, UserList, UserString, defaultdict, deque
from collections.abc import Callable, Iterable
from math import prod
from types import MappingProxyType, SimpleNamespace
from typing import Any, NamedTuple

# a private copy of builtins for every function below: a program that replaces Python's harms only itself
globals()["__builtins__"] = dict(vars(builtins))

SMALL = 1 << 63  # larger integers are sent as hexadecimal: no digit limit, no quadratic conversion
MOST_BITS = 1 << 24
MOST_EXPONENT = 100_000  # of a Decimal: int(Decimal("1e999999")) would keep the judge busy in C
MOST_DTYPE = 16  # characters of an array's type
MOST_ITEM = 1024  # bytes of one item of an array


class RefusedValue(Exception):
    """A value that may not cross: it stays where it is."""


class Kind(NamedTuple):
    """One kind. tag: its name in a message.

    take  its parts, which are written in turn
    make  the value of its parts; an empty one of the parts as they came if it changes in place
    fill  fills a value that changes in place with its parts; None for a kind that does not
    """

    tag: str
    take: Callable[[Any], list[Any]]
    make: Callable[[list[Any]], Any]
    fill: Callable[[Any, list[Any]], None] | None = None


def flat(items: Iterable[tuple[Any, Any]]) -> list[Any]:
    """The parts of pairs, one after another."""
    return [part for item in items for part in item]


def pairs(parts: list[Any]) -> dict[Any, Any]:
    """The mapping of parts that follow one another."""
    return dict(zip(parts[::2], parts[1::2], strict=True))


def _fill_dict(value: dict[Any, Any], parts: list[Any]) -> None:
    given = pairs(parts)
    dict.clear(value)
    for key, part in given.items():
        dict.__setitem__(value, key, part)


def _fill_ordered(value: OrderedDict[Any, Any], parts: list[Any]) -> None:
    OrderedDict.clear(value)
    for key, part in pairs(parts).items():
        OrderedDict.__setitem__(value, key, part)


def _fill_default(value: defaultdict[Any, Any], parts: list[Any]) -> None:
    value.default_factory = parts[0]
    _fill_dict(value, parts[1:])


def _fill_list(value: list[Any], parts: list[Any]) -> None:
    list.__setitem__(value, slice(None), parts)


def _fill_set(value: set[Any], parts: list[Any]) -> None:
    set.clear(value)
    set.update(value, parts)


def _fill_deque(value: deque[Any], parts: list[Any]) -> None:
    deque.clear(value)
    deque.extend(value, parts[1:])


def _fill_bytes(value: bytearray, parts: list[Any]) -> None:
    value[:] = parts[0].encode("latin-1")


def _fill_state(value: Any, parts: list[Any]) -> None:
    vars(value).clear()
    vars(value).update(pairs(parts))


def _setter(name: str) -> Callable[[Any, list[Any]], None]:
    return lambda value, parts: setattr(value, name, parts[0])


def hexadecimal(parts: list[Any]) -> int:
    """The integer of its hexadecimal digits."""
    (text,) = parts
    if type(text) is not str or len(text) > MOST_BITS // 4 + 4:
        raise RefusedValue("an integer of too many digits")
    return int(text, 16)


def _take_decimal(value: Any) -> list[Any]:
    _, digits, exponent = value.as_tuple()
    if not isinstance(exponent, str) and (abs(exponent) > MOST_EXPONENT or len(digits) > MOST_EXPONENT):
        raise RefusedValue("a Decimal of too many digits")
    return [str(value)]


def _make_decimal(parts: list[Any]) -> Any:
    (text,) = parts
    if type(text) is not str or len(text) > MOST_EXPONENT + 20:
        raise RefusedValue("a Decimal of too many digits")
    value = _named("decimal", "Decimal")(text)
    _take_decimal(value)
    return value


def _make_fraction(parts: list[Any]) -> Any:
    if list(map(type, parts)) != [int, int]:  # of a text it would compute any power of ten
        raise RefusedValue("a Fraction of other parts")
    return _named("fractions", "Fraction")(*parts)


def _bytes(parts: list[Any]) -> bytes:
    text: str = parts[0]
    return text.encode("latin-1")


def _named(module: str, name: str) -> Any:
    loaded = sys.modules.get(module) or __import__(module, fromlist=[name])
    return getattr(loaded, name)


def _call(module: str, name: str) -> Callable[[list[Any]], Any]:
    return lambda parts: _named(module, name)(*parts)


def _dtype(text: Any) -> Any:
    if type(text) is not str or len(text) > MOST_DTYPE:
        raise RefusedValue("an array of that type")
    kind = _named("numpy", "dtype")(text)
    if kind.kind not in "biufcSUMm" or kind.itemsize > MOST_ITEM:
        raise RefusedValue("an array of that type")
    return kind


def _take_numpy(value: Any) -> list[Any]:
    """[type, shape, bytes] of an array or a scalar."""
    _dtype(value.dtype.str)
    return [value.dtype.str, value.shape, bytes.decode(value.tobytes(), "latin-1")]


def _make_array(parts: list[Any]) -> Any:
    kind, shape, data = parts
    return _named("numpy", "frombuffer")(data.encode("latin-1"), _dtype(kind)).reshape(shape).copy()


def _empty_array(parts: list[Any]) -> Any:
    kind, shape, _ = parts  # the shape as it came: a tagged tuple
    sizes = tuple(shape[1:])
    if any(type(size) is not int for size in sizes) or prod(sizes) * _dtype(kind).itemsize != len(parts[2]):
        raise RefusedValue("an array of another size")
    return _named("numpy", "zeros")(sizes, _dtype(kind))


def _fill_array(value: Any, parts: list[Any]) -> None:
    value[...] = _make_array(parts)


def _fill_typed(value: Any, parts: list[Any]) -> None:
    value[:] = type(value)(parts[0], parts[1:])


def _uuid(parts: list[Any]) -> Any:
    return _named("uuid", "UUID")(*parts)


# tag, type, and how; those that change in place have a `fill`
KINDS: dict[type, Kind] = {
    list: Kind("l", list, lambda parts: [], _fill_list),
    dict: Kind("d", lambda v: flat(dict.items(v)), lambda parts: {}, _fill_dict),
    set: Kind("s", list, lambda parts: set(), _fill_set),
    bytearray: Kind("B", lambda v: [bytes.decode(bytes(v), "latin-1")], lambda parts: bytearray(), _fill_bytes),
    deque: Kind("q", lambda v: [v.maxlen, *deque.__iter__(v)], lambda parts: deque(maxlen=parts[0]), _fill_deque),
    defaultdict: Kind("D", lambda v: [v.default_factory, *flat(dict.items(v))], lambda parts: defaultdict(),
                      _fill_default),
    Counter: Kind("C", lambda v: flat(dict.items(v)), lambda parts: Counter(), _fill_dict),
    OrderedDict: Kind("O", lambda v: flat(OrderedDict.items(v)), lambda parts: OrderedDict(), _fill_ordered),
    UserList: Kind("ul", lambda v: [v.data], lambda parts: UserList(), _setter("data")),
    UserDict: Kind("ud", lambda v: [v.data], lambda parts: UserDict(), _setter("data")),
    UserString: Kind("us", lambda v: [v.data], lambda parts: UserString(""), _setter("data")),
    ChainMap: Kind("cm", lambda v: [v.maps], lambda parts: ChainMap(), _setter("maps")),
    SimpleNamespace: Kind("sn", lambda v: flat(vars(v).items()), lambda parts: SimpleNamespace(), _fill_state),
    tuple: Kind("t", list, tuple),
    frozenset: Kind("z", list, frozenset),
    bytes: Kind("b", lambda v: [bytes.decode(v, "latin-1")], _bytes),
    complex: Kind("c", lambda v: [v.real, v.imag], lambda parts: complex(*parts)),
    range: Kind("r", lambda v: [v.start, v.stop, v.step], lambda parts: range(*parts)),
    slice: Kind("sl", lambda v: [v.start, v.stop, v.step], lambda parts: slice(*parts)),
    memoryview: Kind("mv", lambda v: [v.tobytes()], lambda parts: memoryview(parts[0])),
    MappingProxyType: Kind("mp", lambda v: [dict(v)], lambda parts: MappingProxyType(parts[0])),
    type({}.keys()): Kind("K", lambda v: [dict(v.mapping)], lambda parts: parts[0].keys()),
    type({}.values()): Kind("V", lambda v: [dict(v.mapping)], lambda parts: parts[0].values()),
    type({}.items()): Kind("I", lambda v: [dict(v.mapping)], lambda parts: parts[0].items()),
}  # fmt: skip


def _path(name: str) -> Kind:
    return Kind(f"p{name}", lambda v: [str(v)], _call("pathlib", name))


# (module, class) -> kind, for modules that may not have been imported
RARE: dict[tuple[str, str], Kind] = {
    ("decimal", "Decimal"): Kind("Dc", _take_decimal, _make_decimal),
    ("fractions", "Fraction"): Kind("F", lambda v: [v.numerator, v.denominator], _make_fraction),
    ("datetime", "datetime"): Kind("dt", lambda v: [v.isoformat()],
                                   lambda parts: _named("datetime", "datetime").fromisoformat(*parts)),
    ("datetime", "date"): Kind("da", lambda v: [v.isoformat()],
                               lambda parts: _named("datetime", "date").fromisoformat(*parts)),
    ("datetime", "time"): Kind("ti", lambda v: [v.isoformat()],
                               lambda parts: _named("datetime", "time").fromisoformat(*parts)),
    ("datetime", "timedelta"): Kind("td", lambda v: [v.days, v.seconds, v.microseconds],
                                    _call("datetime", "timedelta")),
    ("array", "array"): Kind("a", lambda v: [v.typecode, *v.tolist()],
                             lambda parts: _named("array", "array")(parts[0]), _fill_typed),
    ("numpy", "ndarray"): Kind("n", _take_numpy, _empty_array, _fill_array),
    ("re", "Pattern"): Kind("re", lambda v: [v.pattern, v.flags], _call("re", "compile")),
    ("uuid", "UUID"): Kind("uu", lambda v: [str(v)], _uuid),
    **{("pathlib", name): _path(name) for name in
       ("PosixPath", "PurePosixPath", "PureWindowsPath", "Path", "PurePath")},
}  # fmt: skip
NUMPY_SCALAR = Kind("g", _take_numpy, lambda parts: _make_array(parts)[()])
INTEGER, NAN = "i", "N"  # a large integer; a number that is not one, which has an identity
BY_TAG = {kind.tag: kind for kind in (*KINDS.values(), *RARE.values(), NUMPY_SCALAR)}


def module_of(kind: type) -> str:
    """The module under which programs know a class; Python 3.13 defines paths in a part of pathlib."""
    module = kind.__module__
    return "pathlib" if type(module) is str and module == "pathlib._local" else module


def rare(value: Any, kind: type) -> Kind | None:
    """The kind of a value of a class outside builtins and collections; None if it has none."""
    module, name = module_of(kind), kind.__qualname__
    if module not in sys.modules:
        return None
    if module == "numpy" and isinstance(value, _named("numpy", "generic")) and value.dtype.kind in "biufcSUMm":
        return NUMPY_SCALAR if type(value.dtype.type) is type(kind) else None
    known = RARE.get((module, name))
    if known is None or getattr(sys.modules[module], name, None) is not kind:
        return None
    return known if known.tag != "n" or value.dtype.kind in "biufcSUMm" else None


def base_kind(kind: type) -> tuple[type, Kind] | None:
    """The first builtin base of a class whose values have parts: (base, kind)."""
    for base in kind.__mro__[1:]:
        if (known := KINDS.get(base)) is not None:
            return base, known
    return None
