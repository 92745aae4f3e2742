"""The judge's side of the channel: proxies that look like the candidate's functions to a test.

Each call becomes a frame, each reply a plain value (`evals.sandbox.judge.values`). Once a test has run,
its calls are known: for the next program of the same test they are all sent at once, and each reply is
used only if the test then makes exactly that call, byte for byte. Otherwise `Unexpected` is raised and
the program runs again in a fresh child without the forecast.
"""

import builtins
import io
import marshal
import os
import pickle
import struct
import types
from collections import deque
from collections.abc import Callable, Iterator
from typing import Any

from evals.sandbox.judge import faithful
from evals.sandbox.judge.mirrored import SPACE, MirroredObjects
from evals.sandbox.judge.values import Violation, read, untag

HEAD = struct.Struct("<IIc")  # of a reply: number of bytes after the first number, sequence, kind
MOST_BYTES = 32 << 20  # of one reply: EvalPlus' largest outputs are below 2 MiB
AHEAD = 2000  # calls forecast at most
BYTES_AHEAD = 4 << 20
SENDABLE = frozenset((int, float, str, bytes, bool, complex, type(None)))


class Died(BaseException):
    """The candidate's process ended before it answered."""


class Unexpected(BaseException):
    """The test made another call than forecast, so the replies so far may belong to other calls."""


class Call(tuple[str, Any, bytes, bool]):
    """(verb, target, packed arguments, whether an argument can be changed in place)."""

    __slots__ = ()


class RemoteObject:
    """An object that stayed with the candidate. It equals only itself; its parts can be requested.

    The candidate's comparison, arithmetic, hash and conversion methods never run: their results
    would be the candidate's opinion of its own answer.
    """

    __slots__ = ("_ask", "_kind", "_number")

    def __init__(self, ask: Callable[..., Any], number: int | str, kind: str) -> None:
        for name, value in (("_ask", ask), ("_number", number), ("_kind", kind)):
            object.__setattr__(self, name, value)

    def __call__(self, *positional: Any, **named: Any) -> Any:
        return self._ask("call", self._number, positional, named)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") and name.endswith("__"):
            raise AttributeError(name)
        return self._ask("get", self._number, (name,), {})

    def __setattr__(self, name: str, value: Any) -> None:
        self._ask("set", self._number, (name, value), {})

    def __getitem__(self, key: Any) -> Any:
        return self._ask("item", self._number, (key,), {})

    def __len__(self) -> int:
        return int(self._ask("length", self._number, (), {}))

    def __bool__(self) -> bool:
        return self._ask("truth", self._number, (), {}) is True

    def __contains__(self, key: Any) -> bool:
        # by its members, compared here: its own __contains__ would give its opinion of the answer
        return any(member is key or member == key for member in self)

    def __iter__(self) -> Iterator[Any]:
        return iter(self._ask("iterate", self._number, (), {}))

    def __str__(self) -> str:
        return str(self._ask("text", self._number, (), {}))

    def __repr__(self) -> str:
        return f"<{self._kind} object of the program>"

    def __reduce_ex__(self, protocol: Any) -> Any:
        raise TypeError("an object of the program cannot be copied")

    def __deepcopy__(self, memo: Any) -> "RemoteObject":
        return self


class RemoteIterator(RemoteObject):
    """An iterator that stayed with the candidate: read in growing batches, so endless ones work."""

    __slots__ = ("_batch", "_ready")

    def __iter__(self) -> Iterator[Any]:
        batch = 1
        while True:
            items, ended = self._ask("next", self._number, (batch,), {})
            yield from items
            if ended:
                return
            batch = min(batch * 2, 256)

    def __next__(self) -> Any:
        items, ended = self._ask("next", self._number, (1,), {})
        if ended and not items:
            raise StopIteration
        return items[0]


def _exact(value: Any) -> bool:
    """Whether marshal preserves the type of the value (it would write a bytearray as bytes)."""
    kind = type(value)
    if kind in SENDABLE:
        return True
    if kind in (list, tuple, set, frozenset):
        return set(map(type, value)) <= SENDABLE or all(map(_exact, value))
    return kind is dict and all(map(_exact, value)) and all(map(_exact, value.values()))


CHANGEABLE = (list, dict, set, bytearray, deque)


def _mutable(values: Any) -> bool:
    return any(type(v) in CHANGEABLE or (type(v) is tuple and _mutable(v)) for v in values)


def _ours(kind: type) -> bool:
    return kind.__module__ == SPACE


def _new() -> None:
    """Stands in a pickle for the constructor of a mirrored object on the other side."""


