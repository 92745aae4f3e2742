"""Finds functions whose meaning is close to a problem's: the L2 distance of unit vectors.

The vectors come from a language model (`evals.encoders`: MiniLM, a checkpoint of the zoo, a model's folder) or from
`words`, which needs no model: hashed words and word pairs, weighted by how few problems have them.

Source  Gunasekar et al. 2023, arXiv:2306.11644, section 5.2: L2 distances of embeddings of CodeGen-Mono 350M, with
        a threshold that is not published.
"""

import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from typing import Any
from zlib import crc32

from evals.contamination.match import EXCERPT, Match
from evals.contamination.problems import Problem
from evals.contamination.syntax_trees import functions
from evals.contamination.trees import solutions
from evals.encoders import Encoder

Embed = Callable[[Sequence[str]], Any]  # texts -> unit vectors, shape (texts, dimensions)

READ = 4 * EXCERPT  # characters of a text that make its vector
BUCKETS = 1 << 14
PART = re.compile(r"[A-Za-z][a-z]*|[0-9]+|[^\sA-Za-z0-9_]")


def make_embed(problems: Sequence[Problem], encoder: Encoder | None) -> Embed:
    """The function from texts to unit vectors: the encoder's, or without one that of weighted words."""
    if encoder is None:
        return embed_words([solution_text(problem) for problem in problems])

    def embed(texts: Sequence[str]) -> Any:
        import numpy as np

        from evals.encoders import encode

        rows = encode([text[:READ] or " " for text in texts], encoder)
        return rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12)

    return embed


def embed_words(weighing: Sequence[str]) -> Embed:
    """Words and pairs of words in hashed places, weighted by how few of these texts have them; sparse rows."""
    import numpy as np
    from scipy.sparse import csr_matrix, diags

    def count(texts: Sequence[str]) -> Any:
        columns, values, ends = list[int](), list[int](), [0]
        for text in texts:
            parts = [part.lower() for part in PART.findall(text[:READ])]
            times = Counter(crc32(part.encode()) % BUCKETS for part in [*parts, *map(" ".join, pairwise(parts))])
            columns += times
            values += times.values()
            ends.append(len(columns))
        return csr_matrix((np.log1p(np.array(values, dtype=np.float32)), columns, ends), shape=(len(texts), BUCKETS))

    weights = np.log((1 + len(weighing)) / (1 + np.asarray((count(weighing) > 0).sum(axis=0)).ravel())) + 1

    def embed(texts: Sequence[str]) -> Any:
        rows = count(texts) @ diags(weights)
        lengths = np.sqrt(np.asarray(rows.multiply(rows).sum(axis=1)).ravel())
        return diags(1 / np.maximum(lengths, 1e-12)) @ rows

    return embed


class EmbeddingSearch:
    """Compares the problems' vectors with those of every function of many documents."""

    def __init__(self, problems: Sequence[Problem], distance: float, embed: Embed) -> None:
        self.distance, self.embed = distance, embed
        self.rows = embed([solution_text(problem) for problem in problems])
        self.unsearched: frozenset[int] = frozenset()  # every text has a vector

    def matches(self, texts: Sequence[str]) -> Iterator[Match]:
        """Every problem that a function of a text is that close to, the closest function of each text."""
        import numpy as np

        pieces = [(document, span) for document, text in enumerate(texts) for span in _pieces(text)]
        if not pieces:
            return
        distinct = sorted({texts[document][start:end] for document, (start, end) in pieces})
        places = {piece: place for place, piece in enumerate(distinct)}
        distances = self.distances(distinct)
        best: dict[tuple[int, int], tuple[float, tuple[int, int]]] = {}
        for document, (start, end) in pieces:
            row = distances[places[texts[document][start:end]]]
            for number in np.flatnonzero(row <= self.distance).tolist():
                if float(row[number]) < best.get((document, number), (9.0,))[0]:
                    best[document, number] = (float(row[number]), (start, end))
        for (document, number), (distance, (start, end)) in best.items():
            text = texts[document][start : min(end, start + EXCERPT)]
            yield Match(document=document, problem=number, similarity=distance, start=start, end=end, text=text)

    def distances(self, pieces: Sequence[str]) -> Any:
        """The distance of each piece of text to each problem, shape (pieces, problems)."""
        import numpy as np

        likeness = self.embed(pieces) @ self.rows.T
        dense = likeness if isinstance(likeness, np.ndarray) else likeness.toarray()
        return np.sqrt(np.maximum(0.0, 2 - 2 * dense))


def solution_text(problem: Problem) -> str:
    """A problem's function as it would stand in a document; its program or question if there is no function."""
    named = [function for function in solutions(problem) if function.name == problem.entry]
    if named:
        return problem.program[named[-1].start : named[-1].end]
    return problem.program or problem.whole


def _pieces(text: str) -> list[tuple[int, int]]:
    """Where the functions of a document stand, or its beginning if it has none."""
    return [(function.start, function.end) for function in functions(text, nested=True)] or [(0, min(len(text), READ))]
