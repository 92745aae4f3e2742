"""A test that holds no value is proven by its text; whatever could hold one is not."""

import pytest

from evals.sandbox.judge.momentary import is_momentary
from evals.tasks.humaneval import read_samples

HOLDS_NOTHING = [
    "assert f([1, 2]) == [2, 1]",
    "assert f([1], k={'a': [1]}) == {1, 2}, 'a message'",
    "import math\nassert math.sqrt(f([4])) == 2",
    "assert abs(f([1.0]) - 2) < 1e-6 and f([2]) is None",
    "assert sorted(f({1: [2]})) == [1] and len(f([1])[0]) == 2",
    "assert f([0] * 10) == [1] * 9 + [-1]",
    "assert set(f('a', range(3))) == set([1])",
    "METADATA = {'author': 'x'}\n\ndef check(candidate):\n    'Doc.'\n    assert True, 'x'\n    assert candidate([[1]]) == [[1]]",
]
MAY_HOLD = [
    "a = [1]\nassert f(a) == a",
    "assert f([1]) == f([1])",
    "assert f(f([1])) == [1]",
    "assert f([[0] * 3] * 3) == []",
    "assert f([[]] * 2) == []",
    "assert f([dict()] * 2) == []",
    "assert f([1]).append(2) is None",
    "f([1])",
    "x = f([1])\nassert x == [1]",
    "for a in ([1], [2]):\n    assert f(a) == 1",
    "assert [f(a) for a in ([1],)] == [1]",
    "assert (lambda a: f(a))([1]) == 1",
    "assert (a := f([1])) == [1]",
    "assert f(helper([1])) == 1",
    "assert f([1]).x == 1",
    "import copy\nassert f(copy.copy([1])) == 1",
    "assert f(dict.fromkeys('ab', [])) == 1",
    "METADATA = f([1])",
    "A = {'a': 1}\nassert f(1) == 1",
    "def check(candidate):\n    with open('x'): pass",
    "def other(candidate):\n    assert candidate([1]) == 1",
    "assert f([1]) == [1], f([2])",
    "while f([1]): pass",
    "try:\n    f([1])\nexcept ValueError: pass",
    "assert map(f, [[1]])",
    "assert not f",
]


@pytest.mark.parametrize("test", HOLDS_NOTHING)
def test_a_test_of_literals_holds_nothing(test: str) -> None:
    assert is_momentary(test, "f")


@pytest.mark.parametrize("test", MAY_HOLD)
def test_any_other_text_counts_as_holding(test: str) -> None:
    assert not is_momentary(test, "f")


def test_most_tests_of_humaneval_hold_nothing() -> None:
    proven = [is_momentary(sample.data["test"], sample.data["entry_point"]) for sample in read_samples("humaneval")]
    assert len(proven) == 164 and sum(proven) > 140
