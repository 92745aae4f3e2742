"""The compiled loops give numpy's numbers, and numpy is used where they cannot be loaded."""

from importlib.machinery import ModuleSpec
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from training.data.dedup import native, shingles
from training.data.dedup.shingles import NGRAM, Grams, grams, hash_words

sized = st.builds(lambda one, size: one * size, st.sampled_from("aZ09_\u00e9\U0001f600"), st.integers(1, 80))
between = st.sampled_from([" ", "\n", "\0", ".", "(", "\x7f", "@", "[", "`", "{", "/", ":"])
texts = st.lists(st.builds("".join, st.lists(st.one_of(sized, between), max_size=30)), max_size=8)


def results(loops: native.Loops | None, several: list[str], width: int) -> tuple[Grams, np.ndarray, np.ndarray]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(shingles, "load_loops", lambda: loops)
        return (grams(several, width), *hash_words(several))


@pytest.fixture(scope="module")
def loops() -> native.Loops:
    if (loaded := native.load_loops()) is None:
        pytest.skip("installed without the compiled loops: pip install -e . with a C compiler builds them")
    return loaded


@given(several=texts, width=st.integers(1, 14))
def test_the_compiled_loops_give_the_numbers_of_numpy(loops: native.Loops, several: list[str], width: int) -> None:
    plain, flat, numbers = results(None, several, width)
    quick, quick_flat, quick_numbers = results(loops, several, width)
    for one, other in zip((*plain, flat, numbers), (*quick, quick_flat, quick_numbers), strict=True):
        assert one.dtype == other.dtype and np.array_equal(one, other)


def test_the_tests_of_training_data_give_the_numbers_of_numpy(loops: native.Loops) -> None:
    several = [path.read_text() for path in sorted(Path(__file__).parents[1].rglob("*.py"))]
    plain, quick = results(None, several, NGRAM), results(loops, several, NGRAM)
    assert np.array_equal(plain[0].flat, quick[0].flat) and len(plain[0].flat) > 10_000


@pytest.mark.parametrize("content", [None, b"", b"rubbish"])
def test_numpy_is_used_where_no_library_can_be_loaded(
    content: bytes | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    library = tmp_path / "_words.so"
    if content is not None:
        library.write_bytes(content)
    monkeypatch.setattr(native, "find_spec", lambda name: ModuleSpec(name, None, origin=str(library)))
    assert native.load_loops.__wrapped__() is None
    monkeypatch.setattr(native, "find_spec", lambda name: None)
    assert native.load_loops.__wrapped__() is None


def test_numpy_is_used_where_the_library_is_another(monkeypatch: pytest.MonkeyPatch) -> None:
    import _ctypes

    monkeypatch.setattr(native, "find_spec", lambda name: ModuleSpec(name, None, origin=_ctypes.__file__))
    assert native.load_loops.__wrapped__() is None


def test_a_block_too_large_for_the_loops_is_left_to_numpy(loops: native.Loops, monkeypatch: pytest.MonkeyPatch) -> None:
    small = shingles.hash_words(["a b c"])
    monkeypatch.setattr(loops, "words", lambda data: pytest.fail("the loops count places in 32 bits"))
    monkeypatch.setattr(shingles, "load_loops", lambda: loops)
    monkeypatch.setattr(shingles, "NATIVE_BYTES", 4)
    large = shingles.hash_words(["a b c"])
    assert all(np.array_equal(one, other) for one, other in zip(small, large, strict=True))
