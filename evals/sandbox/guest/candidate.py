# ruff: noqa: S102
"""The candidate's side of the channel: loads one program, executes calls, returns plain data.

It runs in the same interpreter as the completion, so the judge trusts none of its messages: it knows no
test, no expected value and no verdict, and `evals.sandbox.judge.channel` reads each message as an answer
and nothing else. It only has to serve honest programs: values keep their types, exceptions their class,
and lists changed in place are sent back.

To the candidate: marshal (the judge is trusted here). Back: a kind byte and JSON, which the judge
can parse safely. Kinds: c compiled, o loaded, v plain value, t tagged value, n tagged and not exactly plain,
x exception, k call of one of the test's functions, f a fault of the sandbox. Standard library only.
"""

import builtins
import contextlib
import io
import json.encoder
import linecache
import marshal
import os
import pickle
import struct
import sys
import types
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from evals.sandbox.guest.faithful import exactly_plain

# a private copy of builtins for every function below: a program that replaces Python's harms only itself
globals()["__builtins__"] = dict(vars(builtins))

MODULE = "solution"  # not __main__: main blocks must not run
FILE = "/tmp/solution.py"  # the value of __file__; no such file exists  # noqa: S108
SMALL = 1 << 63  # larger integers are sent as hexadecimal: no digit limit, no quadratic conversion
MOST_BITS = 1 << 24  # a larger integer is sent as an object that equals nothing
MOST_EXPONENT = 100_000  # of a Decimal: int(Decimal("1e999999")) would keep the judge busy in C
TEXT = 500  # characters of an exception's message
SIMPLE = frozenset((str, bool, type(None), float))
BUILTIN = {id(v): k for k, v in vars(builtins).items() if isinstance(v, type)}
_loads, _marshal, _write, _read, _pack = marshal.loads, marshal.dumps, os.write, os.read, struct.pack


def _refuse(value: Any) -> Any:
    raise TypeError(type(value).__name__)


# json.dumps without the parts that a program may have replaced
_C: Any = json.encoder
_encode = _C.c_make_encoder(None, _refuse, _C.encode_basestring_ascii, None, ":", ",", False, False, True)


def _dumps(value: Any) -> str:
    return "".join(_encode(value, 0))


class Ended(BaseException):
    """The judge hung up."""


class CandidateChannel:
    """The frames over one descriptor (or one for each direction), and the numbered objects that stay here."""

    def __init__(self, number: int, out: int) -> None:
        self.number, self.out = number, out
        self.data = b""
        self.kept: list[Any] = []
        self.numbers: dict[int, int] = {}
        self.classes: dict[str, type] = {}  # defined by the prompt: their objects are sent by value, under a number
        self.mirrored: dict[int, Any] = {}
        self.mirrored_numbers: dict[int, int] = {}
        self.written: set[int] = set()  # mirrored already in this payload

    def read(self, size: int) -> bytes:
        """Exactly `size` bytes."""
        while len(self.data) < size:
            if not (more := _read(self.number, max(65536, size - len(self.data)))):
                raise Ended
            self.data += more
        taken, self.data = self.data[:size], self.data[size:]
        return taken

    def message(self) -> Any:
        """The judge's next message."""
        return _loads(self.read(int.from_bytes(self.read(4), "little")))

    def send(self, sequence: int, kind: bytes, payload: bytes = b"") -> None:
        """One reply."""
        frame = _pack("<IIc", len(payload) + 5, sequence, kind) + payload
        while frame:
            frame = frame[_write(self.out, frame) :]

    def keep(self, thing: Any) -> int:
        """The number under which an object that cannot be sent is kept."""
        if (number := self.numbers.get(id(thing))) is None:
            number = self.numbers[id(thing)] = len(self.kept)
            self.kept.append(thing)
        return number

    def mirror(self, number: int, thing: Any) -> Any:
        """Records an object that the judge has too, under the number that both sides use."""
        self.mirrored[number], self.mirrored_numbers[id(thing)] = thing, number
        return thing

    def tag_mirrored(self, thing: Any) -> Any:
        """Tags an object of a class of the prompt, with its attributes the first time; None for any other object."""
        number = self.mirrored_numbers.get(id(thing))
        kind = type(thing)
        if number is None:
            if self.classes.get(kind.__name__) is not kind or not hasattr(thing, "__dict__"):
                return None
            number = -1 - len(self.mirrored)  # the judge's own numbers are not negative
            self.mirror(number, thing)
        if number in self.written:
            return ["O", number, kind.__name__]
        self.written.add(number)
        state = [(k, v) for k, v in vars(thing).items() if not isinstance(v, Outside)]
        return ["O", number, kind.__name__, _mapping("d", state, self)]


