"""Trees as strings: renaming leaves no trace, and the fast search finds exactly what brute force finds."""

import ast
import random
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rapidfuzz.distance import Levenshtein

from evals.contamination.syntax_trees import PRESETS, close_pairs, functions, symbols
from training.data.synthesis.nameless import strip_names
from training.data.synthesis.templates import FAMILIES, make_draft_of

TEXTS = st.text(alphabet="abcd\x81\x85", min_size=1, max_size=30)


def tree(text: str) -> str:
    (one,) = functions(text)
    return one.symbols


@given(st.lists(TEXTS, min_size=1, max_size=8), st.lists(TEXTS, min_size=1, max_size=40), st.sampled_from(PRESETS))
def test_the_search_is_exact(first: list[str], second: list[str], rate: float) -> None:
    wanted = {
        (m, n): 1 - Levenshtein.distance(one, two) / max(len(one), len(two))
        for m, one in enumerate(first)
        for n, two in enumerate(second)
    }
    found = {(pair.first, pair.second): pair.rate for pair in close_pairs(first, second, rate)}
    assert found == pytest.approx({key: value for key, value in wanted.items() if value >= rate - 1e-9})


def exercises(number: int) -> list[str]:
    random_ = random.Random(7)
    drafts = [make_draft_of(random_.choice(FAMILIES), random_) for _ in range(number)]
    return [one.prompt + one.completion for one in drafts if one]


def test_brute_force_on_exercises_agrees() -> None:
    trees = [tree(text) for text in exercises(120)]
    found = {(pair.first, pair.second) for pair in close_pairs(trees[:20], trees, 0.8)}
    wanted = {
        (m, n)
        for m, one in enumerate(trees[:20])
        for n, two in enumerate(trees)
        if Levenshtein.distance(one, two) * 10 <= 2 * max(len(one), len(two))
    }
    assert found == wanted
    assert len(found) > 20


@given(st.permutations(["alpha", "beta", "gamma", "delta", "values", "total"]))
def test_renaming_leaves_no_trace(names: list[str]) -> None:
    text = "def f(a, b):\n    c = [d for d in a if d > len(b)]\n    for d in c:\n        b = b + d\n    return sorted(c), b\n"
    other = re.sub(r"\b[abcdf]\b", lambda match: names["abcdf".index(match[0])], text)
    assert tree(other) == tree(text)


@pytest.mark.parametrize(
    ("first", "second", "same"),
    [
        (
            "def f(a):\n    return a + 1\n",
            'def g(x: int) -> int:\n    """Adds."""\n    # one\n    return x + 1\n',
            True,
        ),
        ("def f(a):\n    return a + 1\n", "@cached\nasync def f(a):\n    return a + 1\n", False),
        ("def f(a):\n    return a + 1\n", "def f(a):\n    return a + 2\n", False),
        ("def f(a):\n    return sum(a)\n", "def f(a):\n    return max(a)\n", False),
        ("def f(a):\n    return a.strip()\n", "def f(a):\n    return a.lower()\n", False),
        ("def f(a):\n    if a:\n        b()\n    c()\n", "def f(a):\n    if a:\n        b()\n        c()\n", False),
    ],
)
def test_what_a_tree_tells(first: str, second: str, same: bool) -> None:
    assert (tree(first) == tree(second)) == same


def test_functions_in_prose_and_in_classes_are_found_at_their_place() -> None:
    prose = "# Adding\n\nLook at this:\n\ndef add(a, b):\n    return a + b\n\nIt gives a sum.\n"
    (one,) = functions(prose)
    assert prose[one.start : one.end].startswith("def add")
    assert "gives" not in prose[one.start : one.end]
    text = "class A:\n    def one(self):\n        return 1\n\n    def two(self):\n        return 2\n"
    assert [function.name for function in functions(text)] == ["one", "two"]
    assert functions("def broken(:\n") == functions("def broken(:\n", nested=True) == []


def test_nested_and_indented_functions_are_found_where_they_are_asked_for() -> None:
    text = "def one():\n    def two(a):\n        return a\n    return two\n\nclass A:\n    class B:\n        def three(self): ...\n"
    assert [function.name for function in functions(text)] == ["one"]
    found = functions(text, nested=True)
    assert {function.name for function in found} == {"one", "two", "three"}
    assert all(f"def {one.name}" in text[one.start : one.end] for one in found)
    two = next(one for one in found if one.name == "two")
    some = functions(text, nested=True, longest=len(two.symbols))
    assert {one.name: one.symbols for one in some} == {
        one.name: one.symbols if len(one.symbols) <= len(two.symbols) else "" for one in found
    }
    prose = "Look:\n\n    def add(a, b):\n        return a + b\n\nIt (gives a sum.\n"
    assert functions(prose) == []
    (add,) = functions(prose, nested=True)
    assert prose[add.start : add.end].strip().startswith("def add")
    assert add.symbols == tree("def f(x, y):\n    return x + y\n")


def test_a_tower_of_sums_stops_nothing() -> None:
    tower = "def f():\n    return " + "+".join(["1"] * 2_500) + "\n"
    assert functions(tower) == []
    assert [one.name for one in functions(tower, nested=True)] == ["f"]  # nothing there walks by recursion
    assert strip_names(tower) is None
    node = ast.parse("def f():\n    return " + "+".join(["1"] * 100) + "\n").body[0]
    assert isinstance(node, ast.FunctionDef)
    assert len(symbols(node)) > 200
