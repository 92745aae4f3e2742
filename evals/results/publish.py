"""From a finished run to the registry's scores: refused where a number would not be honest."""

import time
from collections.abc import Iterator, Sequence

import msgspec

from evals.records import Result
from evals.run import FinishedRun
from evals.stats.summary import summarise
from zoo.digest import file_sha256
from zoo.errors import ZooError
from zoo.records import Score, Subset
from zoo.registry import Registry


def subsets(results: Sequence[Result], overlapping: frozenset[str] | None) -> Iterator[tuple[Subset, list[Result]]]:
    """All samples, and where overlap flags are given the clean and the overlapping ones; none empty."""
    yield "all", list(results)
    if overlapping is not None:
        for _name, want in (("clean", False), ("overlapping", True)):
            some = [result for result in results if (result.sample in overlapping) is want]
            if some:
                yield ("overlapping" if want else "clean"), some


def scores(done: FinishedRun, overlapping: frozenset[str] | None = None) -> list[tuple[int, Score]]:
    """Every metric of a run over every subset: (index of its protocol, the score)."""
    evidence = file_sha256(done.path)
    found = []
    for index, protocol in enumerate(done.protocols):
        for subset, results in subsets(done.results, overlapping):
            told = summarise(results, protocol.metric)
            score = Score(
                checkpoint=done.header.checkpoint,
                run=done.header.id,
                task=protocol.task,
                protocol=protocol.fingerprint,
                metric=protocol.metric,
                value=told.value,
                low=told.low,
                high=told.high,
                n=told.n,
                clusters=told.clusters,
                unscored=told.unscored,
                subset=subset,
                results=evidence,
                created=time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
            )
            found.append((index, score))
    return found


def publish(
    registry: Registry, done: FinishedRun, *, allow_unscored: bool = False, overlapping: frozenset[str] | None = None
) -> list[Score]:
    """Writes a run's scores, header and evidence into the registry, and gives the scores.

    Raises ZooError when only some samples were asked, or when some could not be scored (a fault of
    ours would look like a failure of the model) and `allow_unscored` was not said.
    """
    unscored = sum(result.score is None for result in done.results)
    if not done.complete:
        raise ZooError(
            f"run {done.header.id[:12]} asked {done.header.samples} of {done.protocols[0].samples} samples; "
            "only whole tasks are published: run it without --limit and --samples"
        )
    if unscored and not allow_unscored:
        first = next(result for result in done.results if result.score is None)
        raise ZooError(
            f"{unscored} of {len(done.results)} samples of {done.header.task} were not scored "
            f"(first: {first.sample}, {first.detail}); run the same command again to score them, or --allow-unscored"
        )
    made = scores(done, overlapping)
    flagged = None if overlapping is None else tuple(sorted(overlapping))
    header = msgspec.to_builtins(msgspec.structs.replace(done.header, overlapping=flagged))
    for index, protocol in enumerate(done.protocols):
        mine = [score for which, score in made if which == index]
        registry.add_scores(header, protocol, mine, done.path)
    return [score for _, score in made]
