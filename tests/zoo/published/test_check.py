"""A published number is possible, has a source that can be opened, and stands once."""

import msgspec
import pytest

from zoo.published import problems
from zoo.records import Reported

GOOD = Reported(
    model="phi-1", parameters=1.3e9, unique_tokens=7e9, training_tokens=5.1e10, date="2023-06", benchmark="humaneval",
    subset="", protocol="pass@1", shots=0, op="=", value=50.6, n=164, source="arXiv 2306.11644v2 Table 1",
    address="https://arxiv.org/abs/2306.11644v2", accessed="2026-11-24",
)  # fmt: skip


def changed(**fields: object) -> Reported:
    return msgspec.structs.replace(GOOD, **fields)


def test_two_sources_may_disagree_but_one_source_tells_once() -> None:
    other = changed(value=49.4, source="another harness")
    assert problems([GOOD, other]) == []
    assert problems([GOOD, changed(value=49.4)]) == ["twice: phi-1, humaneval, , pass@1, 0, arXiv 2306.11644v2 Table 1"]


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"value": 100.1}, "not in 0..100"),
        ({"value": -0.1}, "not in 0..100"),
        ({"value": float("nan")}, "not in 0..100"),
        ({"op": "<", "value": 0.0}, "is meaningless"),
        ({"parameters": 1.3}, "1.3 parameters"),
        ({"parameters": float("inf")}, "inf parameters"),
        ({"training_tokens": 7.0}, "7.0 tokens"),
        ({"unique_tokens": 7.0}, "7.0 tokens"),
        ({"unique_tokens": 6e10}, "60000000000.0 unique tokens of 51000000000.0 seen"),
        ({"date": "2023-13"}, "not YYYY-MM"),
        ({"accessed": ""}, "access date '' is not YYYY-MM-DD"),
        ({"accessed": "2026-11"}, "not YYYY-MM-DD"),
        ({"accessed": "2023-05-30"}, "before 2023-06"),
        ({"address": ""}, "address '' is not https"),
        ({"address": "arXiv 2306.11644"}, "is not https"),
        ({"address": "http://127.0.0.1/x"}, "is not https"),
        ({"date": "June 2023"}, "not YYYY-MM"),
        ({"shots": -1}, "-1 shots"),
        ({"n": 0}, "n=0"),
        ({"n": 0, "benchmark": "mbpp"}, "n=0"),
        ({"n": 163}, "n=163, but it has 164"),
        ({"n": 164, "subset": "similar at tau=0.95, n=71"}, "n=164, but it has 71"),
        ({"source": " "}, "no model, benchmark, protocol or source"),
        ({"model": ""}, "no model, benchmark, protocol or source"),
        ({"licence": " MIT"}, "is no name"),
    ],
)
def test_impossible_facts_are_refused(fields: dict[str, object], said: str) -> None:
    assert problems([GOOD]) == []
    found = problems([changed(**fields)])
    assert len(found) == 1
    assert said in found[0]


def test_rows_that_a_variant_tells_apart_are_not_twice() -> None:
    pair = [changed(variant="float16, row 1 of 2"), changed(variant="bfloat16, row 2 of 2", value=40.0)]
    assert problems(pair) == []
    assert len(problems([pair[0], pair[0]])) == 1


def test_a_date_may_be_unknown() -> None:
    assert problems([changed(date="")]) == []
