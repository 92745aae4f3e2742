"""Answer extraction as properties of any text, and the harness's own rules on its own examples."""

import json
import re
import string
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from evals.records import Sample
from evals.scoring.answer import cut, exact_and_f1, find_match, plain_words
from evals.tasks import bbh, gsm8k, squad, squad_v2, trivia_qa
from evals.tasks.humaneval import EVALPLUS_STOPS

WORDS = st.text(st.sampled_from("ab cthe an.,$#0123456789-\n:Q'\"é"), max_size=60)
NUMBERS = st.integers(-10_000_000, 10_000_000)


@given(WORDS, st.lists(st.text("ab\n#Q", min_size=1, max_size=3), max_size=4))
def test_cut_is_the_longest_start_without_a_stop(text: str, stops: list[str]) -> None:
    kept = cut(text, stops)
    assert text.startswith(kept)
    assert not any(stop in kept for stop in stops)
    assert kept == text or any(text[len(kept) :].startswith(stop) for stop in stops)
    assert cut(kept, stops) == kept


@given(WORDS, NUMBERS)
@example("#### 5\n", 7)
def test_gsm8k_strict_reads_the_first_marked_number_flexible_the_last(before: str, number: int) -> None:
    sample = Sample(id="x", question="?", target=str(number))
    text = f"{before.replace('#', '')} #### {number:,}"
    read = gsm8k.extract(sample, text)
    assert read == text
    assert gsm8k.score(gsm8k.STRICT)(sample, text).metrics == {"strict-match": 1.0, "flexible-extract": 1.0}
    other = gsm8k.score(gsm8k.STRICT)(sample, f"{text}\nQ2 is 3, that is #### {number + 1}").metrics
    assert other == {"strict-match": 1.0, "flexible-extract": 0.0}


@given(st.text(st.characters(exclude_characters="0123456789$.,", exclude_categories=["Nd"]), max_size=40))
def test_gsm8k_finds_no_answer_where_no_digit_is(text: str) -> None:
    assert gsm8k.extract(Sample(id="x", question="?", target="1"), text) is None


@pytest.mark.parametrize(
    ("text", "strict", "flexible"),
    [
        ("The answer is 18.", 1.0, 1.0),
        ("The answer is $18.", 0.0, 1.0),  # the strict phrase wants the digits at once
        ("The answer is 18", 0.0, 1.0),  # one more character must follow: the number read is 1
        ("It is 18, or $18.00", 0.0, 0.0),
        ("The answer is 1,8.", 1.0, 1.0),
        ("The answer is 18. 20 were bought.", 1.0, 0.0),
    ],
)
def test_gsm8k_cot_quirks(text: str, strict: float, flexible: float) -> None:
    sample = Sample(id="x", question="?", target="18")
    read = gsm8k.score(gsm8k.STRICT_COT)(sample, text).metrics
    assert read == {"strict-match": strict, "flexible-extract": flexible}


@given(st.text(st.characters(exclude_characters="\n\r\x0b\x0c\x1c\x1d\x1e\x85\u2028\u2029"), min_size=1, max_size=30))
def test_bbh_reads_back_what_is_written(target: str) -> None:
    sample = Sample(id="x", question="?", target=target.strip())
    text = f"Therefore the answer is {target.strip()}."
    if target.strip() and "the answer is" not in target and not target.strip().endswith("."):
        assert bbh.extract(sample, text) == bbh.extract_phi(sample, text) == target.strip()
    assert bbh.extract(sample, text.replace("the answer", "The answer")) is None


def test_bbh_direct_is_the_first_line() -> None:
    sample = Sample(id="x", question="?", target="(A)")
    assert bbh.extract_direct(sample, " (A)\nQ: next") == "(A)"
    assert bbh.extract_direct(sample, " \n") is None


@given(st.text(max_size=40), st.lists(st.text(max_size=20), max_size=3))
def test_exact_and_f1_are_shares_and_exact_is_an_f1_of_one(answer: str, accepted: list[str]) -> None:
    exact, f1 = exact_and_f1(answer, accepted)
    assert exact in (0.0, 1.0)
    assert 0.0 <= f1 <= 1.0
    assert f1 >= exact
    if answer in accepted and plain_words(answer):
        assert exact == f1 == 1.0


def test_squad_scores_are_those_of_the_evaluation_script() -> None:
    """450 answers as the script of SQuAD 2.0 that transformers 4.40.2 kept scores them; tests/bench/parity_squad.py."""
    told = json.loads((Path(__file__).parents[2] / "golden" / "squad.json").read_text(encoding="utf-8"))
    assert len(told) == 450
    for answer, accepted, exact, f1 in told:
        assert exact_and_f1(answer, accepted) == (exact, pytest.approx(f1, abs=1e-12)), (answer, accepted)


@given(st.text(st.characters(max_codepoint=127), max_size=40))
def test_plain_words_are_plain(text: str) -> None:
    words = plain_words(text)
    assert not {"a", "an", "the"} & set(words)
    assert not any(character in string.punctuation for word in words for character in word)
    assert plain_words(" ".join(words)) == words


def test_squad_says_no_answer_in_each_protocols_way() -> None:
    nothing = Sample(id="x", question="?", target=[])
    assert squad_v2.score(nothing, squad_v2.extract(nothing, " unanswerable")).metrics["exact"] == 0.0
    assert squad_v2.score(nothing, squad_v2.extract(nothing, "")).metrics["exact"] == 1.0
    assert squad_v2.extract_phi(nothing, " Unanswerable.") == ""
    assert squad_v2.extract_phi(nothing, "  ") is None
    assert squad.extract(nothing, "\n\n") is None


def test_squad_tells_the_questions_with_and_without_an_answer_apart() -> None:
    has, not_ = Sample(id="x", question="?", target=["France"]), Sample(id="y", question="?", target=[])
    assert squad_v2.score_parts(has, " France").metrics == {
        "exact": 1.0,
        "f1": 1.0,
        "HasAns_exact": 1.0,
        "HasAns_f1": 1.0,
    }
    assert squad_v2.score_parts(not_, " France").metrics == {
        "exact": 0.0,
        "f1": 0.0,
        "NoAns_exact": 0.0,
        "NoAns_f1": 0.0,
    }


@given(st.text("Abc dé!.", max_size=12))
def test_trivia_forgives_case_and_punctuation_alone(name: str) -> None:
    sample = Sample(id="x", question="?", target=[name, "other"])
    assert trivia_qa.score(sample, f"{name.upper()}!").metrics["exact_match"] == 1.0
    assert trivia_qa.score(sample, f"{name} more").metrics["exact_match"] == 0.0


@given(WORDS)
def test_a_match_is_a_part_of_the_text(text: str) -> None:
    for which in (0, -1):
        found = find_match(gsm8k.FLEXIBLE, text, which)
        assert found is None or found in text
    every = re.findall(r"\d", text)
    assert find_match(re.compile(r"\d"), text) == (every[0] if every else None)
    assert find_match(re.compile(r"\d"), text, -1) == (every[-1] if every else None)


def test_evalplus_stops_are_its_eleven() -> None:
    assert len(set(EVALPLUS_STOPS)) == 11