class Outside:
    """A stand-in for one of the test's functions: calling it asks the judge."""

    def __init__(self, session: "Session", number: int) -> None:
        self.session, self.number = session, number

    def __call__(self, *positional: Any, **named: Any) -> Any:
        channel = self.session.channel
        channel.written.clear()
        payload = _dumps(["l", self.number, tag_value(positional, channel), tag_value(named, channel)])
        channel.send(self.session.sequence, b"k", payload.encode())
        (result,), raised = self.session.arguments(channel.message())
        if raised:
            raise result
        return result


def report_fault(number: int, text: str) -> None:
    """Reports that the sandbox itself failed, before any program was read."""
    CandidateChannel(number, number).send(0, b"f", text.encode())


def is_plain(value: Any) -> bool:
    """Whether JSON preserves the value: strict scalars, lists of them, string-keyed dicts."""
    kind = type(value)
    if kind in SIMPLE:
        return True
    if kind is int:
        return bool(-SMALL < value < SMALL)
    if kind is list:
        kinds = set(map(type, value))
        if kinds == {int}:
            return bool(min(value) > -SMALL and max(value) < SMALL)
        return bool(kinds <= SIMPLE or all(map(is_plain, value)))
    if kind is dict:
        return set(map(type, value)) <= {str} and all(map(is_plain, value.values()))
    return False


def _number(value: int) -> Any:
    value = int.__int__(value)
    if -SMALL < value < SMALL:
        return value
    return ["i", hex(value)] if value.bit_length() <= MOST_BITS else None


def _decimal(value: Any, kind: Any) -> Any:
    _, digits, exponent = value.as_tuple()
    if not isinstance(exponent, str) and (abs(exponent) > MOST_EXPONENT or len(digits) > MOST_EXPONENT):
        return None
    return ["D", kind.__str__(value)]


def _fraction(value: Any) -> Any:
    parts = [_number(value.numerator), _number(value.denominator)]
    return None if None in parts else ["F", *parts]


def _sequence(tag: str, values: Iterable[Any], channel: CandidateChannel) -> list[Any]:
    return [tag, *[tag_value(v, channel) for v in values]]


def _mapping(tag: str, pairs: Iterable[tuple[Any, Any]], channel: CandidateChannel) -> list[Any]:
    return [tag, *[tag_value(part, channel) for pair in pairs for part in pair]]


def _numpy(value: Any, channel: CandidateChannel, numpy: Any) -> Any:
    """Tags numpy's values: scalars as Python's, arrays with their type."""
    if isinstance(value, numpy.generic) and value.dtype.kind in "biufcSU":
        return tag_value(value.item(), channel)
    if isinstance(value, numpy.ndarray) and value.dtype.kind in "biufcSU":
        return ["n", value.dtype.str, tag_value(value.tolist(), channel)]
    return None


# (module, class, its writer): consulted only if the program imported the module
RARE: tuple[tuple[str, str, Callable[[Any, CandidateChannel, Any], Any]], ...] = (
    ("decimal", "Decimal", lambda v, _, kind: _decimal(v, kind)),
    ("fractions", "Fraction", lambda v, _, kind: _fraction(v)),
    ("datetime", "datetime", lambda v, _, kind: ["dt", kind.isoformat(v)]),
    ("datetime", "date", lambda v, _, kind: ["da", kind.isoformat(v)]),
    ("datetime", "time", lambda v, _, kind: ["ti", kind.isoformat(v)]),
    ("datetime", "timedelta", lambda v, _, kind: ["td", v.days, v.seconds, v.microseconds]),
    ("array", "array", lambda v, c, kind: _sequence("a", (v.typecode, *kind.tolist(v)), c)),
)


def _rare(value: Any, channel: CandidateChannel) -> Any:
    """Tags a value of a type outside builtins; None for any other value."""
    for module, name, write_it in RARE:
        kind = getattr(sys.modules.get(module), name, None)
        if kind is not None and kind in type(value).__mro__:
            return write_it(value, channel, kind)
    numpy = sys.modules.get("numpy")
    return None if numpy is None else _numpy(value, channel, numpy)


