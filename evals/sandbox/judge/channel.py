"""The judge's side of the channel: each use of the program's objects becomes a request, each reply a value.

Once a test has run, its calls are known: for the next program of the same test those that depend on no answer
(`evals.sandbox.judge.rehearsal`) are sent at once, and each reply is used only if the test then makes exactly that
call, byte for byte. Otherwise `Unexpected` is raised and the program runs again in a fresh child without the forecast.
"""

import marshal
import os
import re
import struct
from typing import Any

from evals.sandbox.guest.graph import ObjectGraph
from evals.sandbox.guest.kinds import RefusedValue
from evals.sandbox.guest.table import NO_NUMBER
from evals.sandbox.judge import faithful
from evals.sandbox.judge.lending import Lending, reference
from evals.sandbox.judge.opinions import Opinions
from evals.sandbox.judge.surroundings import Surroundings
from evals.sandbox.judge.values import Violation, guarded, parse, read_message

HEAD = struct.Struct("<IIc")  # of a reply: number of bytes after the first number, sequence, kind
MOST_BYTES = 32 << 20  # of one reply: EvalPlus' largest outputs are below 2 MiB
AHEAD = 2000  # calls forecast at most
BYTES_AHEAD = 4 << 20
IDENTITY = re.compile(r"\bis\b")
CONSTANTS = frozenset((str, int, bytes, tuple, float, complex))
NESTED = 200  # calls within calls


class Died(BaseException):
    """The candidate's process ended before it answered."""


class Unexpected(BaseException):
    """The test made another call than forecast, so the replies so far may belong to other calls."""


