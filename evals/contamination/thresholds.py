"""The threshold of each method: `phizoo eval contamination` and `phizoo data decontaminate` both take it from here.

All but OTHER_DISTANCE were measured on one planted set, 50 HumanEval problems at four grades and 1,000 innocent
functions (`tests/bench/leak_table.py`; the table is in docs/contamination.md). Each of these takes at most 1 in 1,000
of them for a leak; a distance that takes 1 in 100 finds more renamed copies: `--threshold` or `--distance` asks for it.
"""

from typing import Literal

from evals.contamination.syntax_trees import PRESETS
from zoo.errors import ZooError

Method = Literal["ngram", "code-ngram", "ast", "embedding"]
METHODS: tuple[Method, ...] = ("ngram", "code-ngram", "ast", "embedding")

QUESTION_WORDS = 13  # Brown et al. 2020, arXiv:2005.14165, appendix C; phi-1, arXiv:2306.11644, section 5
CODE_WORDS = 10  # of a solution or its tests, whose words are shorter and fewer
MATCH_RATE = max(PRESETS)  # the strictest of phi-1's four: it takes the least innocent code for a leak
DISTANCES = {"minilm": 0.70, "words": 0.95}
OTHER_DISTANCE = 0.30  # a guess, of causal models, whose vectors lie close to each other


def default_threshold(method: Method, embedder: str = "words") -> float:
    """The threshold of a method; of embeddings, the largest distance for vectors of this embedder.

    >>> default_threshold("ngram"), default_threshold("ast"), default_threshold("embedding", "minilm")
    (13.0, 0.95, 0.7)
    """
    if method == "embedding":
        return DISTANCES.get(embedder, OTHER_DISTANCE)
    return {"ngram": float(QUESTION_WORDS), "code-ngram": float(CODE_WORDS), "ast": MATCH_RATE}[method]


def checked_threshold(method: Method, threshold: float, embedder: str = "words") -> float:
    """The threshold itself. Raises ZooError for one that the method cannot have."""
    if method == "ast":
        valid, expected = 0 < threshold <= 1, "a match rate in 0..1"
    elif method == "embedding":
        valid, expected = 0 < threshold <= 2, "a distance in 0..2"
    else:
        valid, expected = threshold >= 3 and threshold == int(threshold), "whole words, 3 or more"
    if not valid:
        usual = default_threshold(method, embedder)
        raise ZooError(f"--threshold {threshold:g} for {method}: expected {expected}, such as {usual:g}")
    return threshold
