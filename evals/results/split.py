"""Splits runs into clean and overlapping samples, by all searches of their checkpoint and task.

A sample overlaps if any search flagged it. It is clean if each set of the training data was searched for it, by at
least one method, and nothing flagged it; only a run whose training data was searched in full has clean samples. Other
samples are neither. Splits and the scores of the parts are derived from the searches and the result lines. Not here:
when they are made again (`evals.results.renew`), searching (`evals.contamination`), what was searched
(`zoo.coverage`).
"""

from collections.abc import Iterable, Sequence
from math import isfinite
from typing import NamedTuple

import msgspec

from evals.records import Result
from evals.results.choice import chosen_scores, combine_part
from evals.run_folder import read_results
from evals.stats.summary import count_disputed, count_unfinished, summarise
from evals.tasks import groups_of
from zoo.coverage import Coverage, coverage
from zoo.db.rows import Newest
from zoo.errors import ZooError
from zoo.records import Score, Search, Split, Subset
from zoo.registry import Registry


class Sides(NamedTuple):
    """Sample ids by side. unasked: those that no search of some set of the training data asked for."""

    clean: frozenset[str]
    overlapping: frozenset[str]
    unsearchable: frozenset[str]
    unasked: frozenset[str]

    def parts(self) -> tuple[tuple[Subset, frozenset[str]], ...]:
        """The sides that have a score, by the name of its subset."""
        return ("clean", self.clean), ("overlapping", self.overlapping)


def sides(samples: Iterable[str], searches: Sequence[Search], covered: Coverage) -> Sides:
    """The side of each sample, judged by its id: a search of a whole task serves a part of it.

    covered  from the same searches
    """
    ids = frozenset(samples)
    flagged = ids & {sample for search in searches for sample in search.flagged}
    asked = answered = ids if covered.sets else frozenset[str]()
    for digest, documents in covered.sets.items():
        complete = [
            search
            for search in searches
            if any(s.digest == digest and (s.documents or 0) >= documents for s in search.datasets)
        ]
        asked &= {sample for search in complete for sample in search.samples}
        answered &= {sample for search in complete for sample in {*search.samples} - {*search.unsearchable}}
    unasked = ids - asked - flagged
    whole = not covered.unsearched and not unasked
    return Sides(
        clean=answered - flagged if whole else frozenset(), overlapping=flagged,
        unsearchable=asked - answered - flagged, unasked=unasked,
    )  # fmt: skip


def make_split(run: str, samples: Iterable[str], searches: Sequence[Search], covered: Coverage) -> tuple[Split, Sides]:
    """The counts of a run's samples, and their sides. Raises ValueError without a search."""
    if not searches:
        raise ValueError(f"run {run} has no search to split it by")
    ids = frozenset(samples)
    by_side = sides(ids, searches, covered)
    reasons = [covered.unsearched] if covered.unsearched else []
    if by_side.unasked and covered.sets:
        reasons.append(f"{len(by_side.unasked)} of its samples were not searched for")
    split = Split(
        run=run, samples=len(ids), overlapping=len(by_side.overlapping), unsearchable=len(by_side.unsearchable),
        unsearched="; ".join(reasons),
    )  # fmt: skip
    return split, by_side


def part_scores(whole: Sequence[Score], results: Sequence[Result], by_side: Sides) -> list[Score]:
    """The scores of a run's clean and overlapping parts under each metric; a part without samples has none."""
    parts: list[Score] = []
    for score in whole:
        for name, ids in by_side.parts():
            part = [result for result in results if result.sample in ids]
            try:
                parts += [score_part(score, part, name)] if part else []
            except ZooError:  # nothing of this part is scored under this metric
                continue
    return parts


