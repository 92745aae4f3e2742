"""Simulates the tests of `evals.stats`: is the claimed power found, and is the chance of any false rank at most 5%?

`bench_statistics.py` prints both tables. `power_table` takes a task's real cluster sizes, asks `evals.stats.power` for
the difference that has 80% power, draws pairs of models with exactly this difference and runs the test that
`phizoo eval compare` runs. `family_table` draws columns of models, of which some or all are equal, and counts the
columns with any false rank, and the true differences that are separated, beside Holm's correction of the same exact
tests.
"""

from collections.abc import Sequence
from functools import cache
from typing import Any

import numpy as np

from evals.stats import paired_ranks as paired_ranks_module
from evals.stats.intervals import wilson
from evals.stats.paired import holm, mcnemar, z_unpaired
from evals.stats.paired_ranks import paired_ranks
from evals.stats.power import (
    CLUSTER_CORRELATION,
    DRAW_CORRELATION,
    Effective,
    group_sizes,
    independent,
    planned,
    resolution,
)
from evals.tasks import task

BATCH = 100  # pairs simulated at a time
FLIPS = 2000  # of each simulated sign-flip test: p near 0.05 is right to 0.5 points, power to 0.1
LAYOUTS = (  # task, draws, limit
    ("humaneval", 1, None), ("humaneval", 20, None), ("humaneval", 2, None), ("gsm8k", 1, None), ("boolq", 1, None),
    ("siqa", 1, None), ("hellaswag", 1, None), ("squad", 1, None), ("squad_v2", 1, None), ("bbh", 1, None),
    ("mmlu", 1, None), ("boolq", 1, 100), ("squad", 1, 200), ("squad_v2", 1, 2500), ("humaneval", 1, 20),
)  # fmt: skip


def power_table(quick: bool = False) -> list[dict[str, Any]]:
    """For each layout the difference said to have 80% power, in points, and the power found, in percent."""
    rows = []
    for name, draws, limit in LAYOUTS:
        sizes = _sizes(name, limit)
        effective = planned(sizes, draws)
        difference = resolution(effective).paired
        if difference is None:
            raise ValueError(f"{name}: no difference is resolved")
        count = 400 if quick else 4000 if effective.n < 5000 else 2000
        power = _paired_power(sizes, draws, difference, count, np.random.default_rng(0))
        rows.append(
            {"layout": name + (f" x {draws}" if draws > 1 else "") + (f", first {limit}" if limit else ""),
             "n": effective.n, "clusters": effective.clusters, "test": _test(effective, draws), "runs": count,
             "resolves": round(100 * difference, 1), "power": round(100 * power, 1)}
        )  # fmt: skip
    for n in (20, 164, 1319):
        difference = resolution(n).unpaired or 1.0
        count = 20_000
        first, second = np.random.default_rng(0).binomial(
            n, [[0.5 + difference / 2], [0.5 - difference / 2]], (2, count)
        )
        power = float(np.mean([_unpaired_rejects(int(a), int(b), n) for a, b in zip(first, second, strict=True)]))
        rows.append(
            {"layout": f"{n} samples, unpaired", "n": n, "clusters": n, "test": "z", "runs": count,
             "resolves": round(100 * difference, 1), "power": round(100 * power, 1)}
        )  # fmt: skip
    return rows


def _sizes(name: str, limit: int | None) -> list[int]:
    spec = task(name)
    samples = [sample.cluster for sample in spec.samples()][:limit]
    return [1] * len(samples) if spec.groups == "strata" else group_sizes(samples)


def _test(effective: Effective, draws: int) -> str:
    return "McNemar" if draws == 1 and effective == independent(effective.n) else "sign flips"


def _paired_power(sizes: Sequence[int], draws: int, difference: float, count: int, generator: Any) -> float:
    """The share of simulated pairs with that difference that the test finds; a quarter of the samples is discordant."""
    significant = 0
    starts = np.cumsum([0, *sizes[:-1]])
    signs = generator.choice(np.array([-1, 1], dtype=np.float32), (len(sizes), FLIPS))
    for _ in range(0, count, BATCH):
        if draws > 1:
            gaps = _over_draws(sum(sizes), draws, difference, generator)
        else:
            gaps = _gaps(sizes, difference, generator)
        if draws == 1 and max(sizes) == 1:
            wins, losses = (gaps > 0).sum(axis=1), (gaps < 0).sum(axis=1)
            significant += sum(_mcnemar(int(w), int(x)) <= 0.05 for w, x in zip(wins, losses, strict=True))
            continue
        totals = np.add.reduceat(gaps, starts, axis=1).astype(np.float32)
        as_far = (np.abs(totals @ signs) >= np.abs(totals.sum(axis=1))[:, None] - 1e-3).sum(axis=1)
        significant += int(((1 + as_far) / (1 + FLIPS) <= 0.05).sum())
    return significant / count


_mcnemar = cache(mcnemar)


def _gaps(sizes: Sequence[int], difference: float, generator: Any) -> Any:
    """Differences of -1, 0 and 1, shape (batch, samples): two of a cluster correlate by CLUSTER_CORRELATION."""
    discordant = max(0.25, difference)
    shares = np.array([(discordant - difference) / 2, 1 - discordant, (discordant + difference) / 2])
    if max(sizes) == 1:
        return generator.choice([-1.0, 0.0, 1.0], (BATCH, sum(sizes)), p=shares)
    # each cluster has shares of its own, from a Dirichlet distribution with this sum of its parameters
    own = generator.dirichlet(np.maximum(shares, 1e-9) * (1 / CLUSTER_CORRELATION - 1), (BATCH, len(sizes)))
    drawn = generator.random((BATCH, sum(sizes)))
    worse, not_better = (np.repeat(part, sizes, axis=1) for part in (own[..., 0], own[..., :2].sum(axis=2)))
    return np.where(drawn < worse, -1.0, np.where(drawn < not_better, 0.0, 1.0))


