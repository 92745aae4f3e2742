"""Simulates how often a 95% interval holds the true value: clusters, strata, seeds.

Clusters have a Beta chance of their own, whose spread is the correlation inside a cluster. Strata have chances that
are drawn once and stay; only the answers are drawn again. Each line is the least and the most over the correlations.
By symmetry p stands for 1 - p too.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from evals.stats.intervals import mean_interval, totals_interval
from evals.stats.seeds import combine

# questions of MMLU's 57 subjects, BBH's 27 subtasks and the 16 SQuAD articles that are pinned here
MMLU = (
    *(100,) * 10, 102, 103, 108, 110, 112, 114, 121, 126, 131, 135, 144, 145, 151, 152, 163, 165, 166, 171, 173,
    193, 198, 201, 203, 204, 216, 223, 234, 235, 237, 238, 245, 265, 270, 272, 282, 306, 310, 311, 324, 346, 378,
    390, 545, 612, 783, 895, 1534,
)  # fmt: skip
BBH = (*(250,) * 24, 146, 178, 187)
SQUAD = (208, 255, 262, 357, 364, 373, 377, 384, 402, 418, 421, 424, 444, 445, 458, 486)
CLUSTERS = {
    "164 problems x 20 draws": (20,) * 164, "25 problems x 20 draws": (20,) * 25, "16 articles": SQUAD,
    "27 clusters": BBH, "57 clusters": MMLU,
}  # fmt: skip
STRATA = {"27 strata, as BBH": BBH, "57 strata, as MMLU": MMLU, "57 strata of 20": (20,) * 57}
SHARES = (0.005, 0.01, 0.02, 0.03, 0.05, 0.07, 0.1, 0.15, 0.2, 0.3, 0.5)
CORRELATIONS = (0.1, 0.3, 0.5, 0.7, 0.9)
HETEROGENEITY = (0.003, 0.05, 0.3)


def clusters_cover(sizes: Sequence[int], p: float, correlation: float, count: int, seed: int = 0) -> float:
    """The share of intervals that hold p, for clusters with Beta chances around it."""
    generator = np.random.default_rng(seed)
    odds = (1 - correlation) / correlation
    chances = generator.beta(p * odds, (1 - p) * odds, (count, len(sizes)))
    totals = generator.binomial(np.array(sizes), chances).astype(float)
    intervals = [totals_interval(row, list(sizes)) for row in totals.tolist()]
    return float(np.mean([interval.low <= p <= interval.high for interval in intervals]))


def strata_cover(sizes: Sequence[int], p: float, spread: float, count: int, seed: int = 0) -> float:
    """The share of intervals that hold the mean over strata whose chances are fixed, Beta with this spread."""
    generator = np.random.default_rng(seed)
    odds = (1 - spread) / spread
    chances = generator.beta(p * odds, (1 - p) * odds, len(sizes))
    truth = float(np.average(chances, weights=sizes))
    strata = np.repeat(np.arange(len(sizes)), sizes)
    own, strata_list = np.repeat(chances, sizes), strata.tolist()
    hits = []
    for _ in range(count):
        interval = mean_interval((generator.random(len(own)) < own).astype(float).tolist(), strata=strata_list)
        hits.append(interval.low <= truth <= interval.high)
    return float(np.mean(hits))


def seeds_cover(groups: int, size: int, runs: int, seed_spread: float, count: int, strata: bool = False) -> float:
    """The share of combined intervals that hold the truth: new seeds and new clusters (strata: the same ones)."""
    generator = np.random.default_rng(0)
    units = np.repeat(np.arange(groups), size).tolist()
    fixed = generator.uniform(0.3, 0.7, groups)
    hits = []
    for _ in range(count):
        chances = np.repeat(fixed if strata else generator.uniform(0.2, 0.8, groups), size)
        shift = generator.normal(0, seed_spread, (runs, 1))
        scores = (generator.random((runs, groups * size)) < chances + shift).astype(float).tolist()
        combined = combine(scores, None if strata else units, units if strata else None)
        truth = float(fixed.mean()) if strata else 0.5
        hits.append(combined.low <= truth <= combined.high)
    return float(np.mean(hits))


def coverage_table(quick: bool = False) -> list[dict[str, Any]]:
    """For each layout and share the least and the most coverage over the correlations, in percent."""
    count = 60 if quick else 1000
    rows = [
        _row(name, p, [clusters_cover(sizes, p, rho, 2 * count, seed=1) for rho in CORRELATIONS])
        for name, sizes in CLUSTERS.items()
        for p in SHARES
    ]
    rows += [
        _row(name, p, [strata_cover(sizes, p, spread, count // 6) for spread in HETEROGENEITY])
        for name, sizes in STRATA.items()
        for p in (0.02, 0.25, 0.5)
    ]
    kinds = (("3 seeds x 16 clusters of 20", False), ("3 seeds x 16 strata of 20", True))
    return rows + [
        _row(name, 0.5, [seeds_cover(16, 20, 3, spread, count // 3, strata) for spread in (0.0, 0.02, 0.05)])
        for name, strata in kinds
    ]


def _row(layout: str, p: float, coverage: Sequence[float]) -> dict[str, Any]:
    return {"layout": layout, "p": p, "least": round(100 * min(coverage), 1), "most": round(100 * max(coverage), 1)}
