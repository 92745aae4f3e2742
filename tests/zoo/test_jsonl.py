"""JSON and lines from outside: what is read, what is repaired, and what is refused with a reason."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.hostile.texts import DEEP, REFUSED_JSON
from zoo.errors import ZooError
from zoo.jsonl import DEPTH, parse_json, read_lines, split_lines


@pytest.mark.parametrize(("text", "reason"), REFUSED_JSON.values(), ids=REFUSED_JSON.keys())
def test_json_is_read_strictly(text: bytes, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        parse_json(text)


def test_nesting_is_read_down_to_a_depth() -> None:
    parse_json(b"[" * DEPTH + b"]" * DEPTH)
    parse_json(b"[[], {}" + b", []" * 10 * DEPTH + b"]")
    with pytest.raises(ValueError, match="deeply"):
        parse_json(b"[" * (DEPTH + 1) + b"]" * (DEPTH + 1))
    for text in DEEP.values():
        with pytest.raises(ValueError, match="deeply"):
            parse_json(text, nonfinite=True, repair=True)


def test_half_a_pair_is_repaired_and_a_whole_one_kept() -> None:
    assert parse_json(rb'{"\ud835": ["\ud83d\ude00", "a\ude00\ud83d"]}', repair=True) == {
        "\ufffd": ["\U0001f600", "a\ufffd\ufffd"]
    }
    assert parse_json(rb'"\ud83d\ude00"') == "\U0001f600"
    assert parse_json(b"\xef\xbb\xbf[NaN, -Infinity, 1e999]", nonfinite=True, repair=True)[2] == float("inf")


@given(st.binary() | st.text(st.sampled_from('[]{}",:\\u0123d8c1e9.-')).map(str.encode))
def test_any_bytes_are_a_value_or_one_fault(data: bytes) -> None:
    for options in ({}, {"nonfinite": True, "repair": True}):
        try:
            value: Any = parse_json(data, **options)
        except ValueError:
            continue
        json.dumps(value, ensure_ascii=False).encode()  # no half of a pair is left


def test_lines_end_at_a_line_feed_alone(tmp_path: Path) -> None:
    file = tmp_path / "x.jsonl"
    file.write_text('{"a": "\u2028\u2029\u0085"}\n\n["\x7f"]\r\n"last"', encoding="utf-8")
    values = [value for _, value in read_lines(file, "anything")]
    assert values == [{"a": "\u2028\u2029\u0085"}, ["\x7f"], "last"]
    assert [parse_json(line) for line in split_lines(file.read_bytes())] == values
    file.write_bytes(b"1\n" + DEEP["lists"] + b"\n")
    with pytest.raises(ZooError, match=r"x\.jsonl:2 is not JSON .nested too deeply"):
        list(read_lines(file, "anything"))
