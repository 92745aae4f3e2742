# ruff: noqa: S102
"""The forms of tests, and the names that a test takes from the program.

A test and its program share one namespace in plain Python. Here the test has its own: the prompt's helpers and classes
are the judge's, `candidate` is the object that the program defines, and any other name that the test does not define
is asked for when it is used. The names of Python's own modules, and the functions by which numbers are compared, are
always the judge's, even if the program defines others under them.
"""

import ast
import builtins
import copy
import importlib
import math
import sys
from collections.abc import Callable
from functools import lru_cache
from types import CodeType, ModuleType
from typing import Any

from evals.sandbox.judge import evalplus
from evals.sandbox.judge.channel import Channel
from evals.sandbox.judge.lending import SPACE

TEST = "<test>"
MEASURES = {**{name: value for name, value in vars(math).items() if not name.startswith("_")},
            "copy": copy.copy, "deepcopy": copy.deepcopy}  # fmt: skip
NUMPY_MEASURES = ("allclose", "array_equal", "array_equiv", "isclose")
MAKERS = ("class ", "namedtuple", "NamedTuple", "Enum", "make_dataclass", "TypedDict", "type(")


class BrokenTest(Exception):
    """The test itself cannot run, so the program is unscored."""


@lru_cache(maxsize=4096)
def compile_test(source: str, name: str = TEST) -> CodeType:
    """Compiles a trusted source, once."""
    return compile(source, name, "exec", dont_inherit=True)


@lru_cache(maxsize=4096)
def parse_prompt(prompt: str) -> ast.Module | None:
    """The tree of a prompt, for its helpers beside the requested function; None if it does not compile."""
    for source in (prompt, prompt.rstrip() + "\n    pass\n"):
        try:
            compile(source, "<prompt>", "exec", dont_inherit=True)
            return ast.parse(source)
        except (SyntaxError, ValueError):
            continue
    return None


@lru_cache(maxsize=4096)
def helpers(prompt: str) -> CodeType | None:
    """The code of a prompt without a class that it leaves to be continued; None if it does not compile."""
    tree = parse_prompt(prompt)
    if tree is None:
        return None
    kept = tree.body[:-1] if tree.body and isinstance(tree.body[-1], ast.ClassDef) else tree.body
    return compile(ast.Module(kept, tree.type_ignores), "<prompt>", "exec", dont_inherit=True)


def run_helpers(prompt: str) -> dict[str, Any]:
    """The namespace of a prompt: its imports, helpers and classes."""
    space: dict[str, Any] = {"__name__": SPACE}
    code = helpers(prompt)
    if code is not None:
        try:
            exec(code, space)
        except Exception:
            return {"__name__": SPACE}
    return space


def own_classes(space: dict[str, Any]) -> dict[str, type]:
    """The classes that a namespace itself defines, under their names."""
    return {name: kind for name, kind in space.items()
            if isinstance(kind, type) and kind.__module__ == SPACE and kind.__name__ == name}  # fmt: skip


@lru_cache(maxsize=4096)
def state_names(prompt: str) -> frozenset[str]:
    """The names under which a prompt keeps something that its program may change.

    >>> state_names("import re\\nCACHE = {}\\nLIMIT = 5\\n\\ndef f(a):\\n") == {"CACHE"}
    True
    """
    tree = parse_prompt(prompt)
    if tree is None or not any(isinstance(node, ast.Assign | ast.AnnAssign) for node in tree.body):
        return frozenset()
    space = run_helpers(prompt)
    return frozenset(name for name in space if name[:2] != "__" and isinstance(space[name], list | dict | set))


@lru_cache(maxsize=4096)
def _used_names(test: str) -> frozenset[str]:
    return frozenset(node.id for node in ast.walk(ast.parse(test)) if isinstance(node, ast.Name))


@lru_cache(maxsize=4096)
def shared_classes(prompt: str, entry_point: str) -> tuple[str, ...]:
    """The names of the classes that a prompt defines whole.

    >>> shared_classes("class A:\\n    x = 1\\n\\ndef f(a: A):\\n", "f"), shared_classes("class A:\\n    x = 1\\n", "A")
    (('A',), ())
    """
    if not any(maker in prompt for maker in MAKERS):
        return ()
    return tuple(name for name in own_classes(run_helpers(prompt)) if name != entry_point)


@lru_cache(maxsize=4096)
def meant_classes(prompt: str, test: str, form: str) -> frozenset[str]:
    """The names of the classes that a program was asked for: those that the prompt begins, or the test constructs.

    >>> meant_classes("class V:\\n    '''A vector.'''\\n", "", "humaneval") == {"V"}
    True
    >>> meant_classes("", "s = Stack()\\nassert total(s) == 0", "asserts") == {"Stack"}
    True
    """
    if form == "humaneval":
        tree = parse_prompt(prompt)
        last = tree.body[-1:] if tree is not None else []
        return frozenset(node.name for node in last if isinstance(node, ast.ClassDef))
    if form == "evalplus":
        return frozenset()
    called = (node.func for node in ast.walk(ast.parse(test)) if isinstance(node, ast.Call))
    capital = frozenset(name.id for name in called if isinstance(name, ast.Name) and name.id[:1].isupper())
    return capital & frozenset(free_names(test))


