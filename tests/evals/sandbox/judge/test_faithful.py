"""A second view is due exactly where a copy can be told from the original; it vetoes, and never passes anything."""

from collections import Counter, OrderedDict, deque
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evals.sandbox import Program, Sandbox, Verdict
from evals.sandbox.judge import faithful
from evals.sandbox.judge.faithful import ALIKE, MUTABLE, NAN, OBJECT, difference, due, traits

CHECK = "def check(candidate):\n    assert candidate([1]) == 2\n"
HOLDS = "def check(candidate):\n    a = [1]\n    assert candidate(a) == 2\n"
SCALARS = (
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text() | st.binary()
    | st.complex_numbers(allow_nan=False)
)  # fmt: skip
PLAIN = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=4).map(tuple) | st.frozensets(inner, max_size=4), max_leaves=12
)


class Sub(int):
    """Not exactly an int."""


CHANGING = st.sampled_from([[], {}, set(), [1], {"a": 1}, {2}])
OTHER = st.sampled_from(
    [
        Sub(1),
        object(),
        Counter(),
        OrderedDict(),
        deque(),
        Decimal(1),
        range(3),
        bytearray(),
        iter(()),
        ValueError(),
        len,
    ]
)


KINDS = st.lists(st.sampled_from(["tuple", "list", "dict"]), max_size=4)


def around(inside: Any, before: list[Any], kinds: list[str]) -> Any:
    """The value inside nested tuples, lists and dict values."""
    for kind in kinds:
        made = [*before, inside]
        inside = tuple(made) if kind == "tuple" else made if kind == "list" else {"k": inside, "b": before}
    return inside


@given(PLAIN)
def test_a_view_is_never_due_for_exactly_plain_immutable_values(value: Any) -> None:
    assert difference(value) == ALIKE
    for form in ("humaneval", "asserts", "evalplus"):
        assert not due(form, CHECK if form == "humaneval" else "assert f(1) == 2", "f", "def f(x): return 2", ALIKE)


@given(CHANGING, st.lists(PLAIN, max_size=2), st.lists(st.just("tuple"), max_size=4))
def test_a_view_is_due_for_a_mutable_value_however_deep(value: Any, before: list[Any], kinds: list[str]) -> None:
    assert difference(around(value, before, kinds)) == MUTABLE
    assert due("humaneval", HOLDS, "f", "def f(x): return 2", MUTABLE)
    assert not due("humaneval", CHECK, "f", "def f(x): return 2", MUTABLE)  # nothing is left to look at it


@given(st.sampled_from([float("nan"), complex(float("nan"), 0)]), st.lists(PLAIN, max_size=2), KINDS)
def test_a_view_is_due_for_a_nan_even_where_no_value_is_held(value: Any, before: list[Any], kinds: list[str]) -> None:
    assert difference(around(value, before, kinds)) == NAN
    assert due("humaneval", CHECK, "f", "def f(x): return 2", NAN)


@given(OTHER, st.lists(PLAIN, max_size=2), KINDS)
def test_a_view_is_due_for_every_other_value_under_every_form(value: Any, before: list[Any], kinds: list[str]) -> None:
    assert difference(around(value, before, kinds)) == OBJECT
    for form in ("humaneval", "asserts", "evalplus"):
        assert due(form, "", "f", "def f(x): return 2", OBJECT)


def test_a_value_of_any_depth_is_seen() -> None:
    deep: Any = []
    for _ in range(100_000):
        deep = [deep]
    assert faithful.safe_difference(deep) == OBJECT


@pytest.mark.parametrize(
    ("line", "looks"),
    [
        ("assert f(1) == 2 and f(2) is None and f(3) is not True", ""),
        ("assert f(1) is f(1)", "identity"),
        ("x = f(1)\nassert x is not x", "identity"),
        ("assert id(f(1)) != 3", "id()"),
        ("assert type(f(1)) is int", "identity"),
        ("assert isinstance(f(1), int)", "isinstance()"),
        ("print(f(1))", "print()"),
        ("import sys\nassert sys.modules", "the module sys"),
        ("from random import random\nassert f(random())", "the module random"),
        ("import math, itertools\nfrom copy import deepcopy\nassert math.isclose(f(deepcopy(1)), 2)", ""),
        ("assert f.__name__ == 'f'", "__name__"),
        ("assert __name__ != 'x'", "__name__"),
        ("assert CACHE == {}", "the program's CACHE"),
        ("assert helper(f(1)) == 2", "the program's helper"),
        ("def mine(x): return x\nassert mine(f(1)) == sum([2])", ""),
        ("for i in range(3):\n    assert f(i) == [n for n in (i,)][0]", ""),
        ("try:\n    f(1)\nexcept ValueError as error:\n    assert error", ""),
    ],
)
def test_what_a_test_looks_at(line: str, looks: str) -> None:
    assert traits(line, "f").looks == looks
    assert bool(due("asserts", line, "f", "import random\ndef f(x): return x", ALIKE)) == bool(looks)


