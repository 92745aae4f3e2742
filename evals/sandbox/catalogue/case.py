"""The sandbox's catalogue: programs with the verdict that each must have, read from the text files beside this one.

Cheats must not pass. Each answers a question whose answers cannot be derived (`ORACLE`), so a pass means that an
answer was stolen or forged, or that a comparison was bent; an escape reports its own success. Honest programs are
right in unusual ways and must pass, or the sandbox scores models wrongly: values keep their types, and state,
recursion, threads, processes, files, signals, imports, exceptions, callbacks and changes in place work. Programs
of fidelity are judged by plain Python: copies of their values would hide what is wrong in them, or break what is right.
`phizoo eval sandbox test` runs all of it before a first use on a machine.

A file opens with its subject. A blank line and `@@` open each section: `must pass` or `must fail`; `entry NAME`,
`seconds N`, `prompt`, `test` and `around` (the text in which a case replaces `<code>`) for the whole file; then
`case NAME`, or `thorough NAME` for a program that only ends at its time limit and is left to `selftest --thorough`.
`entry`, `prompt` and `test` below a case are that case's own.
"""

import sys
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

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
CHEATS = (
    "objects", "subclasses", "modules", "bodies", "stolen_files", "escapes", "liars", "lying_subclasses", "values",
    "raised", "frames", "hooks", "contains", "mirrored", "calls", "attempts", "resources", "called", "opinions",
)  # fmt: skip
HONEST = ("sums", "answers", "prompted")
FIDELITY = ("right", "right_more", "right_values", "right_objects", "wrong", "wrong_objects")
# Python 3.12 and 3.13 count calls through C that may nest apart, whatever limit a program sets
NESTED = (300, 300) if (3, 12) <= sys.version_info < (3, 14) else (15000, 20000)
TOKENS = {"<CR>": "\r", "<FF>": "\x0c", "<CACHED_DEEP>": str(NESTED[0]), "<SORTED_DEEP>": str(NESTED[1])}


class Case(NamedTuple):
    """One completion. passes: whether it must pass. thorough: left to `phizoo eval sandbox test --thorough`."""

    name: str
    completion: str
    passes: bool = False
    prompt: str = PROMPT
    test: str = ORACLE
    entry_point: str = "oracle"
    timeout_seconds: float = 3.0
    thorough: bool = False


@cache
def cheats() -> tuple[Case, ...]:
    """Every program that must not pass."""
    return tuple(case for name in CHEATS for case in read_cases(_text("cheats", name)))


@cache
def honest() -> tuple[Case, ...]:
    """Every unusual program that must pass."""
    return tuple(case for name in HONEST for case in read_cases(_text("honest", name)))


@cache
def fidelity() -> tuple[Case, ...]:
    """Programs whose verdict depends on identity, exact types or side effects: `passes` is plain Python's verdict."""
    return tuple(case for name in FIDELITY for case in read_cases(_text("fidelity", name)))


def _text(folder: str, name: str) -> str:
    return (Path(__file__).parent / folder / f"{name}.txt").read_text(encoding="utf-8")


def read_cases(text: str) -> list[Case]:
    """The cases of one file.

    >>> text = "About.\\n\\n@@ must fail\\n\\n@@ around\\nx = 1\\n<code>\\n\\n@@ case exit\\nraise SystemExit\\n"
    >>> read_cases(text)[0].completion
    'x = 1\\nraise SystemExit\\n'
    """
    common: dict[str, Any] = {}
    cases: list[dict[str, Any]] = []  # the fields of each Case
    around = "<code>\n"
    for section in text.removesuffix("\n").split("\n\n@@ ")[1:]:
        head, _, body = section.partition("\n")
        body = _decoded(body) + "\n"
        key, _, value = head.partition(" ")
        match key:
            case "must":
                common["passes"] = value == "pass"
            case "entry":
                (cases[-1] if cases else common)["entry_point"] = value
            case "seconds":
                common["timeout_seconds"] = float(value)
            case "around":
                around = body
            case "case" | "thorough":
                completion = around.replace("<code>", body[:-1])
                cases.append({**common, "name": value, "completion": completion, "thorough": key == "thorough"})
            case "prompt" | "test":
                (cases[-1] if cases else common)[key] = body
            case _:
                raise ValueError(f"unknown section: {head}")
    return [Case(**fields) for fields in cases]


def _decoded(text: str) -> str:
    for token, character in TOKENS.items():
        text = text.replace(token, character)
    return text


def program(case: Case, timeout_seconds: float | None = None) -> Program:
    """The case as a Program, under its own time limit or another."""
    return Program(
        id=case.name, prompt=case.prompt, completion=case.completion, test=case.test, entry_point=case.entry_point,
        timeout_seconds=timeout_seconds or case.timeout_seconds,
    )  # fmt: skip
