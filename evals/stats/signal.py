"""How much of what separates the models of a column is noise: whether its differences can decide anything.

The spread over models holds their true spread and the noise of each number. Noise is the spread over runs of one model
that differ by seed alone, or over its last states, where there are such runs; else the sampling error of the numbers:
of their differences on the same samples, or what their intervals say. Not here: which runs those are
(`evals.results.signal`).

Sources  Heineman et al. 2025, arXiv:2508.13144 (signal and noise of a benchmark; there a range over a standard
         deviation, here a share of variances, which has an interval); Shrout and Fleiss 1979, Psychological Bulletin
         86:420 (one minus this share is the reliability of the means, and its interval is F's).
"""

from collections.abc import Sequence
from math import isfinite
from statistics import fmean, median, variance
from typing import Literal

from msgspec.structs import replace

from evals.stats.intervals import LEVEL, student_quantile
from evals.stats.paired import holm
from evals.stats.ranks import HasInterval, standings
from zoo.records import Record

CHANCE = 1 - LEVEL  # of any false claim in a column
MANY = 1e9  # degrees of freedom of an error that is known

Source = Literal["", "seeds", "paired samples", "samples"]


class PairTest(Record, frozen=True):
    """The difference of two numbers of a column on the same samples: first - second, its interval, p and clusters."""

    first: str
    second: str
    value: float
    low: float
    high: float
    p: float
    clusters: int


class Noise(Record, frozen=True):
    """The share of the variance between models that is noise, 0..1, with its 95% interval.

    share    None: fewer than two models, or no two of them differ
    models   that were compared; runs of one model count once
    runs     behind the noise, where it is the spread over seeds
    source   "seeds": spread over the runs of a model; "paired samples": sampling error of the differences on the same
             samples; "samples": sampling error by the intervals
    """

    share: float | None
    low: float | None
    high: float | None
    models: int
    source: Source
    runs: int = 0


class Signal(Record, frozen=True):
    """What a column's differences between these models are worth.

    pairs, resolved  pairs of numbers, and those told apart at 5% by Holm over all pairs of the column
    tests            "paired": on the same samples; "intervals": as independent numbers
    largest_p        p adjusted by Holm of the pair that is least clearly apart; None: judged by intervals
    guessed          numbers whose interval holds what guessing scores, of the `guessable` ones
    """

    noise: Noise
    pairs: int
    resolved: int
    tests: Literal["paired", "intervals"]
    largest_p: float | None = None
    guessed: int = 0
    guessable: int = 0


def noise_of_seeds(models: Sequence[Sequence[float]]) -> Noise | None:
    """The noise by the spread over each model's runs; None where no model has two runs, or none of them differ.

    models  the numbers of the runs of each model, one or more each

    >>> noise = noise_of_seeds([[1.0, 1.2], [2.0, 2.2], [3.1, 2.9]])
    >>> round(noise.share, 4), noise.runs
    (0.0111, 6)
    """
    repeated = [runs for runs in models if len(runs) > 1]
    freedom = sum(len(runs) - 1 for runs in repeated)
    if not freedom:
        return None
    single = sum((len(runs) - 1) * variance(runs) for runs in repeated) / freedom
    if single <= 0:  # no spread seen is not no spread
        return None
    error = fmean(single / len(runs) for runs in models)
    noise = _share(error, [fmean(runs) for runs in models], freedom, "seeds")
    return replace(noise, runs=sum(map(len, repeated)))


def noise_of_samples(numbers: Sequence[HasInterval], clusters: Sequence[int]) -> Noise:
    """The noise by the intervals of single numbers.

    clusters  independent samples behind each interval, by which it is Student's; 0: it is the normal's
    """
    errors = [
        (number.high - number.low) / (2 * student_quantile(count - 1 if count > 1 else MANY))
        for number, count in zip(numbers, clusters, strict=True)
    ]
    freedom = median(count - 1 if count > 1 else MANY for count in clusters) if clusters else MANY
    return _share(
        fmean(error**2 for error in errors) if errors else 0.0, [number.value for number in numbers], freedom, "samples"
    )


