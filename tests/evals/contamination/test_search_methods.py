"""Likenesses that must be found, those that must not, and that no method depends on names, order or batches."""

import ast
import builtins
import random
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rapidfuzz.distance import Levenshtein

from evals.contamination.embeddings import EmbeddingSearch, make_embed
from evals.contamination.match import Match
from evals.contamination.ngrams import NgramSearch, words
from evals.contamination.problems import Problem
from evals.contamination.syntax_trees import SHORTEST, functions
from evals.contamination.thresholds import DISTANCES
from evals.contamination.trees import TreeSearch
from evals.encoders import Encoder

ADD = 'def total(values):\n    """Add the even values up."""\n    found = 0\n    for value in values:\n        if value % 2 == 0:\n            found += value\n    return found\n'
OTHER = "def total(values):\n    return sorted(set(values), key=lambda one: -one)[:3]\n"
VOCABULARY = ["alpha", "beta", "gamma", "delta", "eps", "zeta", "eta", "theta"]
LONG = "A farmer sells forty apples on Monday and twice as many pears on the following Tuesday for two coins each"


def problem(question: str, answer: str = "", program: str = "", entry: str = "") -> Problem:
    return Problem(sample=question[:20], question=question, whole=f"{question} {answer}", program=program, entry=entry)


def tree(text: str) -> str:
    return functions(text)[0].symbols


def pairs(found: Sequence[Match]) -> set[tuple[int, int]]:
    return {(one.document, one.problem) for one in found}


def renamed(code: str) -> str:
    """The same program with every name of its own exchanged, without its docstring."""

    class Renamed(ast.NodeTransformer):
        names: dict[str, str] = {}

        def new(self, old: str) -> str:
            return old if hasattr(builtins, old) else self.names.setdefault(old, f"q{len(self.names)}")

        def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
            node.name = self.new(node.name)
            if isinstance(node.body[0], ast.Expr):
                node.body = node.body[1:]
            self.generic_visit(node)
            return node

        def visit_arg(self, node: ast.arg) -> ast.AST:
            node.arg = self.new(node.arg)
            return node

        def visit_Name(self, node: ast.Name) -> ast.AST:
            node.id = self.new(node.id)
            return node

    return ast.unparse(Renamed().visit(ast.parse(code)))


def test_thirteen_words_in_a_row_are_found_whatever_case_and_punctuation() -> None:
    method = NgramSearch([problem(LONG)], 13)
    rows = LONG.split()
    hit = "intro, " + ", ".join(rows[2:15]).upper() + "! outro"
    near = "intro " + " ".join([*rows[2:8], "x", *rows[8:15]])
    assert pairs(list(method.matches([hit, near, LONG, ""]))) == {(0, 0), (2, 0)}
    by_document = {one.document: one for one in method.matches([hit, LONG])}
    assert by_document[1].similarity == 1.0
    assert 0 < by_document[0].similarity < 1.0
    assert "APPLES" in by_document[0].text


def test_an_n_gram_does_not_run_over_the_end_of_a_document() -> None:
    rows = LONG.split()
    method = NgramSearch([problem(LONG)], 13)
    assert list(method.matches([" ".join(rows[:10]), " ".join(rows[10:])])) == []


def test_a_short_question_counts_whole_and_a_shorter_one_with_its_answer() -> None:
    eight = "Which planet of ours has the largest moon?"
    four = "What melts cold ice?"
    method = NgramSearch([problem(eight, "Jupiter"), problem(four, "warm air"), problem("2 + 2", "4")], 13)
    texts = [f"He asked: {eight}", four, f"{four} Warm air, they said", "2 + 2 4"]
    assert pairs(list(method.matches(texts))) == {(0, 0), (2, 1)}
    assert method.unsearched == {2}


def test_a_phrase_of_the_whole_task_is_no_leak() -> None:
    stem = "which of the following statements about the matter at hand is the right one for"
    many = [
        problem(f"{stem} topic{number} and some further words of its own numbered item{number}") for number in range(20)
    ]
    method = NgramSearch(many, 13)
    assert list(method.matches([stem])) == []
    assert pairs(list(method.matches([many[7].question]))) == {(0, 7)}


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.lists(st.sampled_from(VOCABULARY), max_size=30), max_size=6),
    st.integers(0, 99),
)
def test_the_index_finds_what_a_plain_search_finds(texts: list[list[str]], seed: int) -> None:
    draw = random.Random(seed)
    asked = [" ".join(draw.choices(VOCABULARY, k=draw.randint(6, 14))) for _ in range(4)]
    method = NgramSearch([problem(one) for one in asked], 6)
    joined = [" ".join(text) for text in texts]
    plain = set()
    for number, one in enumerate(asked):
        rows = words(one)
        for at in range(len(rows) - 5):
            gram = rows[at : at + 6]
            if len(set(gram)) >= 5:
                plain |= {
                    (d, number)
                    for d, text in enumerate(texts)
                    if any(text[k : k + 6] == gram for k in range(len(text) - 5))
                }
    found = pairs(list(method.matches(joined)))
    telling = {
        number
        for number, one in enumerate(asked)
        if any(len(set(words(one)[at : at + 6])) >= 5 for at in range(len(words(one)) - 5))
    }
    assert {pair for pair in found if pair[1] in telling} == plain


