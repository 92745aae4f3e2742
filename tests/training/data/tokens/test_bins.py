"""Packing of whole documents: nothing lost, nothing cut that fits, and memory that does not grow with the data."""

import tracemalloc
from collections import Counter
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from training.data.tokens import bins as packing
from training.data.tokens.bins import pack_documents


@given(st.lists(st.integers(0, 60), min_size=1, max_size=60), st.integers(2, 20), st.sampled_from([1, 7, 10**6]))
@settings(max_examples=60, deadline=None)
def test_packing_keeps_every_token_and_no_document_is_cut_that_fits(
    lengths: list[int], length: int, window: int
) -> None:
    ids = np.concatenate([np.r_[np.arange(1, n + 1), 0] for n in lengths])
    ids_read = FakeTokens(ids)
    bins = pack_documents(ids_read, 0, length, window=window)
    assert all(0 < sum(count for _, count in pieces) <= length + 1 for pieces in bins)
    targets = Counter(start + offset for pieces in bins for start, count in pieces for offset in range(1, count))
    starts = set(np.flatnonzero(np.r_[True, ids[:-1] == 0]).tolist())
    assert targets == Counter(
        i for i in range(len(ids)) if i not in starts
    )  # each token predicted once within its document
    whole = {start for pieces in bins for start, _ in pieces}
    ends = np.flatnonzero(ids == 0) + 1
    for start, end in zip(sorted(starts), ends.tolist(), strict=True):
        if 1 < end - start <= length + 1:
            assert start in whole


class FakeTokens:
    """Token ids in memory."""

    def __init__(self, ids: Any) -> None:
        self.ids = ids

    def __len__(self) -> int:
        return len(self.ids)

    def read(self, start: int, count: int) -> Any:
        return self.ids[start : start + count]


def test_a_document_may_cross_the_chunks_in_which_the_array_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    ids = np.concatenate([np.r_[np.arange(1, n + 1), 0] for n in (5, 17, 3, 9, 30, 1)])
    whole = pack_documents(FakeTokens(ids), 0, 12)
    monkeypatch.setattr(packing, "CHUNK", 4)
    small = pack_documents(FakeTokens(ids), 0, 12)
    assert [whole[i] for i in range(len(whole))] == [small[i] for i in range(len(small))]


class Drawn:
    """Token ids that are drawn when read, so that the array itself takes no memory."""

    def __init__(self, count: int) -> None:
        self.count = count

    def __len__(self) -> int:
        return self.count

    def read(self, start: int, count: int) -> Any:
        return np.random.default_rng(start).integers(0, 60, count)


def test_memory_does_not_grow_with_the_data(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packing, "CHUNK", 1 << 14)
    peaks = []
    for count in (200_000, 1_600_000):  # 3 and 26 thousand documents
        tracemalloc.start()
        made = pack_documents(Drawn(count), 0, 256, window=1000)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
        assert len(made) > count / 256 * 0.95
    assert peaks[1] < 1.2 * peaks[0]


def test_windows_waste_little(monkeypatch: pytest.MonkeyPatch) -> None:
    one, many = (pack_documents(Drawn(400_000), 0, 256, window=window) for window in (10**6, 1000))
    assert len(many) <= 1.02 * len(one)


def test_no_document_gives_no_sequence() -> None:
    made = pack_documents(FakeTokens(np.arange(1, 9)), 0, 4)
    assert len(made) == 0
    with pytest.raises(IndexError):
        made[0]
