"""Ranks the checkpoints under one protocol, combines the seeds of a recipe, estimates how many samples a test needs.

The statistics are `evals.stats`; this file applies them to the registry's runs. Not here: printing (`evals.cli`).
"""

from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from math import ceil
from typing import Any, NamedTuple

from evals.results.choice import by_setting, chosen_scores, samples_of
from evals.results.compare import scores_by_protocol, shared_samples
from evals.results.recipe_runs import read_models, recipe_seed, seedless_keys
from evals.stats.paired_ranks import PairedRanks, paired_ranks
from evals.stats.power import Effective, Resolution, draws_needed, observed, resolution, samples_needed, weakest
from evals.stats.ranks import Rank, merit_span, ranks
from evals.stats.real import real_resolution
from evals.stats.seeds import Combined, combine
from evals.stats.summary import SampleScore
from zoo.choice import column_of
from zoo.cli.output import coverage_note
from zoo.db.checkpoints import read_labels
from zoo.db.rows import read_elsewhere, read_headline, read_results_of
from zoo.errors import ZooError, nearest
from zoo.metrics import Metric, metric_of
from zoo.protocol_names import current_spec
from zoo.records import Checkpoint, ProtocolRecord, Record, Score
from zoo.registry import Registry


class RankedScore(Record, frozen=True):
    """A checkpoint's place in a column.

    rank    from the intervals, as on the leaderboard
    paired  from paired tests, if its samples are here; these separate more rows
    alike   the labels of the rows that it cannot be separated from, by the paired tests if there are any
    coverage_note  what the score's interval covers where that is not 95%
    """

    checkpoint: str
    score: Score
    rank: Rank
    alike: tuple[str, ...]
    paired: Rank | None = None
    coverage_note: str = ""


class RankedColumn(Record, frozen=True):
    """A protocol with all its rows, best first.

    paired      rows also have a rank by paired tests
    flips       sign flips that these tests counted
    resolution  the smallest differences that the rows' samples resolve
    """

    protocol: ProtocolRecord
    paired: bool
    rows: tuple[RankedScore, ...]
    flips: int = 0
    resolution: Resolution | None = None


class Seeds(Record, frozen=True):
    """Several runs of one protocol as one number. note: what could not be checked."""

    column: str
    metric: str
    runs: tuple[str, ...]
    combined: Combined
    note: str = ""


class ObservedPair(Record, frozen=True):
    """Two runs of one protocol on the same samples.

    discordant       mean squared difference of a sample's scores; of single right or wrong answers the discordant share
    between, within  variance of a sample's true difference, and of one draw of both; None if there is one draw
    text             the runs, in words
    """

    effective: Effective
    discordant: float
    between: float | None
    within: float | None
    text: str


class Needs(Record, frozen=True):
    """The samples and draws that resolve a difference with 80% power.

    discordant  share of samples that one of the pair solves; None: nothing was observed
    draws       draws per sample, from runs of several draws; None: no number of draws is enough, or none was observed
    """

    difference: float
    unpaired: int
    paired: int
    discordant: float | None
    draws: int | None
    observed: str = ""


def rank_columns(
    registry: Registry, spec: str, metric: str | None = None, all_versions: bool = False
) -> list[RankedColumn]:
    """The columns of a task (`arc_easy`, or `arc_easy@lm-eval`) under its headline metric or the one named.

    all_versions  of each name all versions, not only the newest, as on the leaderboard
    Raises  ZooError when nothing is published of it
    """
    known = registry.protocols()
    task, _, name = current_spec(spec).partition("@")
    shown = metric or read_headline(registry.database, task)
    wanted = [
        record
        for record in known.values()
        if record.task == task and (not name or record.name == name) and record.metric == shown
    ]
    if not wanted:
        close = nearest(task, {record.task for record in known.values()})
        raise ZooError(
            f'nothing is published of "{spec}"{" under " + metric if metric else ""}{close}. '
            f"Next: phizoo eval run NAME --task {spec}"
        )
    # the rows of the leaderboard: those of this zoo, and those that another tool measured
    elsewhere = read_elsewhere(registry.database)
    labels = elsewhere | read_labels(registry.database, all_versions)
    newest = None if all_versions else tuple(elsewhere)
    scores = [score for score in chosen_scores(registry, None, task, newest) if score.subset == "all"]
    results = read_results_of(registry.database, task)
    columns = {column_of(record.fingerprint, known): record for record in reversed(wanted)}
    of_column: dict[str, list[Score]] = {}
    for score in scores:
        of_column.setdefault(column_of(score.protocol, known), []).append(score)
    return [
        _column(registry, record, of_column.get(column, ()), labels, results)
        for column, record in reversed(columns.items())
    ]


