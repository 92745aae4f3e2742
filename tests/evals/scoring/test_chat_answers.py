"""Numbers and words in chat answers: every usual shape, right and wrong; an answer that says it has none is none."""

from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evals.scoring.chat_answers import find_numbers, read_number, read_word

# shapes of the answer 18 (or of {}), each with other numbers around it
NUMBERS = (
    "{}", "{}.", "${}", "**{}**", "{} dollars", "The answer is {}.", "The answer is ${}.", "The answer is **{}**.",
    "The final answer is {}", "So the final answer is: {}", "**Final Answer:** {}", "**Answer**: ${} per day",
    "Final answer:\n\n{}", "The final answer is\n\n\\[ {} \\]\n\nI hope this helps with all 4 parts!",
    "She eats 3 and bakes 4.\n#### {}", "16 - 3 - 4 = 9, so 9 * 2 = {}", "\\boxed{{{}}}", "$\\boxed{{{}}}$.",
    "\\[\\boxed{{\\${}}}\\]", "\\boxed{{{} \\text{{ dollars}}}}", "It is $\\boxed{{\\text{{{}}}}}$, from 3 eggs.",
    "9 eggs at $2 make ${} every day.", "Step 1: 16 - 7 = 9.\nStep 2: 9 x 2 = {}.\n\nJanet makes ${}.",
    "Janet makes **${}** at the market (9 eggs at $2).", "The answer is 5. Wait, that is wrong. The answer is {}.",
    "The answer to the question is {} dollars for 3 days.", "The answer is 3 x 6 = {}.", "The answer is that she has {}.",
    "<answer>{}</answer>", '{{"reasoning": "9 * 2", "answer": "{}"}}', "Answer: {}\n\nNote that 16 eggs are laid.",
    "Answer: Janet has 16 - 3 - 4 = 9 eggs to sell each day. She makes 9 * 2 = ${}.", "The answer is $x = {}$.",
    "The answer is not 5 but {}.", "It is not 12, it is {}.", "The answer is 3/4 of 8, which is {}.", "The answer is {}, not 5.",
    "The answer is 2 times 3, which is {} apples.", "The answer is {}, which is 3 more than 15.",
    "The total is {}.0", "Therefore the answer is {}.00 dollars.", "Answer:\nShe has 16 eggs.\nShe sells 9.\nThat is {}",
    "The answer is {}.\r\n", "Let's see: 3 and 4.\n\n**{}**", "The correct answer is:\n\n**${}**",
)  # fmt: skip
ABSTENTIONS = (
    "", "I don't know.", "I cannot determine the answer from 16 eggs and 18 days.", "The answer is unknown.",
    "There is not enough information, only 18 eggs.", "The answer cannot be determined.", "Hello!",
    "I am unable to solve this; 18 may be a guess.", "No answer.", "The answer is not 18.", "It is not 18.",
)  # fmt: skip


@pytest.mark.parametrize("shape", NUMBERS)
@pytest.mark.parametrize(("written", "value"), [("18", 18), ("1,234", 1234), ("70000", 70000), ("7", 7)])
def test_a_number_is_read_in_every_shape(shape: str, written: str, value: int) -> None:
    assert read_number(shape.replace("{}", written).replace("{{", "{").replace("}}", "}")) == value


@pytest.mark.parametrize("text", ABSTENTIONS)
def test_an_answer_without_a_number_has_none(text: str) -> None:
    assert read_number(text) is None


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("The answer is -3.", -3), ("The answer is −3.", -3), ("5 - 8 = -3", -3), ("It lost -$3", -3), ("$-3", -3),
        ("The answer is 2.5 hours", Fraction(5, 2)), ("\\boxed{\\frac{3}{4}}", Fraction(3, 4)), ("It is 3/4.", Fraction(3, 4)),
        ("The answer is 18, not 20.", 18), ("#### 1{,}000", 1000), ("18%", 18), ("The answer is 5pm", 5),
        ("\\boxed{1\\,000}", 1000), ("between 10-18", 18), ("The answer is 1,000,000 dollars", 1000000),
    ],
)  # fmt: skip
def test_signs_fractions_and_thousands(text: str, value: Fraction) -> None:
    assert read_number(text) == value


@settings(max_examples=200, deadline=None)
@given(st.integers(-(10**9), 10**9), st.booleans())
def test_a_written_number_is_found(value: int, grouped: bool) -> None:
    written = f"{value:,}" if grouped else str(value)
    assert find_numbers(f"So {written} it is") == [value]


BOOLEANS = {"true": "True", "false": "False"}
ARGUMENTS = {r"invalid|not (?:\w+ )?valid": "invalid", "valid": "valid"}
PLAUSIBLE = {r"implausible|not (?:\w+ )?plausible": "no", "plausible": "yes", "yes": "yes", "no": "no"}


@pytest.mark.parametrize(
    ("text", "forms", "value"),
    [
        ("True", BOOLEANS, "True"), ("So the answer is False.", BOOLEANS, "False"), ("**False**", BOOLEANS, "False"),
        ("not ( True ) = False, then False and True = False", BOOLEANS, "False"), ("\\boxed{True}", BOOLEANS, "True"),
        ("Z = False and True = False. So Z is False.\n\nFinal answer: $\\text{False}$", BOOLEANS, "False"),
        ("The answer is True. No, wait: the answer is False.", BOOLEANS, "False"),
        ("The argument is not deductively valid.", ARGUMENTS, "invalid"), ("The argument is valid.", ARGUMENTS, "valid"),
        ("The answer is invalid.", ARGUMENTS, "invalid"), ("It is not valid", ARGUMENTS, "invalid"),
        ("Yes, it is plausible.", PLAUSIBLE, "yes"), ("No, he plays golf.", PLAUSIBLE, "no"), ("Yes", PLAUSIBLE, "yes"),
        ("The sentence is implausible.", PLAUSIBLE, "no"), ("So the answer is yes.", PLAUSIBLE, "yes"),
        ("Maybe.", PLAUSIBLE, None), ("", PLAUSIBLE, None), ("It cannot be determined.", PLAUSIBLE, None),
        ("Yes or no, I cannot say", PLAUSIBLE, None), ("I don't know whether it is valid.", ARGUMENTS, None),
        ("The answer is unknown", BOOLEANS, None),
    ],
)  # fmt: skip
def test_a_word_is_read(text: str, forms: dict[str, str], value: str | None) -> None:
    assert read_word(text, forms) == value
