"""Which calls of a test depend on no answer: those that it makes when it gets none.

A call that holds an earlier answer (`decode(encode(x))`) would, sent ahead, tell a program what that answer must be. So
before its calls are sent ahead a test is rehearsed, once: with an object in the place of every answer that takes part
in everything and is equal to everything, and without its assertions. No answer exists there, so no call that it makes
can hold one. Calls are sent ahead as long as they are those of the rehearsal.
"""

import ast
import contextlib
import signal
from collections.abc import Callable, Iterator
from functools import lru_cache
from types import CodeType, FrameType
from typing import Any

from evals.sandbox.guest.standins import ARITHMETIC, COMPARISONS
from evals.sandbox.judge.channel import Channel

MOST_SECONDS = 1.0
FUNCTION = b'[["o", -1, ["k", -2, "function", "builtins", [], ["__call__"]]]]'  # what a program defines


class RehearsalEnd(BaseException):
    """The rehearsal has gone as far as it can."""


class AbsentAnswer:
    """Stands in the place of an answer."""

    def __call__(self, *positional: Any, **named: Any) -> Any:
        return self

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return self

    def __iter__(self) -> Iterator[Any]:
        return iter(())

    def __str__(self) -> str:
        return ""

    def __exit__(self, *given: Any) -> None:
        return None


def _self(self: Any, *given: Any) -> Any:
    return self


for _name in (*COMPARISONS, *ARITHMETIC, "__getitem__", "__enter__", "__neg__", "__abs__", "__round__", "__reversed__"):
    setattr(AbsentAnswer, _name, _self)
_ANSWERS: dict[str, Any] = {"hash": 0, "len": 0, "int": 0, "index": 0, "float": 0.0, "complex": 0j, "bool": True,
                            "contains": True}  # fmt: skip
for _name, _answer in _ANSWERS.items():
    setattr(AbsentAnswer, f"__{_name}__", lambda self, *given, answer=_answer: answer)
NO_ANSWER = AbsentAnswer()


class Rehearsal(Channel):
    """A channel to no program. recorded: the calls of a test that passed; `recurred` counts those that recur."""

    def __init__(self, recorded: list[bytes], test: str, drawn: bool = True) -> None:
        super().__init__(-1, test, drawn=drawn)
        self.recorded = recorded
        self.recurred = 0
        self.entry = FUNCTION

    def _exchange(self, raw: bytes) -> Any:
        if self.recurred >= len(self.recorded) or self.recorded[self.recurred] != raw:
            raise RehearsalEnd
        self.recurred += 1
        return NO_ANSWER


class _WithoutAssertions(ast.NodeTransformer):
    def visit_Assert(self, node: ast.Assert) -> Any:
        """The test's expression alone, whatever it raises."""
        given = ast.Expr(node.test)
        handler = ast.ExceptHandler(ast.Name("Exception", ast.Load()), None, [ast.Pass()])
        return ast.fix_missing_locations(ast.copy_location(ast.Try([given], [handler], [], []), node))


@lru_cache(maxsize=256)
def without_assertions(test: str) -> CodeType:
    """The code of a test whose assertions are evaluated and fail nothing."""
    return compile(_WithoutAssertions().visit(ast.parse(test)), "<rehearsal>", "exec", dont_inherit=True)


def _late(number: int, frame: FrameType | None) -> None:
    raise RehearsalEnd


def independent(channel: Rehearsal, run: Callable[[Channel], None]) -> list[bytes]:
    """The recorded calls, from the first on, that depend on no answer. run: runs the test without its assertions."""
    before = signal.signal(signal.SIGALRM, _late)
    signal.setitimer(signal.ITIMER_REAL, MOST_SECONDS)
    try:
        with contextlib.suppress(BaseException):
            run(channel)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    return channel.recorded[: channel.recurred]
