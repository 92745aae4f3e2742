"""What a program may do with the objects of a test that it was given: what the test meant it to do.

A function may be called, an iterator read, a stream written to, an object of the test's own classes used by its
public names. Nothing gives a way to the test itself: no name with underscores, no frame, code or module, and no
function of Python's own runs here for the program, since those it receives by name.
"""

import io
import pickle
import sys
import types
from collections.abc import Iterator
from typing import Any

from evals.sandbox.guest.graph import ObjectGraph
from evals.sandbox.guest.requests import REQUESTS
from evals.sandbox.guest.standins import SPECIAL, StandInClass
from evals.sandbox.judge.values import Violation

SPACE = "test"  # __name__ of the module in which prompts and tests are executed
OPEN = ("unittest.mock", SPACE)
HOMES = frozenset((*sys.stdlib_module_names, "numpy")) - {SPACE}
SHOWN = ("__name__", "__doc__", "__qualname__", "__signature__")
CODE = ("co_name", "co_argcount", "co_posonlyargcount", "co_kwonlyargcount", "co_flags")  # numbers and a name
ITERATOR_NAMES = ("send", "throw", "close")
HIDDEN = types.ModuleType | types.FrameType | types.CodeType | types.TracebackType


def reference(value: Any) -> Any:
    """(module, name) of a function, class or module of Python's own; (None, pickle) of other objects of Python's own.

    None of what is the test's, and of what changes while it is used (iterators, streams).
    """
    if isinstance(value, types.ModuleType):
        return (value.__name__, "") if value.__name__ in sys.modules else None
    module, name = getattr(value, "__module__", None), getattr(value, "__qualname__", None)
    if module is None and isinstance(getattr(value, "__objclass__", None), type):
        module = value.__objclass__.__module__
    named = value if isinstance(value, type) else type(value)
    home = named.__module__.partition(".")[0]
    if home not in HOMES or isinstance(named, StandInClass) or module == SPACE:
        return None
    if isinstance(module, str) and isinstance(name, str) and module in sys.modules:
        found: Any = sys.modules[module]
        for part in name.split("."):
            found = getattr(found, part, None)
        if found is value:
            return module, name
    if isinstance(value, type | io.IOBase | Iterator | types.BuiltinMethodType | types.FunctionType | types.MethodType):
        return None
    try:
        return None, pickle.dumps(value, 4)
    except Exception:
        return None


class Lending:
    """A program's requests for the objects that the test lent to it."""

    def __init__(self, graph: ObjectGraph) -> None:
        self.graph = graph

    def carry_out(self, verb: Any, number: Any, positional: list[Any], named: dict[str, Any]) -> Any:
        """What the test's object gives.

        Raises  Violation when the program asks for what it was not lent, AttributeError for a name that is not open.
        """
        if type(number) is not int or number not in self.graph.lent or number < 0:
            raise Violation("a request for an object that was not lent")
        thing = self.graph.things[number]
        if verb == "call":
            if not callable(thing) or (isinstance(thing, type) and thing.__module__ != SPACE):
                raise Violation("a call of what is not the test's")
        elif verb == "next":
            if not isinstance(thing, Iterator) or positional != [1]:
                raise Violation("a request for more than the next item")
        elif verb == "special":
            if isinstance(thing, type) or not positional or positional[0] not in SPECIAL:
                raise Violation("a method of no kind")
        elif verb == "operator" and not isinstance(thing, HIDDEN) and positional:
            self._operator(thing, positional[0])
        elif verb == "get" and positional == ["__code__"] and isinstance(thing, types.FunctionType):
            code = thing.__code__
            names = code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]
            return types.SimpleNamespace(co_varnames=names, **{name: getattr(code, name) for name in CODE})
        elif verb in ("get", "set", "delete") and positional and type(positional[0]) is str:
            self._name(thing, positional[0], verb)
        else:
            raise Violation("a request of no kind")
        return REQUESTS[verb](thing, *positional, **named)

    def _operator(self, thing: Any, name: Any) -> None:
        copies = name in ("copy", "deepcopy") and type(thing).__module__ in OPEN
        if name not in ("iter", "len", "item") and not copies:
            raise Violation("an operator of no kind")

    def _name(self, thing: Any, name: str, verb: str) -> None:
        own = (thing if isinstance(thing, type) else type(thing)).__module__ in OPEN
        stream = isinstance(thing, io.IOBase) and verb == "get"
        reading = isinstance(thing, Iterator) and name in ITERATOR_NAMES and verb == "get"
        shown = verb == "get" and name in SHOWN
        if not (shown or ((own or stream or reading) and not name.startswith("_"))):
            raise AttributeError(name)