@lru_cache(maxsize=4096)
def free_names(test: str) -> tuple[str, ...]:
    """The names that a test uses but neither it nor Python defines: the program must.

    >>> free_names("root = Node(1)\\nassert height(root) == max(1, 0)")
    ('Node', 'height')
    """
    used: set[str] = set()
    bound = set(vars(builtins))
    for node in ast.walk(ast.parse(test)):
        if isinstance(node, ast.Name):
            (used if isinstance(node.ctx, ast.Load) else bound).add(node.id)
        elif isinstance(node, ast.FunctionDef | ast.ClassDef | ast.AsyncFunctionDef):
            bound.add(node.name)
        elif isinstance(node, ast.arg):
            bound.add(node.arg)
        elif isinstance(node, ast.Import | ast.ImportFrom):
            bound.update((alias.asname or alias.name).split(".")[0] for alias in node.names)
        elif isinstance(node, ast.ExceptHandler) and node.name:
            bound.add(node.name)
    return tuple(sorted(used - bound))


def standard(name: str) -> list[Any]:
    """The object that a name stands for in Python's or numpy's terms, in a list; empty if it has none."""
    if name in sys.stdlib_module_names and name not in MEASURES:
        return [importlib.import_module(name)]
    if name in ("np", "numpy"):
        return [importlib.import_module("numpy")]
    if name in NUMPY_MEASURES and name not in MEASURES:
        return [getattr(importlib.import_module("numpy"), name)]
    return [MEASURES[name]] if name in MEASURES else []


class TestSpace(dict[str, Any]):
    """A test's namespace, in which names that are not there are the program's."""

    def __init__(self, space: dict[str, Any], names: tuple[str, ...], channel: Channel) -> None:
        super().__init__({**vars(builtins), **space})
        self.names, self.channel = frozenset(names), channel

    def __missing__(self, name: str) -> Any:
        if name not in self.names:
            raise KeyError(name)
        value = self.channel.ask("name", 0, (name,), {})  # a NameError if the program does not define it either
        own = standard(name)
        if own and (callable(value) or name not in MEASURES):
            value = own[0]
        if callable(value) or isinstance(value, ModuleType):
            self[name] = value
        return value


def _with_names(space: dict[str, Any], test: str, channel: Channel) -> dict[str, Any]:
    names = tuple(name for name in free_names(test) if name not in space)
    return TestSpace(space, names, channel) if names else space


def run_check(job: dict[str, Any], channel: Channel, code: CodeType) -> None:
    """Runs a test of HumanEval's form: the prompt's helpers, then check(candidate)."""
    space = run_helpers(job["prompt"])
    kinds = own_classes(space)
    channel.graph.shared = {name: kinds[name] for name in shared_classes(job["prompt"], job["entry_point"])}
    space.pop(job["entry_point"], None)
    for name in state_names(job["prompt"]) & _used_names(job["test"]):
        del space[name]  # what the program keeps there is the program's
    entry = channel.read_entry()
    space |= {job["entry_point"]: entry[0]} if entry else {}
    space = _with_names(space, job["test"], channel)
    try:
        exec(code, space)
        check = space["check"]
    except Exception as error:
        if channel.made:
            raise
        raise BrokenTest(f"{type(error).__name__}: {error}") from None
    space |= {job["entry_point"]: entry[0]} if entry else {}
    if not entry:
        raise NameError(f"name {job['entry_point']!r} is not defined")
    check(entry[0])


def run_asserts(job: dict[str, Any], channel: Channel, code: CodeType) -> None:
    """Runs a test of MBPP's form: setup lines and plain asserts, with the program's objects for their free names."""
    entry = channel.read_entry()
    space: dict[str, Any] = {"__name__": SPACE}
    space |= {job["entry_point"]: entry[0]} if entry else {}
    exec(code, _with_names(space, job["test"], channel))


@lru_cache(maxsize=64)
def prepare(test: str) -> evalplus.Reference:
    """Prepares an EvalPlus test and the reference's outputs, once."""
    return evalplus.Reference(test)


def run_evalplus(job: dict[str, Any], channel: Channel, code: CodeType | None) -> None:
    """Runs a test of EvalPlus's form: outputs against the reference's; changes of an input in place do not matter."""
    entry = channel.read_entry()
    if not entry:
        raise NameError(f"name {job['entry_point']!r} is not defined")
    evalplus.compare(prepare(job["test"]), entry[0])


RUNS: dict[str, Callable[..., None]] = {"humaneval": run_check, "asserts": run_asserts, "evalplus": run_evalplus}


def compiled(job: dict[str, Any]) -> CodeType | None:
    """The code of a test; None for EvalPlus's form, which has none.

    Raises  BrokenTest if it does not compile.
    """
    if job["form"] == "evalplus":
        return None
    try:
        free_names(job["test"])
        return compile_test(job["test"])
    except (SyntaxError, ValueError) as error:
        raise BrokenTest(f"{type(error).__name__}: {error}") from None
