"""Ranks the checkpoints under one protocol, combines the seeds of a recipe, estimates how many samples a test needs.

The statistics are `evals.stats`; this file applies them to the registry's runs. Not here: printing (`evals.cli`).
"""

from collections.abc import Mapping, Sequence
from typing import Any

from evals.results.compare import newest_scores, sample_difference, samples_of, shared_samples
from evals.stats.power import draws_needed, samples_needed
from evals.stats.ranks import Rank, ranks, ranks_by_test
from evals.stats.seeds import Combined, combine
from evals.stats.summary import SampleScore, best_scores
from zoo.errors import ZooError, nearest
from zoo.protocol_names import current_spec
from zoo.records import Checkpoint, ProtocolRecord, Record, Score
from zoo.registry import Registry

FREE = ("seed", "name", "notes")  # of a recipe: what may differ between runs that differ by seed alone


class RankedScore(Record, frozen=True):
    """A checkpoint's place in a column.

    rank    from the intervals, as on the leaderboard
    paired  from paired tests, if all samples are here; these separate more rows
    alike   the labels of the rows that it cannot be separated from, by the paired tests if there are any
    """

    checkpoint: str
    score: Score
    rank: Rank
    alike: tuple[str, ...]
    paired: Rank | None = None


class RankedColumn(Record, frozen=True):
    """A protocol with all its rows, best first. paired: the rows also have a rank by paired tests."""

    protocol: ProtocolRecord
    paired: bool
    rows: tuple[RankedScore, ...]


class Seeds(Record, frozen=True):
    """Several runs of one protocol as one number. note: what could not be checked."""

    column: str
    runs: tuple[str, ...]
    combined: Combined
    note: str = ""


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
    headline = {str(run["protocol"]["task"]): str(run["protocol"]["metric"]) for run in registry.runs()}
    wanted = [
        record
        for record in known.values()
        if record.task == task and (not name or record.name == name) and record.metric == (metric or headline.get(task))
    ]
    if not wanted:
        close = nearest(task, {record.task for record in known.values()})
        raise ZooError(
            f'nothing is published of "{spec}"{" under " + metric if metric else ""}{close}. '
            f"Next: phizoo eval run NAME --task {spec}"
        )
    labels = _labels(registry, all_versions)
    return [_column(registry, record, labels) for record in wanted]


def _labels(registry: Registry, all_versions: bool) -> dict[str, str]:
    """The rows of the leaderboard by checkpoint: those of this zoo, and those that another tool measured."""
    own = {checkpoint.digest for checkpoint in registry.list(all_versions=True)}
    elsewhere = {
        str(run["checkpoint"]): str(run["checkpoint_label"]) for run in registry.runs() if run["checkpoint"] not in own
    }
    return elsewhere | {checkpoint.digest: checkpoint.label for checkpoint in registry.list(all_versions=all_versions)}


def _column(registry: Registry, record: ProtocolRecord, labels: Mapping[str, str]) -> RankedColumn:
    best = best_scores(
        score
        for score in registry.scores(task=record.task)
        if score.protocol == record.fingerprint and score.subset == "all" and score.checkpoint in labels
    )
    rows = sorted(best.values(), key=lambda score: -score.value)
    samples = [_read_samples(registry, score) for score in rows]
    same = bool(rows and samples[0]) and all(ids.keys() == samples[0].keys() for ids in samples)
    by_interval = ranks(rows)
    by_test = by_interval
    if same:
        by_test = ranks_by_test([row.value for row in rows], lambda i, j: _p(samples[i], samples[j]))
    ranked = [
        RankedScore(
            checkpoint=labels[score.checkpoint], score=score, rank=rank, paired=closer if same else None,
            alike=tuple(labels[rows[other].checkpoint] for other in closer.alike),
        )
        for score, rank, closer in zip(rows, by_interval, by_test, strict=True)
    ]  # fmt: skip
    return RankedColumn(protocol=record, paired=same, rows=tuple(ranked))


def _read_samples(registry: Registry, score: Score) -> dict[str, SampleScore]:
    try:
        return samples_of(registry, score)
    except ZooError:
        return {}


def _p(first: dict[str, SampleScore], second: dict[str, SampleScore]) -> float:
    return sample_difference(shared_samples(first, second)).p