def _column(
    registry: Registry, record: ProtocolRecord, scores: Iterable[Score], labels: Mapping[str, str],
    results: Mapping[str, str],
) -> RankedColumn:  # fmt: skip
    metric = metric_of(record.metric)
    rows = sorted(scores, key=lambda score: -metric.merit(score.value))
    merits = [merit_span(metric, score.value, score.low, score.high) for score in rows]
    samples = _sample_table([_read_samples(registry, score, results) for score in rows])
    groups = [score.clusters if score.clusters < score.n else 0 for score in rows]
    by_test = PairedRanks(ranks=(), paired=(), flips=0, exact=True)
    if samples.clusters:
        by_test = paired_ranks(merits, metric.merit(1) * samples.scores, samples.clusters, groups=groups)
    by_interval = ranks(merits, clusters=groups)
    closest = by_test.ranks if by_test.paired else by_interval
    ranked = [
        RankedScore(
            checkpoint=labels[score.checkpoint], score=score, rank=rank,
            paired=closer if row in by_test.paired else None,
            alike=tuple(labels[rows[other].checkpoint] for other in closer.alike),
            coverage_note=coverage_note(score.value, score.clusters, score.metric),
        )
        for row, (score, rank, closer) in enumerate(zip(rows, by_interval, closest, strict=True))
    ]  # fmt: skip
    return RankedColumn(
        protocol=record, paired=bool(by_test.paired), rows=tuple(ranked), flips=by_test.flips,
        resolution=_resolution(metric, rows, samples, by_test.paired),
    )  # fmt: skip


class SampleTable(NamedTuple):
    """A column's scores by sample. scores: shape (rows, samples), NaN where a row has none; clusters: one a sample."""

    scores: Any
    clusters: tuple[tuple[str, str], ...]


def _sample_table(rows: Sequence[Mapping[str, SampleScore]]) -> SampleTable:
    import numpy as np

    clusters = {sample: score.unit for row in rows for sample, score in row.items()}
    scores = [[row[sample].value if sample in row else np.nan for sample in clusters] for row in rows]
    return SampleTable(scores=np.array(scores).reshape(len(rows), -1), clusters=tuple(clusters.values()))


