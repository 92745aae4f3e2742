"""The fast words and n-grams are those of a plain loop, whatever the texts and wherever the blocks end."""

import itertools
import re
from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from training.data.dedup import shingles
from training.data.dedup.native import load_loops
from training.data.dedup.shingles import NGRAM, grams, hash_words, ngrams, word_hashes

WORD = re.compile(rb"[0-9A-Za-z_\x80-\xff]+")
alphabet = st.text(alphabet="ab1_ .\n\0\u00e9\ud800", max_size=60)
long_words = st.builds(
    lambda one, size, end: one * size + end, st.sampled_from("ab\u00e9"), st.integers(1, 90), st.text("ab ", max_size=3)
)
texts = st.one_of(alphabet, long_words)


@pytest.fixture(params=["numpy", "compiled"], autouse=True, scope="module")
def way(request: pytest.FixtureRequest) -> Iterator[str]:
    """Each test by numpy and by the compiled loops."""
    loops = load_loops() if request.param == "compiled" else None
    if request.param == "compiled" and loops is None:
        pytest.skip("installed without the compiled loops: pip install -e . with a C compiler builds them")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(shingles, "load_loops", lambda: loops)
        yield request.param


def plain(text: str) -> list[bytes]:
    return WORD.findall(text.encode("utf-8", "surrogatepass"))


@given(st.lists(texts, max_size=8), st.sampled_from([1, 50, 1 << 18]))
def test_words_have_equal_hashes_exactly_when_they_are_equal(several: list[str], block: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(shingles, "BLOCK_BYTES", block)
        flat, numbers = hash_words(several)
    every = [plain(text) for text in several]
    assert numbers.tolist() == [len(one) for one in every]
    told = list(zip([word for one in every for word in one], flat.tolist(), strict=True))
    assert len({word for word, _ in told}) == len({value for _, value in told}) == len(set(told))


@given(st.lists(texts, max_size=8), st.sampled_from([1, 50, 1 << 18]))
def test_ngrams_are_those_of_a_plain_loop_and_none_crosses_texts(several: list[str], block: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(shingles, "BLOCK_BYTES", block)
        found = grams(several)
    seen: dict[int, tuple[bytes, ...]] = {}
    for number, text in enumerate(several):
        one = plain(text)
        width = min(NGRAM, len(one))
        wanted = [tuple(one[n : n + width]) for n in range(len(one) - width + 1)] if one else []
        values = found.flat[found.offsets[number] : found.offsets[number + 1]].tolist()
        assert len(values) == len(wanted)
        for value, gram in zip(values, wanted, strict=True):
            assert seen.setdefault(value, gram) == gram
    assert len(set(seen.values())) == len(seen)
    assert len(found.flat) == found.offsets[-1]


def test_order_matters_in_an_ngram() -> None:
    assert not set(ngrams(word_hashes("a b c d e"), 5).tolist()) & set(ngrams(word_hashes("e d c b a"), 5).tolist())


def test_words_that_differ_in_few_bytes_have_different_hashes() -> None:
    digits = [f"{first}{'0' * size}{last}" for first in "0123456789" for size in range(1, 80) for last in "013"]
    names = [f"{middle}_first{one}{middle * size}_last__{two}" for size in (0, 1, 3, 9) for middle in "ax"
             for one in "abcdefghijklmnop" for two in "abcdefghijklmnop"]  # fmt: skip
    every = {*digits, *names}
    assert len(set(word_hashes(" ".join(every)).tolist())) == len(every)


def test_ngrams_of_words_that_differ_in_few_bytes_are_different() -> None:
    for form in ("{}", "{}_like_", "_like_b{}", "_like_like_like_{}"):
        every = [" ".join(map(form.format, letters)) for letters in itertools.product("abcdefg1", repeat=NGRAM)]
        assert len(set(grams(every).flat.tolist())) == len(every)


def test_a_megabyte_in_one_word_is_one_word() -> None:
    one, other = word_hashes("x" * 2_000_000), word_hashes("x" * 1_999_999 + "y")
    assert len(one) == len(other) == 1 and one[0] != other[0]
    assert np.array_equal(one, word_hashes("(" + "x" * 2_000_000 + ")"))