def _over_draws(n: int, draws: int, difference: float, generator: Any) -> Any:
    """Differences of two models' shares of right draws, with the correlations that `planned` assumes."""
    spread = 1 / DRAW_CORRELATION - 1  # a + b of the Beta distribution of a sample's chance
    from scipy.special import betaincinv

    grid = (np.arange(20_000) + 0.5) / 20_000
    better, worse = (
        np.clip(betaincinv((0.5 + d) * spread, (0.5 - d) * spread, grid), 0, 1)
        for d in (difference / 2, -difference / 2)
    )
    first = generator.integers(len(grid), size=(BATCH, n))
    # in so many samples the two have the same difficulty that a quarter of single draws is discordant
    alone, together = (1 - difference**2) / 4, float((better * worse).mean())
    shared = (1 - 0.25 - 2 * alone) / (2 * (together - alone))
    second = generator.integers(len(grid), size=(BATCH, n))
    second = np.where(generator.random((BATCH, n)) < shared, first, second)
    return (generator.binomial(draws, better[first]) - generator.binomial(draws, worse[second])) / draws


def _unpaired_rejects(first: int, second: int, n: int) -> bool:
    """The unpaired test, by the normal quantile."""
    return abs(z_unpaired(first / n, second / n, n, n)) >= 1.959964


def family_table(quick: bool = False) -> list[dict[str, Any]]:
    """For each kind of column: columns with any false rank, and true differences separated, in percent; beside Holm's."""
    kinds = [
        ("10 equal rows", [0.5] * 10, [1] * 164), ("46 equal rows", [0.5] * 46, [1] * 164),
        ("46 equal rows near 0", [0.05] * 46, [1] * 164), ("60 equal rows of 16 clusters", [0.5] * 60, [20] * 16),
        ("10 equal rows of 8 clusters", [0.5] * 10, [20] * 8),
        ("half of 46 rows 25 points better", [0.4] * 23 + [0.65] * 23, [1] * 164),
        ("60 rows from 30 to 70", np.linspace(0.3, 0.7, 60).tolist(), [1] * 500),
    ]  # fmt: skip
    count = 60 if quick else 1000
    flips, paired_ranks_module.FLIPS = paired_ranks_module.FLIPS, 999  # as exact a level, a tenth of the time
    try:
        return [
            _family(about, np.array(truth), sizes, count, np.random.default_rng(0)) for about, truth, sizes in kinds
        ]
    finally:
        paired_ranks_module.FLIPS = flips


def _family(about: str, truth: Any, sizes: Sequence[int], count: int, generator: Any) -> dict[str, Any]:
    clusters = np.repeat(np.arange(len(sizes)), sizes).tolist()
    ordered = truth[:, None] > truth[None, :]
    different = int(ordered.sum())
    wrong, separated, by_holm, holms = 0, 0, 0, min(count, 50)
    for turn in range(count):
        scores = _column(truth, sizes, generator)
        rows = [wilson(float(row.sum()), len(row)) for row in scores]
        beats = np.ones((len(truth), len(truth)), dtype=bool)
        for row, rank in enumerate(paired_ranks(rows, scores, clusters, seed=turn).ranks):
            beats[row, [row, *rank.alike]] = False
        beats &= scores.mean(axis=1)[:, None] > scores.mean(axis=1)[None, :]
        wrong += bool((beats & ~ordered).any())
        separated += int((beats & ordered).sum())
        if turn < holms and different and max(sizes) == 1:
            by_holm += int((_holm_beats(scores) & ordered).sum())
    true = {"separated": round(100 * separated / count / different, 1)} if different else {}
    if different and max(sizes) == 1:
        true["separated by Holm"] = round(100 * by_holm / holms / different, 1)
    return {"column": about, "runs": count, "any false rank": round(100 * wrong / count, 1), **true}


def _column(truth: Any, sizes: Sequence[int], generator: Any) -> Any:
    """Right and wrong answers of each row: rows agree on easy samples, samples of a cluster are alike."""
    from scipy.special import ndtr

    n, rows = sum(sizes), len(truth)
    cluster = np.repeat(generator.normal(size=(rows, len(sizes))), sizes, axis=1)
    hard = generator.normal(size=n) * 0.7**0.5
    own = generator.normal(size=(rows, n))
    if max(sizes) > 1:
        own = 0.5 * cluster + 0.75**0.5 * own
    return (ndtr(hard + own * 0.3**0.5) < truth[:, None]).astype(float)


def _holm_beats(scores: Any) -> Any:
    """The pairs that Holm's correction of exact McNemar tests separates."""
    wins = scores @ (1 - scores).T
    first, second = np.triu_indices(len(scores), 1)
    p = holm([_mcnemar(int(wins[i, j]), int(wins[j, i])) for i, j in zip(first, second, strict=True)])
    beats = np.zeros(wins.shape, dtype=bool)
    for i, j, adjusted in zip(first, second, p, strict=True):
        if adjusted <= 0.05:
            beats[(i, j) if wins[i, j] > wins[j, i] else (j, i)] = True
    return beats
