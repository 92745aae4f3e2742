"""Reads a number or a word in a chat answer: where it states its result, else where it plainly gives one.

An answer that says it has none gives None. Letters are read by `evals.scoring.chat_letter`. Functions of text; a change
that can move a score raises the version of the tasks that use it.
"""

import re
from fractions import Fraction

from evals.scoring.statements import abstains, plain, statements

FRACTION = re.compile(r"\\[dtc]?frac\s*\{?\s*(-?\d+)\s*\}?\s*\{?\s*(\d+)\s*\}?")
NUMBER = re.compile(
    r"(?<![\w.,])(?P<sign>(?<!\))-(?=[\d.$€£]))?(?:[$€£]\s?(?P<late>-)?)?"
    r"(?P<whole>\d{1,3}(?:,\d{3})+(?!\d)|\d+)?(?P<part>\.\d+)?(?:\s*/\s*(?P<below>\d+))?"
)
DENIED = re.compile(r"\bnot\s+(?:[$€£]\s?)?-?\d[\d,./]*(?<![,./])(?:\s*%)?", re.IGNORECASE)  # "not 5 but 6"
RESULT = re.compile(r",?\s*\b(?:which|that|this)\s+(?:is|equals|makes|gives|comes to)\b", re.IGNORECASE)


def read_number(text: str) -> Fraction | None:
    """The number that an answer gives: of its last statement, else of its last line in bold, else its last number.

    >>> read_number("The answer is $1,000.50."), read_number("3 + 4 = 7\\n#### 7"), read_number("I do not know; 5?")
    (Fraction(2001, 2), Fraction(7, 1), None)
    """
    for clause in reversed(statements(text)):
        if (number := number_of_clause(clause)) is not None:
            return number
        if abstains(clause):
            return None
    if abstains(text):
        return None
    last = next((line for line in reversed(text.splitlines()) if line.strip()), "")
    bold = [number for part in re.findall(r"\*\*([^*]+)\*\*", last) if (number := _only_number(part)) is not None]
    numbers = find_numbers(DENIED.sub(" ", plain(text)))
    return bold[-1] if bold else numbers[-1] if numbers else None


def number_of_clause(clause: str) -> Fraction | None:
    """The number that a clause states: after its last equals sign, else its first.

    >>> number_of_clause("x = 5 + 13 = 18 dollars for 3 days"), number_of_clause("\\\\frac{1}{2}")
    (Fraction(18, 1), Fraction(1, 2))
    """
    clause = DENIED.sub(" ", clause)
    part = clause.rpartition("=")[2]
    worked = RESULT.search(part)
    if worked and len(find_numbers(part[: worked.start()])) > 1 and (only := _only_number(part[worked.end() :])):
        return only
    numbers = find_numbers(part) or find_numbers(clause)
    return numbers[0] if numbers else None


def find_numbers(text: str) -> list[Fraction]:
    """All numbers of a text, in their order: with signs, thousands, decimals, fractions; units are left.

    >>> [str(number) for number in find_numbers("10-18 cost -$5, 1,234.5 and 3/4")]
    ['10', '18', '-5', '2469/2', '3/4']
    """
    for wide, narrow in (("−", "-"), ("{,}", ","), ("\\,", ""), ("\\!", ""), ("\u202f", ""), ("\u00a0", " ")):
        text = text.replace(wide, narrow)
    text = FRACTION.sub(r"\1/\2", text)
    numbers = []
    for match in NUMBER.finditer(text):
        if not (match["whole"] or match["part"]):
            continue
        number = Fraction(f"{(match['whole'] or '0').replace(',', '')}{match['part'] or ''}")
        below = int(match["below"] or 1)
        sign = -1 if match["sign"] or match["late"] else 1
        numbers.append(sign * number / below if below else sign * number)
    return numbers


def _only_number(text: str) -> Fraction | None:
    """The number of a text that is one number with perhaps a sign of money and a unit."""
    bare = text.strip().rstrip(".!")
    numbers = find_numbers(bare)
    words = re.sub(r"[-−$€£\d.,%\s\\{}/]", " ", bare).split()
    starts = re.match(r"[-−$€£\\.\s]*\d", bare)
    return numbers[0] if len(numbers) == 1 and starts and len(words) <= 2 else None


def read_word(text: str, forms: dict[str, str], anywhere: bool = False) -> str | None:
    """The word that an answer gives, as one of a few values.

    forms     pattern -> value; a pattern earlier in the dictionary wins where two match at a place: "not valid"
    anywhere  without a statement the last match in the text counts, not only one in its first or last sentence

    >>> forms = {"not plausible|implausible": "no", "plausible": "yes", "yes": "yes", "no": "no"}
    >>> read_word("So the answer is no.", forms), read_word("It is not plausible.", forms), read_word("Maybe.", forms)
    ('no', 'no', None)
    """
    pattern = re.compile("|".join(rf"(?P<p{at}>\b(?:{form})\b)" for at, form in enumerate(forms)), re.IGNORECASE)
    values = list(forms.values())

    def values_in(part: str) -> list[str]:
        return [values[int(str(match.lastgroup)[1:])] for match in pattern.finditer(part)]

    for clause in reversed(statements(text)):
        in_clause = values_in(clause.rpartition("=")[2]) or values_in(clause)
        if in_clause:
            return in_clause[0]
        if abstains(clause):
            return None
    body = plain(text)
    if abstains(body):
        return None
    sentences = [part for part in re.split(r"(?<=[.!?])\s+|\n+", body) if part.strip()]
    for part in sentences[-1:] + sentences[:1]:
        in_part = values_in(part.rpartition("=")[2]) or values_in(part)
        if len(set(in_part)) == 1:
            return in_part[0]
    everywhere = values_in(body)
    return everywhere[-1] if anywhere and everywhere else None
