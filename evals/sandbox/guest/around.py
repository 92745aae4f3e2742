"""What surrounds a call: captured output, input, the state of `random`, where the test has an eye on them.

A test that redirects `sys.stdout`, replaces `input` or seeds `random` means the program too, which runs in another
process. So the judge says with a call what it has changed, and gets back what was printed and drawn. Standard
library only.
"""

import builtins
import contextlib
import io
import os
import sys
import warnings
from collections.abc import Iterator
from typing import Any

# a private copy of builtins for every function below: a program that replaces Python's harms only itself
globals()["__builtins__"] = dict(vars(builtins))

STREAMS = ("stdout", "stderr")


def random_states(numpy: bool) -> list[Any]:
    """The states of Python's and, if asked for, numpy's generator."""
    import random

    states: list[Any] = [random.getstate()]
    if numpy:
        states.append(sys.modules["numpy"].random.get_state())
    return states


def set_random_states(states: list[Any]) -> None:
    """Sets what `random_states` returned."""
    import random

    random.setstate(states[0])
    if len(states) > 1:
        import numpy

        numpy.random.set_state(states[1])


def same_states(one: list[Any], other: list[Any]) -> bool:
    """Whether two lists of `random_states` are surely the same; numpy's, an array, is not compared."""
    return len(one) == 1 and one == other


class Around:
    """The program's surroundings during calls."""

    def __init__(self, graph: Any) -> None:
        self.graph = graph
        self.streams: dict[str, io.StringIO] = {}
        self.random = 0  # generators whose state goes back if a call draws from them
        self.drawn: list[Any] = []  # their states when the sides last agreed
        self.warned: list[Any] = []

    def any(self) -> bool:
        """Whether something beside the result goes back."""
        return bool(self.streams or self.random or self.warned)

    def taken(self) -> tuple[list[list[str]], Any]:
        """([stream, text] of what was printed since the last message, the state of `random` or None).

        A warning is printed to the "stream" of its class's name.
        """
        printed = [[one.category.__name__, str(one.message)] for one in self.warned]
        self.warned.clear()
        for name, stream in self.streams.items():
            if text := stream.getvalue():
                printed.append([name, text])
                stream.seek(0)
                stream.truncate()
        if not self.random or same_states(states := random_states(self.random > 1), self.drawn):
            return printed, None
        self.drawn = states
        return printed, self.graph.write(states)

    @contextlib.contextmanager
    def of(self, given: dict[str, Any]) -> Iterator[None]:
        """Surrounds one call. given: what `evals.sandbox.judge.surroundings` sends."""
        before = {name: getattr(sys, name) for name in (*STREAMS, "stdin")}
        replaced = {name: getattr(builtins, name) for name in given["builtins"]}
        outer = self.streams, self.random, self.warned
        self.streams = {name: io.StringIO() for name in given["streams"]}
        self.random = 0 if given["random"] is None else len(given["random"]) - 2
        for name, stream in self.streams.items():
            setattr(sys, name, stream)
        if given["stdin"] is not None:
            sys.stdin = self.graph.read(given["stdin"])
        for name, tree in given["builtins"].items():
            setattr(builtins, name, self.graph.read(tree))
        if self.random:
            set_random_states(self.graph.read(given["random"]))
            self.drawn = random_states(self.random > 1)
        os.environ.update(given["environment"])
        self.warned = []
        try:
            if given["warnings"]:
                with warnings.catch_warnings(record=True) as self.warned:
                    warnings.simplefilter("always")
                    yield
            else:
                yield
        finally:
            for name, stream in before.items():
                setattr(sys, name, stream)
            for name, function in replaced.items():
                setattr(builtins, name, function)
            self.streams, self.random, self.warned = outer
