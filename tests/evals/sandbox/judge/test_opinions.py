"""The judge picks others that a value can be told from, and asks only objects that the test means."""

import random
from typing import Any

import pytest

from evals.sandbox import Program, Sandbox
from evals.sandbox.judge.opinions import LINE_UP, others


@pytest.mark.parametrize("value", [0, 5, 10**30, 2.5, 1j, "", "ab", [], [1], (1, 2), True, None, {1: 2}], ids=repr)
def test_others_are_others(value: Any) -> None:
    for seed in range(50):
        found = others(value, random.Random(seed))
        assert len(found) == LINE_UP
        assert all(other != value for other in found)


MONEY = "class Money:\n    '''Equal to its amount.'''\n"
INIT = "    def __init__(self, x): self.x = x\n"
CHECK = "def check(candidate):\n    assert candidate(5) == 5\n    assert 5 == candidate(5)\n"


@pytest.mark.parametrize(
    ("method", "expected"),
    [
        ("return self.x == (o.x if type(o) is Money else o)", "passed"),
        ("return True", "failed"),
        ("return not isinstance(o, Money)", "failed"),
        ("return type(o) is int", "failed"),
        ("return False", "failed"),
    ],
)
def test_an_object_must_pick_its_value_out_of_others(method: str, expected: str, sandbox: Sandbox) -> None:
    completion = f"{INIT}    def __eq__(self, o): {method}\n"
    given = Program(id="m", prompt=MONEY, completion=completion, test=CHECK, entry_point="Money")
    assert [verdict.verdict for verdict in sandbox.run([given])] == [expected]


def test_a_function_that_becomes_a_class_is_not_meant(sandbox: Sandbox) -> None:
    completion = "    pass\n\nclass f:\n    def __init__(s, x): s.x = x\n    def __eq__(s, o): return s.x * 2 == o\n"
    given = Program(id="m", prompt="def f(x):\n", completion=completion, entry_point="f",
                    test="def check(candidate):\n    assert candidate(2) == 4\n")  # fmt: skip
    assert [verdict.verdict for verdict in sandbox.run([given])] == ["failed"]
