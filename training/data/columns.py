"""Reads rows of numbers from files on demand, so that memory holds the requested rows and not the files.

A memory map would also work, but its pages count as this process's memory and add up to the whole corpus.
"""

import os
from bisect import bisect_right
from collections.abc import Sequence
from itertools import accumulate
from pathlib import Path
from types import TracebackType
from typing import Any

OPEN_FILES = 256  # kept open at once
APART = 2  # rows that span at most this many times their number are read at once


class Columns:
    """The rows of several files as one array, indexed by a number, a slice or an array of numbers.

    dtype  type of one number
    width  numbers in a row; 0: each row is one number, and results have shape (rows,) instead of (rows, width)
    """

    def __init__(self, paths: Sequence[Path], dtype: str, width: int = 0) -> None:
        import numpy as np

        self.paths, self.dtype, self.width = paths, np.dtype(dtype), width
        self.row = self.dtype.itemsize * max(1, width)  # bytes
        counts = [path.stat().st_size // self.row for path in paths]
        self.begins = list(accumulate(counts, initial=0))  # the number of each file's first row, and the total
        self.opened: dict[int, int] = {}

    def __len__(self) -> int:
        return self.begins[-1]

    def __enter__(self) -> "Columns":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for handle in self.opened.values():
            os.close(handle)
        self.opened.clear()

    def __getitem__(self, wanted: Any) -> Any:
        import numpy as np

        if isinstance(wanted, slice):
            start, stop, step = wanted.indices(len(self))
            return self._read(start, max(0, stop - start))[::step]
        if np.ndim(wanted) == 0:
            return self._read(int(wanted), 1)[0]
        places = np.asarray(wanted, np.int64)
        if not len(places):
            return self._read(0, 0)
        first, number = int(places.min()), int(places.max() - places.min()) + 1
        if number <= APART * len(places):
            return self._read(first, number)[places - first]
        return np.concatenate([self._read(place, 1) for place in places.tolist()])

    def _read(self, start: int, number: int) -> Any:
        import numpy as np

        if start < 0 or start + number > len(self):
            raise IndexError(f"rows {start} to {start + number} of {len(self)}")
        parts, row = list[bytes](), start
        while row < start + number:
            file = bisect_right(self.begins, row) - 1
            count = min(start + number, self.begins[file + 1]) - row
            parts.append(self._bytes(file, count * self.row, (row - self.begins[file]) * self.row))
            row += count
        rows = np.frombuffer(parts[0] if len(parts) == 1 else b"".join(parts), self.dtype)
        return rows.reshape(number, self.width) if self.width else rows

    def _bytes(self, file: int, size: int, start: int) -> bytes:
        handle = self.opened.get(file)
        if handle is None:
            if len(self.opened) == OPEN_FILES:
                os.close(self.opened.pop(next(iter(self.opened))))
            handle = self.opened[file] = os.open(self.paths[file], os.O_RDONLY)
        data = os.pread(handle, size, start)
        if len(data) < size:
            raise OSError(f"{self.paths[file]} became shorter while it was being read")
        return data
