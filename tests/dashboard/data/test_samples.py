"""A run's samples: filters, the end of the answer, diffs, and the rebuilt prompts."""

from types import SimpleNamespace

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dashboard.data.samples import (
    SampleFilter,
    SampleQuery,
    answer_end,
    count_verdicts,
    filter_results,
    reason,
    sample_queries,
    seconds_text,
)
from evals.protocol import protocol
from evals.records import Facts, Result, Run
from evals.tasks import task
from zoo.errors import ZooError


@pytest.fixture(scope="module")
def results(made: SimpleNamespace) -> list[Result]:
    made_up = [made.result(number, number % 2 == 0) for number in range(10)]
    made_up.append(made.result(10, False, verdict="timeout", detail="over 3 s", finish="length"))
    made_up.append(made.result(11, False, score=None, verdict="unscored", detail="sandbox fault"))
    return made_up


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        (SampleFilter(), list(range(12))),
        (SampleFilter(verdicts=("passed",)), [0, 2, 4, 6, 8]),
        (SampleFilter(verdicts=("timeout", "unscored")), [10, 11]),
        (SampleFilter(search="RETURN 7"), [7]),
        (SampleFilter(search="sandbox"), [11]),
        (SampleFilter(search="nothing like it"), []),
        (SampleFilter(truncated=True), [10]),
    ],
)
def test_filters(results: list[Result], wanted: SampleFilter, expected: list[int]) -> None:
    assert filter_results(results, wanted) == expected


def test_tally_names_every_verdict(results: list[Result]) -> None:
    assert count_verdicts(results) == {"passed": 5, "failed": 5, "timeout": 1, "error": 0, "unscored": 1, "read": 0}


@given(st.text(max_size=40), st.text(max_size=40))
def test_cut_is_inside_the_text(text: str, answer: str) -> None:
    result = Result(sample="s", draw=0, score=0.0, text=text, answer=answer)
    assert 0 <= answer_end(result) <= len(text)


def test_cut_stands_after_the_answer(results: list[Result]) -> None:
    result = results[3]
    assert result.text[: answer_end(result)] == "    return 3"


def test_a_choice_has_its_text_and_one_numbering_and_no_missing_answer() -> None:
    query = SampleQuery(prompt="", target="", choices=("a sock", "a television"), right=1)
    wrong = Result(sample="piqa/1", draw=0, score=0.0, logprobs=(-1.0, -2.0), detail="chose 0, right is 1")
    assert reason(wrong, query) == "chose 1: «a sock» · right 2: «a television»"
    assert reason(wrong) == "chose 1"
    written = Result(sample="gsm8k/1", draw=0, score=0.0, text="?", detail="no answer found")
    assert reason(written) == "nothing to extract"


def test_seconds_say_that_they_are_of_scoring() -> None:
    assert seconds_text(0.006) == "scored in 6 ms"
    assert seconds_text(0.0) == ""


def run_of(name: str) -> Run:
    under = task(name)
    record = protocol(under, list(under.samples()), under.metrics[0])
    facts = Facts(engine="replay", version="1", dtype="", device="cpu", context_tokens=1)
    return Run(
        id="r", checkpoint="c", checkpoint_label="c:1", task=under.name, protocol=msgspec.to_builtins(record),
        fingerprint=record.fingerprint, backend=facts, seed=0, draws=1, limit=None, samples=1, hardware={}, versions={},
        commit="",
    )  # fmt: skip


def test_sample_queries_give_prompt_and_tests_of_each_sample() -> None:
    queries = sample_queries(run_of("mini_exercises"))
    assert len(queries) >= 300
    query = next(iter(queries.values()))
    assert query.prompt.startswith("def ")
    assert "assert" in query.target


def test_sample_queries_refuse_prompts_that_have_changed() -> None:
    run = run_of("mini_exercises")
    changed = msgspec.structs.replace(run, protocol={**run.protocol, "prompts_sha256": "00" * 32})
    with pytest.raises(ZooError, match="have changed since this run"):
        sample_queries(changed)
