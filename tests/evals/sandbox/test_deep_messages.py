"""A tree that is too deep for C's stack crosses the channel as flat lists; malformed ones are refused."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evals.sandbox.guest import candidate
from evals.sandbox.judge import values

TREES = st.recursive(st.integers() | st.text() | st.none(), st.lists, max_leaves=40).filter(lambda x: type(x) is list)


@given(TREES)
def test_flat_lists_are_the_tree_again(tree: list[object]) -> None:
    flat = json.loads(json.dumps(candidate._flat(tree)))
    assert all(type(part) is not list or len(part) == 1 for row in flat for part in row)
    assert values.parse(b"\0" + json.dumps(flat).encode()) == tree


def test_what_c_cannot_write_is_written_flat(monkeypatch: pytest.MonkeyPatch) -> None:
    real = candidate._encode
    calls = []

    def shallow(value: object, level: int) -> object:
        calls.append(value)
        if len(calls) == 1:
            raise RecursionError
        return real(value, level)

    monkeypatch.setattr(candidate, "_encode", shallow)
    payload = candidate._dumps([1, [2, ["x", [None]]]])
    assert payload[:1] == b"\0"
    assert values.parse(payload) == [1, [2, ["x", [None]]]]


def test_a_list_that_holds_itself_has_an_end() -> None:
    endless: list[object] = []
    endless.append(endless)
    with pytest.raises(TypeError, match="too large"):
        candidate._flat(endless)


@pytest.mark.parametrize(
    "text",
    [
        "[]", "5", "[5]", "[[[1]]]", "[[[0]]]", "[[], [1]]", "[[[1], [1]], [2]]", "[[[2]], [1], [2]]",
        "[[[1]], [[1]]]", "[[[1]], [2], [3]]", '{"a": 1}', '[[["x"]], []]', "", "[",
    ],
)  # fmt: skip
def test_flat_lists_that_are_no_tree_are_a_violation(text: str) -> None:
    with pytest.raises(values.Violation):
        values.parse(b"\0" + text.encode())