def test_close_trees_are_found_at_their_rate_and_far_ones_not() -> None:
    method = TreeSearch([problem("q", program=ADD, entry="total")], 0.8)
    changed = ADD.replace("% 2 == 0", "% 3 == 1")
    hidden = f"Some prose before it.\n\n{renamed(ADD)}\n\nAnd words after, not Python at all ("
    nested = "class A:\n    def g(self):\n" + "\n".join("        " + line for line in renamed(ADD).splitlines())
    found = {one.document: one for one in method.matches([ADD, changed, OTHER, hidden, nested, "def broken(:"])}
    assert set(found) == {0, 1, 3, 4}
    assert found[0].similarity == found[3].similarity == found[4].similarity == 1.0
    a, b = (tree(text) for text in (ADD, changed))
    assert found[1].similarity == pytest.approx(Levenshtein.normalized_similarity(a, b))
    assert "def " in found[3].text


def test_rates_are_those_of_brute_force() -> None:
    programs = [
        ADD,
        OTHER,
        "def f(x):\n    return (x + 1) * x - min(x, 2)\n",
        "def g(a, b):\n    while a:\n        a, b = b % a, a\n    return b\n",
    ]
    texts = [
        *programs,
        ADD.replace("+=", "-="),
        OTHER.replace("3", "4"),
        "import os\n\nasync def h(x):\n    return (x - 1) * x - min(x, 2)\n",
    ]
    method = TreeSearch([problem(str(i), program=one) for i, one in enumerate(programs)], 0.5)
    found = {(one.document, one.problem): one.similarity for one in method.matches(texts)}
    for d, text in enumerate(texts):
        for p, one in enumerate(programs):
            rate = Levenshtein.normalized_similarity(tree(text), tree(one))
            assert found.get((d, p), 0.0) == pytest.approx(rate if rate >= 0.5 else 0.0)


def test_a_solution_that_is_no_function_or_too_short_to_tell_is_said() -> None:
    short = "def f(x):\n    return len(x)\n"
    assert len(tree(short)) < SHORTEST
    method = TreeSearch([problem("q", program="x = 1"), problem("r", program=ADD), problem("s", program=short)], 0.9)
    assert method.unsearched == {0, 2}
    assert pairs(list(method.matches([short, ADD]))) == {(1, 1)}


def test_a_copy_inside_another_function_is_found_by_the_search_for_scores() -> None:
    inner = "def outer(z):\n" + "\n".join("    " + line for line in ADD.splitlines()) + "\n    return total(z)\n"
    prose = (
        "As a list:\n\n  1. first\n\n" + "\n".join("   " + line for line in ADD.splitlines()) + "\n\nThe end is near ("
    )
    found = {one.document: one for one in TreeSearch([problem("q", program=ADD)], 0.95).matches([inner, prose])}
    assert set(found) == {0, 1}
    assert all(one.similarity == 1.0 and one.text.strip().startswith("def total") for one in found.values())


def test_words_find_a_renamed_copy_and_not_another_function() -> None:
    many = [
        problem("q", program=ADD),
        *(problem(str(i), program=f"def f{i}(a):\n    return a * {i}\n") for i in range(30)),
    ]
    method = EmbeddingSearch(many, DISTANCES["words"], make_embed(many, None))
    partly = ADD.replace("found", "result").replace("values", "numbers")
    found = list(method.matches([partly, OTHER, "Prose about gardens and rivers.", ""]))
    assert pairs(found) == {(0, 0)}
    assert 0 < found[0].similarity < DISTANCES["words"]


def test_a_model_embeds_into_unit_vectors_whatever_the_batch(tiny_phi: object) -> None:
    import numpy as np

    many = [problem("q", program=ADD, entry="total")]
    embed = make_embed(many, Encoder(name="tiny", digest="", folder=str(tiny_phi), sentence=False))
    together, alone = embed([ADD, OTHER, "x"]), embed([OTHER])
    assert np.allclose(np.linalg.norm(together, axis=1), 1.0, atol=1e-5)
    assert np.allclose(together[1], alone[0], atol=1e-4)
    assert pairs(list(EmbeddingSearch(many, 1e-3, embed).matches([OTHER, ADD]))) == {(1, 0)}
