"""Publishes a finished run's scores to the registry; refuses a number that would mislead."""

import time
from collections.abc import Sequence
from typing import get_args

import msgspec

from evals.results.split import make_split, part_scores, split_runs
from evals.run import FinishedRun
from evals.stats.summary import summarise
from evals.tasks import groups_of
from zoo.coverage import Coverage
from zoo.digest import file_sha256
from zoo.errors import ZooError
from zoo.records import Score, Search, Subset
from zoo.registry import Registry


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
            created=time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        )  # fmt: skip
        whole.append(score)
    if not searches or covered is None:
        return whole
    samples = (result.sample for result in run.results)
    return [*whole, *part_scores(whole, run.results, make_split(run.header.id, samples, searches, covered)[1])]


def publish(registry: Registry, run: FinishedRun, *, allow_unscored: bool = False) -> list[Score]:
    """Writes a run's scores, header and evidence into the registry, and returns the scores, those of its parts too.

    The searches of the zoo for its checkpoint and task split it; runs that were published before are split as well.
    Raises ZooError if not all samples were asked, or if some could not be scored (a fault of ours
    would look like a failure of the model) and `allow_unscored` is not set.
    """
    unscored = sum(result.score is None for result in run.results)
    if not run.complete:
        raise ZooError(
            f"run {run.header.id[:12]} asked {run.header.samples} of {run.protocols[0].samples} samples; "
            "only whole tasks are published: run it without --limit and --samples"
        )
    if unscored and not allow_unscored:
        first = next(result for result in run.results if result.score is None)
        raise ZooError(
            f"{unscored} of {len(run.results)} samples of {run.header.task} were not scored "
            f"(first: {first.sample}, {first.detail}); run the same command again to score them, or --allow-unscored"
        )
    header = msgspec.to_builtins(run.header)
    for protocol, score in zip(run.protocols, scores(run), strict=True):
        registry.add_scores(header, protocol, [score], run.path)
    split_runs(registry, run.header.checkpoint, run.header.task)
    rows = [score for score in registry.scores(run.header.checkpoint, run.header.task) if score.run == run.header.id]
    order = {protocol.metric: number for number, protocol in enumerate(run.protocols)}
    return sorted(rows, key=lambda score: (order[score.metric], get_args(Subset).index(score.subset)))
