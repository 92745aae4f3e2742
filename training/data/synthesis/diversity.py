"""Measures how varied documents are, and whether a new one adds anything: n-grams, trees, compression, neighbours."""

import zlib
from collections.abc import Sequence
from typing import Any

from evals.contamination.syntax_trees import functions
from training.data.dedup import minhash, shingles
from training.data.quality import tfidf
from zoo.records import Record

GRAM = 4
NEW_GRAMS = 0.25  # share of a document's 4-grams that must be new in its slot; with less it repeats others
NEIGHBOURS = 60  # documents compared with each other, since pairs grow with the square


class Diversity(Record, frozen=True):
    """Measures of a set of documents: each is 0 for one repeated text and near 1 for all different texts.

    distinct   different word 4-grams / all of them
    trees      different syntax trees / functions (1 without functions)
    packed     compressed size / size, near 0 for one repeated text
    spread     mean distance of the documents' vectors (of length 1) from their mean
    apart      1 - mean Jaccard index with the nearest other document
    """

    documents: int
    distinct: float
    trees: float
    packed: float
    spread: float
    apart: float


def diversity(texts: Sequence[str]) -> Diversity:
    """Measures the diversity of texts."""
    import numpy as np
    from sklearn.preprocessing import normalize

    if not texts:
        return Diversity(documents=0, distinct=0.0, trees=0.0, packed=0.0, spread=0.0, apart=0.0)
    grams = np.concatenate([shingles.ngrams(shingles.word_hashes(text), GRAM) for text in texts])
    shapes = [function.symbols for text in texts for function in functions(text)]
    data = "\n".join(texts).encode("utf-8", "surrogatepass")
    vectors = normalize(tfidf.counts(texts))
    centre = np.asarray(vectors.mean(axis=0)).ravel()
    squared = 1 - 2 * (vectors @ centre) + float(centre @ centre)
    return Diversity(
        documents=len(texts), distinct=round(len(np.unique(grams)) / max(1, len(grams)), 4),
        trees=round(len(set(shapes)) / len(shapes), 4) if shapes else 1.0,
        packed=round(len(zlib.compress(data, 6)) / max(1, len(data)), 4),
        spread=round(float(np.sqrt(np.maximum(squared, 0)).mean()), 4), apart=round(_apart(texts[:NEIGHBOURS]), 4),
    )  # fmt: skip


def _apart(texts: Sequence[str]) -> float:
    if len(texts) < 2:
        return 1.0
    sets = [shingles.shingles(text) for text in texts]
    nearest = [
        max(minhash.jaccard(grams, other) for k, other in enumerate(sets) if k != n) for n, grams in enumerate(sets)
    ]
    return 1 - sum(nearest) / len(nearest)


class Novelty:
    """The n-grams and trees of one slot: a document is new if enough of its n-grams and one of its trees are."""

    def __init__(self) -> None:
        self.grams: set[int] = set()
        self.trees: set[str] = set()

    def takes(self, text: str) -> bool:
        """Whether the document is new; if so, its n-grams and trees count as seen from now on."""
        grams: Any = set(shingles.ngrams(shingles.word_hashes(text), GRAM).tolist())
        trees = {function.symbols for function in functions(text)}
        fresh = len(grams - self.grams) >= NEW_GRAMS * len(grams) if grams else False
        if not fresh or (trees and not trees - self.trees):
            return False
        self.grams |= grams
        self.trees |= trees
        return True
