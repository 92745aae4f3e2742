"""Reads what a column's signal needs: tests of its pairs on the same samples, the runs of one model, a published prior.

The statistics are `evals.stats.signal`. Not here: the board's columns (`dashboard.board.signal`), printing.
"""

import tomllib
from collections.abc import Mapping, Sequence
from functools import cache
from itertools import combinations
from math import log
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

from evals.results.choice import chosen_scores, samples_of
from evals.results.recipe_runs import read_models
from evals.stats.paired import paired_difference
from evals.stats.signal import PairTest, Signal, signal_of
from evals.stats.summary import SampleScore
from evals.task import Task
from evals.tasks import benchmark_of, chance_of
from zoo.db.rows import read_results_of
from zoo.errors import ZooError
from zoo.metrics import Metric, metric_of
from zoo.records import Record, Score
from zoo.registry import Registry

MOST_ROWS = 16  # 120 pairs: above, reading and testing would take longer than the rest of a board
PUBLISHED = Path(__file__).parents[1] / "decision_accuracy.toml"


class Prior(Record, frozen=True, kw_only=True):
    """How often a benchmark decided rightly between models of this size, as published, in percent."""

    percent: float
    parameters: float
    source: str
    brief: str


@cache
def _published() -> dict[str, Any]:
    return tomllib.loads(PUBLISHED.read_text(encoding="utf-8"))


def decision_accuracy(benchmark: str, parameters: float | None = None, metric: str = "") -> Prior | None:
    """The published decision accuracy of a benchmark at the nearest published size; None if there is none.

    parameters  of the models that are compared; None or less than the smallest: the smallest; more than 1B: none
    metric      only of shares there are any, none of bits per byte

    >>> decision_accuracy("boolq").percent, decision_accuracy("boolq", 1e9).percent, decision_accuracy("boolq", 7e9)
    (48, 70, None)
    """
    table = _published()
    row = table["accuracy"].get(benchmark_of(benchmark))
    if row is None or (parameters or 0) > table["largest"] or not metric_of(metric).is_share:
        return None
    sizes = table["sizes"]
    at = min(range(len(sizes)), key=lambda place: abs(log(sizes[place] / (parameters or sizes[0]))))
    return Prior(percent=row[at], parameters=sizes[at], source=table["source"], brief=table["brief"])


def read_tests(
    registry: Registry, scores: Mapping[str, Score], results: Mapping[str, str] | None = None
) -> tuple[PairTest, ...]:
    """The paired test of every pair of rows, in their order; empty if a row's samples are missing, or there are many.

    scores   by the row's key: of one column, on all samples
    results  the sha256 of each run's lines, where they are known already
    """
    if not 2 <= len(scores) <= MOST_ROWS:
        return ()
    try:
        rows = {key: samples_of(registry, score, results) for key, score in scores.items()}
    except ZooError:
        return ()
    tests = []
    for first, second in combinations(rows, 2):
        both = [sample for sample in rows[first] if sample in rows[second]]
        if not both:
            return ()
        metric = metric_of(scores[first].metric)
        tests.append(_test(first, second, [(rows[first][name], rows[second][name]) for name in both], metric))
    return tuple(tests)


def _test(first: str, second: str, both: Sequence[tuple[SampleScore, SampleScore]], metric: Metric) -> PairTest:
    stat = paired_difference(
        [a.value for a, _ in both], [b.value for _, b in both], [a.unit for a, _ in both], metric=metric
    )
    return PairTest(
        first=first, second=second, value=stat.value, low=stat.low, high=stat.high, p=stat.p, clusters=stat.clusters
    )


class TaskSignal(NamedTuple):
    """The signal of a task's main metric, with the tests behind it and the published prior."""

    signal: Signal
    tests: tuple[PairTest, ...]
    prior: Prior | None