def score_part(whole: Score, results: Sequence[Result], subset: Subset) -> Score:
    """The score of a part of a run. Raises ZooError when nothing of it is scored."""
    stat = summarise(results, whole.metric, groups_of(whole.task))
    if not isfinite(stat.high):
        raise ZooError(f"one {whole.metric} alone has no interval")
    return msgspec.structs.replace(
        whole, subset=subset, value=stat.value, low=stat.low, high=stat.high, n=stat.n, clusters=stat.clusters,
        unscored=stat.unscored, unfinished=count_unfinished(results), disputed=count_disputed(results),
    )  # fmt: skip


def split_run(
    registry: Registry, whole: Sequence[Score], searches: Sequence[Search], covered: Coverage
) -> tuple[Split, list[Score]]:
    """The split of a published run and the scores of its parts, from its result lines; nothing is written.

    whole  the run's scores on all samples
    """
    run = whole[0].run
    try:
        results = read_results(registry.results(run))
    except (ZooError, OSError):
        samples = max(score.n + score.unscored for score in whole)
        return Split(run=run, samples=samples, overlapping=None, unsearched="its result lines are not here"), []
    split, by_side = make_split(run, (result.sample for result in results), searches, covered)
    parts = part_scores([score for score in whole if score.seeds == 1], results, by_side)
    for score in whole:
        if score.seeds > 1:
            parts += _combined_parts(registry, score, by_side)
    return split, parts


def _combined_parts(registry: Registry, score: Score, by_side: Sides) -> list[Score]:
    """The parts of a score that combines several seeds; none if the result lines of a run are not here."""
    try:
        parts = [(name, combine_part(registry, score, ids)) for name, ids in by_side.parts()]
    except (ZooError, OSError):
        return []
    return [msgspec.structs.replace(part, subset=name) for name, part in parts if part]


def split_runs(registry: Registry, checkpoint: str, task: str, again: bool = True) -> list[Split]:
    """Makes the splits of the runs of a checkpoint on a task, with the scores of their parts, and keeps them.

    checkpoint  its digest
    again       also of the runs that have a split
    """
    searches = registry.searches(checkpoint, task)
    if not searches:
        return []
    covered = coverage(registry, checkpoint, searches)
    splits, kept, scores = [], registry.splits(checkpoint, task), registry.scores(checkpoint, task)
    for run, whole in _whole_scores(scores).items():
        if run in kept and not again:
            continue
        split, parts = split_run(registry, whole, searches, covered)
        if kept.get(run) != split or set(parts) != {score for score in scores if score.run == run} - set(whole):
            registry.write_split(split, parts)
        splits.append(split)
    return splits


def current_scores(
    registry: Registry, task: Sequence[str] | None = None, newest: Newest = None
) -> tuple[list[Score], dict[str, Split]]:
    """The scores that stand, and the splits by run; splits that a pull left to be made are made now and not kept.

    task, newest  as of `Registry.scores`
    """
    scores, searched = chosen_scores(registry, None, task, newest), registry.searched_tasks()
    splits = registry.splits(None, sorted({name for _, name in searched}), newest) if searched else {}
    waiting: dict[tuple[str, str], list[list[Score]]] = {}
    for run, whole in _whole_scores(scores).items():
        pair = (whole[0].checkpoint, whole[0].task)
        if pair in searched and run not in splits:
            waiting.setdefault(pair, []).append(whole)
    made: dict[str, Split] = {}
    new: list[Score] = []
    for pair, runs in waiting.items():
        searches = registry.searches(*pair)
        covered = coverage(registry, pair[0], searches)
        for whole in runs:
            split, parts = split_run(registry, whole, searches, covered)
            made[split.run] = split
            new += parts
    kept = [score for score in scores if score.subset == "all" or score.run not in made]
    return [*kept, *new], splits | made


def _whole_scores(scores: Iterable[Score]) -> dict[str, list[Score]]:
    """The scores on all samples, by run."""
    runs: dict[str, list[Score]] = {}
    for score in scores:
        if score.subset == "all":
            runs.setdefault(score.run, []).append(score)
    return runs
