"""Near duplicates are those of comparing every pair exactly, and each is named with its true Jaccard index."""

import random
import re
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from training.data.columns import Columns
from training.data.dedup import minhash as dedup
from training.data.dedup.duplicates import Duplicates
from training.data.dedup.minhash import PERMUTATIONS, exact_jaccard, jaccard, minhash, near_duplicates, signatures
from training.data.dedup.shingles import Grams, grams, shingles

WORD = re.compile(r"[0-9A-Za-z_\x80-\U0010ffff]+")
texts = st.text(alphabet="ab1_ .\n\u00e9", max_size=60)


def rows_of(found: Duplicates) -> list[tuple[int, int, float]]:
    return list(zip(found.item.tolist(), found.kept.tolist(), found.like.tolist(), strict=True))


def grams_of(text: str) -> set[tuple[str, ...]]:
    words = WORD.findall(text)
    width = min(5, len(words))
    return {tuple(words[n : n + width]) for n in range(len(words) - width + 1)} if words else set()


def plain_jaccard(first: str, second: str) -> float:
    union = grams_of(first) | grams_of(second)
    return len(grams_of(first) & grams_of(second)) / len(union) if union else 0.0


@given(texts, texts)
def test_the_jaccard_index_is_that_of_a_plain_loop(first: str, second: str) -> None:
    assert jaccard(shingles(first), shingles(second)) == plain_jaccard(first, second)
    assert exact_jaccard(grams([first, second]))(0, 1) == plain_jaccard(first, second)


def test_twins_are_found_and_named_and_others_left() -> None:
    words = [f"word{n}" for n in range(200)]
    base = " ".join(words)
    near = " ".join([*words[:195], *(f"new{n}" for n in range(5))])  # 191 of 201 shingles
    far = " ".join([*words[:100], *(f"new{n}" for n in range(100))])
    given_ = grams([base, far, near, base])
    assert rows_of(near_duplicates(minhash(given_), exact_jaccard(given_))) == [(2, 0, 191 / 201), (3, 0, 1.0)]
    some = near_duplicates(minhash(given_), exact_jaccard(given_), items=np.array([1, 2, 3]))
    assert rows_of(some) == [(3, 2, 191 / 201)]


def family(seed: int) -> list[str]:
    """Texts of which many are alike by 0.3 to 1: each a base with another share of its words replaced."""
    random_ = random.Random(seed)
    bases = [[f"w{random_.randrange(10**6)}" for _ in range(120)] for _ in range(4)]
    found = []
    for _ in range(40):
        base, share = random_.choice(bases), random_.random() * 0.12
        cut = random_.randrange(0, 12)
        found.append(" ".join(f"n{random_.randrange(10**6)}" if random_.random() < share else w for w in base[cut:]))
    return found


@settings(max_examples=12, deadline=None)
@given(st.integers(0, 10**6), st.sampled_from([0.5, 0.8, 0.9]))
def test_the_twins_are_those_of_comparing_every_pair(seed: int, threshold: float) -> None:
    several = family(seed)
    kept: list[int] = []
    wanted = []
    for item, text in enumerate(several):
        best = max(((plain_jaccard(text, several[other]), -other) for other in kept), default=(0.0, 0))
        if best[0] >= threshold:
            wanted.append((item, -best[1], best[0]))
        else:
            kept.append(item)
    given_ = grams(several)
    found = near_duplicates(minhash(given_), exact_jaccard(given_), threshold)
    assert rows_of(found) == wanted


def test_an_estimate_alone_names_no_twin() -> None:
    several = family(1)
    given_ = grams(several)
    assert not rows_of(near_duplicates(minhash(given_), lambda one, other: 0.79))
    assert len(rows_of(near_duplicates(minhash(given_), exact_jaccard(given_)))) > 3


@pytest.mark.parametrize("items", [None, [*range(5, 20), *range(25, 40, 2)]])
def test_twins_of_rows_in_a_file_sorted_in_parts_are_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, items: list[int] | None
) -> None:
    given_ = grams(family(3))
    matrix = minhash(given_)
    some = None if items is None else np.array(items)
    wanted = rows_of(near_duplicates(matrix, exact_jaccard(given_), 0.5, some))
    assert len(wanted) > 5
    (tmp_path / "signatures").write_bytes(matrix.tobytes())
    (tmp_path / "grams").write_bytes(given_.flat.tobytes())
    monkeypatch.setattr(dedup, "SORTED", 5)
    monkeypatch.setattr(dedup, "CHUNK", 7)
    with Columns([tmp_path / "signatures"], "<u4", PERMUTATIONS) as rows, Columns([tmp_path / "grams"], "<u8") as flat:
        found = near_duplicates(rows, exact_jaccard(Grams(flat, given_.offsets)), 0.5, some, tmp_path)
    assert rows_of(found) == wanted
    assert len(list(tmp_path.iterdir())) == 2


def test_signatures_estimate_the_jaccard_index() -> None:
    several = family(2)
    matrix = signatures(several)
    for other in range(1, len(several)):
        true = plain_jaccard(several[0], several[other])
        assert float((matrix[0] == matrix[other]).mean()) == pytest.approx(true, abs=0.2)
