"""Ranks from paired tests of all rows of a column at once: a step-down max-T test with shared sign flips.

Under equal models the sign of each sample's (or cluster's) difference could as well be the other. All pairs are flipped
together, and a pair is separated where its statistic is above the largest that 95% of the flips reach among the pairs
not yet separated. The limit is a quantile of these largest values, not a tiny p, so 10,000 flips are enough for any
number of rows; and it knows that pairs with a row in common vary together, so it separates more pairs than Holm's.

Sources  Westfall and Young 1993, Resampling-Based Multiple Testing, section 2.8 (step-down max-T); Romano and Wolf
         2005, JASA 100:94 (why it controls the chance of any false claim); Al Mohamad, Goeman and van Zwet 2022,
         Biometrics 78:1346 (ranks from such tests). Sign flips keep the covariance of the pairs, not their skewness:
         the control is exact for one pair and by simulation for more (docs/statistics.md).
"""

from collections.abc import Hashable, Sequence
from math import inf
from typing import Any, NamedTuple

from evals.stats.intervals import LEVEL
from evals.stats.paired import sign_flips
from evals.stats.ranks import HasInterval, Rank, pair_p_values, ranks_from_pairs
from zoo.records import Record

FLIPS = 9_999  # the limit is right to 0.2 points of the level
BLOCK = 500  # flips that are drawn at a time
PATCHY = 500  # samples that some row lacks; with more, the row with the fewest samples is compared by intervals


class PairedRanks(Record, frozen=True):
    """The ranks of a column's rows by paired tests.

    ranks   one a row, order kept
    paired  the rows whose samples were compared; the others are compared by their intervals
    flips   sign flips that were counted
    exact   these are all there are
    """

    ranks: tuple[Rank, ...]
    paired: tuple[int, ...]
    flips: int
    exact: bool


def paired_ranks(
    rows: Sequence[HasInterval], scores: Any, clusters: Sequence[Hashable], level: float = LEVEL, seed: int = 0,
    groups: Sequence[int] | None = None,
) -> PairedRanks:  # fmt: skip
    """The rank interval of each row of a column, all at once; the highest value is rank 1.

    rows      the values that order the rows, and the intervals for rows without samples
    scores    each row's score of each sample, shape (rows, samples), NaN where it has none
    clusters  what samples share, one name a sample; its own where it is alone
    groups    independent groups behind each row's interval, as in `ranks`
    Returns   ranks of which none misses its model's true rank in 95% of columns. Two rows have
              `paired_difference`'s verdict, by sign flips. 100 rows of 14,000 samples take about 3 seconds.
    """
    import numpy as np

    scores = np.asarray(scores, dtype=float).reshape(len(rows), len(clusters))
    paired = _comparable(scores)
    value = np.array([row.value for row in rows], dtype=float)
    beats = np.zeros((len(rows), len(rows)), dtype=bool)
    count, every = len(paired) * (len(paired) - 1) // 2, len(rows) * (len(rows) - 1) // 2
    flips, exact = 0, True
    if count:
        column = _column(scores[paired], clusters)
        flipped = _flip(column, seed)
        # the chance of a false claim is shared out between the two kinds of pairs by their number
        beats[np.ix_(paired, paired)] = _separate(column, flipped, (1 - level) * count / every)
        flips, exact = flipped.totals.shape[1], flipped.exact
    if count < every:
        beats |= _by_intervals(pair_p_values(rows, level, groups), paired, (1 - level) * (every - count) / every)
    beats &= value[:, None] > value[None, :]
    return PairedRanks(ranks=tuple(ranks_from_pairs(value, beats)), paired=tuple(paired), flips=flips, exact=exact)


def _comparable(scores: Any) -> list[int]:
    """The rows that are compared sample by sample: those with samples, and few samples that only some have."""
    import numpy as np

    known = ~np.isnan(scores)
    paired = [row for row in range(len(scores)) if known[row].any()]
    while len(paired) > 1:
        patchy = (known[paired].any(axis=0) & ~known[paired].all(axis=0)).sum()
        if patchy <= PATCHY:
            return paired
        paired.remove(min(paired, key=lambda row: (known[row].sum(), -row)))
    return []


def _by_intervals(p: Any, paired: Sequence[int], chance: float) -> Any:
    """The pairs with a row that has no samples here, which the p of their intervals separates, by Holm."""
    import numpy as np

    first, second = np.triu_indices(len(p), 1)
    inside = np.isin(first, paired) & np.isin(second, paired)
    first, second = first[~inside], second[~inside]
    passed = np.zeros(len(first), dtype=bool)  # by `paired.holm`, on the millions of pairs of thousands of rows
    order = np.argsort(p[first, second], kind="stable")
    steps = (len(order) - np.arange(len(order))) * p[first, second][order]
    passed[order] = np.maximum.accumulate(np.minimum(1.0, steps)) <= chance
    beats = np.zeros(p.shape, dtype=bool)
    beats[first[passed], second[passed]] = beats[second[passed], first[passed]] = True
    return beats


class _Column(NamedTuple):
    """The scores of a column's rows by cluster, ready to be compared and flipped.

    totals   sum of a row's scores in each cluster, over the samples that every row has, shape (rows, clusters)
    patches  a row's scores of the samples that some row lacks, 0 where it does, shape (rows, patches)
    known    which of these a row has
    group    the cluster of each, a column of `totals`
    number   float32 where all scores are whole numbers, so that sums stay exact; else float64
    """

    totals: Any
    patches: Any
    known: Any
    group: Any
    number: Any


