"""Renews what is derived from the runs of a zoo: combined seeds, intervals of strata, splits by searches.

A pulled run may be another seed of one that is here, an older version took strata for clusters, and a search or a
parent that arrives later splits earlier runs. Whatever made a derived score stale, `renew` makes it again from the
stored scores and result lines; what is up to date stays as it is. Values of single runs never change. Not here: the
statistics (`evals.stats`), reading the scores that stand (`evals.results.choice`).
"""

from evals.results.choice import by_setting, combine_with_seeds, is_sampled, setting_of
from evals.results.split import split_runs
from evals.stats.summary import restated
from evals.tasks import groups_of
from zoo.lineage import graph
from zoo.records import Record
from zoo.registry import Registry


class Renewed(Record, frozen=True):
    """How much was written again: scores combined over seeds, intervals of strata, runs split by searches."""

    combined: int = 0
    intervals: int = 0
    splits: int = 0


def renew(registry: Registry, checkpoint: str | None = None) -> Renewed:
    """Renews the derived scores of all checkpoints.

    checkpoint  only of this one (a name or digest), its ancestors and its descendants: as after it was pulled
    """
    pairs = {(score.checkpoint, score.task) for score in registry.scores()}
    if checkpoint is not None:
        family = {node.digest for node in graph(registry, checkpoint).nodes}
        pairs = {pair for pair in pairs if pair[0] in family}
    counts = [renew_task(registry, *pair) for pair in sorted(pairs)]
    return Renewed(
        combined=sum(count.combined for count in counts), intervals=sum(count.intervals for count in counts),
        splits=sum(count.splits for count in counts),
    )  # fmt: skip


def renew_task(registry: Registry, checkpoint: str, task: str, again: bool = True) -> Renewed:
    """Renews the derived scores of a checkpoint on a task.

    checkpoint  its digest
    again       also check those that combine the same runs, and the runs that have a split
    """
    combined = _combine(registry, checkpoint, task, again)
    intervals = _restate(registry, checkpoint, task)
    before = _parts(registry, checkpoint, task)
    split_runs(registry, checkpoint, task, again)
    splits = {run for run, _ in before ^ _parts(registry, checkpoint, task)}
    return Renewed(combined=combined, intervals=intervals, splits=len(splits))


def _parts(registry: Registry, checkpoint: str, task: str) -> set[tuple[str, Record]]:
    """The scores of the parts of runs, and the splits themselves, each with its run."""
    scores, splits = registry.scores(checkpoint, task), registry.splits(checkpoint, task)
    parts: set[tuple[str, Record]] = {(score.run, score) for score in scores if score.subset != "all"}
    return parts | {(score.run, splits[score.run]) for score in scores if score.run in splits}


def _combine(registry: Registry, checkpoint: str, task: str, again: bool) -> int:
    """Combines the runs that differ by seed alone; returns how many scores are new."""
    scores = registry.scores(checkpoint, task)
    several = [runs for runs in by_setting(score for score in scores if score.whole) if len(runs) > 1]
    if not several:
        return 0
    protocols = registry.protocols()
    stored = {setting_of(score): score for score in scores if score.seeds > 1 and score.subset == "all"}
    count = 0
    for runs in several:
        protocol, kept = protocols.get(runs[0].protocol), stored.get(setting_of(runs[0]))
        if protocol is None or not is_sampled(protocol):
            continue
        if not again and kept is not None and kept.runs == tuple(score.run for score in runs):
            continue
        combined = combine_with_seeds(registry, runs)
        if combined is None or combined == kept or (kept is not None and kept.seeds > combined.seeds):
            continue
        registry.add_combined(combined, protocol)
        count += 1
    return count


def _restate(registry: Registry, checkpoint: str, task: str) -> int:
    """Gives the scores that took strata for clusters the interval of today's rule; returns how many."""
    changed = [
        new
        for score in registry.scores(checkpoint, task)
        if score.clusters != score.n and (new := restated(score, groups_of(task))) != score
    ]
    registry.restate(changed)
    return len(changed)
