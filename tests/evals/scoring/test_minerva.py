"""Minerva's final answers: what is read, the normal form, and equality by text or by sympy."""

import pytest

from evals.records import Sample
from evals.scoring.minerva import normal_form, same_final_answer, stated_answer
from evals.tasks import task


def test_the_first_statement_in_the_examples_words_is_read() -> None:
    said = "Final Answer: The final answer is"
    assert stated_answer(f"x\n{said} $5$. I hope it is correct.\n{said} $6$. I hope it is correct.") == "$5$"
    assert stated_answer(f"{said} $5$.") is None  # the ending is appended without a space, as in the harness
    assert stated_answer(f"{said} $5$. ") == "$5$"
    assert stated_answer("The answer is 5.") is None
    assert stated_answer(f"{said} 5\nor 6. I hope it is correct.") is None  # on one line


@pytest.mark.parametrize(
    ("answer", "form"),
    [
        ("x = 2\\sqrt3", "2\\sqrt{3}"),
        ("\\$36", "36"),
        ("5\\text{ cm}", "5"),  # the unit inside \text goes, then the empty \text
        ("3\\pi \\mbox{ square inches}", "3\\pi"),
        ("\\left(3, \\frac12\\right)", "\\left(3,\\frac{1}{2}\\right)"),  # "\left" keeps its "ft"
        ("1,234,567", "1234567"),
        ("0,1", "0,1"),
        ("30^\\circ", "30"),
        ("\\sqrt[3]2", "\\sqrt[3]{2}"),
        ("\\boxed{\\frac{1}{2}}", "\\frac{1}{2}"),
        ("the answer: $y$ or so", "y"),
        ("banana 2", "banan2"),  # "a " is removed wherever it stands: the published rule
    ],
)
def test_normal_forms(answer: str, form: str) -> None:
    assert normal_form(answer) == form


@pytest.mark.parametrize(
    ("answer", "right", "same"),
    [
        ("$\\frac{2}{4}$", "\\frac12", True),
        ("0.5", "\\frac{1}{2}", True),
        ("\\sqrt{12}", "2\\sqrt{3}", True),
        ("(x+1)(x-1)", "x^2-1", True),
        ("x^2+1", "x^2-1", False),
        ("\\left( 3, \\frac{\\pi}{2} \\right)", "\\left( 3, \\frac{\\pi}{2} \\right)", True),
        ("(3, 4)", "(4, 3)", False),
        ("\\text{east}", "\\text{east}", True),
        ("", "", False),
        ("2", "3", False),
    ],
)
def test_the_same_answer(answer: str, right: str, same: bool) -> None:
    assert same_final_answer(answer, right) is same


def test_a_model_that_goes_on_is_scored_by_its_first_statement() -> None:
    one = task("math_500@lm-eval")
    sample = Sample(id="a", question="q", target="\\frac{1}{2}", data={"solution": "s"})
    assert one.extract is not None and one.score is not None
    text = " We halve.\nFinal Answer: The final answer is $0.50$. I hope it is correct.\n\n"
    answer = one.extract(sample, text)
    assert answer == "$0.50$"
    assert one.score(sample, answer).metrics == {"exact_match": 1.0}
    assert one.score(sample, "$0.51$").metrics == {"exact_match": 0.0}
    assert one.extract(sample, " We halve and get $0.5$.") is None


def test_the_shipped_examples_are_the_harnesss_with_other_spacing() -> None:
    """They differ in white space, in line ends of one sign for two, and in one brace that the package adds."""
    theirs, ours = (next(iter(task(f"math_500@{name}").samples())) for name in ("olmes", "lm-eval"))
    shipped, harness = (
        "".join(prompt(sample).replace("\\", "").split())
        for sample, prompt in ((theirs, task("math_500@olmes").prompt), (ours, task("math_500@lm-eval").prompt))
        if prompt is not None
    )
    assert shipped.replace("}$.}Solution", "}$.Solution", 1) == harness
