"""Publishes a finished run's scores to the registry; refuses a number that would mislead."""

import time
from collections.abc import Sequence
from math import ceil
from typing import get_args

import msgspec

from evals.results.renew import renew_task
from evals.results.split import make_split, part_scores
from evals.run import FinishedRun
from evals.scoring.finite import NOT_FINITE
from evals.stats.summary import count_disputed, count_unfinished, summarise, unscored_samples
from evals.tasks import groups_of
from zoo.choice import run_facts
from zoo.coverage import Coverage
from zoo.digest import file_sha256
from zoo.errors import ZooError
from zoo.records import Score, Search, Subset
from zoo.registry import Registry

MOST_UNSCORED = 1.0  # percent of samples: the worst and the best case are at most a point apart


def scores(run: FinishedRun, searches: Sequence[Search] = (), covered: Coverage | None = None) -> list[Score]:
    """The score of every metric of a run, on all samples and on the parts that searches leave; nothing is published.

    covered  the part of the training data that the searches covered
    """
    evidence = file_sha256(run.path)
    whole = []
    for protocol in run.protocols:
        stat = summarise(run.results, protocol.metric, groups_of(protocol.task))
        score = Score(
            checkpoint=run.header.checkpoint, run=run.header.id, task=protocol.task,
            protocol=protocol.fingerprint, metric=protocol.metric, value=stat.value, low=stat.low, high=stat.high,
            n=stat.n, clusters=stat.clusters, unscored=stat.unscored, results=evidence,
            unfinished=count_unfinished(run.results), disputed=count_disputed(run.results),
            created=time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
            **run_facts(msgspec.to_builtins(run.header), protocol),
        )  # fmt: skip
        whole.append(score)
    if not searches or covered is None:
        return whole
    samples = (result.sample for result in run.results)
    return [*whole, *part_scores(whole, run.results, make_split(run.header.id, samples, searches, covered)[1])]


def publish(
    registry: Registry, run: FinishedRun, *, allow_unscored: bool = False, max_unscored: float | None = None
) -> list[Score]:
    """Writes a run's scores, header and evidence into the registry, and returns the scores, those of its parts too.

    The searches of the zoo for its checkpoint and task split it.
    Runs of the zoo that differ from it by seed alone are combined with it.

    allow_unscored  publish although some samples were not scored, up to MOST_UNSCORED
    max_unscored    publish with up to this percentage of unscored samples
    Raises          ZooError if not all samples were asked, the model's numbers were not finite, or more could
                    not be scored than allowed: a fault of ours would look like a failure of the model
    """
    if not run.complete:
        raise ZooError(
            f"run {run.header.id[:12]} asked {run.header.samples} of {run.protocols[0].samples} samples; "
            "only whole tasks are published: run it without --limit and --samples"
        )
    _check_finite(run)
    most = max_unscored if max_unscored is not None else MOST_UNSCORED if allow_unscored else 0.0
    _check_unscored(run, most, asked=max_unscored is not None or allow_unscored)
    header = msgspec.to_builtins(run.header)
    for protocol, score in zip(run.protocols, scores(run), strict=True):
        registry.add_scores(header, protocol, [score], run.path)
    renew_task(registry, run.header.checkpoint, run.header.task, again=False)
    rows = [score for score in registry.scores(run.header.checkpoint, run.header.task) if score.run == run.header.id]
    order = {protocol.metric: number for number, protocol in enumerate(run.protocols)}
    return sorted(rows, key=lambda score: (order[score.metric], get_args(Subset).index(score.subset)))


def _check_finite(run: FinishedRun) -> None:
    """Raises ZooError if the model gave numbers that are not finite."""
    overflowed = [result for result in run.results if result.score is None and NOT_FINITE in result.detail]
    if overflowed:
        raise ZooError(
            f"{len(overflowed)} of {len(run.results)} samples of {run.header.task} have numbers that are {NOT_FINITE} "
            f"(first: {overflowed[0].sample}, {overflowed[0].detail}): such a run is never published; try --dtype "
            f"float32, or look at the weights: phizoo models show {run.header.checkpoint_label}"
        )


def _check_unscored(run: FinishedRun, most: float, asked: bool) -> None:
    """Raises ZooError if more than `most` percent of a run's samples were not scored.

    asked  the user has allowed some already
    """
    missing = unscored_samples(run.results)
    share = 100 * len(missing) / run.header.samples
    if share <= most:
        return
    first = next(result for result in run.results if result.score is None)
    limit = f", more than {most:g}%" if asked else ""
    allow = "--allow-unscored" if share <= MOST_UNSCORED else f"--max-unscored {ceil(10 * share) / 10:g}"
    raise ZooError(
        f"{len(missing)} of {run.header.samples} samples of {run.header.task} were not scored ({share:.2g}%{limit}; "
        f"first: {first.sample}, {first.detail}); run the same command again to score them, or {allow}"
    )
