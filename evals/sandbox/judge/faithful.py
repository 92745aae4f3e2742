"""The second view of a verdict: whether it is due, and what it makes of the judge's.

The judge sees copies. It cannot be cheated, but it cannot see identity, exact types or side effects either.
Plain Python sees those, but shares its interpreter with the program, which may forge any outcome. So both look:
after the judge's verdict, where a copy could be told from the original, the test as it is published runs in a
fresh child of the sandbox (`evals.sandbox.guest.faithful`). Its failure vetoes a pass. Its pass changes nothing,
since it may be forged: where the judge fails what plain Python passes, the verdict stays and is disputed.

Not here: the comparison of copies (`evals.sandbox.judge.judge`), the child's side.
"""

import ast
import builtins
import inspect
import itertools
import json
import pickle
import re
import sys
import types
from functools import lru_cache
from typing import Any, NamedTuple

from evals.sandbox.judge import evalplus

# how far a value can be told from its copy
ALIKE, MUTABLE, OBJECT = 0, 1, 2
SCALARS = frozenset((int, str, bytes, bool, type(None)))
PLAIN = frozenset((list, dict, set))
# modules that hold no state which a program could share with its test
PURE = frozenset(("cmath", "copy", "fractions", "itertools", "math", "operator", "re", "string", "typing"))
# builtins by which a test looks at more than a value
TELLING = frozenset((
    "id", "type", "isinstance", "issubclass", "print", "input", "open", "globals", "locals", "vars", "dir", "getattr",
    "setattr", "delattr", "hasattr", "hash", "repr", "ascii", "format", "exec", "eval", "compile", "breakpoint", "help",
    "callable", "memoryview", "object", "super",
))  # fmt: skip
ONE_OF_A_KIND = (type(None), bool, type(Ellipsis))  # constants that `is` compares by value


def difference(value: Any) -> int:
    """How far a value can be told from its copy.

    ALIKE    exactly plain and immutable: by nothing
    MUTABLE  exactly plain, with a list, dict, set or NaN in it: by identity and later changes
    OBJECT   anything else

    >>> difference((1, "a", None)), difference(([1], 2)), difference(range(3)), difference(float("nan"))
    (0, 1, 2, 1)
    """
    kind = type(value)
    if kind in SCALARS:
        return ALIKE
    if kind is float or kind is complex:
        return ALIKE if value == value else MUTABLE  # NaN equals itself by identity alone
    if kind is tuple or kind is frozenset:
        return max(map(difference, value), default=ALIKE)
    if kind in PLAIN:
        inside = max(map(difference, value), default=ALIKE)
        if kind is dict:
            inside = max(inside, max(map(difference, value.values()), default=ALIKE))
        return max(MUTABLE, inside)
    return OBJECT


def safe_difference(value: Any) -> int:
    """`difference` of a value of any depth."""
    try:
        return difference(value)
    except RecursionError:
        return OBJECT


class TestTraits(NamedTuple):
    """The properties of a test's text that decide whether a second view is due, and whether there can be one.

    looks    what it looks at beside values, in words; "" if nothing
    uses     the builtin names that it uses, which a program could define itself
    missing  a module that it imports and no program of the sandbox has; "" if there is none
    """

    looks: str
    uses: tuple[str, ...]
    missing: str


@lru_cache(maxsize=4096)
def traits(test: str, entry_point: str) -> TestTraits:
    """The traits of a test in source form.

    >>> traits("def check(candidate):\\n    assert candidate(1) == abs(-1)", "f")
    TestTraits(looks='', uses=('abs',), missing='')
    >>> traits("import sys\\nassert f() is f()", "f").looks
    'the module sys'
    """
    looks: list[str] = []
    missing = ""
    used: set[str] = set()
    bound = {entry_point, "candidate"}
    for node in ast.walk(ast.parse(test)):
        if isinstance(node, ast.Name):
            (used if isinstance(node.ctx, ast.Load) else bound).add(node.id)
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            bound.add(node.name)
        elif isinstance(node, ast.arg):
            bound.add(node.arg)
        elif isinstance(node, ast.ExceptHandler) and node.name:
            bound.add(node.name)
        elif isinstance(node, ast.Import | ast.ImportFrom):
            bound.update((alias.asname or alias.name).split(".")[0] for alias in node.names)
            names = [a.name for a in node.names] if isinstance(node, ast.Import) else [node.module or ""]
            for name in (name.partition(".")[0] for name in names):
                looks += [f"the module {name}"] if name not in PURE else []
                missing = missing or (name if name not in sys.stdlib_module_names and name != "numpy" else "")
        elif isinstance(node, ast.Compare):
            looks += ["identity"] if _compares_identity(node) else []
        elif isinstance(node, ast.Attribute) and node.attr.startswith("__"):
            looks.append(node.attr)
    own = set(vars(builtins))
    looks += [f"{name}()" for name in sorted(used & TELLING - bound)]
    looks += [f"the program's {name}" for name in sorted(used - bound - own)]
    looks += [name for name in sorted(used - bound) if name.startswith("__")]
    return TestTraits(next(iter(looks), ""), tuple(sorted(used & own - bound)), missing)


