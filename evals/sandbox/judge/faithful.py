"""The second view of a verdict: whether it is due, and what it makes of the judge's.

The judge sees copies. It cannot be cheated, but it cannot see identity, exact types or side effects either.
Plain Python sees those, but shares its interpreter with the program, which may forge any outcome. So both look:
after the judge's verdict, where a copy could be told from the original, a fresh child of the sandbox runs program and
test as one text, as it is published. Its failure vetoes a pass. Its pass changes nothing,
since it may be forged: where the judge fails what plain Python passes, the verdict stays and is disputed.

Not here: the comparison of copies (`evals.sandbox.judge.judge`), the child's side.
"""

import ast
import builtins
import inspect
import itertools
import pickle
import re
import sys
import types
from functools import lru_cache
from typing import Any, NamedTuple

from evals.sandbox.judge import evalplus
from evals.sandbox.judge.momentary import is_momentary
from evals.sandbox.judge.surroundings import draws

# how far a value can be told from its copy, and in words
ALIKE, MUTABLE, NAN, OBJECT = 0, 1, 2, 3
WORDS = ("", "a mutable value", "a NaN", "a value that is not exactly plain")
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
# what the judge's process and the program's never share, in the words of docs/sandbox.md; a test that needs it fails a
# right answer on copies, and the failure is disputed
OUTSIDE = {
    "files": ("glob", "os", "pathlib", "shutil", "sqlite3", "tempfile", "open()"),
    "processes, threads and signals": ("concurrent", "multiprocessing", "signal", "subprocess", "threading"),
    "event loops": ("asyncio",),
    "the interpreter's own state": (
        "builtins", "decimal", "faulthandler", "gc", "importlib", "locale", "logging", "sys", "tracemalloc", "unittest",
        "weakref", "globals()", "locals()",
    ),
    "sockets": ("http", "select", "selectors", "socket", "urllib"),
}  # fmt: skip
IN_LINE = re.compile(r" \(line (\d+) of the program\)$")  # `Channel.last_error`
NEWLINE = re.compile(r"\r\n|\r|\n")
# EvalPlus's comparison in a namespace of its own, after a program
EVALPLUS = """
(lambda own: (
    __import__('builtins').exec({module!r}, own),
    own['compare_apart'](__import__('pickle').loads({given!r}), {entry_point}),
))({{'__name__': 'official'}})
"""
ONE_OF_A_KIND = (type(None), bool, type(Ellipsis))  # constants that `is` compares by value


def difference(value: Any) -> int:
    """How far a value can be told from its copy.

    ALIKE    exactly plain and immutable: by nothing
    MUTABLE  exactly plain, with a list, dict or set in it: by identity and later changes
    NAN      exactly plain, with a NaN in it: by comparing it with itself too
    OBJECT   anything else

    >>> difference((1, "a", None)), difference(([1], 2)), difference([float("nan")]), difference(range(3))
    (0, 1, 2, 3)
    """
    kind = type(value)
    if kind in SCALARS:
        return ALIKE
    if kind is float or kind is complex:
        return ALIKE if value == value else NAN  # NaN equals itself by identity alone
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


class Traits(NamedTuple):
    """The properties of a test's text that decide whether a second view is due, and whether there can be one.

    looks    the first thing that it looks at beside values, in words; "" if there is none
    still    the same where the program draws no random numbers
    outside  the first that the judge and the program do not share, in words; "" if there is none
    holds    whether it may hold a value beyond the line that it stands in (`evals.sandbox.judge.momentary`)
    uses     the builtin names that it uses, which a program could define itself
    missing  a module that it imports and no program of the sandbox has; "" if there is none
    """

    looks: str
    still: str
    outside: str
    holds: bool
    uses: tuple[str, ...]
    missing: str