def noise_of_pairs(numbers: Sequence[float], tests: Sequence[PairTest]) -> Noise:
    """The noise by the sampling error of every pair's difference on the same samples.

    tests  of all pairs. Half the mean of their variances is a number's own noise in such a comparison
    """
    errors = [((pair.high - pair.low) / (2 * student_quantile(max(pair.clusters - 1, 1)))) ** 2 / 2 for pair in tests]
    freedom = median(max(pair.clusters - 1, 1) for pair in tests) if tests else MANY
    return _share(fmean(errors) if errors else 0.0, numbers, freedom, "paired samples")


def signal_of(
    numbers: Sequence[HasInterval], clusters: Sequence[int], models: Sequence[str] = (), chance: float | None = None,
    tests: Sequence[PairTest] = (), resolved: int | None = None,
) -> Signal:  # fmt: skip
    """The signal of a column.

    numbers   one a row, in any unit
    clusters  independent samples behind each interval; 0: all samples are alone
    models    the model that each number is a run of: its seeds or states have one name. Empty: one each
    chance    what guessing scores, in the numbers' unit; None: nothing to guess
    tests     of every pair on the same samples, in the numbers' unit, if all rows have their samples; else empty
    resolved  pairs apart by intervals, if they are counted already
    Raises    ValueError if there are tests of some pairs only
    """
    count = len(numbers)
    pairs = count * (count - 1) // 2
    if tests and len(tests) != pairs:
        raise ValueError(f"{len(tests)} tests of {pairs} pairs: give one of each, or none.")
    groups: dict[str, list[float]] = {}
    for name, number in zip(models or map(str, range(count)), numbers, strict=True):
        groups.setdefault(name, []).append(number.value)
    noise = noise_of_seeds(list(groups.values()))
    if noise is None:
        noise = (
            noise_of_pairs([number.value for number in numbers], tests) if tests
            else noise_of_samples(numbers, clusters)
        )  # fmt: skip
    signal = Signal(noise=noise, pairs=pairs, resolved=0, tests="intervals")
    if chance is not None:
        guessed = sum(number.low <= chance <= number.high for number in numbers)
        signal = replace(signal, guessed=guessed, guessable=count)
    if tests:
        adjusted = holm([test.p for test in tests])
        apart = sum(p <= CHANCE + 1e-12 for p in adjusted)
        return replace(signal, resolved=apart, tests="paired", largest_p=max(adjusted))
    if resolved is None:  # each pair is counted once: where the lower row's best rank is
        resolved = sum(row.first - 1 for row in standings(numbers, clusters=clusters))
    return replace(signal, resolved=resolved)


def pairs_apart(columns: Sequence[Sequence[PairTest]]) -> tuple[int, int]:
    """The pairs of models that any of several columns tells apart, and all pairs that were tested.

    columns  the tests of each column; Holm's correction is over all pairs of all columns
    """
    tests = [test for column in columns for test in column]
    adjusted = holm([test.p for test in tests])
    names = [frozenset((test.first, test.second)) for test in tests]
    apart = {name for name, p in zip(names, adjusted, strict=True) if p <= CHANCE + 1e-12}
    return len(apart), len(set(names))


def _share(error: float, means: Sequence[float], freedom: float, source: Source) -> Noise:
    """Noise from the variance of a mean's error, known with this freedom; the share is at most 1."""
    count = len(means)
    spread = variance(means) if count > 1 else 0.0
    if spread <= 0 or error <= 0 or not isfinite(error):
        return Noise(share=None, low=None, high=None, models=count, source="" if count < 2 else source)
    from scipy.special import chdtri, fdtri

    between = count - 1
    low, high = (
        float(chdtri(between, 1 - tail)) / between if freedom >= MANY / 2 else float(fdtri(between, freedom, tail))
        for tail in (CHANCE / 2, 1 - CHANCE / 2)
    )
    share = error / spread
    return Noise(
        share=min(1.0, share), low=min(1.0, low * share), high=min(1.0, high * share), models=count, source=source
    )
