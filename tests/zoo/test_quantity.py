"""A number of parameters as it is typed."""

import pytest

from zoo.errors import ZooError
from zoo.quantity import parse_quantity


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("500M", 5e8), ("0.5B", 5e8), ("500m", 5e8), (" 3 B ", 3e9), ("135,000,000", 1.35e8), ("350_000_000", 3.5e8),
        ("1.5T", 1.5e12), ("7", 7.0), ("1e9", 1e9),
    ],
)  # fmt: skip
def test_a_number_as_it_is_typed(text: str, number: float) -> None:
    assert parse_quantity(text) == number


@pytest.mark.parametrize("text", ["-1B", "", "B", "nan", "inf", "1.5.2B", "\u0663B", "1e999", "many"])
def test_what_is_no_number_is_one_line_with_an_example(text: str) -> None:
    with pytest.raises(ZooError, match="write it as 500M") as raised:
        parse_quantity(text)
    assert "\n" not in str(raised.value)
