"""Each kind of instruction: answers that follow it, and answers that do not. The harness's verdicts are the same
(tests/bench/parity_ifeval.py compares thousands)."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evals.scoring import language
from evals.scoring.instructions import VERIFIERS, compares, follows, follows_loosely, loose_forms

ENGLISH = "the quick brown fox jumps over the lazy dog and then it sleeps under the old tree near our house"
AT_LEAST, LESS = "at least", "less than"
# kind, arguments, answers that follow, answers that do not
CASES: list[tuple[str, dict[str, Any], list[str], list[str]]] = [
    ("keywords:existence", {"keywords": ["cat", "dog"]}, ["Cats and a DOG", "dogcat"], ["a cat", "c at dog"]),
    ("keywords:frequency", {"keyword": "war ", "frequency": 2, "relation": AT_LEAST}, ["War, wars", "towards war"], ["war"]),
    ("keywords:frequency", {"keyword": "war", "frequency": 2, "relation": LESS}, ["peace", "one war"], ["war wardrobe"]),
    ("keywords:forbidden_words", {"forbidden_words": ["no", "C++"]}, ["know nothing"], ["No!", "yes or no"]),
    ("keywords:letter_frequency", {"letter": "T", "let_frequency": 2, "let_relation": AT_LEAST}, ["tT", "that"], ["t"]),
    ("keywords:letter_frequency", {"letter": "#", "let_frequency": 2, "let_relation": AT_LEAST}, ["# #"], ["z # z"]),
    ("keywords:letter_frequency", {"letter": "t", "let_frequency": 2, "let_relation": LESS}, ["a t", "a"], ["T t"]),
    ("language:response_language", {"language": "de"}, ["Alle Menschen sind frei und gleich geboren", "12345"], [ENGLISH]),
    ("length_constraints:number_words", {"num_words": 3, "relation": AT_LEAST}, ["a b c", "it's so", "well-known it"], ["a b", "सभी हिंदी"]),
    ("length_constraints:number_words", {"num_words": 3, "relation": LESS}, ["a b", "—"], ["a b c"]),
    ("length_constraints:number_sentences", {"num_sentences": 2, "relation": AT_LEAST},
     ["One. Two.", "Dr. Smith came. He sat.", "Wow!!!"], ["Mr. Smith paid $3.50 at 5 p.m. in town", "one, two"]),
    ("length_constraints:number_sentences", {"num_sentences": 2, "relation": LESS}, ["One, at 5 p.m. or so", "one"], ["Is it? Yes."]),
    ("length_constraints:number_paragraphs", {"num_paragraphs": 2},
     ["a\n***\nb", "***\na *** b\n***", "a***b"], ["a\n\nb", "a\n***\n***\nb", "a***b***c"]),
    ("length_constraints:nth_paragraph_first_word", {"num_paragraphs": 2, "nth_paragraph": 2, "first_word": "So"},
     ["a\n\nso, it is", "a\n\n 'So' it is", "a\n\n\"so. it"], ["so\n\na", "a\n\nsome", "a\nso", "a\n\nso\n\nc", "a\n\n\n\nso"]),
    ("detectable_content:number_placeholders", {"num_placeholders": 2}, ["[a] [b]", "[][x][y]"], ["[a]", "[a\n] [b]"]),
    ("detectable_content:postscript", {"postscript_marker": "P.S."}, ["x\nP.S. y", "p. s. y", "in mid p.s."], ["PS y", "p.s y"]),
    ("detectable_content:postscript", {"postscript_marker": "P.P.S"}, ["P.P.S. y", "p. p. s y"], ["P.S. y", "pps"]),
    ("detectable_format:number_bullet_lists", {"num_bullets": 2},
     ["* a\n- b", "x\n  * a\n\n-b"], ["* a", "* a\n* b\n* c", "**a**\n* b", "1. a\n2. b"]),
    ("detectable_format:constrained_response", {}, ["My answer is no.", "Well. My answer is maybe. So."], ["my answer is no.", "No"]),
    ("detectable_format:number_highlighted_sections", {"num_highlights": 2},
     ["*a* *b*", "**a**  *b*", "*a*b*c*"], ["*a*", "* *", "*a\n* b", "****"]),
    ("detectable_format:multiple_sections", {"section_spliter": "Section", "num_sections": 2},
     ["Section 1\na\nSection 2\nb", "Section1 Section2"], ["Section 1", "section 1 section 2", "Section A Section B"]),
    ("detectable_format:json_format", {}, ['{"a": 1}', '```json\n[1]\n```', "3", "```\nnull```"], ["a", "{'a': 1}", "so: {}", "{" * 9000]),
    ("detectable_format:title", {}, ["<<a>>", "x <<a b>> y", "<<<a>>>"], ["<a>", "<<>>", "<< >>", "<<a\nb>>"]),
    ("combination:two_responses", {}, ["a\n******\nb", "******a******b"], ["a", "a******a", "a******b******c", "a************b"]),
    ("combination:repeat_prompt", {"prompt_to_repeat": "Write it. "}, ["write it.\nHere", " Write it. x"], ["I will: Write it.", "Write  it."]),
    ("startend:end_checker", {"end_phrase": "That's all."}, ["So. that's ALL.", '"Yes. That\'s all."'], ["That's all. Bye", "That's all"]),
    ("startend:quotation", {}, ['"a"', ' "a" b "c" \n', '""'], ['"', "'a'", "“a”", 'a "b"']),
    ("change_case:capital_word_frequency", {"capital_frequency": 2, "capital_relation": AT_LEAST},
     ["NASA and USA", "I'M", "A B", "DON'T"], ["NASA and Usa", "NASA-USA"]),
    ("change_case:capital_word_frequency", {"capital_frequency": 2, "capital_relation": LESS}, ["I see", "no"], ["I SEE"]),
    ("change_case:english_capital", {}, [ENGLISH.upper()], [ENGLISH, "ALLE MENSCHEN SIND FREI UND GLEICH GEBOREN", "123"]),
    ("change_case:english_lowercase", {}, [ENGLISH], [ENGLISH.capitalize(), "alle menschen sind frei und gleich geboren", "1"]),
    ("punctuation:no_comma", {}, ["a; b", "a، b，c"], ["a, b", ","]),
]  # fmt: skip
KINDS = sorted(VERIFIERS)
ARGUMENTS = {kind: arguments for kind, arguments, _, _ in CASES}
# made of the marks that the verifiers look for
TEXTS = st.lists(
    st.sampled_from([*'aB .,!\n*-#"[]<>', "***", "******", "\n\n", "Section 1", "P.S.", "my word", "<<t>>"])
).map("".join)


@pytest.fixture(autouse=True)
def _libraries() -> None:
    for module in language.NEEDED:
        pytest.importorskip(module)


def test_every_kind_has_cases() -> None:
    assert {kind for kind, *_ in CASES} == set(VERIFIERS)
    assert len(VERIFIERS) == 25


@pytest.mark.parametrize(("kind", "arguments", "right", "wrong"), CASES, ids=[case[0] for case in CASES])
def test_right_answers_follow_and_wrong_ones_do_not(
    kind: str, arguments: dict[str, Any], right: list[str], wrong: list[str]
) -> None:
    assert [text for text in right if not follows(kind, text, arguments)] == []
    assert [text for text in wrong if follows(kind, text, arguments)] == []


@pytest.mark.parametrize("kind", KINDS)
def test_a_blank_answer_follows_nothing(kind: str) -> None:
    for text in ("", " ", "\n\n\t"):
        assert not follows(kind, text, ARGUMENTS[kind])
        assert not follows_loosely(kind, text, ARGUMENTS[kind])


@pytest.mark.parametrize("kind", [kind for kind in KINDS if "english" not in kind and "language" not in kind])
@given(text=TEXTS)
def test_strict_implies_loose_and_both_are_repeatable(kind: str, text: str) -> None:
    strict, loose = follows(kind, text, ARGUMENTS[kind]), follows_loosely(kind, text, ARGUMENTS[kind])
    assert strict <= loose
    assert (strict, loose) == (follows(kind, text, ARGUMENTS[kind]), follows_loosely(kind, text, ARGUMENTS[kind]))


@given(count=st.integers(0, 99), threshold=st.integers(0, 99))
def test_a_count_has_one_of_the_two_relations(count: int, threshold: int) -> None:
    assert compares(count, AT_LEAST, threshold) is not compares(count, LESS, threshold)


def test_the_loose_forms_drop_the_first_line_the_last_and_the_asterisks() -> None:
    forms = loose_forms("Sure!\n*a* b\nBye.")
    assert forms[:4] == ["Sure!\n*a* b\nBye.", "*a* b\nBye.", "Sure!\n*a* b", "*a* b"]
    assert forms[4:] == [form.replace("*", "") for form in forms[:4]]
    assert follows_loosely("startend:quotation", 'Here it is:\n"a"\nBye', {})
    assert not follows("startend:quotation", 'Here it is:\n"a"\nBye', {})
    assert set(loose_forms("one line")) == {"one line", ""}


def test_the_language_of_a_text_is_the_same_each_time() -> None:
    mixed = "radio"  # unseeded, three draws in four say Croatian and one says Welsh
    assert len({language.detect_language(mixed) for _ in range(20)}) == 1


def test_a_missing_library_is_one_line_with_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    from zoo.errors import ZooError

    monkeypatch.setattr(language, "NEEDED", {"no_such_module": "no-such-package"})
    with pytest.raises(ZooError, match=r'ifeval needs no-such-package .* next: pip install "phi-zoo\[ifeval\]"'):
        language.check_libraries()
