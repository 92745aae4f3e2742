"""Packs whole documents into sequences by best fit, in memory that does not grow with the data.

Documents are read in windows; each window is packed on its own, longest first, and its plan goes to a file without a
name, which the loader reads piece by piece. Data of fewer documents than a window are packed as one.
"""

import bisect
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Protocol

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Ints = NDArray[np.int64]

CHUNK = 1 << 21  # tokens read at a time
WINDOW = 1 << 17  # documents packed together; best fit gains nothing measurable beyond some thousands


class TokenParts(Protocol):
    """An array of token ids that is read in parts."""

    def __len__(self) -> int: ...

    def read(self, start: int, count: int) -> "Ints":
        """Reads `count` ids from `start`."""
        ...


class Bins:
    """The sequences of a packing. `bins[i]` is the list of (start, count) of its pieces of documents."""

    def __init__(self, pieces: Any, ends: Any) -> None:
        self.pieces, self.ends = pieces, ends

    def __len__(self) -> int:
        return len(self.ends)

    def __getitem__(self, number: int) -> list[tuple[int, int]]:
        if not 0 <= number < len(self.ends):
            raise IndexError(number)
        first = int(self.ends[number - 1]) if number else 0
        return [(int(start), int(count)) for start, count in self.pieces[first : int(self.ends[number])]]


def pack_documents(tokens: TokenParts, eos: int, length: int, folder: Path | None = None, window: int = WINDOW) -> Bins:
    """Packs the documents of an array, each ended by EOS, into sequences of `length` + 1 tokens.

    folder   where the plan's nameless file lies, on a disk and not in memory; None or not writable: the system's
    Returns  the sequences. A document longer than a sequence is cut; the parts share one token, so that every token
             is predicted once
    """
    with _nameless(folder) as pieces_file, _nameless(folder) as ends_file:
        done = 0
        for pieces in _windows(_pieces(tokens, eos, length), window):
            order, sizes = _best_fit(pieces, length + 1)
            pieces_file.write(np.ascontiguousarray(pieces[order]).tobytes())
            ends_file.write((done + np.cumsum(sizes)).astype("<i8").tobytes())
            done += len(pieces)
        return Bins(_mapped(pieces_file, (-1, 2)), _mapped(ends_file, (-1,)))


def _nameless(folder: Path | None) -> IO[bytes]:
    try:
        return tempfile.TemporaryFile(dir=folder)
    except OSError:
        return tempfile.TemporaryFile()


def _mapped(file: IO[bytes], shape: tuple[int, ...]) -> Any:
    """The numbers of a file, mapped; the map outlives the file's name and handle."""
    file.flush()
    if not file.tell():
        return np.empty([0 if size < 0 else size for size in shape], "<i8")
    return np.memmap(file, dtype="<i8", mode="r").reshape(shape)


def _pieces(tokens: TokenParts, eos: int, length: int) -> "Iterator[Ints]":
    """(start, count) of every piece, a chunk of the array at a time; shape (pieces, 2)."""
    begin = 0
    for place in range(0, len(tokens), CHUNK):
        ids = tokens.read(place, min(CHUNK, len(tokens) - place))
        ends = np.flatnonzero(ids == eos) + place + 1
        if not len(ends):
            continue
        starts = np.concatenate([[begin], ends[:-1]])
        begin = int(ends[-1])
        long = ends - starts > length + 1
        cut = []
        for start, end in zip(starts[long].tolist(), ends[long].tolist(), strict=True):
            while end - start > length + 1:
                cut.append((start, length + 1))
                start += length
            cut.append((start, end - start))
        whole = np.stack([starts[~long], (ends - starts)[~long]], axis=1)
        pieces = np.concatenate([whole, np.array(cut, dtype=np.int64).reshape(-1, 2)])
        yield pieces[pieces[:, 1] > 1]


def _windows(parts: "Iterator[Ints]", window: int) -> "Iterator[Ints]":
    """The same pieces in groups of `window`."""
    held = np.empty((0, 2), dtype=np.int64)
    for part in parts:
        held = np.concatenate([held, part])
        while len(held) >= window:
            yield held[:window]
            held = held[window:]
    if len(held):
        yield held


def _best_fit(pieces: "Ints", room_of_a_bin: int) -> "tuple[Ints, Ints]":
    """The order of the pieces, bin after bin, and the number of pieces in each bin."""
    longest_first = np.lexsort((pieces[:, 0], -pieces[:, 1]))
    open_by_room: dict[int, list[int]] = {}
    rooms: list[int] = []
    numbers = np.empty(len(pieces), dtype=np.int64)
    bins = 0
    for place, count in enumerate(pieces[longest_first, 1].tolist()):
        slot = bisect.bisect_left(rooms, count)
        if slot == len(rooms):
            number, room, bins = bins, room_of_a_bin, bins + 1
        else:
            room = rooms[slot]
            number = open_by_room[room].pop()
            if not open_by_room[room]:
                del open_by_room[room], rooms[slot]
        numbers[place] = number
        left = room - count
        if left > 1:
            if left not in open_by_room:
                bisect.insort(rooms, left)
            open_by_room.setdefault(left, []).append(number)
    return longest_first[np.argsort(numbers, kind="stable")], np.bincount(numbers, minlength=bins)