def _resolution(
    metric: Metric, rows: Sequence[Score], samples: SampleTable, paired: Sequence[int]
) -> Resolution | None:
    """The smallest differences a column resolves: unpaired by its least certain score, paired by its rows' differences.

    Of the pairs of neighbours the one with the median variance is taken.
    """
    import numpy as np

    spans = [(row.value, row.low, row.high, row.n, row.clusters) for row in rows]
    score = weakest(spans) if metric.is_share else None
    neighbours = list(pairwise(paired))
    if score is None and metric.is_share:
        return None
    if not neighbours:
        return resolution(score) if score else real_resolution(spans)
    spread = [float(np.nanmean((samples.scores[i] - samples.scores[j]) ** 2)) for i, j in neighbours]
    middle = neighbours[sorted(range(len(spread)), key=spread.__getitem__)[len(spread) // 2]]
    first, second = samples.scores[list(middle)]
    both = np.flatnonzero(~np.isnan(first) & ~np.isnan(second)).tolist()
    clusters = [samples.clusters[sample] for sample in both]
    if score is None:
        return real_resolution(spans, (first[both].tolist(), second[both].tolist(), clusters))
    effective, square = observed(first[both].tolist(), second[both].tolist(), clusters, score.score)
    return resolution(effective, discordant=square)


def _read_samples(registry: Registry, score: Score, results: Mapping[str, str]) -> dict[str, SampleScore]:
    try:
        return samples_of(registry, score, results)
    except ZooError:
        return {}


def combine_seeds(registry: Registry, names: Sequence[str], tasks: Sequence[str] = ()) -> list[Seeds]:
    """Runs that differ by seed alone, combined: of checkpoints trained from one recipe, or of one with other seeds.

    Raises  ZooError when fewer than two runs share a protocol, or the recipes differ in more than the seed
    """
    checkpoints = list({checkpoint.digest: checkpoint for checkpoint in map(registry.get, names)}.values())
    note = _check_recipes(registry, checkpoints)
    protocols = registry.protocols()
    if len(checkpoints) > 1:
        each = [scores_by_protocol(registry, checkpoint, protocols, tasks) for checkpoint in checkpoints]
        shared = [[scores[key] for scores in each] for key in each[0] if all(key in scores for scores in each)]
    else:
        shared = _by_seed(registry, checkpoints[0], protocols, tasks)
    combined = []
    for scores in shared:
        runs = [samples_of(registry, score) for score in scores]
        both = [sample for sample in runs[0] if all(sample in run for run in runs)]
        if len(both) < 2:
            continue
        combined.append(
            Seeds(
                column=protocols[scores[0].protocol].column,
                metric=scores[0].metric,
                runs=tuple(score.run for score in scores),
                combined=combine(
                    [[run[sample].value for sample in both] for run in runs],
                    [runs[0][sample].unit for sample in both],
                    [runs[0][sample].stratum for sample in both],
                    metric=scores[0].metric,
                ),
                note=note,
            )
        )
    if not combined:
        raise ZooError(
            f"no two runs of {', '.join(checkpoint.label for checkpoint in checkpoints)} share a protocol. "
            f"Next: phizoo eval run {checkpoints[0].label} --task {tasks[0] if tasks else 'humaneval'}"
            + (" --seed 1 --temperature 0.2" if len(checkpoints) == 1 else "")
        )
    return combined


def _by_seed(
    registry: Registry, checkpoint: Checkpoint, protocols: dict[str, ProtocolRecord], tasks: Sequence[str]
) -> list[list[Score]]:
    """The newest score of each seed of one checkpoint, settings with two seeds or more."""
    scores = (
        score
        for score in registry.scores(checkpoint.digest)
        if not tasks or {score.task, f"{score.task}@{protocols[score.protocol].name}"} & set(tasks)
    )
    return [runs for runs in by_setting(scores) if len(runs) > 1]


def _check_recipes(registry: Registry, checkpoints: Sequence[Checkpoint]) -> str:
    """Checks that the recipes differ by nothing but the seed; returns a note if a recipe is not recorded."""
    if len(checkpoints) < 2:
        return ""
    if any(checkpoint.recipe_digest is None for checkpoint in checkpoints):
        return "a recipe is not recorded, so nothing shows that only the seed differs"
    if len(set(read_models(registry, checkpoints, most=None).values())) == 1:
        return ""
    recipes = [registry.recipe(str(checkpoint.recipe_digest)) for checkpoint in checkpoints]
    first, *others = map(seedless_keys, recipes)
    for checkpoint, recipe in zip(checkpoints[1:], others, strict=True):
        for key in sorted(first.keys() | recipe.keys()):
            if first.get(key) != recipe.get(key):
                raise ZooError(
                    f"{checkpoints[0].label} and {checkpoint.label} differ by more than the seed: {key} is "
                    f"{str(first.get(key))[:40]} and {str(recipe.get(key))[:40]}; compare them: "
                    f"phizoo eval compare {checkpoints[0].label} {checkpoint.label}"
                )
    if any(recipe_seed(recipe) is None for recipe in recipes):
        return "no seed is recorded in a recipe, so nothing shows that only the seed differs"
    labels = ", ".join(checkpoint.label for checkpoint in checkpoints)
    raise ZooError(
        f"{labels} have one recipe, but other data or parents, so they are no seeds of one run. "
        f"Look: phizoo models show {checkpoints[1].label}"
    )


def observe_pair(registry: Registry, pair: tuple[Score, Score]) -> ObservedPair:
    """What the samples of two runs of one protocol show of their difference."""
    both = shared_samples(*(samples_of(registry, score) for score in pair))
    first, second = ([sample.value for sample in side] for side in zip(*both, strict=True))
    score = weakest((score.value, score.low, score.high, score.n, score.clusters) for score in pair)
    effective, square = observed(first, second, [a.unit for a, _ in both], score.score if score else None)
    seen = f"{len(both)} samples of runs {pair[0].run[:12]} and {pair[1].run[:12]}"
    within = between = None
    if all(len(a.values) > 1 and len(b.values) > 1 for a, b in both):
        within = sum(_variance(a.values) + _variance(b.values) for a, b in both) / len(both)
        gaps = [a - b for a, b in zip(first, second, strict=True)]
        taken = min(len(both[0][0].values), len(both[0][1].values))
        between = max(0.0, _variance(gaps) * len(both) / effective.pair - within / taken)
    return ObservedPair(effective=effective, discordant=square, within=within, between=between, text=seen)


def real_pair(registry: Registry, pair: tuple[Score, Score]) -> tuple[list[float], list[float], list[tuple[str, str]]]:
    """The values of two runs of one protocol on the samples that both have, and these samples' clusters."""
    both = shared_samples(*(samples_of(registry, score) for score in pair))
    return [a.value for a, _ in both], [b.value for _, b in both], [a.unit for a, _ in both]


def estimate_real_needs(difference: float, found: Resolution) -> Needs:
    """The samples that resolve a difference in a metric's unit, from what those that are here resolve."""
    if not difference > 0:
        raise ZooError(f"a difference of {difference:g} cannot be resolved: give one above 0")
    unpaired, paired = (
        ceil(found.n * (smallest / difference) ** 2) for smallest in (found.unpaired or 0.0, found.paired or 0.0)
    )
    return Needs(
        difference=difference, unpaired=unpaired, paired=paired, discordant=found.discordant, draws=None, observed=""
    )


def estimate_needs(difference: float, p: float, effective: Effective, pair: ObservedPair | None = None) -> Needs:
    """The samples and draws that resolve a difference around a score of p.

    effective  what the task's samples are worth: as many more are needed as they are worth less than independent ones
    pair       two runs of one protocol; without them the paired number is for models whose scores correlate by 0.5
               from sample to sample
    """
    draws = None
    if pair is not None and pair.between is not None and pair.within is not None:
        draws = draws_needed(difference, effective.n, pair.between, pair.within)
    assumed = max(difference, p * (1 - p) if pair is None else pair.discordant)
    return Needs(
        difference=difference, unpaired=samples_needed(difference, p, effect=effective.n / effective.score),
        paired=samples_needed(difference, discordant=assumed, effect=effective.n / effective.pair),
        discordant=pair.discordant if pair else None, draws=draws, observed=pair.text if pair else "",
    )  # fmt: skip


def _variance(values: Sequence[float]) -> float:
    mean = sum(values) / len(values)
    return sum((value - mean) ** 2 for value in values) / (len(values) - 1)
