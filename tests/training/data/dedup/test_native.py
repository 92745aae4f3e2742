"""The compiled loops give numpy's numbers, and where they cannot be compiled numpy's are used."""

import os
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from training.data.dedup import native, shingles
from training.data.dedup.native import Native
from training.data.dedup.shingles import NGRAM, Grams, grams, words

sized = st.builds(lambda one, size: one * size, st.sampled_from("aZ09_\u00e9\U0001f600"), st.integers(1, 80))
between = st.sampled_from([" ", "\n", "\0", ".", "(", "\x7f", "@", "[", "`", "{", "/", ":"])
texts = st.lists(st.builds("".join, st.lists(st.one_of(sized, between), max_size=30)), max_size=8)


@pytest.fixture(autouse=True)
def anew() -> Iterator[None]:
    """Each test compiles, or fails to, by itself."""
    compiled = native.compiled
    compiled.cache_clear()
    yield
    compiled.cache_clear()


def by(after: int, several: list[str], width: int) -> tuple[Grams, np.ndarray, np.ndarray]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(shingles, "NATIVE", Native(after))
        return (grams(several, width), *words(several))


@given(texts, st.integers(1, 14))
def test_the_compiled_loops_give_the_numbers_of_numpy(several: list[str], width: int) -> None:
    if native.compiled() is None:
        pytest.skip("no C compiler here")
    plain, flat, numbers = by(1 << 60, several, width)
    quick, quick_flat, quick_numbers = by(-1, several, width)
    for one, other in zip((*plain, flat, numbers), (*quick, quick_flat, quick_numbers), strict=True):
        assert one.dtype == other.dtype and np.array_equal(one, other)


def test_this_file_and_its_likes_give_the_numbers_of_numpy() -> None:
    several = [path.read_text() for path in sorted(Path(__file__).parents[1].rglob("*.py"))]
    plain, quick = by(1 << 60, several, NGRAM), by(-1, several, NGRAM)
    assert np.array_equal(plain[0].flat, quick[0].flat) and len(plain[0].flat) > 10_000


def test_nothing_is_compiled_before_much_was_hashed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(native, "compiled", lambda: "loops")
    few = Native(after=100)
    assert [few.loops(size) for size in (60, 40, 1, 0, 1 << 32)] == [None, None, "loops", "loops", None]


def script(folder: Path, text: str) -> str:
    """A compiler that does this, with the path it shall write to in $1."""
    path = folder / "compiler"
    path.write_text(f'#!/bin/sh\nwhile [ "$1" != -o ]; do shift; done\nshift\n{text}\n')
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return str(path)


@pytest.mark.parametrize(
    "does", ["exit 1", "exit 0", 'echo rubbish > "$1"', 'echo "int other;" | cc -shared -xc - -o "$1"']
)  # fmt: skip
def test_without_a_compiler_that_works_numpy_does_it(
    does: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:  # fmt: skip
    monkeypatch.setenv("CC", script(tmp_path, does))
    assert native.compiled() is None
    assert by(-1, ["a b c d e f"], NGRAM)[0].offsets.tolist() == [0, 2]


@pytest.mark.parametrize("named", ["/no/such/compiler", "cc '", "/"])
def test_without_a_compiler_numpy_does_it(named: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CC", named)
    assert native.compiled() is None


def test_where_no_file_can_be_made_numpy_does_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "none"))
    assert native.compiled() is None


def test_the_compiler_is_the_one_that_CC_names_and_nothing_is_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:  # fmt: skip
    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    source, told = native.SOURCE, tmp_path / "told"
    monkeypatch.setenv("CC", script(tmp_path, f'echo "$@" > {told}; cc -shared -fPIC -o "$1" {source}'))
    if native.compiled() is None:
        pytest.skip("no C compiler here")
    assert str(source) in told.read_text()
    assert not os.listdir(tmp_path / "temporary")
