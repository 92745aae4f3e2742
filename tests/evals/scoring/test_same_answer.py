"""Equality of short answers of mathematics: the same in any notation, another value in none; hostile texts end soon."""

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evals.scoring.expressions import NotReadable, parse_expression, value_of
from evals.scoring.same_answer import same_answer

SAME = [
    ("\\frac{14}{3}", "\\dfrac{14}{3}"), ("\\frac43", "\\frac{4}{3}"), ("\\frac 59", "5/9"), ("0.5", "\\frac{1}{2}"), (".5", "1/2"),
    ("1\\frac{4}{5}", "9/5"), ("3\\sqrt{13}", "3 \\sqrt{13}"), ("11\\sqrt2", "11\\sqrt{2}"), ("sqrt(5)", "\\sqrt{5}"),
    ("\\sqrt{8}", "2\\sqrt{2}"), ("\\frac{1}{\\sqrt{3}}", "\\frac{\\sqrt{3}}{3}"), ("90^\\circ", "90"), ("90°", "90^{\\circ}"),
    ("5 \\text{ cm}", "5"), ("5 cm", "5"), ("864 \\mbox{ inches}^2", "864"), ("5.4 \\text{ cents}", "5.4"), ("\\$36", "36"),
    ("10,\\!080", "10080"), ("10,080", "10080"), ("11,\\! 111,\\! 111,\\! 100", "11111111100"), ("\\$32,\\!348", "32348"),
    ("50\\%", "50"), ("x = 5", "5"), ("5", "x=5"), ("y = 2x + 3", "2x+3"), ("x \\in [-2,7]", "[-2,7]"), ("$\\frac{1}{2}$.", "\\frac{1}{2}"),
    ("\\text{Evelyn}", "Evelyn"), ("\\text{(C)}", "C"), ("\\text{east}", "East"), ("(x+1)^2", "x^2+2x+1"), ("2(n+1)", "2n+2"),
    ("p - q", "-q+p"), ("6r^2-4r-24", "2(3r^2 - 2r - 12)"), ("\\left( 3, \\frac{\\pi}{2} \\right)", "(3,\\pi/2)"),
    ("1,-2", "-2, 1"), ("3, 5, 7", "7, 5 and 3"), ("\\{1\\pm\\sqrt{5},-2\\}", "\\{-2, 1-\\sqrt5, 1+\\sqrt5\\}"),
    ("1 \\pm \\sqrt{19}", "1+\\sqrt{19}, 1-\\sqrt{19}"), ("(-\\infty, 2) \\cup (3, \\infty)", "(3,\\infty)\\cup(-\\infty,2)"),
    ("\\begin{pmatrix} 1/5 \\\\ -18/5 \\end{pmatrix}", "\\begin{pmatrix} 0.2 \\\\ -3.6 \\end{pmatrix}"), ("6 - 5i", "-5i + 6"),
    ("5x - 7y + 11z + 4 = 0", "10x - 14y + 22z = -8"), ("52_8", "52_{8}"), ("2^{10}", "1024"), ("\\cot x", "\\frac{\\cos x}{\\sin x}"),
    ("\\binom{5}{2}", "10"), ("5!", "120"), ("3π", "3\\pi"), ("x^5 - x^4", "x^4(x-1)"), ("-\\frac{\\pi}{6}", "-\\pi/6"),
    ("\\frac{-24}{25}", "-\\frac{24}{25}"), ("x = (1, 2)", "(1,2)"), ("\\pi \\text{ units}", "\\pi"), ("2\\cdot 3", "6"), ("x = 10,\\!080", "10080"), ("x = \\text{ellipse}", "ellipse"), ("6 × 7", "42"),
]  # fmt: skip
OTHER = [
    ("", "0"), ("x", "y"), ("3.14", "\\pi"), ("0.33", "\\frac{1}{3}"), ("(1,2)", "(2,1)"), ("(1,2)", "[1,2]"), ("1,2", "1,2,3"),
    ("\\frac{3}{14}", "\\frac{14}{3}"), ("-5", "5"), ("5x", "5"), ("2xy", "2"), ("\\sqrt{13}", "3\\sqrt{13}"), ("1\\frac{4}{5}", "4/5"),
    ("(3,4]", "(3,4)"), ("1 + \\sqrt{19}", "1 \\pm \\sqrt{19}"), ("52_8", "52"), ("Navin", "Evelyn"), ("\\text{(C)}", "\\text{(E)}"),
    ("y = 2x", "y = 3x"), ("5x - 7y = 4", "5x - 7y = 5"), ("0", "5x - 7y + 11z + 4 = 0"), ("x=5", "6"), ("1,000", "1"), ("1.000", "1000"),
    ("x^2+2x", "(x+1)^2"), ("\\begin{pmatrix} 1 \\\\ 2 \\end{pmatrix}", "\\begin{pmatrix} 2 \\\\ 1 \\end{pmatrix}"), ("6+5i", "6-5i"),
    ("the answer", "5"), ("none", "0"), ("\\infty", "-\\infty"), ("2^{10}", "20"), ("\\frac{1}{0}", "0"), ("1/0", "1/0 + 1"),
    ("(-\\infty, 2)", "(-\\infty, 2) \\cup (3, \\infty)"), ("\\{1,2\\}", "\\{1,3\\}"), ("3,5", "3, 5, 7"), ("e", "2.718"), ("10^{400}", "10^{401}"),
]  # fmt: skip


@pytest.mark.parametrize(("answer", "right"), SAME)
def test_the_same_answer_in_another_notation(answer: str, right: str) -> None:
    assert same_answer(answer, right)
    assert same_answer(right, answer)


@pytest.mark.parametrize(("answer", "right"), OTHER)
def test_another_answer(answer: str, right: str) -> None:
    assert not same_answer(answer, right)
    assert not same_answer(right, answer)


@settings(max_examples=150, deadline=None)
@given(st.integers(-999, 999), st.integers(1, 99), st.integers(1, 9))
def test_a_fraction_equals_its_multiples_and_no_neighbour(above: int, below: int, times: int) -> None:
    written = f"\\frac{{{above * times}}}{{{below * times}}}"
    assert same_answer(f"{above}/{below}", written)
    assert not same_answer(f"{above + 1}/{below}", written)


@pytest.mark.parametrize(
    "text",
    ["9^9^9^9^9", "(999999999)^{99999999}", "200!!!", "(" * 300, "x=" + "-" * 300, "\\frac{" * 100, "5 " + "ab " * 9000, "1," * 9000,
     "\\text{" * 9000, "[(" * 9000, "9" * 100_000, "\\sqrt[" * 50, "2^" * 200, "|" * 300],
)  # fmt: skip
def test_a_hostile_text_is_another_answer_soon(text: str) -> None:
    began = time.process_time()
    assert not same_answer(text, "5")
    assert time.process_time() - began < 2


@pytest.mark.parametrize("text", ["", "1 +", ")", "x @ y", "\\unknown{x}", "__import__", "1" * 500])
def test_other_texts_are_no_expressions(text: str) -> None:
    with pytest.raises((NotReadable, KeyError)):
        value_of(parse_expression(text), {})
