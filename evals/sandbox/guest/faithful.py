# ruff: noqa: S102
"""The second view: runs a program and its test as plain Python does, in one process and one namespace.

The program can forge the outcome here, since it shares its interpreter with the test. So a pass says nothing
by itself: `evals.sandbox.judge.faithful` asks only after the judge has compared, and only a failure changes a
verdict. Standard library only, as in `evals.sandbox.guest.candidate`.
"""

import builtins
import linecache
import pickle
from typing import Any

# a private copy of builtins, so that a program that replaces Python's harms only itself
globals()["__builtins__"] = dict(vars(builtins))

TEST = "<test>"  # the file name of a test's code, as in the judge


def run_official(space: dict[str, Any], test: str, call: str, given: bytes) -> None:
    """Executes a test as its publisher does.

    space  the program's namespace; the test shares it, as text after the program does
    call   the statement that starts the test, executed after it; may be empty
    given  empty, or a pickled mapping of names: then the test has its own namespace with these names and
           `program`, the program's namespace
    Raises whatever the test raises.
    """
    linecache.cache[TEST] = (len(test), None, test.splitlines(True), TEST)  # inspect.getsource works
    if given:
        space = {"__name__": "official", **pickle.loads(given), "program": space}  # noqa: S301 (from the judge)
    exec(compile(test, TEST, "exec", dont_inherit=True), space)
    if call:
        exec(compile(call, "<call>", "exec", dont_inherit=True), space)


def test_line(error: BaseException) -> int:
    """The line of the test at which an exception passed; 0 if it passed none."""
    line, trace = 0, error.__traceback__
    while trace is not None:
        if trace.tb_frame.f_code.co_filename == TEST:
            line = trace.tb_lineno
        trace = trace.tb_next
    return line
