"""What a test has changed around its calls, which must hold for the program too (`evals.sandbox.guest.around`).

Redirected output is captured in the program's process and written here; replaced input, and functions that the test
put in the place of `input`, `print` or `open`, are lent; the state of `random` goes to and fro if the test names it.
"""

import builtins
import io
import os
import re
import sys
import warnings
from typing import Any

from evals.sandbox.guest.around import STREAMS, random_states, set_random_states
from evals.sandbox.guest.graph import ObjectGraph
from evals.sandbox.guest.kinds import RefusedValue

MOST_DRAWN = 624  # of a generator's numbers, which numpy does not check
REPLACED = ("input", "print", "open")
# what a program's text holds where it may draw from the generator that it shares with its test: a way to the module
# `random`, or to names that are not written out
DRAWS = re.compile(r"random|statistics|import_module|importlib|modules|builtins|__import__|__loader__|exec|eval")
USUAL = {name: getattr(builtins, name) for name in REPLACED}


class Sink(io.TextIOBase):
    """Where a test's own output goes: nowhere."""

    def writable(self) -> bool:
        """Always."""
        return True

    def write(self, text: str) -> int:
        return len(text)


SINK = Sink()


def draws(source: str) -> bool:
    """Whether a program may draw random numbers, as far as its text says.

    >>> draws("def f(x):\\n    return x + 1"), draws("from random import *"), draws("import statistics")
    (False, True, True)
    """
    return DRAWS.search(source) is not None


class Surroundings:
    """One test's surroundings. drawn: whether the program may draw from a generator that the test uses too."""

    def __init__(self, graph: ObjectGraph, test: str, drawn: bool = True) -> None:
        self.graph = graph
        self.random = drawn and ("random" in test or "seed" in test) + (
            "random" in test and ("np." in test or "numpy" in test)
        )
        self.environment = dict(os.environ) if "environ" in test or "getenv" in test else None
        self.warnings = "warn" in test
        for name in STREAMS:
            setattr(sys, name, SINK)
        for name, usual in USUAL.items():
            setattr(builtins, name, usual)
        sys.stdin = self.stdin = io.StringIO()

    def now(self) -> dict[str, Any] | None:
        """What goes with the next call; None if nothing is changed."""
        streams = [name for name in STREAMS if getattr(sys, name) is not SINK]
        replaced = [name for name, usual in USUAL.items() if getattr(builtins, name) is not usual]
        stdin = sys.stdin is not self.stdin
        own = {} if self.environment is None else dict(os.environ.items() - self.environment.items())
        if not (streams or replaced or stdin or self.random or own or self.warnings):
            return None
        return {
            "streams": streams, "environment": own, "warnings": self.warnings,
            "stdin": self.graph.write(sys.stdin, True) if stdin else None,
            "builtins": {name: self.graph.write(getattr(builtins, name), True) for name in replaced},
            "random": self.graph.write(random_states("numpy" in sys.modules and self.random > 1))
            if self.random else None,
        }  # fmt: skip

    def after(self, printed: Any, states: Any) -> None:
        """Takes over what a message says was printed and drawn."""
        if type(printed) is not list:
            raise RefusedValue("no output")
        for name, text in printed:
            if type(text) is not str:
                raise RefusedValue("output of no text")
            if name in STREAMS:
                getattr(sys, name).write(text)
            elif self.warnings:
                kind = getattr(builtins, name, UserWarning)
                category = kind if isinstance(kind, type) and issubclass(kind, Warning) else UserWarning
                warnings.warn_explicit(text, category, "<program>", 1, registry={})
        if states is not None:
            if not self.random:
                raise RefusedValue("a state that was not asked for")
            given = self.graph.read(states)
            if len(given) > 1 and not 0 <= given[1][2] <= MOST_DRAWN:
                raise RefusedValue("a state of no generator")
            set_random_states(given)
