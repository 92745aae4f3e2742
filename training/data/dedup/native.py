"""The loops of words.c, compiled by this machine's C compiler where there is one: `shingle` three times as fast.

They are compiled anew by each process, in a tenth of a second and once there is much to hash, and nothing is kept:
no cache that could be stale, shared between machines or written by another. Without a compiler all is done by numpy,
with the same result.
"""

import ctypes
import os
import shlex
import subprocess
import sys
import tempfile
from functools import lru_cache
from pathlib import Path
from typing import Any

AFTER = 1 << 24  # bytes that a process hashes before it compiles: numpy takes a tenth of a second for them
SOURCE = Path(__file__).with_name("words.c")
FLAGS = ("-O3", "-funroll-loops", "-shared", "-fPIC")
SECONDS = 60  # for the compiler


class Loops:
    """Words and their runs by compiled loops."""

    def __init__(self, library: Path) -> None:
        """Raises OSError if this is no library that may be loaded here."""
        loaded, place, number = ctypes.CDLL(str(library)), ctypes.c_void_p, ctypes.c_size_t
        self._word_bounds, self._word_hashes, self._run_hashes = (
            loaded.word_bounds, loaded.word_hashes, loaded.run_hashes,
        )  # fmt: skip
        self._word_bounds.argtypes, self._word_bounds.restype = (place, number, place), number
        self._word_hashes.argtypes, self._word_hashes.restype = (place, place, number, place), None
        self._run_hashes.argtypes, self._run_hashes.restype = (place, place, number, number, place, place), None

    def words(self, data: bytes) -> tuple[Any, Any, Any]:
        """The place before each word's first byte, its size in bytes and its hash.

        data  begins with one byte and ends with 9 that are in no word, less than 4 GiB
        """
        import numpy as np

        first = np.frombuffer(data, np.uint8, offset=1).ctypes.data
        bounds = np.empty(len(data), np.uint32)
        bounds = bounds[: self._word_bounds(first, len(data) - 1, bounds.ctypes.data)]
        hashes = np.empty(len(bounds) // 2, np.uint64)
        self._word_hashes(first, bounds.ctypes.data, len(hashes), hashes.ctypes.data)
        starts = bounds[0::2]
        return starts, bounds[1::2] - starts, hashes

    def runs(self, hashes: Any, numbers: Any, width: int, found: Any) -> Any:
        """Writes the hash of each run of `width` words within one text; gives how many each text has.

        hashes   of the words of all texts, shape (words,), uint64
        numbers  of words of each text, shape (texts,), int64
        found    shape (words or more,), uint64
        """
        import numpy as np

        sizes = np.empty(len(numbers), np.int64)
        self._run_hashes(
            hashes.ctypes.data, numbers.ctypes.data, len(numbers), width, found.ctypes.data, sizes.ctypes.data
        )
        return sizes


class Native:
    """Whether to use compiled loops: from the time on that enough has been hashed for them to pay."""

    def __init__(self, after: int = AFTER) -> None:
        self.left = after

    def loops(self, size: int) -> Loops | None:
        """Loops for so many bytes more, or None: by numpy."""
        self.left -= size
        return compiled() if self.left < 0 and size < 1 << 32 else None


@lru_cache(maxsize=1)
def compiled() -> Loops | None:
    """The loops, or None where no C compiler (CC, else cc) makes them or no library may be loaded."""
    if sys.byteorder != "little":
        return None
    try:
        compiler = shlex.split(os.environ.get("CC", "")) or ["cc"]
        with tempfile.TemporaryDirectory(prefix="phizoo-words-") as folder:
            library = Path(folder) / "words.so"
            command = [*compiler, *FLAGS, "-o", str(library), str(SOURCE)]
            subprocess.run(command, check=True, timeout=SECONDS, stdin=subprocess.DEVNULL, capture_output=True)
            return Loops(library)  # stays loaded when its file is gone
    except (OSError, ValueError, AttributeError, subprocess.SubprocessError):
        return None
