"""The checks see what moved: another log-probability, another pick, another text; and nothing else."""

import pytest
from click.testing import CliRunner

from evals.checks.engine_check import change_ending, compare_answers
from evals.cli.check import parity
from evals.cli.engine_options import given
from evals.records import Choice, ChoiceScores, Generation
from evals.tasks import task
from zoo.errors import ZooError


def read(sample: str, *logprobs: float) -> ChoiceScores:
    return ChoiceScores(sample=sample, choices=tuple(Choice(logprob=x, tokens=1, greedy=False) for x in logprobs))


def made(sample: str, text: str) -> Generation:
    return Generation(sample=sample, draw=0, text=text, prompt_tokens=1, tokens=1, finish="stop")


def test_choices_that_moved_and_flipped() -> None:
    first = {"same": read("same", -1.0, -2.0), "near": read("near", -1.0, -2.0), "flip": read("flip", -1.0, -1.1)}
    second = {"same": read("same", -1.0, -2.0), "near": read("near", -1.0, -2.1), "flip": read("flip", -1.1, -1.0)}
    told = compare_answers(("a", "b"), first, second, 1e-3)
    assert [(one.sample, one.flip) for one in told.moved] == [("near", False), ("flip", True)]
    assert told.largest == pytest.approx(0.1)
    assert (told.samples, told.flips) == (3, 1)


def test_a_long_sum_may_round_by_more_than_a_short_one() -> None:
    moved = [
        compare_answers(("a", "b"), {"s": read("s", value, -9.0)}, {"s": read("s", value - 0.002, -9.0)}, 1e-3).moved
        for value in (-5.0, -150.0, -5e5)
    ]
    assert [len(one) for one in moved] == [1, 0, 0]


def test_texts_that_differ() -> None:
    first, second = {"a": made("a", "x"), "b": made("b", "y")}, {"a": made("a", "x"), "b": made("b", "z")}
    told = compare_answers(("a", "b"), first, second, 1e-3)
    assert [(one.sample, one.first, one.second) for one in told.moved] == [("b", "y", "z")]
    assert compare_answers(("a", "b"), first, first, 1e-3).moved == ()


def test_a_boundary_check_changes_only_the_end_of_the_prompt() -> None:
    plain = task("mini_exercises")
    assert plain.prompt is not None
    tried = change_ending(plain, "\n", "healed")
    sample = next(iter(plain.samples()))
    assert tried.prompt(sample) == plain.prompt(sample).rstrip("\n") + "\n"
    assert tried.decoding.boundary == "healed"
    assert tried.protocol != plain.protocol


def test_parity_wants_two_engines() -> None:
    ended = CliRunner().invoke(parity, ["tiny", "--engine", "transformers"])
    assert isinstance(ended.exception, ZooError)
    assert "expected two" in str(ended.exception)


@pytest.mark.parametrize(
    ("engine", "options", "what"),
    [
        ("transformers", {"url": "http://h/v1"}, "--url is an option of --engine openai_http"),
        ("openai_http", {"budget": 1.0}, "--budget needs --price"),
        ("openai_http", {"price": "1"}, "not a pair of prices"),
        ("openai_http", {"price": "nan,1"}, "not a pair of prices"),
    ],
)
def test_options_of_another_engine_or_without_sense_are_refused(
    engine: str, options: dict[str, object], what: str
) -> None:
    with pytest.raises(ZooError, match=what):
        given(engine, options)
