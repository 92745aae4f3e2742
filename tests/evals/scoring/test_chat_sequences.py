"""Brackets and orders of words in chat answers, in their usual shapes."""

import pytest

from evals.scoring.chat_sequences import read_brackets, read_order

WORDS = ("syndrome", "therefrom", "it&t", "apple")
ORDER = "apple it&t syndrome therefrom"


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("] )", "] )"), ("])", "] )"), ("So the answer is ] ).", "] )"), ("The answer is: `] )`", "] )"), ("**] )**", "] )"),
        ("The sequence is closed by ] and then ).\n\nThe final answer is: ])", "] )"), ("( [ ] )", "] )"), ("([])", "] )"),
        ("The answer is ( [ ] )", "] )"), ("First } then no. The answer is > >. Wait, the answer is ] )", "] )"),
        ("I do not know.", None), ("", None), ("} )", "} )"),
    ],
)  # fmt: skip
def test_brackets(text: str, value: str | None) -> None:
    assert read_brackets(text, "( [") == value


@pytest.mark.parametrize(
    ("text", "value"),
    [
        (ORDER, ORDER), (f"The answer is {ORDER}.", ORDER), (f"So: **{ORDER}**", ORDER), (ORDER.replace(" ", ", "), ORDER),
        ("1. apple\n2. it&t\n3. syndrome\n4. therefrom", ORDER), ("Apple IT&T Syndrome Therefrom", ORDER),
        (f"The list is syndrome therefrom it&t apple. Sorted: {ORDER}", ORDER),
        (f"The answer is {ORDER}. I hope the answer is helpful.", ORDER),
        ("syndrome therefrom it&t apple", "syndrome therefrom it&t apple"), ("apple it&t syndrome", None), ("", None),
        ("pineapple it&t syndrome therefrom", None),
    ],
)  # fmt: skip
def test_an_order_of_words(text: str, value: str | None) -> None:
    assert read_order(text, WORDS) == value
