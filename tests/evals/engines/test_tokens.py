"""Encoding line by line gives the very tokens of the whole text, and is left alone where it would not."""

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import AddedToken
from transformers import PreTrainedTokenizerFast

from evals.engines.tokens import Tokens, splits_by_line


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
