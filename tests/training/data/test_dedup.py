"""Near duplicates: the fast n-grams are those of a plain loop, and every twin really is one."""

import re

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from training.data.dedup import jaccard, near_twins, ngrams, shingles, signatures, word_hashes

WORD = re.compile(r"[0-9A-Za-z_\x80-\U0010ffff]+")
texts = st.text(alphabet="ab1_ .\n\u00e9", max_size=60)


@given(texts, texts)
def test_words_have_equal_hashes_exactly_when_they_are_equal(first: str, second: str) -> None:
    one = dict(zip(word_hashes(first).tolist(), WORD.findall(first), strict=True))
    two = dict(zip(word_hashes(second).tolist(), WORD.findall(second), strict=True))
    assert set(one) & set(two) == {key for key, word in one.items() if word in two.values()}
    assert all(two[key] == one[key] for key in set(one) & set(two))


@given(texts, texts)
def test_the_jaccard_index_is_that_of_a_plain_loop(first: str, second: str) -> None:
    def grams(text: str) -> set[tuple[str, ...]]:
        words = WORD.findall(text)
        width = min(5, len(words))
        return {tuple(words[n : n + width]) for n in range(len(words) - width + 1)} if words else set()

    union = grams(first) | grams(second)
    plain = len(grams(first) & grams(second)) / len(union) if union else 0.0
    assert jaccard(shingles(first), shingles(second)) == plain


def test_order_matters_in_an_ngram() -> None:
    assert not set(ngrams(word_hashes("a b c d e"), 5).tolist()) & set(ngrams(word_hashes("e d c b a"), 5).tolist())


def test_twins_are_found_and_named_and_others_left() -> None:
    words = [f"word{n}" for n in range(200)]
    base = " ".join(words)
    near = " ".join([*words[:195], *(f"new{n}" for n in range(5))])  # 191 of 201 shingles
    far = " ".join([*words[:100], *(f"new{n}" for n in range(100))])
    given_ = [base, far, near, base, "", ""]
    sets = [shingles(one) for one in given_]
    twins = near_twins(signatures(given_), exact=lambda a, b: jaccard(sets[a], sets[b]))
    assert [(one.item, one.kept) for one in twins] == [(2, 0), (3, 0)]
    assert twins[0].jaccard == np.float64(191 / 201)
    assert twins[1].jaccard == 1.0
