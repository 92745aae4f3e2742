"""Sanitising: the fast span search equals trying all pairs of lines; EvalPlus' rules one by one."""

import ast
import warnings

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evals.scoring.sanitize import longest_valid, parse_module, sanitize

LINES = st.sampled_from(
    ["def f(x):", "    return x", "    return g(x)", "def g(x):", "", "    # note", "x = 1", "That is all.", "```", '"""',
     "f(", ")", "class A:", "    pass", "try:", "if x:", "  y = 2", "else:", "@dec", "    '''", "a = [1,", "2]", "\treturn 1",
     "for i in range(3):", "return 5", "é = 'ü'", "\x00", "lambda:", "x = 1 y = 2", "f(a", "   b)", "} "]
)  # fmt: skip


def slowest(text: str) -> str:
    """EvalPlus 0.3.1's code_extract: every pair of lines."""
    lines = text.split("\n")
    best, span = 0, (0, 0)
    for start in range(len(lines)):
        for end in range(start + 1, len(lines)):
            part = lines[start : end + 1]
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                try:
                    ast.parse("\n".join(part))
                except (SyntaxError, ValueError):
                    continue
            filled = sum(1 for line in part if line.strip())
            if filled > best:
                best, span = filled, (start, end)
    return "\n".join(lines[span[0] : span[1] + 1])


@settings(max_examples=400, deadline=None)
@given(st.lists(LINES, max_size=14).map("\n".join))
def test_the_span_is_that_of_all_pairs(text: str) -> None:
    assert longest_valid(text) == slowest(text)


@settings(max_examples=200, deadline=None)
@given(st.lists(LINES, max_size=14).map("\n".join))
def test_what_comes_out_of_a_program_is_a_program(text: str) -> None:
    told = sanitize(text, "f")
    if parse_module(longest_valid(text)) is not None:
        assert parse_module(told) is not None


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("def f(x):\n    return x\nprint(f(1))\n", "def f(x):\n    return x"),
        ("def f(x):\n    return h(x)\ndef h(x):\n    print(x)\n", "def f(x):\n    return h(x)"),  # h returns nothing
        (
            "import re\nfrom __future__ import annotations\ndef f():\n    return 1\n",
            "import re\ndef f():\n    return 1",
        ),
        ("@cache\ndef g():\n    return 1\ndef f():\n    return g()\n", "def f():\n    return g()"),
        ("def f():\n    return 1\ndef f():\n    return 2\n", "def f():\n    return 1"),
        ("N = 3\nM = 4\ndef f():\n    return N\n", "N = 3\ndef f():\n    return N"),
        ("class P:\n    x = 1\ndef f():\n    return P.x\n", "class P:\n    x = 1\ndef f():\n    return P.x"),
        ("Sure!\n```python\ndef f():\n    return 'ü'\n```\nDone.", "def f():\n    return 'ü'"),
        ("no code", "no code"),
    ],
)
def test_evalplus_rules(text: str, kept: str) -> None:
    assert sanitize(text, "f") == kept
