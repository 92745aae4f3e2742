"""Publishes a finished run's scores to the registry; refuses a number that would mislead."""

import time
from collections.abc import Iterator, Sequence

import msgspec

from evals.records import Result
from evals.run import FinishedRun
from evals.stats.summary import summarise
from evals.tasks import groups_of
from zoo.digest import file_sha256
from zoo.errors import ZooError
from zoo.records import Score, Subset
from zoo.registry import Registry


def subsets(results: Sequence[Result], overlapping: frozenset[str] | None) -> Iterator[tuple[Subset, list[Result]]]:
    """All results, and if overlap flags are given the clean and the overlapping ones; none is empty."""
    yield "all", list(results)
    if overlapping is not None:
        names: tuple[tuple[Subset, bool], ...] = (("clean", False), ("overlapping", True))
        for name, flagged in names:
            if part := [result for result in results if (result.sample in overlapping) is flagged]:
                yield name, part


def scores(run: FinishedRun, overlapping: frozenset[str] | None = None) -> list[tuple[int, Score]]:
    """The score of every metric of a run over every subset, as (index of its protocol, score)."""
    evidence = file_sha256(run.path)
    rows = []
    for index, protocol in enumerate(run.protocols):
        for subset, results in subsets(run.results, overlapping):
            stat = summarise(results, protocol.metric, groups_of(protocol.task))
            score = Score(
                checkpoint=run.header.checkpoint, run=run.header.id, task=protocol.task,
                protocol=protocol.fingerprint, metric=protocol.metric, value=stat.value, low=stat.low, high=stat.high,
                n=stat.n, clusters=stat.clusters, unscored=stat.unscored, subset=subset, results=evidence,
                created=time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
            )  # fmt: skip
            rows.append((index, score))
    return rows


def publish(
    registry: Registry, run: FinishedRun, *, allow_unscored: bool = False, overlapping: frozenset[str] | None = None
) -> list[Score]:
    """Writes a run's scores, header and evidence into the registry, and returns the scores.

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
    rows = scores(run, overlapping)
    flagged = None if overlapping is None else tuple(sorted(overlapping))
    header = msgspec.to_builtins(msgspec.structs.replace(run.header, overlapping=flagged))
    for number, protocol in enumerate(run.protocols):
        registry.add_scores(header, protocol, [score for index, score in rows if index == number], run.path)
    return [score for _, score in rows]