def task_signal(registry: Registry, task: Task) -> TaskSignal:
    """The signal of a task's main metric among the newest version of each checkpoint here."""
    protocols, checkpoints = registry.protocols(), {one.digest: one for one in registry.list()}
    scores = [
        score
        for score in chosen_scores(registry, None, task.name, ())
        if score.checkpoint in checkpoints
        and score.protocol in protocols
        and (protocols[score.protocol].name, protocols[score.protocol].task_version) == (task.protocol, task.version)
        and (score.metric, score.subset) == (task.metrics[0], "all")
    ]
    named = {checkpoints[score.checkpoint].label: score for score in scores}
    own = [checkpoints[score.checkpoint] for score in named.values()]
    models = read_models(registry, own)
    tests = read_tests(registry, named, read_results_of(registry.database, task.name))
    scores = list(named.values())
    signal = signal_of(
        scores, [score.clusters if score.clusters < score.n else 0 for score in scores],
        [models.get(score.checkpoint, score.checkpoint) for score in scores],
        chance_of(task.name, task.metrics[0]), tests,
    )  # fmt: skip
    sizes = [checkpoint.parameters for checkpoint in own if checkpoint.parameters]
    prior = decision_accuracy(task.name, median(sizes) if sizes else None, task.metrics[0])
    return TaskSignal(signal=signal, tests=tests, prior=prior)


def short_text(signal: Signal) -> str:
    """The signal in a few words, for the head of a column; "" for fewer than two numbers.

    >>> from evals.stats.intervals import wilson
    >>> short_text(signal_of([wilson(20, 164), wilson(84, 164), wilson(91, 164)], [0] * 3))
    '2/3 pairs apart, noise 2% [0–8]'
    """
    if not signal.pairs:
        return ""
    noise = signal.noise
    text = f"{signal.resolved:,}/{signal.pairs:,} pairs apart"
    if noise.share is not None and noise.low is not None and noise.high is not None:
        text += f", noise {100 * noise.share:.0f}% [{100 * noise.low:.0f}–{100 * noise.high:.0f}]"
    return text


def signal_text(signal: Signal) -> str:
    r"""The signal in one sentence.

    >>> from evals.stats.intervals import wilson
    >>> numbers = [wilson(right, 100) for right in (24, 27, 80)]
    >>> print(signal_text(signal_of(numbers, [0] * 3, chance=0.25)).replace("; ", "\n"))
    2 of 3 pairs are apart at 5% with Holm's correction (by their intervals)
    noise is 2% [0–7%] of the variance between 3 models (noise: sampling error by the intervals)
    2 of 3 at chance
    """
    noise = signal.noise
    if not signal.pairs:
        return f"{noise.models} model{'' if noise.models == 1 else 's'}: nothing to tell apart"
    how = "by their intervals" if signal.tests == "intervals" else "paired tests on the same samples"
    if signal.largest_p is not None:
        how += f", largest p {'< 0.001' if signal.largest_p < 0.001 else f'{signal.largest_p:.3f}'}"
    verb = "pair is" if signal.pairs == 1 else "pairs are"
    texts = [f"{signal.resolved:,} of {signal.pairs:,} {verb} apart at 5% with Holm's correction ({how})"]
    source = {
        "seeds": f"spread over seeds, {noise.runs} runs", "paired samples": "sampling error of paired differences",
        "samples": "sampling error by the intervals",
    }.get(noise.source, "")  # fmt: skip
    if noise.share is not None and noise.low is not None and noise.high is not None:
        share = f"{100 * noise.share:.0f}% [{100 * noise.low:.0f}–{100 * noise.high:.0f}%]"
        texts.append(f"noise is {share} of the variance between {noise.models} models (noise: {source})")
    if signal.guessed:
        texts.append(f"{signal.guessed:,} of {signal.guessable:,} at chance")
    return "; ".join(texts)


def prior_text(prior: Prior) -> str:
    """The published decision accuracy in words, with its source in short."""
    return f"published decision accuracy at {prior.parameters / 1e6:.0f}M: {prior.percent:g}% ({prior.brief})"
