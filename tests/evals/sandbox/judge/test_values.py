"""What the candidate writes comes back with its types; what is malformed is a violation, never a fault of ours."""

import json
import struct
from collections import ChainMap, Counter, OrderedDict, UserDict, UserList, defaultdict, deque
from datetime import timedelta
from decimal import Decimal
from fractions import Fraction
from pathlib import PurePosixPath
from types import SimpleNamespace
from typing import Any

import numpy
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evals.sandbox import Program, Sandbox
from evals.sandbox.guest.candidate import _dumps
from evals.sandbox.guest.graph import ObjectGraph
from evals.sandbox.guest.kinds import BY_TAG
from evals.sandbox.guest.reading import _READERS
from evals.sandbox.guest.standins import StandIn
from evals.sandbox.judge.values import Violation, guarded, parse, read_message

SCALARS = (
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(st.characters()) | st.binary()
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


def nobody(verb: str, number: int, positional: tuple[Any, ...], named: dict[str, Any]) -> Any:
    raise AttributeError(verb)


def there_and_back(value: Any) -> Any:
    tree = ObjectGraph(-1, nobody).write(value)
    return guarded(ObjectGraph(1, nobody).read, parse(_dumps(tree)))


def shape(value: Any) -> Any:
    """Types of a value, all the way down."""
    if isinstance(value, dict):
        return (type(value), sorted(repr((shape(k), shape(v))) for k, v in value.items()))
    if isinstance(value, list | tuple):
        return (type(value), [shape(v) for v in value])
    return type(value)


@settings(deadline=None)
@given(VALUES)
def test_a_value_and_its_types_come_back(value: Any) -> None:
    back = there_and_back(value)
    assert back == value
    assert shape(back) == shape(value)


@pytest.mark.parametrize(
    "value",
    [
        Counter("aab"), defaultdict(list, {1: [2]}), OrderedDict([(2, 1)]), deque([1], 3), UserList([1]), UserDict(a=1),
        ChainMap({1: 2}), SimpleNamespace(a=[1]), range(1, 9, 2), slice(1, None), bytearray(b"\xff"), frozenset({1}),
        PurePosixPath("/a"), Decimal("1.10"), Fraction(1, 3), timedelta(1, 2), {1: 2}.keys(), {1: 2}.items(), 1j, ...,
        "\ud83d\ude00", "\U0001f600", int, KeyError, numpy.float32(0.1), numpy.bool_(True), numpy.int8(3),
        numpy.str_("é"), numpy.datetime64("2020-01-01"),
    ],
    ids=repr,
)  # fmt: skip
def test_exact_types_come_back(value: Any) -> None:
    back = there_and_back(value)
    assert type(back) is type(value)
    assert back == value or not isinstance(value, type({}.values()))


def test_arrays_come_back_with_their_type_and_shape() -> None:
    for array in (numpy.arange(6, dtype="i2").reshape(2, 3), numpy.zeros((0, 5)), numpy.array(3.5), numpy.array(["a"])):
        back = there_and_back(array)
        assert back.dtype == array.dtype and back.shape == array.shape and (back == array).all()


def test_a_value_held_twice_is_one_value() -> None:
    row = [0]
    back = there_and_back([row, row, {"k": row}])
    assert back[0] is back[1] is back[2]["k"]
    row.append(row)
    back = there_and_back(row)
    assert back[1] is back


def test_what_cannot_travel_stays_behind_under_a_number() -> None:
    for thing in (object(), iter([1]), 1 << (1 << 25), Decimal("1e999999")):
        assert isinstance(there_and_back(thing), StandIn)


TAGS = sorted((*BY_TAG, *_READERS, "M", "m"))
LEAVES = st.sampled_from(
    [None, True, -1, 0, 1, 2.5, "", "x", "builtins", "ValueError", "list", "__class__", "1e999999"]
)
TREES = st.recursive(
    LEAVES | st.text(max_size=3) | st.integers(), lambda inner: st.lists(st.sampled_from(TAGS) | inner, max_size=6)
)
MESSAGES = st.binary(max_size=60) | TREES.map(lambda tree: json.dumps(tree).encode())


@settings(deadline=None, max_examples=600)
@given(MESSAGES, st.integers(min_value=2, max_value=7))
def test_any_bytes_are_a_message_or_a_violation(payload: bytes, parts: int) -> None:
    try:
        read_message(ObjectGraph(1, nobody), payload, parts)
    except Violation:
        return


@settings(deadline=None, max_examples=600)
@given(st.sampled_from(TAGS), st.lists(TREES, max_size=5))
def test_any_tree_is_a_value_or_a_violation(tag: str, parts: list[Any]) -> None:
    try:
        guarded(ObjectGraph(1, nobody).read, [tag, *parts])
    except Violation:
        return


MALFORMED = (
    '["i", "0x' + "f" * (1 << 23) + '"]', '["Dc", "1e9999999"]', '["o", 1, ["k", -1, "x", "", [], []]]', '["n", null, "O", ["t"], ""]',
    '["T", "builtins", "no"]', '["T", "os", "_wrap_close"]', '["n", null, "<f8", ["t", 9], "x"]', '{"a": 1}',
    '["d", null, 1]', "[" * 100000, '["s", null, ["l", null]]', '["r"]', '["c", "x", 1]', "NaN", '["=", 5]',
    '["F", "1e99999999", 1]', '["x", -1, ["T", "builtins", "int"], ["t"], ["d", null], null, null, false, null]',
    '["x", -1, ["T", "evals.sandbox.judge.channel", "Unexpected"], ["t"], ["d", null], null, null, false, null]',
    '["x", -1, ["T", "builtins", "UnicodeDecodeError"], ["t", "u", ["b", "x"], -99, 1099511627776, "r"], ["d", null], null, null, false, null]',
    '["f", 1, "os", "system"]', '["h", 0]', '["M", null, "A", 0]',
)  # fmt: skip


@pytest.mark.parametrize("payload", MALFORMED, ids=lambda text: text[:30])
def test_malformed_values_are_violations(payload: str) -> None:
    with pytest.raises(Violation):
        guarded(ObjectGraph(1, nobody).read, parse(payload.encode()))


FORGE = """    f = __import__("sys")._getframe()
    while not hasattr(f.f_locals.get("self"), "channel"): f = f.f_back
    s = f.f_locals["self"]
    s.channel.send(s.sequence, KIND, PAYLOAD)
    __import__("os")._exit(0)
"""


def test_no_forged_reply_is_our_fault(sandbox: Sandbox) -> None:
    """Each is sent as a value, as an exception and as a request, raw and inside a message of the right form."""
    test = "def check(candidate):\n    assert candidate(1) == 2\n"
    raised = '["x", -1, ["T", "builtins", "UnicodeDecodeError"], ["t", "u", ["b", "x"], -99, 1, "r"], ["d", null], null, null, false, null]'
    payloads = [text.encode() for text in (*MALFORMED, raised)]
    payloads += [f"[{text}, [], [], null]".encode() for text in (*MALFORMED, raised)]
    payloads += [f'[{text}, [], [], null, "E", "x", 1]'.encode() for text in (*MALFORMED, raised)]
    payloads += [f'["call", {text}, [], {{}}, [], [], null]'.encode() for text in (*MALFORMED, "0", "-1", "1e400")]
    payloads += [b"", b"\xff\xfe", b"\x00" * 9, struct.pack("<Q", 1 << 63), b'[1, [], [["stdout", 5]], null]']
    programs = [
        Program(id=f"{kind!r} {payload[:60]!r}", prompt="def f(a):\n", test=test, entry_point="f",
                completion=FORGE.replace("KIND", repr(kind)).replace("PAYLOAD", repr(payload)))
        for kind in (b"v", b"t", b"x", b"k", b"o", b"f", b"?") for payload in payloads if len(payload) < 1 << 20
    ]  # fmt: skip
    found = {verdict.id: verdict.verdict for verdict in sandbox.run(programs)}
    assert {name: verdict for name, verdict in found.items() if verdict != "failed"} == {}
