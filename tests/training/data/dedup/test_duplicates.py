"""Repeats are those of a plain loop, names lead to what is kept, and rows in a file are those of the array."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from training.data import columns
from training.data.columns import Columns
from training.data.dedup import duplicates as twins_module
from training.data.dedup.duplicates import DropReason, find_repeats, make_duplicates, pair_with_drops, resolve_chains

marks = st.lists(st.tuples(st.integers(0, 3), st.sampled_from([0, 1, 2**64 - 1])), max_size=30)


@settings(deadline=None)
@given(marks, st.randoms(use_true_random=False), st.sampled_from([1, 4, 1 << 21]))
def test_repeats_are_those_of_a_plain_loop(several: list[tuple[int, int]], random_: object, part: int) -> None:
    counted = [random_.random() < 0.8 for _ in several]  # type: ignore[attr-defined]
    first: dict[tuple[int, int], int] = {}
    wanted = []
    for number, (mark, counts) in enumerate(zip(several, counted, strict=True)):
        if counts:
            if mark in first:
                wanted.append((number, first[mark]))
            first.setdefault(mark, number)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(twins_module, "PART", part)
        found = find_repeats(np.array(several, np.uint64).reshape(-1, 2), np.array(counted, np.bool_), 3)
    assert list(zip(found.item.tolist(), found.kept.tolist(), strict=True)) == wanted
    assert set(found.reason.tolist()) <= {3} and set(found.like.tolist()) <= {1.0}


@given(st.lists(st.integers(0, 10**6), min_size=1, max_size=40), st.data())
def test_each_twin_leads_to_a_kept_one(steps: list[int], data: st.DataObject) -> None:
    """Item n may repeat any earlier item, dropped or not."""
    kept = {n: step % n for n, step in enumerate(steps) if n and data.draw(st.booleans())}
    like = {n: data.draw(st.floats(0, 1)) for n in kept}
    order = data.draw(st.permutations(sorted(kept)))
    cut = len(order) // 2
    found = resolve_chains([make_duplicates([*part], [kept[n] for n in part], [like[n] for n in part], reason)
                     for reason, part in enumerate((order[:cut], order[cut:]))])  # fmt: skip
    for n, leads, value, reason in zip(*(column.tolist() for column in found), strict=True):
        end, least = kept[n], like[n]
        while end in kept:
            end, least = kept[end], min(least, like[end])
        assert (leads, value, reason) == (end, least, int(n in order[cut:]))
    assert found.item.tolist() == sorted(kept)


def test_the_kept_one_is_named() -> None:
    found = resolve_chains([make_duplicates([3], [1], 0.9, 2), make_duplicates([1, 4], [0, 2])])
    told = list(pair_with_drops("abcde", found, str.upper))
    assert [item for item, _ in told] == list("abcde")
    assert [drop for _, drop in told] == [
        None, DropReason(reason=0, kept="A", like=1.0), None, DropReason(reason=2, kept="A", like=0.9),
        DropReason(reason=0, kept="C", like=1.0),
    ]  # fmt: skip
    assert [drop for _, drop in pair_with_drops("ab", resolve_chains([make_duplicates([], [])]), str)] == [None, None]


@pytest.mark.parametrize("wanted", [0, 6, slice(2, 5), slice(5, 5), slice(None, None, 2), [], [4], [0, 6], [5, 1, 1],
                                    [1, 2, 4], [0, 0, 6, 6]])  # fmt: skip
@pytest.mark.parametrize("cuts", [(), (3,), (2, 2, 6)])
@pytest.mark.parametrize("open_files", [1, 256])
def test_rows_in_files_are_those_of_the_array(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, wanted: object, cuts: tuple[int, ...], open_files: int
) -> None:
    monkeypatch.setattr(columns, "OPEN_FILES", open_files)
    array = np.arange(21, dtype="<u4").reshape(7, 3)
    paths = []
    for number, part in enumerate(np.split(array, cuts)):
        paths.append(tmp_path / f"rows-{number}")
        paths[-1].write_bytes(part.tobytes())
    index = np.array(wanted, np.int64) if isinstance(wanted, list) else wanted
    with Columns(paths, "<u4", 3) as rows, Columns(paths, "<u4") as numbers:
        assert len(rows) == 7 and len(numbers) == 21
        assert rows[index].tolist() == array[index].tolist()  # type: ignore[index]
        assert numbers[index].tolist() == array.reshape(-1)[index].tolist()  # type: ignore[index]


def test_rows_that_are_not_there_are_an_error(tmp_path: Path) -> None:
    path = tmp_path / "rows"
    path.write_bytes(bytes(12))
    with Columns([path], "<u4") as rows:
        for place in (3, -1):
            with pytest.raises(IndexError, match="of 3"):
                rows[place]
        path.write_bytes(bytes(4))
        with pytest.raises(OSError, match="shorter"):
            rows[2]
