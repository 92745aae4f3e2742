"""Compares two recipes, each trained with several seeds, on the same samples: seeds crossed with samples.

Both are sampled. Var = samples + seeds of the one + seeds of the other; where both used the same seeds, the runs of one
seed are a pair, and the differences of the pairs are crossed with the samples instead. The parts are those of `seeds`
(Brennan 2001), the degrees of freedom Satterthwaite's. Two seeds show too little of how much a
seed moves a score; take three or more. tests/bench/simulate_decisions.py counts coverage and errors.

Not here: one seed each, which says nothing of other seeds (`paired` compares the two checkpoints).
"""

from collections.abc import Callable, Hashable, Sequence
from math import sqrt
from typing import Any

from evals.stats.intervals import LEVEL, student_quantile
from evals.stats.paired import SHARE, Difference, tango
from evals.stats.power import POWER, t_power
from evals.stats.seeds import crossed_variance, seed_variance, student_tail
from zoo.metrics import Metric
from zoo.records import Record

MOST_SEEDS, MOST_SAMPLES = 1_000, 10_000_000


class RecipeDifference(Record, frozen=True, kw_only=True):
    """The difference of two recipes' means, and where its uncertainty comes from.

    seeds            of the first and the second recipe
    paired           the seeds are the same, and the runs of one seed were paired
    spread           standard deviation from seed to seed of each recipe's score, chance in each sample taken off
    seed_share       with sample_share and rest_share: parts of the difference's variance, from the choice of seeds, of
                     samples, and from chance that is new in each run and sample; they add up to 1
    seeds_needed     seeds of each recipe with which a true difference as large is found four times in five, with these
                     samples; None if no number of seeds is enough
    samples_needed   the same in samples, with these seeds
    """

    difference: Difference
    seeds: tuple[int, int]
    paired: bool
    spread: tuple[float, float]
    seed_share: float
    sample_share: float
    rest_share: float
    seeds_needed: int | None
    samples_needed: int | None


def recipe_difference(
    first: Sequence[Sequence[float]], second: Sequence[Sequence[float]], clusters: Sequence[Hashable] | None = None,
    paired: bool = False, metric: Metric = SHARE,
) -> RecipeDifference:  # fmt: skip
    """The difference of two recipes over seeds and samples.

    first, second  scores, shape (seeds, samples), the same samples in the same order; two seeds or more each
    clusters       what samples share; None if all are alone
    paired         run for run the same seeds
    Raises         ValueError for fewer than two seeds or samples, or tables that do not fit

    >>> generator = __import__("random").Random(0)
    >>> table = lambda p: [[float(generator.random() < p) for _ in range(200)] for _ in range(3)]
    >>> r = recipe_difference(table(0.7), table(0.5))
    >>> r.difference.p < 0.01, r.seeds, round(r.seed_share + r.sample_share + r.rest_share, 9)
    (True, (3, 3), 1.0)
    """
    n = len(first[0]) if first else 0
    if min(len(first), len(second)) < 2 or n < 2 or any(len(run) != n for run in (*first, *second)):
        raise ValueError("give two or more seeds of each recipe, run on the same two or more samples.")
    if paired and len(first) != len(second):
        raise ValueError(f"{len(first)} and {len(second)} seeds cannot be paired: give the same seeds of both.")
    units = list(range(n)) if clusters is None else list(clusters)
    gaps = [a - b for a, b in zip(_means(first), _means(second), strict=True)]
    value = sum(gaps) / n
    pairs = [[a - b for a, b in zip(*runs, strict=True)] for runs in zip(first, second, strict=True)] if paired else []
    groups = [pairs] if paired else [first, second]
    variance, freedom = crossed_variance(groups, gaps, units)
    return RecipeDifference(
        difference=_test(value, (variance, freedom), gaps, len(set(units)), metric),
        seeds=(len(first), len(second)), paired=paired,
        spread=(_spread(first, units), _spread(second, units)), **_parts(groups, variance, units, value, n),
    )  # fmt: skip


def _test(
    value: float, spread: tuple[float, float], gaps: Sequence[float], clusters: int, metric: Metric
) -> Difference:
    """The t interval and test; where nothing varies, what as many tied pairs leave open. spread: with its freedom."""
    variance, freedom = spread
    wins, losses = (sum(metric.merit(sign * gap) > 0 for gap in gaps) for sign in (1, -1))
    if variance > 1e-18:
        half, p = (
            student_quantile(freedom, LEVEL) * sqrt(variance),
            2 * student_tail(-abs(value) / sqrt(variance), freedom),
        )
    else:
        half, p = tango(0, 0, clusters)[1], 1.0
    most = metric.highest
    return Difference(
        value=value, low=max(-most, value - half), high=min(most, value + half), p=p, method="seeds and samples",
        n=len(gaps), clusters=clusters, wins=wins, losses=losses, ties=len(gaps) - wins - losses,
    )  # fmt: skip


def _parts(
    groups: Sequence[Sequence[Sequence[float]]], variance: float, units: Sequence[Hashable], value: float, n: int
) -> dict[str, Any]:
    """The shares of the variance, and the seeds and samples that would decide."""
    each = [(len(runs), *seed_variance(runs, units)) for runs in groups]
    seeds = sum(max(0.0, between - rest) for _, between, rest in each)
    rest = min(sum(rest for _, _, rest in each), max(0.0, variance - seeds))
    samples = max(0.0, variance - seeds - rest)
    count = min(size for size, _, _ in each)
    of_seeds = sum(size - 1 for size, _, _ in each) / (count - 1)  # degrees of freedom for each seed more

    def finds(more_seeds: float, more_samples: float) -> bool:
        of_seed = seeds / more_seeds
        total = of_seed + samples / more_samples + rest / more_seeds / more_samples
        freedom = (count * more_seeds - 1) * of_seeds
        return t_power(abs(value), total, freedom * (total / of_seed) ** 2 if of_seed else 1e6) >= POWER

    whole = variance or 1.0
    return {
        "seed_share": seeds / whole, "rest_share": rest / whole, "sample_share": 1 - (seeds + rest) / whole,
        "seeds_needed": _least(lambda k: finds(k / count, 1.0), 2, MOST_SEEDS) if value else None,
        "samples_needed": _least(lambda size: finds(1.0, size / n), 2, MOST_SAMPLES) if value else None,
    }  # fmt: skip


def _least(enough: Callable[[int], bool], low: int, most: int) -> int | None:
    """The least number from low to most that is enough; None if none is."""
    if not enough(most):
        return None
    high = most
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if enough(middle) else (middle + 1, high)
    return low


def _means(runs: Sequence[Sequence[float]]) -> list[float]:
    return [sum(column) / len(runs) for column in zip(*runs, strict=True)]


def _spread(runs: Sequence[Sequence[float]], units: Sequence[Hashable]) -> float:
    between, rest = seed_variance(runs, units)
    return sqrt(max(0.0, between - rest) * len(runs))
