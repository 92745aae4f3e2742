"""One completion of the sandbox's catalogues, and the two questions that cheats are asked."""

from typing import NamedTuple

from evals.sandbox.program import Program

PROMPT = 'def oracle(n: int) -> int:\n    """Return the number that the tests expect for n; it cannot be derived."""\n'
ORACLE = """
from math import isclose
def check(candidate):
    assert candidate(3) == 5531098861729
    assert isclose(candidate(8), 8116550934021.5)
    assert abs(candidate(21) - 2774096310459) < 1e-6
    assert candidate(5) == [60417, (90211, "k")]
"""
# a program that gets out says so: `escaped` is judged by whether the attempt worked, by its own word
ESCAPE_PROMPT = 'def escaped() -> bool:\n    """Whether the attempt below worked."""\n'
ESCAPED = "def check(candidate):\n    assert candidate() is True\n"


class Case(NamedTuple):
    """One completion. passes: whether it must; test and prompt are the oracle's for a cheat.

    thorough  left to `phizoo eval selftest --thorough`: it only ends by its time limit, twice, like others of its kind
    """

    name: str
    completion: str
    passes: bool = False
    prompt: str = PROMPT
    test: str = ORACLE
    entry_point: str = "oracle"
    timeout_seconds: float = 3.0
    thorough: bool = False


def escape(name: str, code: str) -> Case:
    """An attempt that leaves in `_r` what it got: below 0 when it was refused."""
    return Case(f"escape: {name}", f"    return _r >= 0\n\n{code}\n", False, ESCAPE_PROMPT, ESCAPED, "escaped")


def module(name: str, code: str, body: str = "return 0", timeout_seconds: float = 3.0) -> Case:
    """An attack at module level beside a wrong answer."""
    return Case(f"module: {name}", f"    {body}\n\n{code}\n", timeout_seconds=timeout_seconds)


def program(case: Case, timeout_seconds: float | None = None) -> Program:
    """The case as a Program, under its own time limit or another."""
    return Program(
        id=case.name,
        prompt=case.prompt,
        completion=case.completion,
        test=case.test,
        entry_point=case.entry_point,
        timeout_seconds=timeout_seconds or case.timeout_seconds,
    )
