"""Prompts, pairs and ends are those of the tokenizer and the harness; encoding by lines changes no token."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import AddedToken, Tokenizer, decoders, models
from transformers import PreTrainedTokenizerFast

from evals.engines.local.generate import Text
from evals.engines.tokens import Tokens, folder_tokens, splits_by_line
from evals.records import Decoding, GenerateRequest
from tests.evals.engines.tokenizers_of_kinds import JOINED


@pytest.fixture(scope="module")
def tokenizer(tiny_phi: Path) -> Any:
    """The tiny BPE with CodeGen's added runs of spaces and tabs."""
    made = PreTrainedTokenizerFast.from_pretrained(tiny_phi)
    made.add_tokens([AddedToken(" " * n, normalized=True) for n in range(2, 8)] + [AddedToken("\t\t")])
    return made


PIECES = st.sampled_from(
    ["a", "def", " ", "  ", "\n", "\n\n", "\t\t", "\r", "'s", "!", "é", "\u2028", "<|endoftext|>", "9"]
)


@given(st.lists(PIECES, max_size=30).map("".join) | st.text(max_size=40))
def test_line_by_line_is_the_whole(tokenizer: Any, text: str) -> None:
    tokens = Tokens(tokenizer)
    assert splits_by_line(tokenizer)
    assert tokens.encode(text) == tokenizer(text)["input_ids"]


@pytest.mark.parametrize("added", [AddedToken("a\n"), AddedToken("x", lstrip=True), AddedToken("y", rstrip=True)])
def test_added_tokens_that_reach_over_a_line_forbid_it(tiny_phi: Path, added: AddedToken) -> None:
    made = PreTrainedTokenizerFast.from_pretrained(tiny_phi)
    assert splits_by_line(made)
    made.add_tokens([added])
    assert not splits_by_line(made)


def test_other_kinds_of_tokenizer_are_encoded_whole(tiny_phi: Path) -> None:
    from tokenizers import Regex, pre_tokenizers

    made = PreTrainedTokenizerFast.from_pretrained(tiny_phi)
    # as Llama 3 cuts: a sign takes the newlines after it along
    cut = pre_tokenizers.Split(Regex(r" ?[^\s\w]+[\r\n]*|\s+|\w+"), behavior="isolated")
    made.backend_tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [cut, pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)]
    )
    assert not splits_by_line(made)
    assert Tokens(made).encode("a!\nb") == made("a!\nb")["input_ids"]


def harness_pair(made: Any, context: str, continuation: str) -> tuple[list[int], list[int]]:
    """lm-evaluation-harness 0.4.13: `TemplateLM.loglikelihood` and `_encode_pair`, `HFLM.tok_encode`."""
    prefix = made.eos_token_id if made.bos_token_id is None else made.bos_token_id

    def tok_encode(text: str, special: bool | None = None) -> list[int]:
        if special is None and text.startswith(made.decode(prefix)):
            special = False
        ids: list[int] = made.encode(text) if special is None else made.encode(text, add_special_tokens=special)
        return ids

    if context == "":
        ids = tok_encode(continuation, special=False)
        return ([prefix], ids) if prefix != ids[0] else (ids[:1], ids[1:])
    spaces = len(context) - len(context.rstrip())
    if spaces:
        context, continuation = context[:-spaces], context[-spaces:] + continuation
    whole, start = tok_encode(context + continuation), len(tok_encode(context))
    return whole[:start], whole[start:]


@pytest.mark.parametrize("kind", JOINED)
@pytest.mark.parametrize("continuation", [" def", "f return", "<s> def"])
@pytest.mark.parametrize("context", ["", "def f", "def f ", "<s>def f", "return\n"])
def test_pairs_begin_as_the_harness_begins_them(kind: str, context: str, continuation: str) -> None:
    made = JOINED[kind]()
    pair = Tokens(made).pair(context, continuation, 999)
    wanted = harness_pair(made, context, continuation)
    assert (list(pair.tokens[: pair.start]), list(pair.tokens[pair.start :])) == wanted


@pytest.mark.parametrize("kind", JOINED)
def test_an_empty_prompt_is_the_beginning_of_a_text(kind: str) -> None:
    made = JOINED[kind]()
    assert Tokens(made).prompt("", Decoding(), 9).tokens == (made.bos_token_id,)


def test_without_a_beginning_the_end_stands_before_an_empty_context(tiny_phi: Path) -> None:
    made = PreTrainedTokenizerFast.from_pretrained(tiny_phi)
    made.bos_token = None
    assert Tokens(made).pair("", "def", 9).tokens[0] == made.eos_token_id


@pytest.mark.parametrize(
    ("config", "generation", "ends"),
    [
        ({}, None, set()),
        ({"eos_token_id": 7}, None, {7}),
        ({"eos_token_id": [7, 8]}, {"eos_token_id": 9}, {7, 8, 9}),
        ({"eos_token_id": None}, {"eos_token_id": [9, 10]}, {9, 10}),
        ({"text_config": {"eos_token_id": [11]}}, {}, {11}),
    ],
)
def test_a_text_ends_at_every_end_that_is_named(
    tmp_path: Path, config: dict[str, Any], generation: dict[str, Any] | None, ends: set[int]
) -> None:
    made = JOINED["byte level"]()
    made.save_pretrained(tmp_path)
    (tmp_path / "config.json").write_text(json.dumps(config))
    if generation is not None:
        (tmp_path / "generation_config.json").write_text(json.dumps(generation))
    tokens = folder_tokens(tmp_path)
    assert tokens.ends == ends | {made.eos_token_id}
    request = GenerateRequest(sample="s", draw=0, prompt="def", decoding=Decoding(), seed=0)
    for end in tokens.ends:
        text = Text(request, tokens.prompt("def", Decoding(), 99), tokens, 99)
        text.add(end)
        assert (text.finish, text.written) == ("stop", [])


def test_a_vocabulary_with_a_gap_is_known_to_its_last_token() -> None:
    core = Tokenizer(models.BPE(vocab={"<s>": 0, "</s>": 1, "a": 2, "b": 9}, merges=[]))
    core.decoder = decoders.ByteLevel()
    make: Any = PreTrainedTokenizerFast
    tokens = Tokens(make(tokenizer_object=core, bos_token="<s>", eos_token="</s>"))
    assert (tokens.size, tokens.text([2, 5, 9])) == (10, "ab")
