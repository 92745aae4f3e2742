"""The records of the sandbox: a program with its tests, and its verdict."""

from typing import Literal

from zoo.records import Record

VIEWS = 2  # behind a verdict: the judge's and, where copies can differ, plain Python's
Form = Literal["humaneval", "asserts", "evalplus"]
Outcome = Literal["passed", "failed", "timeout", "error", "unscored"]


class Program(Record, frozen=True, kw_only=True):
    """One completion and the tests that judge it. The module that runs is prompt + completion.

    test    humaneval: source that defines check(candidate). asserts: source whose free names are
            the program's (setup lines, then plain asserts). evalplus: `evals.sandbox.judge.evalplus.make_test`.
    timeout_seconds  CPU seconds of the whole process tree; blocked time counts, waiting for a core
            does not
    """

    id: str
    prompt: str
    completion: str
    test: str
    entry_point: str
    timeout_seconds: float = 3.0
    form: Form = "humaneval"


class Verdict(Record, frozen=True, kw_only=True):
    """The verdict on one program.

    verdict  passed | failed | timeout | error (it does not compile) | unscored (the sandbox or the test is at fault)
    detail   which test, the exception and its line; empty when passed
    seconds  wall time of its (last) run
    runs     number of runs: 2 if it ran out of time and was run again alone
    disputed  the verdict rests on the judge's view alone: plain Python passes what the judge fails, or it
              could not look where copies can differ (`evals.sandbox.judge.faithful`)
    """

    id: str
    verdict: Outcome
    detail: str = ""
    seconds: float = 0.0
    runs: int = 1
    disputed: bool = False