@lru_cache(maxsize=4096)
def traits(test: str, entry_point: str) -> Traits:
    """The traits of a test in source form.

    >>> traits("def check(candidate):\\n    assert candidate(1) == abs(-1)", "f")
    Traits(looks='', still='', outside='', holds=False, uses=('abs',), missing='')
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
    kinds = {name: kind for kind, names in OUTSIDE.items() for name in names}
    outside = (f"{kinds[name]} ({look})" for look in looks if (name := look.removeprefix("the module ")) in kinds)
    holds = not is_momentary(test, entry_point)
    still = (look for look in looks if look != "the module random")
    return Traits(
        next(iter(looks), ""), next(still, ""), next(outside, ""), holds, tuple(sorted(used & own - bound)), missing
    )


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


def enough(form: str, test: str, entry_point: str) -> int:
    """The difference from which a value makes a second view due.

    A test that holds no value sees a list as well by its copy. EvalPlus's compares each output at once and by value,
    and keeps neither it nor the input.
    """
    if form == "evalplus":
        return OBJECT
    try:
        return MUTABLE if traits(test, entry_point).holds else NAN
    except (SyntaxError, ValueError):  # it cannot run at all
        return MUTABLE


def due(form: str, test: str, entry_point: str, source: str, crossed: int, same: bool = False) -> str:
    """Why a second view is due, in words; "" if no test could tell copies from originals here.

    crossed  the largest `difference` of a value that crossed between the judge and the program
    same     whether the program compares identity: a number or text that is one object here is two there

    >>> check = "def check(candidate):\\n    a = [1]\\n    assert candidate(a) == a"
    >>> due("humaneval", check, "f", "def f(x): return x", ALIKE)
    ''
    >>> due("humaneval", check, "f", "def f(x): return x", MUTABLE)
    'a mutable value'
    """
    if crossed >= enough(form, test, entry_point):
        return WORDS[crossed]
    if same:
        return "identity in the program"
    if form == "evalplus":
        return ""
    seen = traits(test, entry_point)
    return (seen.looks if draws(source) else seen.still) or (
        "the program's own names" if rebinds(source, seen.uses) else ""
    )


def place(error: str, source: str) -> tuple[str, int]:
    """(an error as the program reported it, the line of the test that it names) of a text with program and test.

    >>> place("AssertionError:  (line 5 of the program)", "def f():\\n    return 1")
    ('AssertionError', 3)
    >>> place("ValueError: no (line 2 of the program)", "def f():\\n    return int('no')")
    ('ValueError: no (line 2 of the program)', 0)
    """
    if match := IN_LINE.search(error):
        line = int(match[1]) - len(NEWLINE.split(source))
        if line > 0:
            return error[: match.start()].rstrip(": "), line
    return error, 0


def official(job: dict[str, Any], reference: evalplus.Reference | None = None) -> str:
    """A program and its test as one text, as plain Python runs it.

    reference  for the form evalplus: its inputs and expected outputs
    """
    source, entry_point = job["source"], job["entry_point"]
    if reference is None:
        call = f"check({entry_point})" if job["form"] == "humaneval" else ""
        return f"{source}\n{job['test']}\n{call}\n"
    given = pickle.dumps(types.SimpleNamespace(**vars(reference)), 4)
    apart = EVALPLUS.format(module=_source_of_evalplus(), given=given, entry_point=entry_point)
    return f"{source}{apart}"


@lru_cache(maxsize=1)
def _source_of_evalplus() -> str:
    return inspect.getsource(evalplus)


def outside(form: str, test: str, entry_point: str) -> str:
    """What a test needs that one of the two views cannot have, in words; "" if both can judge it.

    >>> outside("asserts", "import os\\nassert f(os.getcwd())", "f"), outside("asserts", "import attrs", "f")
    ('files (the module os)', 'the module attrs, which is not in the sandbox')
    """
    if form == "evalplus":
        return ""
    seen = traits(test, entry_point)
    return f"the module {seen.missing}, which is not in the sandbox" if seen.missing else seen.outside


def unavailable(form: str, test: str, entry_point: str) -> str:
    """The module that keeps a test from running inside the sandbox; "" if it can."""
    return "" if form == "evalplus" else traits(test, entry_point).missing
