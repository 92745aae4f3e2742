"""Letters in chat answers: every usual shape of each letter; several letters, none and articles are no letter."""

import re

import pytest

from evals.scoring.chat_letter import read_letter

CHOICES = ("Paris", "The Thames at London", "Berlin", "None of the above")
# shapes of an answer that takes the choice X, whose text is T
SHAPES = (
    "X", "X.", "(X)", "X)", "**X**", "`X`", "X. T", "(X) T", "X) T", "**X. T**", "X: T", "$X$", "\\boxed{X}",
    "$\\boxed{\\text{X}}$", "\\boxed{(X)}", "\\boxed{X. T}", "\\(\\boxed{\\textbf{(X)}}\\)", "The answer is X",
    "The answer is X.", "The answer is (X).", "The answer is **X**.", "The answer is: X", "The best answer is X.",
    "The correct answer is (X) T.", "The correct answer is option X.", "The answer is X because it is known.",
    "**Answer:** X", "**Answer: X**", "Answer: X. T", "ANSWER: X", "Answer:\n\nX", "Answer:\n**X. T**",
    "So the final answer is $\\boxed{X}$.", "Therefore, the correct choice is X.", "The correct option is X) T",
    "X is correct.", "Option X is the correct answer.", "(X) is the best answer, since the others are wrong.",
    "I would choose option X.", "I choose X.", "I'd go with (X).", "Let's think. It is known.\n\nX",
    "Let's think. It is known.\n\n**X**", "The answer is B. Wait. On reflection the answer is X.",
    "Let's look at each.\nA. Paris is far.\nB. The Thames is a river.\nC. Berlin is a city.\nD. No.\n\nThe answer is X.",
    "A and C are wrong. The answer is X.", "<answer>X</answer>", '{"answer": "X"}', "The answer choice is X.",
    "The answer to this question is (X).", "X\n\nExplanation: the river flows there.", "The best answer is [X].",
    "T", "The answer is T.", "The answer is (X). I hope this answer is helpful.", "Answer: X\r\n", "#### X",
    "The answer is A. Wait, no, X is correct.", "The answer is B. No, wait. It's X.", "The answer is X because A is true of any.",
    "The answer is C. Actually, I choose X.", "The answer is D. Sorry, the right one is wrong: X is the correct answer.",
    "X. T\n\nThis is right since the others are not.", "The best answer is\n\nX.", "The answer is “X”.",
)  # fmt: skip
NONE = (
    "", "I don't know.", "A or B", "The answer is A or B.", "The answer is A and C.", "Both A and B are correct.",
    "None of A, B, C and D.", "The answer cannot be determined.", "A cat is an animal.", "The answer is a measure of heat.",
    "The answer is A measure of heat.", "I think so.", "It could be any of A, B, C and D.", "The options are (A) and (B).",
    "A. Paris\nB. The Thames at London\nC. Berlin\nD. None of the above", "The answer is E.", "Cambridge", "DNA", "B-cells",
    "A and B both.", "The answer is A and C both", "The answer is B and D are right.", "The answer is A. Wait, B or C is correct.",
    "As an AI, I cannot answer this.", "The answer is not A.", "A is wrong. B is wrong.", "Is A correct?",
)  # fmt: skip


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("place", range(4))
def test_a_letter_is_read_in_every_shape(shape: str, place: int) -> None:
    text = re.sub(r"\bX\b", "ABCD"[place], re.sub(r"\bT\b", CHOICES[place], shape))
    assert read_letter(text, "ABCD", CHOICES) == "ABCD"[place]


@pytest.mark.parametrize("text", NONE)
def test_an_answer_without_one_letter_has_none(text: str) -> None:
    assert read_letter(text, "ABCD", CHOICES) is None
