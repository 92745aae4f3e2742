"""Finds near duplicates: rensa's MinHash proposes candidates, the exact Jaccard index of their n-grams decides.

Two texts are near duplicates if the Jaccard index of their sets of word 5-grams (`shingles`) reaches the
threshold; the earlier of the two stays. Candidates share a band of their signatures. So there are no false
positives, and the miss rate for each threshold is given at ROWS.
Source: Broder 1997; the bands as in Leskovec et al., Mining of Massive Datasets, section 3.4.
"""

import errno
import os
import tempfile
from array import array
from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache
from pathlib import Path
from struct import Struct
from typing import Any

from training.data.dedup.duplicates import Duplicates, make_duplicates
from training.data.dedup.shingles import SEED, Grams, grams, mix_bits, sort_distinct

PERMUTATIONS = 128
# (lowest threshold, rows of a band): 32 bands of 4 miss a pair at Jaccard 0.8 once in 10^7, at 0.7 once in 6,000;
# 64 bands of 2 miss a pair at 0.5 once in 10^8, at 0.3 once in 400, and give more candidates
ROWS = ((0.7, 4), (0.0, 2))
ERRORS = 4  # a candidate's estimate may lie this many standard errors below the threshold: one in 30,000 lies lower
THRESHOLD = 0.8
_ROW = Struct(f"={PERMUTATIONS}I")  # packing rows is twice as fast as numpy's conversion of lists
EMPTY = 0xFFFFFFFF  # each value of the signature of a text without words
SIGNED = 400  # signatures made at once: rensa returns lists, 5 kB each
CHUNK = 20_000  # signatures whose bands are hashed at once
SORTED = 1 << 21  # keys sorted at once
CACHED = 256  # sets of n-grams in memory: the kept ones of a group are compared many times

Exact = Callable[[int, int], float]


def signatures(texts: Sequence[str]) -> Any:
    """MinHash signatures of texts, shape (texts, PERMUTATIONS), uint32."""
    return minhash(grams(texts))


def minhash(given: Grams) -> Any:
    """MinHash signatures of n-grams, with or without repeats, shape (texts, PERMUTATIONS), uint32."""
    import numpy as np
    from rensa import RMinHash

    packed = bytearray()
    for start in range(0, len(given.offsets) - 1, SIGNED):
        ends = given.offsets[start : start + SIGNED + 1]
        own = (given.flat[ends[0] : ends[-1]], (ends - ends[0]).astype(np.uint64))
        rows = RMinHash.digest_matrix_from_flat_token_hashes(*own, PERMUTATIONS, 1).to_rows()
        packed += b"".join([_ROW.pack(*row) for row in rows])
    return np.frombuffer(packed, np.uint32).reshape(-1, PERMUTATIONS)


def jaccard(first: Any, second: Any) -> float:
    """The Jaccard index of two sorted sets of hashes; 0 for two empty sets.

    >>> import numpy as np
    >>> jaccard(np.array([1, 2, 3]), np.array([2, 3, 4]))
    0.5
    """
    import numpy as np

    every = np.concatenate((first, second))
    every.sort()
    both = int(np.count_nonzero(every[1:] == every[:-1]))
    union = len(every) - both
    return both / union if union else 0.0


def exact_jaccard(given: Grams) -> Exact:
    """Makes a function of two texts' numbers to their Jaccard index; the n-grams may be in a file (`Columns`)."""

    @lru_cache(maxsize=CACHED)
    def of_one(item: int) -> Any:
        return sort_distinct(given.flat[given.offsets[item] : given.offsets[item + 1]])

    return lambda first, second: jaccard(of_one(first), of_one(second))


def near_duplicates(
    matrix: Any, exact: Exact, threshold: float = THRESHOLD, items: Any = None, folder: Path | None = None,
    reason: int = 0,
) -> Duplicates:  # fmt: skip
    """Finds items that repeat an earlier kept item, each with the most similar one; the earlier item is kept.

    matrix  signatures, shape (rows, PERMUTATIONS), uint32: an array, or `Columns` of a file
    exact   function of two row numbers to their Jaccard index
    items   the rows to consider, ascending; None: all
    folder  where the keys of the bands are stored meanwhile, 128 or 256 bytes an item; None: the temporary folder.
            Memory holds 30 bytes an item, and 20 for each band that it shares with another
    """
    import numpy as np

    items = np.arange(len(matrix)) if items is None else items
    least = threshold * PERMUTATIONS - ERRORS * (threshold * (1 - threshold) * PERMUTATIONS) ** 0.5
    buckets = _Buckets(matrix, items, next(rows for start, rows in ROWS if threshold >= start), folder)
    dropped, kept, like = array("q"), array("q"), array("d")
    for place, own in buckets.by_place():
        item, best, most = int(items[place]), -1, -1.0
        if places := buckets.kept(own):
            others = items[places]
            alike = np.add.reduce(matrix[others] == matrix[item], axis=1, dtype=np.uint8)
            for other in others[alike >= least].tolist():
                value = exact(item, other)
                if value > most:
                    best, most = other, value
        if most >= threshold:
            dropped.append(item)
            kept.append(best)
            like.append(most)
        else:
            buckets.keep(place, own)
    return make_duplicates(dropped, kept, like, reason)