class _Flips(NamedTuple):
    """A column under sign flips. totals: shape (rows, flips); signs: of the patches, shape (patches, flips)."""

    totals: Any
    signs: Any
    exact: bool


def _column(scores: Any, clusters: Sequence[Hashable]) -> _Column:
    import numpy as np

    known = ~np.isnan(scores)
    whole = known.all(axis=0)
    patchy = known.any(axis=0) & ~whole
    order = {cluster: place for place, cluster in enumerate(dict.fromkeys(clusters))}
    group = np.array([order[cluster] for cluster in clusters])
    totals = np.array([np.bincount(group[whole], weights=own[whole], minlength=len(order)) for own in scores])
    moved = (totals != totals[0]).any(axis=0)  # a cluster on which all rows agree adds nothing to any difference
    moved[group[patchy]] = True
    return _Column(
        totals=totals[:, moved],
        patches=np.where(known, scores, 0.0)[:, patchy],
        known=known[:, patchy],
        group=(np.cumsum(moved) - 1)[group[patchy]],
        number=np.float32 if (scores[known] % 1 == 0).all() else np.float64,
    )


def _patch_gaps(column: _Column, row: int) -> Any:
    """A row's difference from each row on the patches that both have, shape (rows, patches)."""
    return (column.patches[row] - column.patches) * column.known[row] * column.known


def _gaps(column: _Column, row: int) -> Any:
    """A row's difference from each row by cluster, over the samples that both have, shape (rows, clusters)."""
    import numpy as np

    gaps = column.totals[row] - column.totals
    if len(column.group):
        at: Any = (slice(None), column.group)
        np.add.at(gaps, at, _patch_gaps(column, row))
    return gaps


def _flip(column: _Column, seed: int) -> _Flips:
    """All flips of the signs of the clusters if they are few, else `FLIPS` seeded ones."""
    import numpy as np

    width = column.totals.shape[1]
    exact = width < FLIPS.bit_length()  # all of them are fewer than FLIPS
    count = 2**width if exact else FLIPS
    generator = np.random.default_rng(seed)
    flips = _Flips(
        totals=np.empty((len(column.totals), count), dtype=column.number),
        signs=np.empty((len(column.group), count), dtype=column.number),
        exact=exact,
    )
    totals = column.totals.astype(column.number)
    for start in range(0, count, BLOCK):
        part = np.arange(start, min(start + BLOCK, count))
        bits: Any
        if exact:
            bits = part[:, None] >> np.arange(width) & 1
        else:
            drawn = np.frombuffer(generator.bytes(len(part) * ((width + 7) // 8)), np.uint8)
            bits = np.unpackbits(drawn.reshape(len(part), -1), axis=1, count=width)
        signs: Any = 2 * bits.T.astype(column.number) - 1
        flips.totals[:, part] = totals @ signs
        flips.signs[:, part] = signs[column.group]
    return flips


def _separate(column: _Column, flips: _Flips, chance: float) -> Any:
    """The pairs that the step-down test separates, both ways round, shape (rows, rows)."""
    import numpy as np

    size = len(column.totals)
    sums, squares = np.zeros((size, size)), np.zeros((size, size))
    for row in range(size):
        gaps = _gaps(column, row)
        sums[row], squares[row] = gaps.sum(axis=1), (gaps * gaps).sum(axis=1)
    squares[squares < 1e-18] = np.inf
    scale: Any = (1 / np.sqrt(squares)).astype(column.number)  # no flip changes the squares
    statistic: Any = np.abs(sums).astype(column.number) * scale
    left = np.triu(statistic > 0, 1)
    separated = np.zeros((size, size), dtype=bool)
    while left.any():
        if left.sum() == 1:  # a single pair is the paired test, whose p is exact more often
            first, second = np.argwhere(left)[0].tolist()
            separated[first, second] = sign_flips(_gaps(column, first)[second].tolist()).p <= chance
            break
        passed = left & (statistic > _limit(column, flips, scale, left, chance))
        if not passed.any():
            break
        separated |= passed
        left &= ~passed
    return separated | separated.T


def _limit(column: _Column, flips: _Flips, scale: Any, left: Any, chance: float) -> float:
    """The value that the largest statistic of the pairs that are left exceeds in no more than this share of flips."""
    import numpy as np

    count = flips.totals.shape[1]
    largest = np.zeros(count, dtype=column.number)
    for row in range(len(left) - 1):
        others = np.flatnonzero(left[row])
        if not len(others):
            continue
        gaps = flips.totals[others] - flips.totals[row]
        if len(column.group):
            gaps -= _patch_gaps(column, row)[others].astype(column.number) @ flips.signs
        np.abs(gaps, out=gaps)
        gaps *= scale[row, others, None]
        np.maximum(largest, gaps.max(axis=0), out=largest)
    # the signs as they are count as one more flip, where they are not among all flips anyway
    allowed = int(chance * count + 1e-9) if flips.exact else int(chance * (count + 1) + 1e-9) - 1
    if allowed < 0:
        return inf
    limit = np.partition(largest, count - 1 - allowed)[count - 1 - allowed]
    return float(limit) * (1 + 1e-6)  # a value equal to it, up to rounding, is not above it
