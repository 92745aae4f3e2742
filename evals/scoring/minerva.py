"""Reads and compares the final answer of a competition problem as Minerva did, with equality by sympy.

Source: Lewkowycz et al. 2022, arXiv:2206.14858, appendices D.1 (normal form) and D.2 (the four examples' last
sentence); the later repairs of the normal form are those of lm-evaluation-harness 0.4.13 (minerva_math, version 3.1).
Two normal forms are the same answer if their texts are, or if sympy simplifies their difference to 0
(`evals.scoring.algebra`).
"""

import re

from evals.scoring.algebra import differ_by_nothing

STATEMENT = re.compile(r"Final Answer: The final answer is(.*?). I hope it is correct.")
ENDING = "I hope it is correct."  # a text that stops before it still counts
REPLACED = (
    ("an ", ""), ("a ", ""), (".$", "$"), ("\\$", ""), ("\\ ", ""), (" ", ""), ("mbox", "text"),
    (",\\text{and}", ","), ("\\text{and}", ","), ("\\text{m}", "\\text{}"),
)  # fmt: skip
REMOVED = (
    "square", "ways", "integers", "dollars", "mph", "inches", "ft", "hours", "km", "units", "\\ldots", "sue", "points",
    "feet", "minutes", "digits", "cents", "degrees", "cm", "gm", "pounds", "meters", "meals", "edges", "students",
    "childrentickets", "multiples", "\\text{s}", "\\text{.}", "\\text{\ns}", "\\text{}^2", "\\text{}^3",
    "\\text{\n}", "\\text{}", "\\mathrm{th}", "^\\circ", "^{\\circ}", "\\;", ",\\!", "{,}", '"', "\\dots",
)  # fmt: skip
WORDS = re.compile(rf"(?<!\\)\b(?:{'|'.join(filter(str.isalpha, REMOVED))})\b")
COMMAND = re.compile(r"(\\[a-zA-Z]+)")
UNWRAPPED = (
    (re.compile(r"(.*?)(\$)(.*?)(\$)(.*)"), r"$\3$"), (re.compile(r"\\text\{(.*?)\}"), r"\1"),
    (re.compile(r"\\textbf\{(.*?)\}"), r"\1"), (re.compile(r"\\overline\{(.*?)\}"), r"\1"),
    (re.compile(r"\\boxed\{(.*)\}"), r"\1"), (re.compile(r"(frac)([^{])(.)"), r"frac{\2}{\3}"),
    (re.compile(r"(sqrt)(\[[^\]]*\])(\w)"), r"\1\2{\3}"), (re.compile(r"(sqrt)(?!\[)([^{])"), r"sqrt{\2}"),
)  # fmt: skip
THOUSANDS = re.compile(r"-?\d{1,3}(,\d{3})+")


def stated_answer(text: str) -> str | None:
    """The final answer of a text in the examples' words, or None.

    >>> stated_answer("So.\\nFinal Answer: The final answer is $\\\\frac12$. I hope it is correct.")
    '$\\\\frac12$'
    """
    match = STATEMENT.search(text + ENDING)
    return match[1].strip() if match else None


def normal_form(answer: str) -> str:
    """An answer without units, wrappings and spaces, after its last equals sign, fractions and roots in one spelling.

    >>> normal_form("$x = \\\\frac34$"), normal_form("10,000 \\\\text{ dollars}"), normal_form("\\\\sqrt2 cm")
    ('\\\\frac{3}{4}', '10000', '\\\\sqrt{2}')
    """
    text = WORDS.sub("", answer.split("=")[-1])
    for before, after in REPLACED:
        text = text.replace(before, after)
    for removed in REMOVED:  # once more: without the spaces a unit stands next to its number
        if removed.isalpha():  # but not in a command: \left ends in no feet
            text = "".join(
                part if COMMAND.fullmatch(part) else part.replace(removed, "") for part in COMMAND.split(text)
            )
        else:
            text = text.replace(removed, "")
    for pattern, wanted in UNWRAPPED:
        text = pattern.sub(wanted, text)
    text = text.replace("$", "")
    return text.replace(",", "") if THOUSANDS.fullmatch(text) else text


def same_final_answer(answer: str, right: str) -> bool:
    """Whether two answers are the same in normal form or by sympy.

    >>> same_final_answer("$0.5$", "\\\\frac12"), same_final_answer("$(x+1)^2$", "x^2+2x+1")
    (True, True)
    """
    mine, theirs = normal_form(answer), normal_form(right)
    return (bool(mine) and mine == theirs) or differ_by_nothing(mine, theirs)
