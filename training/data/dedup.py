"""Finds near duplicates: word 5-grams hashed by numpy, MinHash by rensa, twins named with their Jaccard.

Two texts are near duplicates when the Jaccard index of their sets of 5-grams reaches the threshold.
Source: Broder 1997; the bands as in Leskovec et al., Mining of Massive Datasets, section 3.4.
"""

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

from zoo.checkpoint import Record

NGRAM = 5
PERMUTATIONS = 128
ROWS = 4  # 32 bands of 4: a pair at Jaccard 0.8 is missed once in 10^7; candidates are then checked
SEED = 1
BASE = 0x9E3779B97F4A7C15  # odd, so it has an inverse modulo 2^64
THRESHOLD = 0.8
EMPTY = 0xFFFFFFFF  # each value of the signature of a text without words


class Twin(Record, frozen=True):
    """A dropped item, the kept item it repeats, and their Jaccard index (estimated or exact)."""

    item: int
    kept: int
    jaccard: float


@lru_cache(maxsize=1)
def _byte_tables() -> tuple[Any, Any]:
    """Which bytes belong to words, and a random 64-bit value for each byte."""
    import numpy as np

    word = np.zeros(256, dtype=bool)
    word[[*range(48, 58), *range(65, 91), *range(97, 123), 95, *range(128, 256)]] = True
    return word, np.random.default_rng(SEED).integers(0, 2**64, 256, dtype=np.uint64)


@lru_cache(maxsize=1)
def _powers(length: int) -> tuple[Any, Any]:
    """Powers of an odd number modulo 2^64 and of its inverse, shape (length,)."""
    import numpy as np

    first = np.full(length, BASE, dtype=np.uint64)
    second = np.full(length, pow(BASE, -1, 2**64), dtype=np.uint64)
    first[0] = second[0] = 1
    return np.cumprod(first, dtype=np.uint64), np.cumprod(second, dtype=np.uint64)


def mixed_bits(values: Any) -> Any:
    """splitmix64's finaliser: every input bit reaches every output bit."""
    import numpy as np

    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return values ^ (values >> np.uint64(31))


def word_hashes(text: str) -> Any:
    """A 64-bit hash of each word (letters, digits, `_`) of a text in order, without a loop over words.

    The hash of a word is a difference of two prefix sums of byte values times powers, shifted back
    to position 0 by the inverse power, so equal words have equal hashes wherever they stand.

    >>> a, b = word_hashes("return x"), word_hashes("x = 1; return")
    >>> bool(a[0] == b[2]), bool(a[1] == b[0]), len(b)
    (True, True, 3)
    """
    import numpy as np

    word, values = _byte_tables()
    data = np.frombuffer(text.encode("utf-8", "surrogatepass"), dtype=np.uint8)
    inside = np.zeros(len(data) + 2, dtype=np.int8)
    inside[1:-1] = word[data]
    change = np.diff(inside)
    starts, ends = np.flatnonzero(change == 1), np.flatnonzero(change == -1)
    power, inverse = _powers(1 << max(18, len(data).bit_length()))
    sums = np.zeros(len(data) + 1, dtype=np.uint64)
    np.cumsum(values[data] * power[: len(data)], out=sums[1:])
    return mixed_bits((sums[ends] - sums[starts]) * inverse[starts])


def ngrams(words: Any, width: int) -> Any:
    """A hash of each run of `width` word hashes, in order, shape (words - width + 1,) or (0,)."""
    import numpy as np

    total = np.zeros(max(0, len(words) - width + 1), dtype=np.uint64)
    for offset in range(width if len(total) else 0):
        total = total * np.uint64(BASE) + words[offset : offset + len(total)]
    return mixed_bits(total)


def shingles(text: str, ngram: int = NGRAM) -> Any:
    """The set of a text's word n-grams as sorted 64-bit hashes; a shorter text is one n-gram of all its words."""
    import numpy as np

    return np.unique(grams(text, ngram))


def signatures(texts: Sequence[str]) -> Any:
    """MinHash signatures, shape (texts, PERMUTATIONS), uint32."""
    return minhash([grams(text) for text in texts])


def grams(text: str, ngram: int = NGRAM) -> Any:
    """A text's word n-grams as hashes, repeats included: a minimum does not see them, and sorting them out costs."""
    words = word_hashes(text)
    return ngrams(words, min(ngram, len(words))) if len(words) else words


def minhash(sets: Sequence[Any]) -> Any:
    """MinHash signatures of hashes, repeated ones or not, shape (sets, PERMUTATIONS), uint32."""
    import numpy as np
    from rensa import RMinHash

    offsets = np.cumsum([0, *map(len, sets)], dtype=np.uint64)
    flat = np.concatenate([np.zeros(0, dtype=np.uint64), *sets])
    matrix = RMinHash.digest_matrix_from_flat_token_hashes(flat, offsets, PERMUTATIONS, SEED)
    return np.array(matrix.to_rows(), dtype=np.uint32).reshape(len(sets), PERMUTATIONS)


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


def near_twins(matrix: Any, threshold: float = THRESHOLD, exact: Any = None) -> list[Twin]:
    """Items that repeat an earlier kept one, each with that one: first come, first kept.

    matrix  signatures, shape (items, PERMUTATIONS)
    exact   function of two item numbers to their Jaccard index; None takes the signatures' estimate,
            whose standard error at 0.8 is 0.035
    """
    import numpy as np

    bands = np.ascontiguousarray(matrix).view(np.dtype((np.void, 4 * ROWS)))
    kept: list[dict[bytes, list[int]]] = [{} for _ in range(bands.shape[1])]
    # only buckets that two items share can bring a pair: the others are left out beforehand
    shared = np.zeros(bands.shape, dtype=bool)
    for band in range(bands.shape[1]):
        _, inverse, counts = np.unique(bands[:, band], return_inverse=True, return_counts=True)
        shared[:, band] = counts[inverse] > 1
    twins: list[Twin] = []
    for item in np.flatnonzero(shared.any(axis=1)).tolist():
        keys = [(band, bands[item, band].tobytes()) for band in np.flatnonzero(shared[item]).tolist()]
        candidates = sorted({other for band, key in keys for other in kept[band].get(key, ())})
        best = Twin(item=item, kept=-1, jaccard=-1.0)
        for other in candidates:
            value = exact(item, other) if exact else float((matrix[item] == matrix[other]).mean())
            if value > best.jaccard:
                best = Twin(item=item, kept=other, jaccard=value)
        if best.jaccard >= threshold:
            twins.append(best)
            continue
        for band, key in keys:
            kept[band].setdefault(key, []).append(item)
    return twins