def combine_seeds(registry: Registry, names: Sequence[str], tasks: Sequence[str] = ()) -> list[Seeds]:
    """Runs that differ by seed alone, combined: of checkpoints trained from one recipe, or of one with other seeds.

    Raises  ZooError when fewer than two runs share a protocol, or the recipes differ in more than the seed
    """
    checkpoints = list({checkpoint.digest: checkpoint for checkpoint in map(registry.get, names)}.values())
    note = _check_recipes(registry, checkpoints)
    protocols = registry.protocols()
    if len(checkpoints) > 1:
        each = [newest_scores(registry, checkpoint, protocols, tasks) for checkpoint in checkpoints]
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
                runs=tuple(score.run for score in scores),
                combined=combine([[run[sample].value for sample in both] for run in runs]),
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
    """The newest score of each seed of one checkpoint, protocols with two seeds or more."""
    seed_of = {str(run["id"]): int(run["seed"]) for run in registry.runs()}
    by_protocol: dict[str, dict[int, Score]] = {}
    for score in registry.scores(checkpoint.digest):
        name = f"{score.task}@{protocols[score.protocol].name}"
        if score.subset == "all" and (not tasks or {score.task, name} & set(tasks)):
            by_protocol.setdefault(score.protocol, {})[seed_of[score.run]] = score
    return [list(scores.values()) for scores in by_protocol.values() if len(scores) > 1]


def _check_recipes(registry: Registry, checkpoints: Sequence[Checkpoint]) -> str:
    """Checks that the recipes differ by nothing but the seed; returns a note if a recipe is not recorded."""
    if len(checkpoints) < 2:
        return ""
    if any(checkpoint.recipe_digest is None for checkpoint in checkpoints):
        return "a recipe is not recorded, so nothing shows that only the seed differs"
    first, *others = [_without(registry.recipe(str(checkpoint.recipe_digest))) for checkpoint in checkpoints]
    for checkpoint, recipe in zip(checkpoints[1:], others, strict=True):
        for key in sorted(first.keys() | recipe.keys()):
            if first.get(key) != recipe.get(key):
                raise ZooError(
                    f"{checkpoints[0].label} and {checkpoint.label} differ by more than the seed: {key} is "
                    f"{str(first.get(key))[:40]} and {str(recipe.get(key))[:40]}; compare them: "
                    f"phizoo eval compare {checkpoints[0].label} {checkpoint.label}"
                )
    return ""


def _without(value: Any, path: str = "") -> dict[str, Any]:
    """A recipe as flat keys, without those that may differ."""
    if not isinstance(value, dict):
        return {path: value}
    flat: dict[str, Any] = {}
    for key, inner in value.items():
        if key not in FREE:
            flat |= _without(inner, f"{path}.{key}".lstrip("."))
    return flat


def estimate_needs(
    registry: Registry | None, difference: float, p: float, pair: tuple[Score, Score] | None = None
) -> Needs:
    """The samples and draws that resolve a difference around a score of p.

    pair  two runs of one protocol, from which the discordant share and the variances are taken; without them the
          paired number is for models whose scores correlate by 0.5 from sample to sample
    """
    share: float | None = None
    draws, observed = None, ""
    if pair is not None and registry is not None:
        both = shared_samples(*(samples_of(registry, score) for score in pair))
        gaps = [a.value - b.value for a, b in both]
        share = sum(gap != 0 for gap in gaps) / len(gaps)
        observed = f"{len(both)} samples of runs {pair[0].run[:12]} and {pair[1].run[:12]}"
        if all(len(a.values) > 1 and len(b.values) > 1 for a, b in both):
            within = sum(_variance(a.values) + _variance(b.values) for a, b in both) / len(both)
            taken = min(len(both[0][0].values), len(both[0][1].values))
            between = max(0.0, _variance(gaps) - within / taken)
            draws = draws_needed(difference, len(both), between, within)
    assumed = max(difference, p * (1 - p) if share is None else share)
    return Needs(
        difference=difference, unpaired=samples_needed(difference, p), discordant=share, draws=draws,
        paired=samples_needed(difference, discordant=assumed), observed=observed,
    )  # fmt: skip


def _variance(values: Sequence[float]) -> float:
    mean = sum(values) / len(values)
    return sum((value - mean) ** 2 for value in values) / (len(values) - 1)