def _compares_identity(node: ast.Compare) -> bool:
    """Whether `is` compares two values of which none is a constant that exists once."""
    sides = [node.left, *node.comparators]
    return any(
        isinstance(operator, ast.Is | ast.IsNot)
        and not any(isinstance(s, ast.Constant) and isinstance(s.value, ONE_OF_A_KIND) for s in pair)
        for operator, pair in zip(node.ops, itertools.pairwise(sides), strict=True)
    )


@lru_cache(maxsize=4096)
def _binding(names: tuple[str, ...]) -> re.Pattern[str]:
    one = rf"(?:{'|'.join(map(re.escape, names))})"
    return re.compile(
        rf"^[ \t]*(?:async[ \t]+)?(?:def|class)[ \t]+{one}\b|\b(?:import|global|as)\b[^\n]*\b{one}\b|"
        rf"^(?:[\w, \t*()]*,[ \t]*)?{one}\b[^\n=(]*=(?!=)|^for\b[^\n]*\b{one}\b",
        re.MULTILINE,
    )


OPEN_NAMES = re.compile(r"\bimport[ \t]*\*|\bbuiltins\b|\b__builtins__\b|\bglobals\b|\bexec\b")


def rebinds(source: str, names: tuple[str, ...]) -> bool:
    """Whether a program may define one of these builtin names itself, so that its test would use its own.

    >>> rebinds("def add(a, b):\\n    return sum([a, b])", ("sum",)), rebinds("def sum(a): return 0", ("sum",))
    (False, True)
    >>> rebinds("from numpy import *", ("sum",)), rebinds("sum = 1", ("sum",)), rebinds("a = sum == 1", ("sum",))
    (True, True, False)
    """
    return bool(names) and bool(OPEN_NAMES.search(source) or _binding(names).search(source))


def enough(form: str) -> int:
    """The difference from which a value makes a second view due.

    EvalPlus's test compares each output at once and by value, and keeps neither it nor the input: there a list
    is as good as its copy.
    """
    return OBJECT if form == "evalplus" else MUTABLE


def due(form: str, test: str, entry_point: str, source: str, crossed: int) -> str:
    """Why a second view is due, in words; "" if no test could tell copies from originals here.

    crossed  the largest `difference` of a value that crossed between the judge and the program

    >>> check = "def check(candidate):\\n    assert candidate(1) == 2"
    >>> due("humaneval", check, "f", "def f(x): return x + 1", ALIKE)
    ''
    >>> due("humaneval", check, "f", "def f(x): return x + 1", MUTABLE)
    'a mutable value'
    """
    if crossed >= enough(form):
        return "a mutable value" if crossed == MUTABLE else "a value that is not exactly plain"
    if form == "evalplus":
        return ""
    seen = traits(test, entry_point)
    return seen.looks or ("the program's own names" if rebinds(source, seen.uses) else "")


def read_failure(payload: bytes) -> tuple[str, int]:
    """(the error, the line of the test) of a failure under plain Python, from a child that may send anything."""
    try:
        own, text, line, where = json.loads(str(payload, "utf-8", "surrogatepass"))
        of_program = f" (line {line} of the program)" if type(line) is int and line else ""
        return f"{str(own)[:80]}: {str(text)[:500]}".rstrip(": ") + of_program, where if type(where) is int else 0
    except (ValueError, TypeError, RecursionError):
        return "an unreadable exception", 0


class Official(NamedTuple):
    """A test as plain Python runs it; the fields are the arguments of `evals.sandbox.guest.faithful.run_official`."""

    test: str
    call: str
    given: bytes


def official(job: dict[str, Any], reference: evalplus.Reference | None = None) -> Official:
    """The official form of a program's test.

    reference  for the form evalplus: its inputs and expected outputs
    """
    if reference is not None:
        return Official(
            inspect.getsource(evalplus),
            f"compare_apart(reference, program[{reference.entry_point!r}])",
            _given(reference),
        )
    call = f"check({job['entry_point']})" if job["form"] == "humaneval" else ""
    return Official(job["test"], call, b"")


def _given(reference: evalplus.Reference) -> bytes:
    return pickle.dumps({"reference": types.SimpleNamespace(**vars(reference))}, 4)


def unavailable(form: str, test: str, entry_point: str) -> str:
    """The module that keeps a test from running inside the sandbox; "" if it can."""
    return "" if form == "evalplus" else traits(test, entry_point).missing