class _Pickler(pickle.Pickler):
    """Writes the test's functions, classes and objects by number, objects with their attributes."""

    def __init__(self, file: io.BytesIO, functions: list[Callable[..., Any]], mirrored: MirroredObjects) -> None:
        super().__init__(file, 4)
        self.functions, self.mirrored = functions, mirrored

    def reducer_override(self, value: Any) -> Any:
        kind = type(value)
        if not _ours(kind) or isinstance(value, type) or not hasattr(value, "__dict__"):
            return NotImplemented
        state = dict(vars(value))
        if kind.__name__ not in self.mirrored.names:  # a class that the program does not know
            state |= {n: getattr(value, n) for n in dir(kind) if n[:2] != "__" and callable(getattr(value, n))}
        return _new, (self.mirrored.number(value), kind.__name__), state

    def persistent_id(self, value: Any) -> Any:
        if isinstance(value, RemoteObject):
            return ("kept", value._number)
        if value is _new:
            return ("new", 0)
        if isinstance(value, type) and _ours(value) and value.__name__ in self.mirrored.names:
            return ("class", value.__name__)
        if isinstance(value, types.FunctionType | types.MethodType):
            self.functions.append(value)
            return ("function", len(self.functions) - 1)
        return None


class Channel:
    """One program's channel: the constructor opens it on the socket of a fresh child, `close` closes it."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.data = bytearray()
        self.sequence = 0
        self.made: list[Call] = []  # the calls of this run, to forecast the next
        self.ahead: list[Call] = []
        self.broken: BaseException | None = None  # an error that a bare except of a test must not hide
        self.remotes: dict[int, RemoteObject] = {}
        self.functions: list[Callable[..., Any]] = []
        self.last_error = ""
        self.mirrored = MirroredObjects()
        self.restores = True  # whether arguments changed in place are restored in the judge
        self.crossed, self.enough = faithful.ALIKE, faithful.MUTABLE  # `faithful.difference`; looked for up to `enough`
        self.stage = "error"  # the verdict if the child dies now: "error" until the program has compiled

    def close(self) -> None:
        """Hangs up."""
        if self.number >= 0:
            os.close(self.number)
            self.number = -1

    def _break(self, error: BaseException) -> BaseException:
        self.broken = self.broken or error
        return error

    def _send(self, *messages: Any) -> None:
        """Sends the messages in one write, since each write wakes the child."""
        every = [marshal.dumps(message, 2) for message in messages]
        frame = memoryview(b"".join(struct.pack("<I", len(data)) + data for data in every))
        try:
            while frame:
                frame = frame[os.write(self.number, frame) :]
        except OSError:
            raise self._break(Died("the process ended")) from None

    def _fill(self, size: int) -> None:
        """Reads until `size` bytes are buffered."""
        while len(self.data) < size:
            try:
                more = os.read(self.number, 1 << 16)
            except OSError:
                more = b""
            if not more:
                raise self._break(Died("the process ended"))
            self.data += more

    def _frame(self) -> tuple[bytes, bytes]:
        """(kind, payload) of the reply to the current request."""
        self._fill(HEAD.size)
        length, sequence, kind = HEAD.unpack_from(self.data)
        if not 5 <= length <= MOST_BYTES:
            raise self._break(Violation("a reply of forbidden size"))
        end = 4 + length
        self._fill(end)
        payload = bytes(self.data[HEAD.size : end])
        del self.data[:end]
        if sequence != self.sequence:
            raise self._break(Violation("a reply out of turn"))
        return kind, payload

    def load(self, source: str, cpu_seconds: int, ahead: list[Call]) -> tuple[str, Any]:
        """Sends the program and the forecast calls. Returns ("loaded", None), or a failure:

        ("error", exception)   the program does not compile
        ("failed", exception)  it raised an exception while it was executed
        ("fault", text)        the sandbox failed
        """
        program = (source, cpu_seconds, self.mirrored.names)
        self.ahead = ahead
        self._send(program, *([[tuple(call) for call in ahead]] if ahead else []))
        while True:
            kind, payload = self._frame()
            if kind == b"c" and self.stage == "error":
                self.stage = "failed"
            elif kind == b"o" and self.stage == "failed":
                return "loaded", None
            elif kind == b"x":
                return self.stage, self._exception(payload)
            elif kind == b"f" and self.stage == "error":
                return "fault", payload.decode(errors="replace")
            else:
                raise self._break(Violation("a reply of unknown kind"))

    def _see(self, values: Any, exact: bool) -> None:
        """Notes whether values that cross could be told from their copies. exact: they have the types they show."""
        if self.crossed < self.enough:
            self.crossed = max(self.crossed, faithful.safe_difference(values) if exact else faithful.OBJECT)

    def _pack(self, positional: tuple[Any, ...], named: dict[str, Any]) -> bytes:
        """Packs arguments for the candidate: marshal where exact, else pickle with numbered objects."""
        if all(map(_exact, positional)) and all(map(_exact, named.values())):
            try:
                return b"m" + marshal.dumps((positional, named), 2)
            except ValueError:
                pass  # too deep
        file = io.BytesIO()
        _Pickler(file, self.functions, self.mirrored).dump((positional, named))
        return b"p" + file.getvalue()

    def ask(self, verb: str, target: Any, positional: tuple[Any, ...], named: dict[str, Any]) -> Any:
        """Makes one request and returns its answer; raises the candidate's exception as one of the judge's."""
        if self.broken is not None:
            raise self.broken
        self._see((positional, *named.values()), exact=verb == "call")
        raw = self._pack(positional, named)
        call = Call((verb, target, raw, self.restores and (_mutable(positional) or bool(self.mirrored.things))))
        self.made.append(call)
        if self.sequence < len(self.ahead):
            if self.ahead[self.sequence] != call:
                raise self._break(Unexpected())
            self.sequence += 1
        else:
            self.sequence += 1
            self._send([tuple(call)])
        return self._answer(positional)

    def _answer(self, positional: tuple[Any, ...]) -> Any:
        while True:
            kind, payload = self._frame()
            if kind != b"k":
                break
            self._outside(payload)
        try:
            if kind in (b"v", b"t", b"n"):
                result = read(kind, payload, self.remote, self.mirrored.fill)
                self._see(result, exact=kind != b"n")
                return result
            if kind == b"w":
                result, changed = read(kind, payload, self.remote, self.mirrored.fill)
                _restore(positional, changed)
                return result
        except Violation as error:
            raise self._break(error) from None
        except (ValueError, TypeError):
            raise self._break(Violation("an unreadable reply")) from None
        if kind == b"x":
            self._see((), exact=False)
            raise self._exception(payload)
        raise self._break(Violation("a reply of unknown kind"))

    def _outside(self, payload: bytes) -> None:
        """Answers the candidate's call of one of the test's functions, on plain values."""
        number, positional, named = read(b"k", payload, self.remote, self.mirrored.fill)
        if type(number) is not int or not 0 <= number < len(self.functions):
            raise self._break(Violation("a call of an unknown function"))
        try:
            result, raised = self.functions[number](*positional, **named), {}
        except Exception as error:  # the program may catch it, as in one process
            result, raised = _builtin(error), {"raised": True}
        self._send(self._pack((result,), raised))

    def remote(self, number: int, kind: str, iterates: bool) -> RemoteObject:
        """The stand-in of an object that stayed with the candidate, the same one each time."""
        if number not in self.remotes:
            self.remotes[number] = (RemoteIterator if iterates else RemoteObject)(self.ask, number, kind)
        return self.remotes[number]

    def proxy(self, name: str) -> RemoteObject:
        """The stand-in of a name that the program defines."""
        return RemoteObject(self.ask, name, "function")

    def _exception(self, payload: bytes) -> BaseException:
        """The judge's own exception, of the builtin class of the candidate's exception."""
        try:
            base, own, arguments, text, line = read(b"v", payload, self.remote)
            kind = vars(builtins)[base]
            if not issubclass(kind, BaseException) or type(line) is not int:
                raise TypeError
            given = [text] if arguments is None else [untag(a, self.remote) for a in arguments]
        except (Violation, ValueError, TypeError, LookupError, RecursionError):
            return self._break(Violation("an unreadable exception"))
        self.last_error = f"{own}: {text}" + (f" (line {line} of the program)" if line else "")
        try:
            error = kind(*given)
        except Exception:
            error = _bare(kind, str(text))
        assert isinstance(error, BaseException)
        return error


def _bare(kind: type[BaseException], text: str) -> BaseException:
    """An exception of the right class whose arguments could not be sent (UnicodeDecodeError needs five)."""
    try:
        return kind.__new__(kind, text)
    except Exception:
        return RuntimeError(text)


def _builtin(error: Exception) -> Exception:
    """An exception of one of the test's functions as the program may see it: of a builtin class."""
    base = next(c for c in type(error).__mro__ if c.__module__ == "builtins")
    plain = all(map(_exact, error.args))
    made = _bare(base, str(error)) if not plain else base.__new__(base, *error.args)
    return made if isinstance(made, Exception) else RuntimeError(str(error))


def _restore(ours: Any, changed: Any) -> None:
    """Updates the test's own lists, dicts and sets to match the candidate's changed copies."""
    for mine, new in zip(ours, changed, strict=False):
        if type(mine) is not type(new):
            continue
        if type(mine) is list:
            if len(mine) == len(new):
                _restore(mine, new)
                new = [
                    m if type(m) is type(n) and type(m) in (list, dict, set) else n
                    for m, n in zip(mine, new, strict=True)
                ]
            mine[:] = new
        elif type(mine) is dict or type(mine) is set:
            mine.clear()
            mine.update(new)
        elif type(mine) is bytearray or type(mine) is deque:
            mine.clear()
            mine.extend(new)
        elif type(mine) is tuple:
            _restore(mine, new)
