# ruff: noqa: S102
"""The candidate's side of the channel: loads one program, executes calls, returns what they gave.

It runs in the same interpreter as the completion, so the judge trusts none of its messages: it knows no
test, no expected value and no verdict, and `evals.sandbox.judge.channel` reads each message as an answer
and nothing else. It only has to serve honest programs (`evals.sandbox.guest.graph`).

To the candidate: marshal (the judge is trusted here). Back: a kind byte and JSON, which the judge
can parse safely. Kinds: c compiled (i: compares identity), o loaded, v plain value, t value with tags, x exception,
k request for an object of the test's, f a fault of the sandbox. Standard library only.
"""

import builtins
import json.encoder
import linecache
import marshal
import os
import struct
import sys
import types
from _thread import RLock
from typing import Any

from evals.sandbox.guest.around import Around
from evals.sandbox.guest.graph import ObjectGraph
from evals.sandbox.guest.identity import compares_identity
from evals.sandbox.guest.requests import REQUESTS
from evals.sandbox.guest.writing import plain_parts

# a private copy of builtins for every function below: a program that replaces Python's harms only itself
globals()["__builtins__"] = dict(vars(builtins))

MODULE = "solution"  # not __main__: main blocks must not run
FILE = "/tmp/solution.py"  # the value of __file__; no such file exists  # noqa: S108
DEEP = 30_000  # calls while a result is written
MOST_LISTS = 200_000  # in a deep result
TEXT = 500  # characters of an exception's message
TEXTS = frozenset((str, bool, type(None)))
_loads, _write, _read, _pack = marshal.loads, os.write, os.read, struct.pack
_references = sys.getrefcount


def _refuse(value: Any) -> Any:
    raise TypeError(type(value).__name__)


# json.dumps without the parts that a program may have replaced; texts as they are, halves of a pair included
_C: Any = json.encoder
_encode = _C.c_make_encoder(None, _refuse, _C.encode_basestring, None, ":", ",", False, False, True)


def _dumps(value: Any) -> bytes:
    """JSON; of a tree that is too deep for C (Python 3.12: 1,500 lists) a zero byte and the tree's lists, flat."""
    try:
        return "".join(_encode(value, 0)).encode("utf-8", "surrogatepass")
    except RecursionError:
        return b"\0" + "".join(_encode(_flat(value), 0)).encode("utf-8", "surrogatepass")


def _flat(tree: Any) -> list[Any]:
    """The lists of a tree, each before those in it, which are there as [place]. Raises TypeError for other containers.

    >>> _flat([1, [2, [3]], [4]])
    [[1, [1], [2]], [2, [3]], [4], [3]]
    """
    rows, places = [tree], 0
    for at, row in enumerate(rows):  # it grows
        rows[at] = made = []
        for part in row:
            if type(part) is list:
                places += 1
                if places > MOST_LISTS:  # of a list that holds itself there is no end
                    raise TypeError("too large a tree")
                rows.append(part)
                made.append([places])
            elif type(part) in (dict, tuple):
                raise TypeError("not a tree of lists")
            else:
                made.append(part)
    return rows


class Ended(BaseException):
    """The judge hung up."""


class CandidateChannel:
    """The frames over one descriptor, or one for each direction."""

    def __init__(self, number: int, out: int) -> None:
        self.number, self.out = number, out
        self.data = b""

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


def report_fault(number: int, text: str) -> None:
    """Reports that the sandbox itself failed, before any program was read."""
    CandidateChannel(number, number).send(0, b"f", text.encode())


def plain_inside(value: Any) -> bool:
    """Whether JSON preserves a value that nothing else holds: strict scalars, lists of them, string-keyed dicts."""
    kind = type(value)
    if kind is list:
        return plain_parts(value) or all(map(_plain, value))
    if kind is dict:
        parts = value.values()
        return set(map(type, value)) <= {str} and (plain_parts(list(parts)) or all(map(_plain, parts)))
    return kind in TEXTS or ((kind is int or kind is float) and plain_parts([value]))


def _plain(value: Any) -> bool:
    return (
        plain_inside(value) if _references(value) <= ALONE else type(value) not in (list, dict) and plain_inside(value)
    )


def _count(value: Any) -> int:
    return _references(value)


def _count_local() -> int:
    value: list[Any] = []
    return _references(value)


ALONE = next(map(_count, [[]]))  # references of a part that only its container holds
LOCAL = _count_local()  # of a value that only one variable holds


def last_line(error: BaseException) -> int:
    """The line of the program in which an exception was raised; 0 if it was elsewhere."""
    line, trace = 0, error.__traceback__
    while trace is not None:
        if trace.tb_frame.f_code.co_filename == FILE:
            line = trace.tb_lineno
        trace = trace.tb_next
    return line


class _Nowhere(CandidateChannel):
    def send(self, sequence: int, kind: bytes, payload: bytes = b"") -> None:
        """Drops a reply."""


def warm_up() -> None:
    """Runs what every program needs, so that the interpreter has adapted the code before it is in many processes."""
    session = Session(_Nowhere(-1, -1))
    session.load("def f(a, b=0):\n    return a\n", (), "f")
    for value in (1, "a", ["l", None, 1, 2], ["l", 0, "a"], ["t", 1, 2], ["d", 1, "a", 1.5], True, None) * 8:
        session.answer(marshal.dumps(("call", -1, [value], {}, [], None), 2))
    del linecache.cache[FILE], sys.modules[MODULE]