class _Buckets:
    """Buckets of items that share a band, and the kept items in each; an item is its position in `items`.

    places  the positions in each bucket, ascending, with the kept ones first
    begins, filled  for each bucket the start of its positions, and the number of kept ones

    A bucket's key has 32 bits, so unrelated items may share one; their estimates separate them.
    """

    def __init__(self, matrix: Any, items: Any, rows: int, folder: Path | None) -> None:
        import numpy as np

        groups, sizes = [np.zeros(0, np.uint32)], [np.zeros(0, np.int64)]
        with tempfile.TemporaryFile(dir=folder) as file:
            _write_keys(matrix, items, rows, file.fileno())
            for places, size in _shared_keys(file.fileno(), len(items), PERMUTATIONS // rows):
                groups.append(places)
                sizes.append(size)
        places, size = np.concatenate(groups), np.concatenate(sizes)
        numbers = np.repeat(np.arange(len(size), dtype=np.uint64), size)
        self.entries = np.sort(places.astype(np.uint64) << np.uint64(32) | numbers)
        # reading and writing single numbers of such arrays takes a third of the time of numpy's
        self.places, self.begins, self.filled = array("I"), array("q"), array("I", bytes(4 * len(size)))
        self.places.frombytes(places.tobytes())
        self.begins.frombytes((np.cumsum(size) - size).tobytes())

    def by_place(self) -> Iterator[tuple[int, list[int]]]:
        """Yields each position that shares a band, ascending, with its buckets."""
        import numpy as np

        holders = self.entries >> np.uint64(32)
        ends = np.append(np.flatnonzero(holders[1:] != holders[:-1]) + 1, len(holders))
        begin = 0
        for end in ends if len(holders) else ():
            yield int(holders[begin]), (self.entries[begin:end] & np.uint64(0xFFFFFFFF)).tolist()
            begin = end

    def kept(self, buckets: Sequence[int]) -> list[int]:
        """The kept positions in these buckets, each once, ascending."""
        places = set[int]()
        for bucket in buckets:
            if number := self.filled[bucket]:
                begin = self.begins[bucket]
                places.update(self.places[begin : begin + number])
        return sorted(places)

    def keep(self, place: int, buckets: Sequence[int]) -> None:
        """Adds a position to the kept ones of its buckets."""
        for bucket in buckets:
            self.places[self.begins[bucket] + self.filled[bucket]] = place
            self.filled[bucket] += 1


def _write_keys(matrix: Any, items: Any, rows: int, file: int) -> None:
    """Writes a key for each band and item, shape (bands, items), uint32."""
    import numpy as np

    bands = PERMUTATIONS // rows
    for start in range(0, len(items), CHUNK):
        part = np.ascontiguousarray(matrix[items[start : start + CHUNK]]).view("<u8").reshape(-1, bands, rows // 2)
        mixed = np.zeros(part.shape[:2], dtype=np.uint64)
        for lane in range(rows // 2):
            mixed = mix_bits((mixed + np.uint64(SEED)) ^ part[:, :, lane])
        keys = (mixed >> np.uint64(32)).astype("<u4")
        for band in range(bands):
            data = keys[:, band].tobytes()
            if os.pwrite(file, data, 4 * (band * len(items) + start)) < len(data):
                raise OSError(errno.ENOSPC, "the keys of the bands could not be written completely")


def _shared_keys(file: int, number: int, bands: int) -> Iterator[tuple[Any, Any]]:
    """Yields groups of positions that share a band's key: the positions, group after group, and the groups' sizes."""
    import numpy as np

    bits = (number // SORTED).bit_length()
    for band in range(bands):
        keys = np.frombuffer(os.pread(file, 4 * number, 4 * band * number), "<u4")
        for part in range(1 << bits):  # by the keys' first bits
            places = np.arange(number, dtype=np.uint64)
            if bits:
                places = np.flatnonzero(keys >> np.uint32(32 - bits) == part).astype(np.uint64)
            # sorting numbers that hold key and position is ten times as fast as sorting positions by key
            both = np.sort(keys[places].astype(np.uint64) << np.uint64(32) | places)
            own = both >> np.uint64(32)
            again = np.flatnonzero(own[1:] == own[:-1])
            several = np.zeros(len(own), np.bool_)
            several[again] = several[again + 1] = True
            places, own = both[several].astype(np.uint32), own[several]
            begins = np.append(np.flatnonzero(np.diff(own, prepend=own[:1] ^ np.uint64(1))), len(own))
            yield places, np.diff(begins)
