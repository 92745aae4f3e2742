"""Finds near duplicates: MinHash by rensa names candidates, the exact Jaccard index of their n-grams decides.

Two texts are near duplicates when the Jaccard index of their sets of word 5-grams (`shingle`) reaches the
threshold; of the two the earlier stays. Candidates share a band of their signatures, so a pair may be missed,
with the chance that ROWS tells; none is named that is no duplicate.
Source: Broder 1997; the bands as in Leskovec et al., Mining of Massive Datasets, section 3.4.
"""

from collections.abc import Callable, Sequence
from functools import lru_cache
from struct import Struct
from typing import Any

from training.data.shingle import SEED, Grams, distinct, grams, mixed_bits
from zoo.checkpoint import Record

PERMUTATIONS = 128
# (least threshold, rows of a band): 32 bands of 4 miss a pair at Jaccard 0.8 once in 10^7, at 0.7 once in 6,000;
# 64 bands of 2 miss one at 0.5 once in 10^8, at 0.3 once in 400, and bring more candidates
ROWS = ((0.7, 4), (0.0, 2))
ERRORS = 4  # standard errors that a candidate's estimate may lie below the threshold: one in 30,000 lies lower
THRESHOLD = 0.8
_ROW = Struct(f"={PERMUTATIONS}I")  # packing rows is twice as fast as numpy's own reading of lists
EMPTY = 0xFFFFFFFF  # each value of the signature of a text without words
CHUNK = 20_000  # signatures whose bands are hashed at once
CACHED = 256  # sets of n-grams held: the kept ones of a group are compared again and again

Exact = Callable[[int, int], float]


class Twin(Record, frozen=True):
    """A dropped item, the kept item it repeats, and their Jaccard index."""

    item: int
    kept: int
    jaccard: float


def signatures(texts: Sequence[str]) -> Any:
    """MinHash signatures of texts, shape (texts, PERMUTATIONS), uint32."""
    return minhash(grams(texts))


def minhash(given: Grams) -> Any:
    """MinHash signatures of n-grams, repeated ones or not, shape (texts, PERMUTATIONS), uint32."""
    import numpy as np
    from rensa import RMinHash

    matrix = RMinHash.digest_matrix_from_flat_token_hashes(given.flat, given.offsets.astype(np.uint64), PERMUTATIONS, 1)
    packed = bytearray().join([_ROW.pack(*row) for row in matrix.to_rows()])
    return np.frombuffer(packed, np.uint32).reshape(-1, PERMUTATIONS)


def jaccard(first: Any, second: Any) -> float:
    """Jaccard index of two sorted sets of hashes; two empty sets are no duplicates of each other.

    >>> import numpy as np
    >>> jaccard(np.array([1, 2, 3]), np.array([2, 3, 4]))
    0.5
    """
    import numpy as np

    both = len(np.intersect1d(first, second, assume_unique=True))
    union = len(first) + len(second) - both
    return both / union if union else 0.0


def exact_jaccard(given: Grams) -> Exact:
    """The Jaccard index of two texts by their numbers; their n-grams may lie in a mapped file, few are read."""

    @lru_cache(maxsize=CACHED)
    def of_one(item: int) -> Any:
        return distinct(given.flat[given.offsets[item] : given.offsets[item + 1]])

    return lambda one, other: jaccard(of_one(one), of_one(other))


def repeats(marks: Any) -> list[tuple[int, int]]:
    """(place, first place) of each mark that stood earlier, places ascending.

    >>> import numpy as np
    >>> repeats(np.array([5, 7, 5, 5]))
    [(2, 0), (3, 0)]
    """
    import numpy as np

    if not len(marks):
        return []
    _, first, inverse = np.unique(marks, return_index=True, return_inverse=True)
    firsts = first[inverse]
    later = np.flatnonzero(firsts != np.arange(len(marks)))
    return [(int(item), int(firsts[item])) for item in later]


def settled(twins: dict[int, tuple[str, int, float]]) -> dict[int, tuple[str, int, float]]:
    """The same twins, each named by the one that is kept in the end: a twin's twin leads there.

    >>> settled({2: ("exact", 1, 1.0), 1: ("near", 0, 0.9)})
    {2: ('exact', 0, 0.9), 1: ('near', 0, 0.9)}
    """
    found = {}
    for item, (reason, kept, value) in twins.items():
        while kept in twins:
            _, kept, further = twins[kept]
            value = min(value, further)
        found[item] = (reason, kept, value)
    return found


def near_twins(matrix: Any, exact: Exact, threshold: float = THRESHOLD, items: Any = None) -> list[Twin]:
    """Items that repeat an earlier kept one, each with the one it is most like: first come, first kept.

    matrix  signatures, shape (rows, PERMUTATIONS), uint32; it may be a mapped file
    exact   function of two row numbers to their Jaccard index
    items   the rows that count, ascending; None: all. In memory are 128 to 256 bytes each
    """
    import numpy as np

    items = np.arange(len(matrix)) if items is None else items
    least = threshold - ERRORS * (threshold * (1 - threshold) / PERMUTATIONS) ** 0.5
    shared = _shared_bands(matrix, items, next(rows for start, rows in ROWS if threshold >= start))
    buckets: dict[int, list[int]] = {}
    twins: list[Twin] = []
    for place in np.flatnonzero((shared >= 0).any(axis=0)).tolist():
        item, bands = int(items[place]), [one for one in shared[:, place].tolist() if one >= 0]
        others = sorted({other for band in bands for other in buckets.get(band, ())})
        best = Twin(item=item, kept=-1, jaccard=-1.0)
        if others:
            alike = (matrix[others] == matrix[item]).mean(axis=1)
            for other in (others[near] for near in np.flatnonzero(alike >= least).tolist()):
                value = exact(item, other)
                if value > best.jaccard:
                    best = Twin(item=item, kept=other, jaccard=value)
        if best.jaccard >= threshold:
            twins.append(best)
            continue
        for band in bands:
            buckets.setdefault(band, []).append(item)
    return twins


def _shared_bands(matrix: Any, items: Any, rows: int) -> Any:
    """Of each band and item the bucket it shares with other items, -1 if it is alone, shape (bands, items), int32.

    A bucket's key has 32 bits, so strangers may share one: their estimate tells them apart.
    """
    import numpy as np

    bands = PERMUTATIONS // rows
    keys = np.empty((bands, len(items)), dtype=np.uint32)
    for start in range(0, len(items), CHUNK):
        part = np.ascontiguousarray(matrix[items[start : start + CHUNK]]).view("<u8").reshape(-1, bands, rows // 2)
        mixed = np.zeros(part.shape[:2], dtype=np.uint64)
        for lane in range(rows // 2):
            mixed = mixed_bits((mixed + np.uint64(SEED)) ^ part[:, :, lane])
        keys[:, start : start + CHUNK] = (mixed >> np.uint64(32)).T
    shared = keys.view(np.int32)
    number = 0
    for band in range(bands):
        _, inverse, counts = np.unique(keys[band], return_inverse=True, return_counts=True)
        many = counts > 1
        names = np.where(many, np.cumsum(many) - 1 + number, -1).astype(np.int32)
        shared[band] = names[inverse]
        number += int(many.sum())
    return shared