# exact type or base -> its writer; a subclass is sent as its base's plain value
WRITERS: tuple[tuple[type, Callable[[Any, CandidateChannel], Any]], ...] = (
    (bool, lambda v, _: bool(v)), (int, lambda v, _: _number(v)), (float, lambda v, _: float.__float__(v)),
    (str, lambda v, _: str.__str__(v)), (list, lambda v, c: _sequence("l", list.__iter__(v), c)),
    (tuple, lambda v, c: _sequence("t", tuple.__iter__(v), c)), (dict, lambda v, c: _mapping("d", dict.items(v), c)),
    (set, lambda v, c: _sequence("s", set.__iter__(v), c)),
    (frozenset, lambda v, c: _sequence("z", frozenset.__iter__(v), c)),
    (bytes, lambda v, _: ["b", bytes.decode(v, "latin-1")]),
    (bytearray, lambda v, _: ["B", bytearray.decode(v, "latin-1")]),
    (complex, lambda v, _: ["c", complex.__complex__(v).real, complex.__complex__(v).imag]),
    (range, lambda v, c: _sequence("r", (v.start, v.stop, v.step), c)),
    (deque, lambda v, c: _sequence("q", (v.maxlen, *deque.__iter__(v)), c)),
    (type({}.keys()), lambda v, c: _sequence("K", v, c)), (type({}.values()), lambda v, c: _sequence("V", v, c)),
    (type({}.items()), lambda v, c: _mapping("I", v, c)),
)  # fmt: skip
EXACT = dict(WRITERS)


def tag_value(value: Any, channel: CandidateChannel) -> Any:
    """The value as JSON with type tags, `[tag, ...]`; a value that cannot be sent becomes `["o", number, ...]`."""
    kind = type(value)
    if kind in SIMPLE:
        return value
    if (writer := EXACT.get(kind)) is None:
        writer = next((writer for base, writer in WRITERS if base in kind.__mro__), None)
    written = writer(value, channel) if writer is not None else _rare(value, channel)
    if written is not None:
        return written
    if value is Ellipsis or value is NotImplemented:
        return ["e", "Ellipsis" if value is Ellipsis else "NotImplemented"]
    if id(value) in BUILTIN and isinstance(value, type):
        return ["T", BUILTIN[id(value)]]
    if (mirror := channel.tag_mirrored(value)) is not None:
        return mirror
    return ["o", channel.keep(value), str(kind.__name__), hasattr(kind, "__next__")]


def write_value(value: Any, channel: CandidateChannel) -> tuple[bytes, bytes]:
    """A value as (kind, payload). One that recurses forever or misreports itself becomes an object equal to nothing."""
    try:
        channel.written.clear()
        if is_plain(value):
            return b"v", _dumps(value).encode()
        kind = b"t" if exactly_plain(value) else b"n"
        return kind, _dumps(tag_value(value, channel)).encode()
    except Exception:
        return b"n", _dumps(["o", channel.keep(value), "unsendable", False]).encode()


def write_exception(error: BaseException, channel: CandidateChannel) -> bytes:
    """[builtin class, own class, arguments, message, line of the program] of an exception."""
    base = next(c.__name__ for c in type(error).__mro__ if c.__module__ == "builtins")
    line, trace = 0, error.__traceback__
    while trace is not None:
        if trace.tb_frame.f_code.co_filename == FILE:
            line = trace.tb_lineno
        trace = trace.tb_next
    try:
        text = str(error)[:TEXT]
    except BaseException:
        text = ""
    try:
        arguments = [tag_value(a, channel) for a in error.args] if all(map(is_plain, error.args)) else None
        if len(_dumps(arguments)) > 10 * TEXT:
            arguments = None
    except BaseException:
        arguments = None
    return _dumps([base, type(error).__name__, arguments, text, line]).encode()


class _Arguments(pickle.Unpickler):
    """Reads arguments that marshal cannot carry; kept objects and the test's functions come by number."""

    def __init__(self, data: bytes, session: "Session") -> None:
        super().__init__(io.BytesIO(data))
        self.session = session

    def persistent_load(self, name: Any) -> Any:
        kind, number = name
        return self.session.given[kind](number)


