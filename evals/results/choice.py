"""Reads the scores that stand for their cells and the samples behind them; combines runs that differ by seed alone.

Which score stands is decided by `zoo.choice`. Under greedy decoding and for choices a seed changes nothing: another
seed is the same measurement again, and is not combined. Not here: writing (`evals.results.publish`).
"""

from collections.abc import Container, Iterable, Mapping, Sequence

from msgspec.structs import replace

from evals.records import Result
from evals.run_folder import read_results
from evals.stats.seeds import combine
from evals.stats.summary import SampleScore, by_sample, count_disputed, count_unfinished, restated, unscored_samples
from evals.tasks import groups_of
from zoo.choice import SETTING
from zoo.db.rows import Newest, Tasks
from zoo.errors import ZooError
from zoo.records import ProtocolRecord, Score
from zoo.registry import Registry


def chosen_scores(
    registry: Registry, checkpoint: str | None = None, task: Tasks = None, newest: Newest = None
) -> list[Score]:
    """The score that stands for each cell, with the interval of today's rule; the arguments of `Registry.scores`."""
    return [
        score if score.clusters == score.n else restated(score, groups_of(score.task))
        for score in registry.scores(checkpoint, task, chosen=True, newest=newest)
    ]


def samples_of(registry: Registry, score: Score, results: Mapping[str, str] | None = None) -> dict[str, SampleScore]:
    """A score's samples by id; of several seeds, the samples that all have scored, with the values of all.

    results  the sha256 of each run's lines, where they are known already
    Raises   ZooError if results are missing or damaged
    """
    return _together([by_id(read_run(registry, run, results), score) for run in score.runs or (score.run,)])


def read_run(registry: Registry, run: str, results: Mapping[str, str] | None = None) -> list[Result]:
    """A run's result lines; results: as of `samples_of`. Raises ZooError if they are missing or damaged."""
    path = registry.results(run) if results is None or run not in results else registry.store.object(results[run])
    if not path.is_file():
        raise ZooError(f"the results of run {run[:12]} are gone. See: phizoo models verify")
    return read_results(path)


def by_id(results: Sequence[Result], score: Score) -> dict[str, SampleScore]:
    """The scored samples of a run's lines under the metric of a score, by id."""
    return {sample.sample: sample for sample in by_sample(results, score.metric, groups_of(score.task))[0]}


def by_setting(scores: Iterable[Score]) -> list[list[Score]]:
    """The scores of single runs on all samples, those together that differ by seed alone: the newest of each seed.

    Returns  one list a setting, oldest first
    """
    settings: dict[tuple[object, ...], dict[int, Score]] = {}
    for score in sorted(scores, key=lambda score: score.created):
        if score.subset == "all" and score.seeds == 1:
            settings.setdefault(setting_of(score), {})[score.seed] = score
    return [sorted(by_seed.values(), key=lambda score: score.created) for by_seed in settings.values()]


def setting_of(score: Score) -> tuple[object, ...]:
    """What is equal in runs that differ by seed alone."""
    return tuple(getattr(score, name) for name in SETTING)


def is_sampled(protocol: ProtocolRecord) -> bool:
    """Whether a seed can change an answer."""
    return float(protocol.decoding.get("temperature", 0.0)) > 0


def combine_with_seeds(registry: Registry, scores: Sequence[Score]) -> Score | None:
    """The scores of runs that differ by seed alone, as one; None if fewer than two have their result lines here.

    scores  on all samples, the newest of each seed, the newest of all last
    """
    runs: dict[str, list[Result]] = {}
    for score in scores:
        try:
            runs[score.run] = read_run(registry, score.run)
        except ZooError:  # a run without its lines cannot be combined; it stands alone if no other does
            continue
    return _combined(scores[-1], runs) if len(runs) > 1 and scores[-1].run in runs else None


def combine_part(registry: Registry, score: Score, samples: Container[str]) -> Score | None:
    """The score of a combined score's runs on some of its samples; None if fewer than two were scored by all runs.

    Raises ZooError if results are missing.
    """
    runs = {run: read_run(registry, run) for run in score.runs}
    part = {run: [line for line in lines if line.sample in samples] for run, lines in runs.items()}
    return _combined(score, part)


def _combined(score: Score, runs: Mapping[str, Sequence[Result]]) -> Score | None:
    each = [by_id(lines, score) for lines in runs.values()]
    both = list(_together(each).values())
    if len(both) < 2:
        return None
    stat = combine(
        [[samples[sample.sample].value for sample in both] for samples in each],
        [sample.unit for sample in both], [sample.stratum for sample in both], metric=score.metric,
    )  # fmt: skip
    unscored = set().union(*(unscored_samples(lines) for lines in runs.values()))
    return replace(
        score, value=stat.value, low=stat.low, high=stat.high, n=len(both), unscored=len(unscored),
        clusters=len({sample.unit for sample in both}), seeds=len(runs), runs=tuple(runs),
        unfinished=sum(map(count_unfinished, runs.values())), disputed=sum(map(count_disputed, runs.values())),
    )  # fmt: skip


def _together(runs: Sequence[Mapping[str, SampleScore]]) -> dict[str, SampleScore]:
    """The samples that all runs have scored, each with the values of all runs."""
    first, *others = runs
    if not others:
        return dict(first)
    return {
        name: replace(sample, values=sum((run[name].values for run in runs), start=()))
        for name, sample in first.items()
        if all(name in other for other in others)
    }
