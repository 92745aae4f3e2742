"""A text is what the tokenizer's own decoder makes of its tokens, for every kind of tokenizer, in a row and at once."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evals.engines.local.generate import Text
from evals.engines.local.stream import Pieces
from evals.engines.tokens import Tokens
from evals.records import Decoding, GenerateRequest
from tests.evals.engines.tokenizers_of_kinds import JOINED, WHOLE
from zoo.errors import ZooError

MADE = {name: make() for name, make in {**JOINED, **WHOLE}.items()}
TEXTS = st.lists(
    st.sampled_from(["def", " def", " f", "\n", "    ", "\t", "é", "日本", "🙂", " .", "n't", "<think>", "1", "return"]),
    min_size=1, max_size=8,
).map("".join)  # fmt: skip


def behind_a_token(made: Any, ids: list[int]) -> str:
    """Transformers' own decode of tokens behind a known one."""
    known = made("f", add_special_tokens=False)["input_ids"]
    whole: str = made.decode([*known, *ids], skip_special_tokens=True)
    return whole.removeprefix(made.decode(known, skip_special_tokens=True))


@pytest.mark.parametrize("name", MADE)
@given(TEXTS)
def test_the_text_is_the_decoders_own(name: str, text: str) -> None:
    made = MADE[name]
    ids = made("x" + text, add_special_tokens=False)["input_ids"]
    assert Tokens(made).text(ids) == behind_a_token(made, ids)


@pytest.mark.parametrize("name", MADE)
@given(TEXTS)
def test_a_text_written_token_by_token_is_the_same(name: str, text: str) -> None:
    made, request = MADE[name], GenerateRequest(sample="s", draw=0, prompt="f", decoding=Decoding(), seed=0)
    tokens = Tokens(made)
    written = Text(request, tokens.prompt("f", Decoding(), 99), tokens, 4096)
    pieces, streamed = Pieces(written), ""
    ids = made(text, add_special_tokens=False)["input_ids"]
    for token in ids:
        written.add(token)
        streamed += pieces.new()
    written.add(tokens.eos or 0)
    assert written.generation().text == behind_a_token(made, ids)
    assert streamed + pieces.new() == written.generation().text


@pytest.mark.parametrize("name", JOINED)
@given(TEXTS)
def test_the_bytes_of_a_healed_prompt_are_the_prompts(name: str, text: str) -> None:
    made = MADE[name]
    tokens = Tokens(made)
    raw = tokens.prompt("f " + text, Decoding(), 999)
    healed = tokens.prompt("f " + text, Decoding(boundary="healed"), 999)
    assert tokens.spelling.joins
    assert tokens.spelling.text(raw.tokens) == tokens.spelling.text(healed.tokens) + healed.heal


@pytest.mark.parametrize("name", WHOLE)
def test_a_tokenizer_whose_text_is_not_its_tokens_in_a_row_heals_no_prompt(name: str) -> None:
    tokens = Tokens(MADE[name])
    assert not tokens.spelling.joins
    with pytest.raises(ZooError, match="cannot be healed"):
        tokens.prompt("def f", Decoding(boundary="healed"), 99)


@pytest.mark.parametrize("name", MADE)
def test_a_stop_string_inside_a_token_ends_the_text_there(name: str) -> None:
    tokens = Tokens(MADE[name])
    request = GenerateRequest(sample="s", draw=0, prompt="f", decoding=Decoding(stop=("t",)), seed=0)
    text = Text(request, tokens.prompt("f", Decoding(), 99), tokens, 4096)
    text.add(MADE[name].convert_tokens_to_ids("<think>"))
    assert (text.finish, text.generation().text.strip()) == ("stop", "<")


@pytest.mark.parametrize("name", MADE)
def test_special_tokens_have_no_text_and_other_added_ones_have(name: str) -> None:
    made = MADE[name]
    tokens = Tokens(made)
    for mark in ("<s>", "</s>", "<|end|>"):
        assert tokens.text([made.convert_tokens_to_ids(mark)]) == ""
    assert tokens.text([made.convert_tokens_to_ids("<think>")]).strip() == "<think>"
    assert tokens.text([tokens.size, tokens.size + 7]) == ""


@pytest.mark.parametrize("name", MADE)
def test_behind_marks_alone_a_text_is_the_decoders_of_its_tokens(name: str) -> None:
    made = MADE[name]
    tokens, ids = Tokens(made), made("def f", add_special_tokens=False)["input_ids"]
    request = GenerateRequest(sample="s", draw=0, prompt="", decoding=Decoding(), seed=0)
    text = Text(request, tokens.prompt("", Decoding(), 99), tokens, 99)
    for token in ids:
        text.add(token)
    assert text.generation().text == made.decode(ids, skip_special_tokens=True)