def test_random_numbers_of_a_test_are_nothing_to_a_program_that_draws_none() -> None:
    line = "import random\nassert f(random.random())"
    assert not due("asserts", line, "f", "def f(x): return x", ALIKE)
    assert due("asserts", line, "f", "def f(x): return __import__('ran' + 'dom').random()", ALIKE)
    assert due("asserts", line + "\nimport sys", "f", "def f(x): return x", ALIKE) == "the module sys"


@pytest.mark.parametrize(
    ("source", "own"),
    [
        ("def f(x): return sum(x)", False),
        ("def sum(x): return 1", True),
        ("def f(x):\n    return x\nclass sum: pass", True),
        ("from math import fsum as sum", True),
        ("from math import *", True),
        ("sum = len", True),
        ("a, sum = 1, 2", True),
        ("x = sum == 3", False),
        ("def f(x):\n    global sum\n    sum = 3", True),
        ("import builtins\nbuiltins.sum = 3", True),
        ("for sum in range(3): pass", True),
    ],
)
def test_a_program_that_defines_a_builtin_of_the_test_is_seen(source: str, own: bool) -> None:
    assert bool(due("asserts", "assert sum(f(1)) == 2", "f", source, ALIKE)) == own


def test_a_module_that_the_sandbox_lacks_is_named() -> None:
    assert traits("import numpy, os.path\nfrom json import loads", "f").missing == ""
    assert traits("def check(f):\n    import hypothesis.strategies", "f").missing == "hypothesis"


def judged(sandbox: Sandbox, completion: str, test: str, **more: Any) -> Verdict:
    program = Program(id="p", prompt="def f(x):\n", completion=completion, test=test, entry_point="f", **more)
    (verdict,) = sandbox.run([program])
    return verdict


SUMS = "def check(candidate):\n    got = candidate(2)\n    assert sum(got) == 2\n"


def test_a_pass_on_copies_is_vetoed_by_plain_python(sandbox: Sandbox) -> None:
    made = judged(sandbox, "    return [x]\n\ndef sum(items):\n    return 0\n", SUMS)
    assert (made.verdict, made.disputed) == ("failed", False)
    assert made.detail == (
        "passes on copies, fails as plain Python: AssertionError in test 1, line 3: assert sum(got) == 2"
    )
    made = judged(sandbox, "    return [x]\n", SUMS)
    assert (made.verdict, made.disputed, made.detail) == ("passed", False, "")


def test_a_failure_that_plain_python_passes_stays_and_is_disputed(sandbox: Sandbox) -> None:
    test = (
        "import gc\ndef check(candidate):\n    candidate(1)\n"
        "    assert any(type(one).__name__ == 'Kept' for one in gc.get_objects())\n"
    )
    made = judged(sandbox, "    kept.append(Kept())\n\nkept = []\nclass Kept: pass\n", test)
    assert (made.verdict, made.disputed) == ("failed", True)
    assert made.detail.endswith("; plain Python passes it")
    made = judged(sandbox, "    return [1]\n", "def check(candidate):\n    assert candidate(1) == [2]\n")
    assert (made.verdict, made.disputed) == ("failed", False)


def test_a_program_that_compares_identity_is_looked_at_again(sandbox: Sandbox) -> None:
    test = "def check(candidate):\n    assert candidate((1000, 1000))\n"
    made = judged(sandbox, "    return x[0] is x[1]\n", test)
    assert (made.verdict, made.disputed) == ("failed", True)
    assert judged(sandbox, "    return x is not None\n", test).verdict == "passed"
    assert due("humaneval", CHECK, "f", "", ALIKE, same=True) and not due("humaneval", CHECK, "f", "", ALIKE)


def test_a_reply_that_the_judge_refuses_is_looked_at_again(sandbox: Sandbox) -> None:
    test = "def check(candidate):\n    assert len(candidate(40)) == 40 << 20\n"
    made = judged(sandbox, "    return 'x' * (x << 20)\n", test, timeout_seconds=10.0)
    assert (made.verdict, made.disputed) == ("failed", True)
    assert "forbidden size" in made.detail


