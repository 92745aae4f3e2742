"""What the candidate writes comes back with its types; what is malformed is a violation, never a fault of ours."""

import json
from datetime import timedelta
from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evals.sandbox.guest.candidate import CandidateChannel, write_value
from evals.sandbox.judge.values import Violation, read

SCALARS = (
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text() | st.binary()
    | st.complex_numbers(allow_nan=False) | st.decimals(allow_nan=False, allow_infinity=False, places=3)
    | st.fractions() | st.integers(min_value=1 << 70, max_value=1 << 5000)
)  # fmt: skip
HASHED = st.recursive(SCALARS, lambda inner: st.tuples(inner, inner) | st.frozensets(inner, max_size=3), max_leaves=6)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=4) | st.tuples(inner, inner) | st.dictionaries(HASHED, inner, max_size=3)
    | st.sets(HASHED, max_size=3),
    max_leaves=15,
)  # fmt: skip


def there_and_back(value: Any) -> Any:
    kind, payload = write_value(value, CandidateChannel(-1, -1))
    return read(kind, payload, lambda number, name, iterates: (number, name, iterates))


def shape(value: Any) -> Any:
    """Types of a value, all the way down."""
    if isinstance(value, dict):
        return (dict, sorted(repr((shape(k), shape(v))) for k, v in value.items()))
    if isinstance(value, list | tuple):
        return (type(value), [shape(v) for v in value])
    return type(value)


@settings(deadline=None)
@given(VALUES)
def test_a_value_and_its_types_come_back(value: Any) -> None:
    back = there_and_back(value)
    assert back == value
    assert shape(back) == shape(value)


def test_what_cannot_travel_stays_behind_under_a_number() -> None:
    thing = object()
    assert there_and_back(thing) == (0, "object", False)
    assert there_and_back(iter([1])) == (0, "list_iterator", True)
    assert there_and_back(1 << (1 << 25))[1] == "int"
    assert there_and_back(Decimal("1e999999"))[1] == "Decimal"
    assert there_and_back([Fraction(1, 3), timedelta(1)]) == [Fraction(1, 3), timedelta(1)]


@settings(deadline=None)
@given(st.binary(max_size=60) | st.recursive(SCALARS.filter(lambda v: isinstance(v, str | int | float | None)),
       lambda inner: st.lists(st.sampled_from("lstdzqrnoiDFcbBKVITe") | inner, max_size=5)).map(lambda v: json.dumps(v).encode()))  # fmt: skip
def test_any_bytes_are_a_value_or_a_violation(payload: bytes) -> None:
    try:
        read(b"t", payload, lambda number, name, iterates: None)
    except Violation:
        return


@pytest.mark.parametrize(
    "payload",
    ['["i", "0x' + "f" * (1 << 23) + '"]', '["D", "1e9999999"]', '["o", -1, "x", false]', '["T", "no"]', '["n", "O", []]',
     '["n", "<f8", ["x"]]', '{"a": 1}', '["d", 1]', "[" * 100000, '["s", ["l"]]', '["r"]', '["c", "x", 1]'],
)  # fmt: skip
def test_malformed_values_are_violations(payload: str) -> None:
    with pytest.raises(Violation):
        read(b"t", payload.encode(), lambda number, name, iterates: None)