class Session:
    """One program: its module, and the requests that the judge may make."""

    def __init__(self, channel: CandidateChannel) -> None:
        self.channel = channel
        self.module = types.ModuleType(MODULE)
        self.module.__file__ = FILE
        self.module.__dict__["__builtins__"] = builtins  # Python's, not the copy that the functions here use
        self.received = 0  # requests so far
        self.sequence = 0  # of the innermost request that is being answered
        self.lock = RLock()
        self.graph = ObjectGraph(-1, self.ask, limit=1)
        self.around = Around(self.graph)

    def load(self, source: str, classes: tuple[str, ...], entry_point: str) -> None:
        """Compiles and executes the program as a module of its own. classes: those that the prompt defines."""
        code = compile(source, FILE, "exec", dont_inherit=True)
        self.channel.send(self.sequence, b"c", b"i" if compares_identity(code) else b"")
        linecache.cache[FILE] = (len(source), None, source.splitlines(True), FILE)  # inspect.getsource works
        sys.modules[MODULE] = self.module
        exec(code, self.module.__dict__)
        space = self.module.__dict__
        self.graph.shared = {name: space[name] for name in classes if isinstance(space.get(name), type)}
        entry = [self.graph.write(space[entry_point], True)] if entry_point in space else []
        self.channel.send(self.sequence, b"o", _dumps(entry))

    def ask(self, verb: str, number: int, positional: tuple[Any, ...], named: dict[str, Any]) -> Any:
        """Asks the judge to use an object of the test's."""
        graph = self.graph
        with self.lock:
            graph.written = set()
            trees = [[graph.write(v, True) for v in positional], {k: graph.write(v, True) for k, v in named.items()}]
            self.channel.send(
                self.sequence, b"k", _dumps([verb, number, *trees, graph.changes(), *self.around.taken()])
            )
            kind, *parts = self.channel.message()
            while kind == "c":
                for raw in parts[0]:
                    self.answer(raw)
                kind, *parts = self.channel.message()
            graph.written = set()
            for tree in parts[1]:
                graph.read(tree)
            value = graph.read(parts[0])
        if kind == "e":
            raise value
        return value

    def answer(self, raw: bytes) -> None:
        """Carries out one request and sends the result, with all that changed."""
        self.received += 1
        outer, self.sequence = self.sequence, self.received
        try:
            kind, payload = self._carry_out(raw)
        finally:
            mine, self.sequence = self.sequence, outer
        self.channel.send(mine, kind, payload)
        self.graph.purge()

    def _carry_out(self, raw: bytes) -> tuple[bytes, bytes]:
        verb, target, positional, named, changes, around = _loads(raw)
        if around is None:
            return self._perform(verb, target, positional, named, changes)
        with self.around.of(around):
            return self._perform(verb, target, positional, named, changes)

    def _perform(self, verb: str, target: int, positional: Any, named: Any, changes: Any) -> tuple[bytes, bytes]:
        graph = self.graph
        try:
            for tree in changes:
                graph.read(tree)
            given = [graph.read(tree) for tree in positional]
            keywords = {name: graph.read(tree) for name, tree in named.items()} if named else {}
            thing = self.module.__dict__ if verb == "name" else graph.things[target]
            result = REQUESTS[verb](thing, *given, **keywords)
        except Ended:
            raise
        except BaseException as error:
            return b"x", self._write_exception(error)
        return self._write(result, _references(result) > LOCAL)

    def _write(self, result: Any, watched: bool) -> tuple[bytes, bytes]:
        """(kind, payload). A value that recurses for ever or misreports itself becomes an object equal to nothing."""
        graph = self.graph
        graph.written = set()
        limit = sys.getrecursionlimit()
        sys.setrecursionlimit(max(limit, DEEP))
        try:
            if (not watched or type(result) in (int, str, float)) and plain_inside(result) and not self.around.any():
                changes = graph.changes() if graph.before else []
                try:
                    if not changes:
                        return b"v", _dumps(result)
                    return b"t", _dumps([result, changes, *self.around.taken()])
                except TypeError:  # deep, and not of lists alone: as a tree
                    graph.written = set()
            tree = graph.write(result, watched)
            return b"t", _dumps([tree, graph.changes(), *self.around.taken()])
        except Exception:
            graph.written = set()
            tree = ["o", graph.enter(result), ["k", graph.new_number(), "unsendable", "", [], []]]
            return b"t", _dumps([tree, [], *self.around.taken()])
        finally:
            sys.setrecursionlimit(limit)

    def _write_exception(self, error: BaseException) -> bytes:
        """[exception, changes, output, own class, message, line of the program]."""
        graph = self.graph
        graph.written = set()
        try:
            text = str(error)[:TEXT]
        except BaseException:
            text = ""
        shown = [type(error).__name__, text, last_line(error)]
        try:
            return _dumps([graph.write_exception(error), graph.changes(), *self.around.taken(), *shown])
        except BaseException:
            base = next(one for one in type(error).__mro__ if one.__module__ == "builtins")
            number = graph.new_number()
            tree = ["x", number, ["T", "builtins", base.__name__], ["t", text], ["d", None], None, None, False, None]
            return _dumps([tree, [], *self.around.taken(), *shown])

    def report_failure(self, error: BaseException) -> None:
        """Reports that the program did not compile or raised an exception while it was executed."""
        self.channel.send(self.sequence, b"x", self._write_exception(error))

    def serve(self) -> None:
        """Answers until the judge hangs up."""
        try:
            while True:
                for raw in self.channel.message()[1]:
                    self.answer(raw)
        except Ended:
            return
