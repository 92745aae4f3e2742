"""One protocol over the checkpoints of a zoo: their ranks, what several seeds of a recipe give, what it can resolve.

The statistics are `evals.stats`; here they meet the registry's runs. Not here: printing (`board_cli`).
"""

from collections.abc import Mapping, Sequence
from typing import Any

from evals.results.compare import newest_scores, samples_of
from evals.stats.paired import paired_difference
from evals.stats.power import draws_needed, samples_needed
from evals.stats.ranks import Rank, ranks, ranks_by_test
from evals.stats.seeds import Combined, combine
from evals.stats.summary import SampleScore
from zoo.errors import ZooError, nearest
from zoo.records import Checkpoint, ProtocolRecord, Record, Score
from zoo.registry import Registry

FREE = ("seed", "name", "notes")  # of a recipe: what may differ between runs that differ by seed alone


class RankedScore(Record, frozen=True):
    """A checkpoint's place in a column.

    rank    from the intervals, as the leaderboard has it
    paired  from the same samples, where all are at hand: it tells more apart
    alike   the labels of the rows not told apart from it, by the paired tests where there are any
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
    """What resolves a difference with 80% power.

    discordant  share of samples that one of the pair solves; None: nothing was observed
    draws       draws a sample, from runs of several draws; None: no number of draws does, or none was observed
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

    all_versions  of each name all versions, not the newest_scores alone, as on the leaderboard
    Raises  ZooError when nothing is published of it
    """
    known = registry.protocols()
    task, _, name = spec.partition("@")
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
    every = {one.digest for one in registry.list(all_versions=True)}
    elsewhere = {
        str(run["checkpoint"]): str(run["checkpoint_label"])
        for run in registry.runs()
        if run["checkpoint"] not in every
    }
    return elsewhere | {one.digest: one.label for one in registry.list(all_versions=all_versions)}


def _column(registry: Registry, record: ProtocolRecord, labels: Mapping[str, str]) -> RankedColumn:
    best: dict[str, Score] = {}
    for score in registry.scores(task=record.task):
        if score.protocol != record.fingerprint or score.subset != "all" or score.checkpoint not in labels:
            continue
        held = best.get(score.checkpoint)
        if held is None or (score.n, score.created) > (held.n, held.created):  # as the leaderboard chooses
            best[score.checkpoint] = score
    rows = sorted(best.values(), key=lambda score: -score.value)
    read = [_read(registry, score) for score in rows]
    same = all(one is not None and one.keys() == read[0].keys() for one in read) if rows and read[0] else False
    found = ranks(rows)
    tested = ranks_by_test([row.value for row in rows], lambda i, j: _p(read[i], read[j])) if same else found
    told = [
        RankedScore(
            checkpoint=labels[score.checkpoint], score=score, rank=rank, paired=closer if same else None,
            alike=tuple(labels[rows[other].checkpoint] for other in closer.alike),
        )
        for score, rank, closer in zip(rows, found, tested, strict=True)
    ]  # fmt: skip
    return RankedColumn(protocol=record, paired=same, rows=tuple(told))


def _read(registry: Registry, score: Score) -> dict[str, SampleScore] | None:
    try:
        return samples_of(registry, score)
    except ZooError:
        return None


def _p(first: dict[str, SampleScore] | None, second: dict[str, SampleScore] | None) -> float:
    one, other = first or {}, second or {}
    pairs = [(one[sample], other[sample]) for sample in one]
    return paired_difference(
        [a.value for a, _ in pairs], [b.value for _, b in pairs], [a.cluster or a.sample for a, _ in pairs]
    ).p


def combine_seeds(registry: Registry, names: Sequence[str], tasks: Sequence[str] = ()) -> list[Seeds]:
    """Runs that differ by seed alone, combined: of checkpoints trained from one recipe, or of one with other seeds.

    Raises  ZooError when fewer than two runs share a protocol, or the recipes differ in more than the seed
    """
    checkpoints = list({one.digest: one for one in map(registry.get, names)}.values())
    note = _one_recipe(registry, checkpoints)
    protocols = registry.protocols()
    found = []
    if len(checkpoints) > 1:
        each = [newest_scores(registry, one, protocols, tasks) for one in checkpoints]
        shared = [[one[key] for one in each] for key in each[0] if all(key in one for one in each)]
    else:
        shared = _by_seed(registry, checkpoints[0], protocols, tasks)
    for scores in shared:
        read = [samples_of(registry, score) for score in scores]
        both = [sample for sample in read[0] if all(sample in one for one in read)]
        if len(both) < 2:
            continue
        rows = [[one[sample].value for sample in both] for one in read]
        told = combine(rows)
        runs = tuple(score.run for score in scores)
        found.append(Seeds(column=protocols[scores[0].protocol].column, runs=runs, combined=told, note=note))
    if not found:
        raise ZooError(
            f"no two runs of {', '.join(one.label for one in checkpoints)} share a protocol. "
            f"Next: phizoo eval run {checkpoints[0].label} --task {tasks[0] if tasks else 'humaneval'}"
            + (" --seed 1 --temperature 0.2" if len(checkpoints) == 1 else "")
        )
    return found


def _by_seed(
    registry: Registry, checkpoint: Checkpoint, protocols: dict[str, ProtocolRecord], tasks: Sequence[str]
) -> list[list[Score]]:
    """The newest_scores score of each seed of one checkpoint, protocols with two seeds or more."""
    seed_of = {str(run["id"]): int(run["seed"]) for run in registry.runs()}
    by: dict[str, dict[int, Score]] = {}
    for score in registry.scores(checkpoint.digest):
        name = f"{score.task}@{protocols[score.protocol].name}"
        if score.subset == "all" and (not tasks or {score.task, name} & set(tasks)):
            by.setdefault(score.protocol, {})[seed_of[score.run]] = score
    return [list(one.values()) for one in by.values() if len(one) > 1]


def _one_recipe(registry: Registry, checkpoints: Sequence[Checkpoint]) -> str:
    """Checks that the recipes differ by nothing but the seed; a note where a recipe is not known."""
    if len(checkpoints) < 2:
        return ""
    if any(one.recipe_digest is None for one in checkpoints):
        return "a recipe is not recorded: that they differ by the seed alone is your word"
    recipes = [registry.recipe(str(one.recipe_digest)) for one in checkpoints]
    plain = [_without(recipe) for recipe in recipes]
    for one, told in zip(checkpoints[1:], plain[1:], strict=True):
        for key in sorted(plain[0].keys() | told.keys()):
            if plain[0].get(key) != told.get(key):
                raise ZooError(
                    f"{checkpoints[0].label} and {one.label} differ by more than the seed: {key} is "
                    f"{str(plain[0].get(key))[:40]} and {str(told.get(key))[:40]}; compare them: "
                    f"phizoo eval compare {checkpoints[0].label} {one.label}"
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
        one, other = (samples_of(registry, score) for score in pair)
        both = [(one[sample], other[sample]) for sample in one if sample in other]
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