class Channel:
    """One program's channel: the constructor opens it on the socket of a fresh child, `close` closes it.

    restores  whether what the program changes in place is changed in the judge too
    drawn     whether the program may draw random numbers
    """

    def __init__(self, number: int, test: str = "", restores: bool = True, drawn: bool = True) -> None:
        self.number = number
        self.data = bytearray()
        self.sequence = 0
        self.depth = 0
        self.made: list[bytes] = []  # the calls of this run, to forecast the next
        self.ahead: list[bytes] = []
        self.broken: BaseException | None = None  # an error that a bare except of a test must not hide
        self.last_error = ""
        self.restores = restores
        self.looks_at_identity = IDENTITY.search(test) is not None
        self.crossed, self.enough = faithful.ALIKE, faithful.MUTABLE  # `faithful.difference`; looked for up to `enough`
        self.opinions = Opinions(self.ask, self._thing)
        self.graph = ObjectGraph(1, self.opinions.use, reference=reference)
        if not restores:
            self.graph.base = NO_NUMBER
        self.lending = Lending(self.graph)
        self.surroundings = Surroundings(self.graph, test, drawn)
        self.same = False  # whether the program compares identity
        self.stage = "error"  # the verdict if the child dies now: "error" until the program has compiled
        self.entry = b"[]"  # the message of the object that the program defines under the name asked for

    def _thing(self, number: int) -> Any:
        return self.graph.things[number]

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

    def _frame(self, expected: int) -> tuple[bytes, bytes]:
        """(kind, payload) of the reply to the current request."""
        self._fill(HEAD.size)
        length, sequence, kind = HEAD.unpack_from(self.data)
        if not 5 <= length <= MOST_BYTES:
            raise self._break(Violation("a reply of forbidden size"))
        end = 4 + length
        self._fill(end)
        payload = bytes(self.data[HEAD.size : end])
        del self.data[:end]
        if sequence != expected:
            raise self._break(Violation("a reply out of turn"))
        return kind, payload

    def load(
        self, source: str, cpu_seconds: int, classes: tuple[str, ...], entry_point: str, ahead: list[bytes]
    ) -> tuple[str, Any]:
        """Sends the program and the forecast calls. classes: those that both sides define.

        Returns ("loaded", None), or a failure:

        ("error", exception)   the program does not compile
        ("failed", exception)  it raised an exception while it was executed
        ("fault", text)        the sandbox failed
        """
        self.ahead = ahead
        self._send((source, cpu_seconds, classes, entry_point), *([("c", ahead)] if ahead else []))
        while True:
            kind, payload = self._frame(0)
            if kind == b"c" and self.stage == "error":
                self.stage, self.same = "failed", payload == b"i"
            elif kind == b"o" and self.stage == "failed":
                self.entry = payload
                return "loaded", None
            elif kind == b"x":
                return self.stage, self._exception(payload)
            elif kind == b"f" and self.stage == "error":
                return "fault", payload.decode(errors="replace")
            else:
                raise self._break(Violation("a reply of unknown kind"))

    def _see(self, value: Any) -> None:
        """Notes whether a value that crosses could be told from its copy."""
        if self.crossed < self.enough:
            self.crossed = max(self.crossed, faithful.safe_difference(value))

    def read_entry(self) -> list[Any]:
        """The object that the program defines under the name asked for, in a list; empty if it defines none."""
        try:
            return [guarded(self.graph.read, tree) for tree in guarded(list, parse(self.entry))]
        except Violation as error:
            raise self._break(error) from None

    def ask(self, verb: str, target: int, positional: tuple[Any, ...], named: dict[str, Any]) -> Any:
        """Makes one request and returns its answer; raises the candidate's exception as one of the judge's."""
        if self.broken is not None:
            raise self.broken
        self._see((positional, *named.values()) if verb == "call" else ...)
        raw = self._pack(verb, target, positional, named)
        self.made.append(raw)
        if self.depth >= NESTED:
            raise self._break(Violation("calls within calls without end"))
        self.depth += 1
        try:
            value = self._exchange(raw)
            return self._itself(value, positional) if self.looks_at_identity and verb == "call" else value
        finally:
            self.depth -= 1

    def _pack(self, verb: str, target: int, positional: tuple[Any, ...], named: dict[str, Any]) -> bytes:
        graph = self.graph
        graph.written = set()
        shares = self.restores
        trees = [graph.write(value, shares) for value in positional]
        keywords = {name: graph.write(value, shares) for name, value in named.items()}
        changes = graph.changes() if graph.before else []
        graph.purge()
        try:
            return marshal.dumps((verb, target, trees, keywords, changes, self.surroundings.now()), 2)
        except ValueError:
            raise RecursionError("an argument that is nested too deeply") from None

    def _exchange(self, raw: bytes) -> Any:
        if self.sequence < len(self.ahead):
            if self.ahead[self.sequence] != raw:
                raise self._break(Unexpected())
            self.sequence += 1
        else:
            self.sequence += 1
            self._send(("c", [raw]))
        mine = self.sequence
        while True:
            kind, payload = self._frame(mine)
            if kind != b"k":
                break
            self._serve(payload)
        if kind == b"x":
            raise self._exception(payload)
        try:
            if kind == b"v":
                value = parse(payload)
            elif kind == b"t":
                value, rest = read_message(self.graph, payload, 4)
                guarded(self.surroundings.after, *rest)
            else:
                raise Violation("a reply of unknown kind")
        except Violation as error:
            raise self._break(error) from None
        self._see(value)
        return value

    def _itself(self, value: Any, given: tuple[Any, ...]) -> Any:
        """The argument that an answer is, if it is one: constants cross without a number."""
        for one in given:
            if type(one) is type(value) and type(value) in CONSTANTS and _same_bytes(one, value):
                return one
        return value

    def _serve(self, payload: bytes) -> None:
        """Carries out the candidate's request for one of the test's objects."""
        try:
            verb, number, positional, named, changes, printed, states = guarded(_seven, parse(payload))
            self._see(...)
            self.graph.written = set()
            given = [guarded(self.graph.read, tree) for tree in guarded(list, positional)]
            keywords = {str(name): guarded(self.graph.read, tree) for name, tree in guarded(_items, named)}
            for tree in changes:
                guarded(self.graph.read, tree)
            guarded(self.surroundings.after, printed, states)
        except Violation as error:
            raise self._break(error) from None
        try:
            kind, value = "r", self.lending.carry_out(verb, number, given, keywords)
        except Violation as error:
            raise self._break(error) from None
        except Exception as error:  # the program may catch it, as in one process
            kind, value = "e", error
        if self.broken is not None:
            raise self.broken
        self.graph.written = set()
        tree = self.graph.write(value, True)
        self._send((kind, tree, self.graph.changes()))

    def _exception(self, payload: bytes) -> BaseException:
        """The candidate's exception, as one of the judge's own."""
        self._see(...)
        try:
            error, rest = read_message(self.graph, payload, 7)
            guarded(self.surroundings.after, *rest[:2])
            own, text, line = rest[2:]
            if not isinstance(error, BaseException) or type(line) is not int or isinstance(error, Violation):
                raise Violation("an unreadable exception")
        except Violation as problem:
            return self._break(problem)
        self.last_error = f"{own!s:.200}: {text!s:.1000}" + (f" (line {line} of the program)" if line else "")
        return error


def _same_bytes(one: Any, other: Any) -> bool:
    try:
        return one is other or marshal.dumps(one, 2) == marshal.dumps(other, 2)
    except ValueError:
        return False


def _seven(parts: list[Any]) -> list[Any]:
    if len(parts) != 7 or type(parts[4]) is not list:
        raise RefusedValue("a request of another form")
    return parts


def _items(named: dict[str, Any]) -> Any:
    return named.items()
