"""Hashes the words and word n-grams of many texts to 64 bits, with numpy over blocks of texts or with `native`.

A word is a run of ASCII letters, digits, `_` and bytes of other characters' UTF-8. Equal words have equal
hashes everywhere. This file does not compare texts.
"""

from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

from training.data.dedup.native import load_loops

NGRAM = 5
SEED = 0x9E3779B97F4A7C15  # odd, so that multiplying by it loses nothing modulo 2^64
BLOCK_BYTES = 1 << 18  # hashed at once, so that the arrays stay in the cache; 16 times as many took 1.6 times as long
LONG_WORD = 64  # bytes; longer words, one in 20,000, are hashed one by one, so a word of a megabyte costs no more
# (words longer than this, offsets at which 8 more bytes are read, at most the last 8)
BETWEEN = ((16, (8, 16)), (32, (24, 32, 40, 48)))
NATIVE_BYTES = 1 << 32  # the compiled loops count bytes in 32 bits


class Grams(NamedTuple):
    """The n-grams of some texts, repeats included: those of text i are flat[offsets[i] : offsets[i + 1]]."""

    flat: Any
    offsets: Any


def offsets(numbers: Any) -> Any:
    """The start of each of several runs with these lengths, and the end, shape (runs + 1,).

    >>> import numpy as np
    >>> offsets(np.array([2, 3])).tolist()
    [0, 2, 5]
    """
    import numpy as np

    bounds = np.zeros(len(numbers) + 1, np.int64)
    np.cumsum(numbers, out=bounds[1:])
    return bounds


@lru_cache(maxsize=1)
def _masks() -> Any:
    """Masks for the lowest 0..8 bytes."""
    import numpy as np

    return np.array([(1 << (8 * size)) - 1 for size in range(9)], dtype=np.uint64)


def _in_words(data: Any) -> Any:
    """Whether each byte belongs to a word, shape (bytes,); vector arithmetic is twice as fast as bytes.translate."""
    import numpy as np

    low = data | np.uint8(32)
    low -= np.uint8(97)  # now letters of either case are below 26; next, digits are below 10
    inside = low < np.uint8(26)
    np.subtract(data, np.uint8(48), out=low)
    inside |= low < np.uint8(10)
    inside |= data > np.uint8(127)
    inside |= data == np.uint8(95)
    return inside


def mix_bits(values: Any) -> Any:
    """Applies splitmix64's finaliser in place: every input bit affects every output bit."""
    import numpy as np

    values ^= values >> np.uint64(30)
    values *= np.uint64(0xBF58476D1CE4E5B9)
    values ^= values >> np.uint64(27)
    values *= np.uint64(0x94D049BB133111EB)
    values ^= values >> np.uint64(31)
    return values


def word_hashes(text: str) -> Any:
    """The hashes of a text's words, in order.

    >>> a, b = word_hashes("return x"), word_hashes("x = 1; return")
    >>> bool(a[0] == b[2]), bool(a[1] == b[0]), len(b)
    (True, True, 3)
    """
    return hash_words([text])[0]


def hash_words(texts: Sequence[str]) -> tuple[Any, Any]:
    """The word hashes of all texts in one array, and the number of words in each text, shape (texts,)."""
    import numpy as np

    flat, numbers = [np.zeros(0, np.uint64)], [np.zeros(0, np.int64)]
    for part in _blocks(texts):
        hashes, number = _hash_block(part)
        flat.append(hashes)
        numbers.append(number)
    return np.concatenate(flat), np.concatenate(numbers)


def _blocks(texts: Sequence[str]) -> Iterator[list[bytes]]:
    part, size = list[bytes](), 0
    for text in texts:
        data = text.encode("utf-8", "surrogatepass")
        part.append(data)
        size += len(data)
        if size >= BLOCK_BYTES:
            yield part
            part, size = [], 0
    if part:
        yield part


def _hash_block(part: Sequence[bytes]) -> tuple[Any, Any]:
    """The word hashes of the texts of a block in one array, and the number of words in each text."""
    import numpy as np

    data = b"".join((b"\n", b"\n".join(part), b"\n", bytes(8)))
    loops = load_loops() if len(data) < NATIVE_BYTES else None
    starts, sizes, hashes = _hash_words(data) if loops is None else loops.words(data)
    long = np.flatnonzero(sizes > LONG_WORD)
    spans = zip((starts[long] + 1).tolist(), sizes[long].tolist(), strict=True)
    hashes[long] = mix_bits(np.array([_digest(data[start : start + size]) for start, size in spans], np.uint64))
    firsts = np.cumsum([0, *(len(text) + 1 for text in part)])
    return hashes, np.diff(np.searchsorted(starts, firsts.astype(starts.dtype))).astype(np.int64, copy=False)


