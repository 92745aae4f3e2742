"""Loads the compiled loops of words.c, which make `shingles` about three times as fast.

Installing phi-zoo builds them where there is a C compiler (`ext-modules` in pyproject.toml). Without them numpy
computes the same numbers.
"""

import ctypes
import sys
from functools import lru_cache
from importlib.util import find_spec
from typing import Any


class Loops:
    """Finds and hashes words, and runs of words, with the compiled loops."""

    def __init__(self, library: str) -> None:
        """Loads a shared library. Raises OSError or AttributeError if it is not ours or cannot be loaded here."""
        loaded, pointer, number = ctypes.CDLL(library), ctypes.c_void_p, ctypes.c_size_t
        self._word_bounds, self._word_hashes, self._run_hashes = (
            loaded.word_bounds, loaded.word_hashes, loaded.run_hashes,
        )  # fmt: skip
        self._word_bounds.argtypes, self._word_bounds.restype = (pointer, number, pointer), number
        self._word_hashes.argtypes, self._word_hashes.restype = (pointer, pointer, number, pointer), None
        self._run_hashes.argtypes, self._run_hashes.restype = (pointer, pointer, number, number, pointer, pointer), None

    def words(self, data: bytes) -> tuple[Any, Any, Any]:
        """The position before each word's first byte, its size in bytes and its hash.

        data  less than 4 GiB; its first byte and its last 9 belong to no word
        """
        import numpy as np

        first = np.frombuffer(data, np.uint8, offset=1).ctypes.data
        bounds = np.empty(len(data), np.uint32)
        bounds = bounds[: self._word_bounds(first, len(data) - 1, bounds.ctypes.data)]
        hashes = np.empty(len(bounds) // 2, np.uint64)
        self._word_hashes(first, bounds.ctypes.data, len(hashes), hashes.ctypes.data)
        starts = bounds[0::2]
        return starts, bounds[1::2] - starts, hashes

    def runs(self, hashes: Any, numbers: Any, width: int, out: Any) -> Any:
        """Writes the hash of each run of `width` words within one text; returns the number of runs in each text.

        hashes   of the words of all texts, shape (words,), uint64
        numbers  of words in each text, shape (texts,), int64
        out      where the hashes go, shape (words or more,), uint64
        """
        import numpy as np

        sizes = np.empty(len(numbers), np.int64)
        self._run_hashes(
            hashes.ctypes.data, numbers.ctypes.data, len(numbers), width, out.ctypes.data, sizes.ctypes.data
        )
        return sizes


@lru_cache(maxsize=1)
def load_loops() -> Loops | None:
    """The compiled loops, or None if the installation has none that this machine can load."""
    built = find_spec("training.data.dedup._words")
    if built is None or built.origin is None or sys.byteorder != "little":
        return None
    try:
        return Loops(built.origin)
    except (OSError, AttributeError):
        return None