class Session:
    """One program: its module, and the requests that the judge may make."""

    def __init__(self, channel: CandidateChannel) -> None:
        self.channel = channel
        self.module = types.ModuleType(MODULE)
        self.module.__file__ = FILE
        self.module.__dict__["__builtins__"] = builtins  # Python's, not the copy that the functions here use
        self.sequence = 0
        self.functions: dict[int, Outside] = {}
        self.given: dict[str, Callable[[Any], Any]] = {
            "kept": channel.kept.__getitem__, "function": self.outside, "class": self.find,
            "new": lambda _: self.mirror,
        }  # fmt: skip
        self.asks: dict[str, Callable[..., Any]] = {
            "call": self._call, "get": getattr, "set": setattr, "iterate": iter, "length": len, "truth": bool,
            "item": lambda thing, key: thing[key], "text": str, "next": self._next,
        }  # fmt: skip

    def load(self, source: str, classes: tuple[str, ...]) -> None:
        """Compiles and executes the program as a module of its own. classes: those that the prompt defines."""
        code = compile(source, FILE, "exec", dont_inherit=True)
        self.channel.send(self.sequence, b"c")
        linecache.cache[FILE] = (len(source), None, source.splitlines(True), FILE)  # inspect.getsource works
        sys.modules[MODULE] = self.module
        exec(code, self.module.__dict__)
        kinds = {name: self.module.__dict__.get(name) for name in classes}
        self.channel.classes = {name: kind for name, kind in kinds.items() if isinstance(kind, type)}

    def find(self, target: Any) -> Any:
        """A name of the program, or an object kept for the judge."""
        if type(target) is int:
            return self.channel.kept[target]
        try:
            return self.module.__dict__[target]
        except KeyError:
            raise NameError(f"name {target!r} is not defined") from None

    def arguments(self, raw: bytes) -> Any:
        """(positional, named), as sent by the judge."""
        return _loads(raw[1:]) if raw[:1] == b"m" else _Arguments(raw[1:], self).load()

    def outside(self, number: int) -> Outside:
        """The stand-in of one of the test's functions, the same one each time."""
        if number not in self.functions:
            self.functions[number] = Outside(self, number)
        return self.functions[number]

    def mirror(self, number: int, name: str) -> Any:
        """This side's copy of an object of the judge's, still without attributes; pickle fills them in."""
        if (thing := self.channel.mirrored.get(number)) is None:
            kind = self.channel.classes.get(name)
            thing = self.channel.mirror(number, types.SimpleNamespace() if kind is None else object.__new__(kind))
        vars(thing).clear()
        return thing

    @staticmethod
    def _call(thing: Any, *positional: Any, **named: Any) -> Any:
        return thing(*positional, **named)

    @staticmethod
    def _next(thing: Iterator[Any], most: int) -> tuple[list[Any], bool]:
        items: list[Any] = []
        for item in thing:
            items.append(item)
            if len(items) == most:
                return items, False
        return items, True

    def _changed(self, raw: bytes, after: tuple[Any, ...]) -> bool:
        """Whether arguments were changed in place, types included (1 is not True, 1.0 is not 1)."""
        if self.channel.mirrored:
            return True
        before = self.arguments(raw)[0]
        try:
            if raw[:1] == b"m":
                return bool(_marshal(after, 2) != _marshal(before, 2))
            return bool(tag_value(after, self.channel) != tag_value(before, self.channel))
        except Exception:
            return True

    def answer(self, verb: str, target: Any, raw: bytes, mutable: bool) -> None:
        """Carries out one request and sends the result; arguments changed in place are sent back."""
        try:
            positional, named = self.arguments(raw)
            result = self.asks[verb](self.find(target), *positional, **named)
        except Ended:
            raise
        except BaseException as error:
            self.channel.send(self.sequence, b"x", write_exception(error, self.channel))
            return
        kind, payload = write_value(result, self.channel)
        if mutable and self._changed(raw, positional):
            with contextlib.suppress(Exception):  # arguments that cannot be sent are left out
                self.channel.written.clear()
                pair = ["l", tag_value(result, self.channel), _sequence("l", positional, self.channel)]
                kind, payload = b"w", _dumps(pair).encode()
        self.channel.send(self.sequence, kind, payload)
