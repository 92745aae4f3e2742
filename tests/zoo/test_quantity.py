"""A number of parameters as it is typed."""

import pytest

from zoo.quantity import parse_quantity


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("500M", 5e8), ("0.5B", 5e8), ("500m", 5e8), (" 3 B ", 3e9), ("135,000,000", 1.35e8), ("350_000_000", 3.5e8),
        ("1.5T", 1.5e12), ("7", 7.0), ("0", None), ("-1B", None), ("1e9", 1e9), ("1e99", None), ("", None), ("B", None),
        ("9" * 16, None), ("nan", None), ("inf", None), ("1.5.2B", None), ("٣B", None),
    ],
)  # fmt: skip
def test_a_size_as_it_is_typed(text: str, size: float | None) -> None:
    assert parse_quantity(text) == size