def test_a_forged_pass_of_the_second_view_passes_nothing(sandbox: Sandbox) -> None:
    """A program that rewrites its test in its own process, or answers for it, has failed in the judge already."""
    liar = (
        "    return [Liar()]\n\n"
        "class Liar:\n    def __eq__(self, other): return True\n    def __hash__(self): return 1\n"
    )
    made = judged(sandbox, liar, "def check(candidate):\n    assert candidate(1) == [5]\n")
    assert (made.verdict, made.disputed) == ("failed", True)


@pytest.mark.parametrize("end", ["import os; os._exit(0)", "raise SystemExit", "import os; os.abort()"])
def test_an_end_of_the_second_process_is_a_failure(end: str, sandbox: Sandbox) -> None:
    """It ends where the test runs beside it: a copy of the caller's frames shows that."""
    body = (
        "    import sys\n    frame = sys._getframe()\n"
        "    while frame:\n        if frame.f_code.co_name == 'check':\n"
        f"            {end}\n        frame = frame.f_back\n    return [x]\n"
    )
    made = judged(sandbox, body, "def check(candidate):\n    a = candidate(1)\n    assert a == [1]\n")
    assert made.verdict == "failed" and made.detail.startswith("passes on copies, fails as plain Python: ")


def test_a_second_view_that_takes_too_long_is_repeated_and_then_a_timeout(sandbox: Sandbox) -> None:
    body = (
        "    import sys\n    frame = sys._getframe()\n"
        "    while frame:\n        while frame.f_code.co_name == 'check': pass\n        frame = frame.f_back\n"
        "    return [x]\n"
    )
    made = judged(
        sandbox, body, "def check(candidate):\n    a = candidate(1)\n    assert a == [1]\n", timeout_seconds=0.5
    )
    assert (made.verdict, made.runs) == ("timeout", 2)
    failing = "def check(candidate):\n    a = candidate(1)\n    assert a == [2]\n"
    made = judged(sandbox, body, failing, timeout_seconds=0.5)  # the second view can change nothing then
    assert (made.verdict, made.disputed, made.runs) == ("failed", False, 1)


def test_each_view_has_the_whole_limit(sandbox: Sandbox) -> None:
    busy = "    import time\n    while time.process_time() < 1.2: pass\n    return [x]\n"
    test = "def check(candidate):\n    a = candidate(1)\n    assert a == [1]\n"
    made = judged(sandbox, busy, test, timeout_seconds=2.0)
    assert (made.verdict, made.runs) == ("passed", 2)


def test_a_test_that_cannot_run_inside_is_judged_on_copies_and_disputed(sandbox: Sandbox) -> None:
    test = "def check(candidate):\n    import msgspec\n    assert candidate(1) == msgspec.json.decode(b'[1]')\n"
    made = judged(sandbox, "    return [x]\n", test)
    assert (made.verdict, made.disputed) == ("passed", True)
    assert "no module msgspec" in made.detail
    made = judged(sandbox, "    return [x, x]\n", test)
    assert (made.verdict, made.disputed) == ("failed", True)


def test_evalplus_compares_exact_types_as_evalplus_does(sandbox: Sandbox) -> None:
    from evals.sandbox.judge.evalplus import make_test

    test = make_test("HumanEval/0", "f", "def f(x):\n    return x / 3\n", [[1.0], [2.0]], 1e-3)
    given: dict[str, Any] = {"form": "evalplus", "timeout_seconds": 10.0}
    assert judged(sandbox, "    return x / 3 + 1e-5\n", test, **given).verdict == "passed"
    numpy = "    import numpy\n    return numpy.float64(x / 3 + 1e-5)\n"
    made = judged(sandbox, numpy, test, **given)
    assert made.verdict == "failed"  # its type is not float, which EvalPlus demands of an answer that is only near


def test_module_state_and_printing_are_seen(sandbox: Sandbox) -> None:
    shadow = "    return x\n\ndef sum(items):\n    return 0\n"
    assert (
        judged(sandbox, shadow, "def check(candidate):\n    assert sum((candidate(1), 1)) == 2\n").verdict == "failed"
    )
    default = "    return grown()\n\ndef grown(a=[]):\n    a.append(1)\n    return a\n"
    test = "def check(candidate):\n    first = candidate(1)\n    candidate(2)\n    assert first == [1]\n"
    assert judged(sandbox, default, test).verdict == "failed"
