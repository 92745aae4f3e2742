"""All pairs of texts whose sets of n-grams have a Jaccard index of at least 0.8, exactly; and what a side made of them.

No hashing by chance: of two such sets the rarest fifth (and one more) of one shares an n-gram with that of the
other, in any order of the n-grams (prefix filtering; Chaudhuri et al. 2006, Bayardo et al. 2007). Every pair
that does is compared exactly. On a part of the texts `brute_force` compares every pair.
"""

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

Pairs = dict[int, set[int]]


def sets_of(texts: Sequence[str]) -> list[Any]:
    """The set of n-grams of each text, sorted."""
    from training.data.dedup.shingles import shingles

    return [shingles(text) for text in texts]


def pairs_at(sets: Sequence[Any], tenths: int = 8) -> Pairs:
    """item -> all others at a Jaccard index of `tenths` / 10 or more."""
    _, names, counts = np.unique(np.concatenate(sets), return_inverse=True, return_counts=True)
    rank = np.empty(len(counts), dtype=np.int64)
    rank[np.argsort(counts, kind="stable")] = np.arange(len(counts))
    ranked, marks, owners, start = rank[names], [], [], 0
    for item, one in enumerate(sets):
        size = len(one)
        rarest: Any = np.sort(ranked[start : start + size])[: size - -(-size * tenths // 10) + 1] if size else []
        marks.append(np.asarray(rarest, dtype=np.int64))
        owners.append(np.full(len(rarest), item))
        start += size
    found: Pairs = {}
    for one, other in sorted(set(_sharing(np.concatenate(marks), np.concatenate(owners)))):
        if jaccard_at(sets[one], sets[other], tenths):
            found.setdefault(one, set()).add(other)
            found.setdefault(other, set()).add(one)
    return found


def _sharing(marks: Any, owners: Any) -> Iterator[tuple[int, int]]:
    order = np.argsort(marks, kind="stable")
    marks, owners = marks[order], owners[order]
    for group in np.split(owners, np.flatnonzero(np.diff(marks)) + 1):
        for place, one in enumerate(group.tolist() if len(group) > 1 else ()):
            for other in group[place + 1 :].tolist():
                yield one, other


def jaccard_at(first: Any, second: Any, tenths: int) -> bool:
    both = len(np.intersect1d(first, second, assume_unique=True))
    union = len(first) + len(second) - both
    return bool(union) and 10 * both >= tenths * union


def brute_force(sets: Sequence[Any], tenths: int = 8) -> Pairs:
    """The same by the product of the matrix of all sets with itself."""
    from scipy.sparse import csr_matrix

    _, names = np.unique(np.concatenate(sets), return_inverse=True)
    sizes = np.array([len(one) for one in sets])
    matrix = csr_matrix((np.ones(len(names), np.int32), (np.repeat(np.arange(len(sets)), sizes), names)))
    both = (matrix @ matrix.T).tocoo()
    union = sizes[both.row] + sizes[both.col] - both.data
    near = (both.row != both.col) & (10 * both.data >= tenths * union)
    found: Pairs = {}
    for one, other in zip(both.row[near].tolist(), both.col[near].tolist(), strict=True):
        found.setdefault(one, set()).add(other)
    return found


class Judged(NamedTuple):
    """What a side dropped: with a kept twin, without one, and what it should have dropped beside."""

    founded: int
    unfounded: int
    missed: int

    @property
    def recall(self) -> float:
        return self.founded / max(1, self.founded + self.missed)


def judged(dropped: set[int], pairs: Pairs, number: int) -> Judged:
    """One side's drops against all true pairs. Which of two twins is dropped is the side's own choice."""
    founded = sum(any(other not in dropped for other in pairs.get(item, ())) for item in dropped)
    left = set[int]()
    for item in range(number):
        if item not in dropped and any(
            other < item and other not in dropped and other not in left for other in pairs.get(item, ())
        ):
            left.add(item)
    return Judged(founded, len(dropped) - founded, len(left))
