"""A program that compares identity is seen in its code, and one that asks for None is not."""

import pytest

from evals.sandbox.guest.identity import compares_identity


@pytest.mark.parametrize(
    ("source", "compares"),
    [
        ("def f(a): return a is None", False),
        ("def f(a):\n    if a is not None: return 1", False),
        ("def f(a): return [x for x in a if x is True or x is False or x is ...]", False),
        ("def f(a): return a == 117 or 117 in a", False),
        ("def f(a, b): return a is b", True),
        ("def f(a): return type(a) is int", True),
        ("class A:\n    def f(self, a): return lambda: a is not self", True),
        ("def f(a): return id(a)", True),
        ("def f(a): return a is 257", True),
        ("identity = 3\ndef f(idea): return idea", False),
    ],
)
@pytest.mark.filterwarnings('ignore:"is" with')
def test_identity_is_seen_in_compiled_code(source: str, compares: bool) -> None:
    assert compares_identity(compile(source, "f", "exec")) is compares
