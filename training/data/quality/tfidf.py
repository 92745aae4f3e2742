"""Embeds documents: hashed words weighted by TF-IDF and reduced by SVD, plus a few shares of characters.

It needs no download and no loop over words: 20,000 documents a second. Only the first characters of a document
count; embedding models, too, read only its beginning.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

from training.data.dedup.shingles import hash_words

CHARACTERS = 2_000
BUCKETS = 4_096
DIMENSIONS = 48
CLASSES = ("\n", " ", "0123456789", "_", "()", "[]{}", "\"'", "#", "=<>!", "+-*/%", ".", ",:", "@",
           "abcdefghijklmnopqrstuvwxyz", "ABCDEFGHIJKLMNOPQRSTUVWXYZ")  # fmt: skip


class Embedding(NamedTuple):
    """The fit on a sample: inverse document frequencies, shape (BUCKETS,), and the SVD's projection."""

    idf: Any
    projection: Any


def counts(texts: Sequence[str]) -> Any:
    """Counts each word bucket in the beginning of each text; sparse, shape (texts, BUCKETS)."""
    import numpy as np
    from scipy.sparse import csr_matrix

    hashes, numbers = hash_words([text[:CHARACTERS] for text in texts])
    columns = (hashes % np.uint64(BUCKETS)).astype(np.int64)
    rows = np.repeat(np.arange(len(texts)), numbers)
    return csr_matrix((np.ones(len(columns), dtype=np.float32), (rows, columns)), shape=(len(texts), BUCKETS))


def shares(texts: Sequence[str]) -> Any:
    """Length, number of lines, longest line and the share of each class of characters, shape (texts, 3 + classes)."""
    import numpy as np

    table = np.zeros((256, len(CLASSES)), dtype=np.float32)
    for number, characters in enumerate(CLASSES):
        table[[ord(character) for character in characters], number] = 1
    features = np.zeros((len(texts), 3 + len(CLASSES)), dtype=np.float32)
    for row, text in enumerate(texts):
        data = np.frombuffer(text[:CHARACTERS].encode("utf-8", "surrogatepass"), dtype=np.uint8)
        breaks = np.flatnonzero(data == 10)
        longest = int(np.diff(breaks, prepend=-1, append=len(data)).max()) if len(data) else 0
        features[row, :3] = np.log1p(len(text)), np.log1p(text.count("\n")), np.log1p(longest)
        features[row, 3:] = (np.bincount(data, minlength=256) @ table) / max(1, len(data))
    return features


def fit(texts: Sequence[str], seed: int) -> Embedding:
    """Fits frequencies and projection to a sample of texts."""
    import numpy as np
    from scipy.sparse import diags
    from sklearn.decomposition import TruncatedSVD
    from sklearn.preprocessing import normalize

    matrix = counts(texts)
    idf = np.log((1 + len(texts)) / (1 + np.asarray((matrix > 0).sum(axis=0)).ravel())) + 1
    matrix.data = np.log1p(matrix.data)
    weighted = normalize(matrix @ diags(idf))
    dimensions = max(1, min(DIMENSIONS, len(texts) - 1, BUCKETS - 1))
    svd = TruncatedSVD(dimensions, random_state=seed, n_iter=4).fit(weighted)
    return Embedding(idf=idf.astype(np.float32), projection=svd.components_.T.astype(np.float32))


def vectors(texts: Sequence[str], embedding: Embedding) -> Any:
    """One vector for each text, shape (texts, dimensions + shares)."""
    import numpy as np
    from scipy.sparse import diags
    from sklearn.preprocessing import normalize

    matrix = counts(texts)
    matrix.data = np.log1p(matrix.data)
    reduced = normalize(matrix @ diags(embedding.idf)) @ embedding.projection
    return np.hstack([reduced, shares(texts)]).astype(np.float32)
