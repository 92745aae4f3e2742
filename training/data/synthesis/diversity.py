"""How varied some documents are, and whether new ones add anything: word n-grams, trees, compression, neighbours."""

import zlib
from collections.abc import Sequence
from typing import Any

from evals.contamination.syntax_trees import functions
from training.data.dedup import minhash
from training.data.dedup import shingles as shingle
from training.data.quality import tfidf
from zoo.records import Record

GRAM = 4
NEW_GRAMS = 0.25  # share of a document's 4-grams that its slot has not seen: below, it says the same again
NEIGHBOURS = 60  # documents among which the nearest is looked for: pairs grow with the square


class Diversity(Record, frozen=True):
    """Measures of a set of documents; each is 0 for the same text again and again, near 1 for all different.

    distinct   different word 4-grams / all of them
    trees      different syntax trees / functions (1 without functions)
    packed     compressed size / size: of one text repeated, near 0
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
    """The measures of some texts."""
    import numpy as np
    from sklearn.preprocessing import normalize

    if not texts:
        return Diversity(documents=0, distinct=0.0, trees=0.0, packed=0.0, spread=0.0, apart=0.0)
    grams = np.concatenate([shingle.ngrams(shingle.word_hashes(text), GRAM) for text in texts])
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
    sets = [shingle.shingles(text) for text in texts]
    nearest = [
        max(minhash.jaccard(grams, other) for k, other in enumerate(sets) if k != n) for n, grams in enumerate(sets)
    ]
    return 1 - sum(nearest) / len(nearest)


class Novelty:
    """What a slot has seen: a document is new when enough of its n-grams are, and one of its trees is."""

    def __init__(self) -> None:
        self.grams: set[int] = set()
        self.trees: set[str] = set()

    def takes(self, text: str) -> bool:
        """Whether the document adds something; if so, it has then been seen."""
        grams: Any = set(shingle.ngrams(shingle.word_hashes(text), GRAM).tolist())
        trees = {function.symbols for function in functions(text)}
        fresh = len(grams - self.grams) >= NEW_GRAMS * len(grams) if grams else False
        if not fresh or (trees and not trees - self.trees):
            return False
        self.grams |= grams
        self.trees |= trees
        return True