def _hash_words(data: bytes) -> tuple[Any, Any, Any]:
    """The position before each word's first byte, its size in bytes and its hash, as `native.Loops.words` does."""
    import numpy as np
    from numpy.lib.stride_tricks import as_strided

    inside = _in_words(np.frombuffer(data, np.uint8))
    bounds = np.flatnonzero(inside[1:] != inside[:-1])  # the positions before a word's first byte and at its last
    starts = bounds[0::2]
    sizes = bounds[1::2] - starts
    # the 8 bytes after each position, read in place; no word holds a NUL, so shorter words can be filled with zeros
    windows = as_strided(np.frombuffer(data, "<u8", 1, offset=1), shape=(len(data) - 8,), strides=(1,))
    hashes = windows[starts]
    hashes &= _masks().take(sizes, mode="clip")
    _add_longer(hashes, windows, starts, sizes)
    return starts, sizes, mix_bits(hashes)


def _add_longer(hashes: Any, windows: Any, starts: Any, sizes: Any) -> None:
    """Adds the bytes after the eighth to the hashes, in place.

    First the size and the last 8 bytes, then for longer words the bytes between. Each value is mixed before the next
    is added, because plain sums of bytes were equal for 100000000 and 0000000000.
    """
    import numpy as np

    longer = np.flatnonzero(sizes > 8)
    begun, size, values = starts[longer], sizes[longer], mix_bits(hashes[longer])
    values += size.view(np.uint64) * np.uint64(SEED)
    values += windows[begun + (size - 8)]
    hashes[longer] = values
    for least, places in BETWEEN:
        more = np.flatnonzero(size > least)
        longer, begun, size, values = longer[more], begun[more], size[more], values[more]
        for place in places:
            values = mix_bits(values)
            values += windows[begun + np.minimum(size - 8, place)]
        hashes[longer] = values


def _digest(word: bytes) -> int:
    import hashlib

    return int.from_bytes(hashlib.blake2b(word, digest_size=8).digest(), "little")


def ngrams(hashes: Any, width: int) -> Any:
    """The hashes of all runs of `width` words, in order, shape (hashes - width + 1,) or (0,)."""
    import numpy as np

    if len(hashes) < width:
        return np.zeros(0, dtype=np.uint64)
    return mix_bits(_hash_runs(hashes, width))


def _hash_runs(hashes: Any, width: int) -> Any:
    """Each run as a polynomial in SEED, computed from the two halves of the run, in a new array."""
    import numpy as np

    if width == 1:
        return hashes.copy()
    half = width // 2 if width % 2 == 0 else 1  # words in the second part
    first = hashes if width - half == 1 else _hash_runs(hashes, width - half)
    second = first if half == width - half else hashes
    number = len(hashes) - width + 1
    total = first[:number] * np.uint64(pow(SEED, half, 1 << 64))
    total += second[len(second) - number :]
    return total


def grams(texts: Sequence[str], width: int = NGRAM) -> Grams:
    """The word n-grams of texts; a text with fewer words is one n-gram of all its words, one without words has none."""
    import numpy as np

    # at most every second character begins a word; pages that are never written take no memory
    out, done, sizes = (
        np.empty(sum((len(text) + 1) // 2 for text in texts), np.uint64),
        0,
        [np.zeros(0, np.int64)],
    )
    for block in _blocks(texts):
        hashes, numbers = _hash_block(block)
        loops = load_loops()
        size = (_write_runs if loops is None else loops.runs)(hashes, numbers, width, out[done:])
        done += int(size.sum())
        sizes.append(size)
    out.resize(done, refcheck=False)
    return Grams(out, offsets(np.concatenate(sizes)))


def _write_runs(hashes: Any, numbers: Any, width: int, out: Any) -> Any:
    """Writes the hash of each run of words within one text; returns the runs in each text, as `Loops.runs` does."""
    import numpy as np

    every, first, done = ngrams(hashes, width), 0, 0
    for number in numbers.tolist():
        last = first + number
        # of all runs of the block, those inside one text
        own = every[first : last - width + 1] if number >= width else ngrams(hashes[first:last], max(1, number))
        out[done : done + len(own)] = own
        first, done = last, done + len(own)
    return np.maximum(numbers - width + 1, np.minimum(numbers, 1))


def shingles(text: str, width: int = NGRAM) -> Any:
    """The set of a text's word n-grams as sorted hashes, shape (n-grams,)."""
    return sort_distinct(grams([text], width).flat)


def sort_distinct(values: Any) -> Any:
    """The distinct values of an array, sorted; for a few thousand hashes ten times as fast as numpy.unique."""
    import numpy as np

    ordered = np.sort(values)
    first = np.ones(len(ordered), dtype=np.bool_)
    np.not_equal(ordered[1:], ordered[:-1], out=first[1:])
    return ordered[first]
