"""Two checkpoints under the same protocol: paired on the same samples, with what flipped; or beside a published number.

A protocol's fingerprint decides what may be compared: the same task under another prompt is another
measurement. Where the samples of a run are not at hand, or the other side is a published number, the
comparison is unpaired and says so. Not here: printing (`compare_cli`).
"""

from collections.abc import Mapping, Sequence
from typing import Literal

from evals.protocol_name import ProtocolName
from evals.results import imported
from evals.results.task_of_run import run_options
from evals.run_folder import read_results
from evals.stats.intervals import recover_interval
from evals.stats.paired import Difference, holm, paired_difference, unpaired_difference
from evals.stats.summary import SampleScore, by_sample, derive_summary
from evals.tasks import benchmark_of
from zoo import published
from zoo.errors import ZooError, nearest, unknown
from zoo.records import Checkpoint, ProtocolRecord, Record, Reported, Score
from zoo.registry import Registry

PUBLISHED = "published:"  # before a name: the published model, though a checkpoint has that name too

Kind = Literal["paired", "unpaired", "reported"]


class Flip(Record, frozen=True):
    """A sample on which the two differ, with each one's score."""

    sample: str
    first: float
    second: float


class ComparisonRow(Record, frozen=True):
    """One protocol's comparison.

    first, second  the two scores, 0..1
    difference     first - second with interval and p; None where a published number has no n
    p_holm         p adjusted for all rows of the table
    runs           the runs compared; one where the other side is reported
    note           why it is not paired, or what was left out; the source of a reported number
    """

    task: str
    column: str
    metric: str
    kind: Kind
    first: float
    second: float
    difference: Difference | None
    p_holm: float | None
    runs: tuple[str, ...]
    note: str = ""
    flips: tuple[Flip, ...] = ()


class Comparison(Record, frozen=True):
    """A table of rows for two names; rows in the order of the first one's runs."""

    first: str
    second: str
    rows: tuple[ComparisonRow, ...]


def compare(registry: Registry, first: str, second: str, tasks: Sequence[str] = (), flips: bool = False) -> Comparison:
    """The comparison of a checkpoint with another, or with a published model, over all shared protocols.

    first   a checkpoint of the zoo
    second  a checkpoint, or the name of a published model (`published:NAME` where both have the name)
    tasks   only these: `humaneval`, or `humaneval@healed` for one protocol; all shared ones if empty
    flips   whether the rows list the samples that differ
    Raises  ZooError for unknown names with the nearest; where nothing is shared, with what to run next.
    """
    one = _first(registry, first)
    other = _second(registry, second)
    protocols = registry.protocols()
    mine = newest_scores(registry, one, protocols, tasks)
    if isinstance(other, Checkpoint):
        theirs = newest_scores(registry, other, protocols, tasks)
        shared = [(mine[key], theirs[key]) for key in mine if key in theirs]
        if not shared:
            raise _nothing_shared(registry, (one, other), (mine, theirs), protocols, tasks)
        rows = [_measured(registry, pair, protocols[pair[0].protocol], flips) for pair in shared]
        return Comparison(first=_label(one), second=_label(other), rows=_adjusted(rows))
    rows = [row for score in mine.values() for row in _reported(score, protocols[score.protocol], other)]
    if not rows:
        raise _nothing_published(one, other, mine, tasks)
    return Comparison(first=_label(one), second=other[0].model, rows=_adjusted(rows))


def _first(registry: Registry, name: str) -> Checkpoint:
    try:
        return imported.model_of(registry, name) or registry.get(name)
    except ZooError as error:
        if name.removeprefix(PUBLISHED) in published.by_model():
            raise ZooError(
                f'"{name}" is a published model, of which no samples are at hand: give it second, '
                f'after a checkpoint of yours: phizoo eval compare NAME "{name}"'
            ) from error
        raise


def _label(one: Checkpoint) -> str:
    """A checkpoint's label; of a model that is not here, its name."""
    return one.label if one.version else one.name


def _second(registry: Registry, name: str) -> Checkpoint | tuple[Reported, ...]:
    models = published.by_model()
    if name.startswith(PUBLISHED):
        wanted = name.removeprefix(PUBLISHED)
        if wanted not in models:
            raise unknown("published model", wanted, models, "phizoo leaderboard")
        return models[wanted]
    try:
        return imported.model_of(registry, name) or registry.get(name)
    except ZooError as error:
        if name in models:
            return models[name]
        if close := nearest(name, models):
            raise ZooError(f"{error}. Among published models{close}") from error
        raise


def newest_scores(
    registry: Registry, checkpoint: Checkpoint, protocols: Mapping[str, ProtocolRecord], tasks: Sequence[str]
) -> dict[str, Score]:
    """The newest score of a checkpoint under each protocol, of the tasks asked for; one made here before another's."""
    scores = [score for score in registry.scores(checkpoint.digest) if score.subset == "all"]
    scores.sort(key=lambda score: not ProtocolName.parse(protocols[score.protocol].name).imported)
    return {
        imported.pairing_key(protocols[score.protocol]): score
        for score in scores
        if not tasks or {score.task, f"{score.task}@{protocols[score.protocol].name}"} & set(tasks)
    }


def _measured(registry: Registry, pair: tuple[Score, Score], protocol: ProtocolRecord, flips: bool) -> ComparisonRow:
    """One row of two checkpoints: paired where both runs' samples are at hand."""
    one, other = pair
    try:
        ours, theirs = (samples_of(registry, score) for score in pair)
    except ZooError as error:
        return _row(pair, protocol, "unpaired", _apart(one, other), note=f"unpaired, samples are missing: {error}")
    both = [(ours[sample], theirs[sample]) for sample in ours if sample in theirs]
    if not both:
        note = "unpaired: the two runs have no scored sample in common"
        return _row(pair, protocol, "unpaired", _apart(one, other), note=note)
    first, second = [a.value for a, _ in both], [b.value for _, b in both]
    difference = paired_difference(first, second, [a.cluster or a.sample for a, _ in both])
    left_out = len(ours.keys() | theirs.keys()) - len(both)
    moved = [Flip(sample=a.sample, first=a.value, second=b.value) for a, b in both if a.value != b.value]
    return _row(
        pair, protocol, "paired", difference,
        scores=(sum(first) / len(both), sum(second) / len(both)),
        note=f"{left_out} samples that only one of them has scored are left out" if left_out else "",
        flips=tuple(moved) if flips else (),
    )  # fmt: skip


def samples_of(registry: Registry, score: Score) -> dict[str, SampleScore]:
    """A run's scored samples by id. Raises ZooError when its results are not kept or not readable."""
    path = registry.results(score.run)
    if not path.is_file():
        raise ZooError(f"the results of run {score.run[:12]} are gone. Look: phizoo models verify")
    scored, _ = by_sample(read_results(path), score.metric)
    return {one.sample: one for one in scored}


def _apart(one: Score, other: Score) -> Difference:
    first, second = (recover_interval(score.value, score.low, score.high) for score in (one, other))
    return unpaired_difference(first, second, min(one.n, other.n))


def _row(
    pair: tuple[Score, Score],
    protocol: ProtocolRecord,
    kind: Kind,
    difference: Difference,
    scores: tuple[float, float] | None = None,
    note: str = "",
    flips: tuple[Flip, ...] = (),
) -> ComparisonRow:
    one, other = pair
    first, second = scores or (one.value, other.value)
    return ComparisonRow(
        task=one.task, column=protocol.column, metric=one.metric, kind=kind, first=first, second=second,
        difference=difference, p_holm=None, runs=(one.run, other.run), note=note, flips=flips,
    )  # fmt: skip


def _reported(score: Score, protocol: ProtocolRecord, rows: Sequence[Reported]) -> list[ComparisonRow]:
    """A measured score beside each published number of its task: never paired, never quite the same protocol."""
    made = []
    for row in rows:
        same = benchmark_of(row.benchmark) == benchmark_of(score.task)
        if not same or row.op != "=" or "tau=" in row.subset:
            continue
        known = derive_summary(row)
        difference = None
        if known is not None:
            first, second = (recover_interval(side.value, side.low, side.high) for side in (score, known))
            difference = unpaired_difference(first, second, min(score.n, known.n))
        told = ", ".join(part for part in (row.protocol, row.subset, row.source) if part)
        note = f"reported ({told}), its protocol is not ours" + ("" if known else "; no n, so no interval")
        made.append(
            ComparisonRow(
                task=score.task,
                column=protocol.column,
                metric=score.metric,
                kind="reported",
                first=score.value,
                second=row.value / 100,
                difference=difference,
                p_holm=None,
                runs=(score.run,),
                note=note,
            )
        )
    return made


def _adjusted(rows: Sequence[ComparisonRow]) -> tuple[ComparisonRow, ...]:
    """The rows with Holm's p over those of them that have a p."""
    from msgspec.structs import replace

    tested = [row.difference.p for row in rows if row.difference is not None]
    adjusted = iter(holm(tested))
    return tuple(row if row.difference is None else replace(row, p_holm=next(adjusted)) for row in rows)


def _nothing_shared(
    registry: Registry,
    pair: tuple[Checkpoint, Checkpoint],
    scores: tuple[Mapping[str, Score], Mapping[str, Score]],
    protocols: Mapping[str, ProtocolRecord],
    tasks: Sequence[str],
) -> ZooError:
    """What to run so that the two can be compared, or that the task asked for is not known."""
    known = {score.task for checkpoint in pair for score in registry.scores(checkpoint.digest)}
    for task in tasks:
        name = task.split("@")[0]
        if name not in known and (close := nearest(name, known)):
            return ZooError(f'no task "{task}" among their scores{close}. All tasks: phizoo eval tasks')
    for has, lacks in ((0, 1), (1, 0)):
        if scores[has]:
            wanted = protocols[next(iter(scores[has].values())).protocol]
            return ZooError(
                f"{pair[0].label} and {pair[1].label} share no protocol"
                + (f" of {', '.join(tasks)}" if tasks else "")
                + f". Next: phizoo eval run {pair[lacks].label} {run_options(wanted)}"
            )
    asked = ",".join(tasks) if tasks else "humaneval"
    return ZooError(
        f"neither {pair[0].label} nor {pair[1].label} has a score{' of ' + ', '.join(tasks) if tasks else ''}. "
        f"Next: phizoo eval run {pair[0].label} --task {asked}, then the same for {pair[1].label}"
    )


def _nothing_published(
    one: Checkpoint, rows: Sequence[Reported], mine: Mapping[str, Score], tasks: Sequence[str]
) -> ZooError:
    have = sorted({row.benchmark for row in rows})
    wanted = [task for task in tasks if task in have] or have
    mine_are = ", ".join(sorted({score.task for score in mine.values()})) or "none"
    return ZooError(
        f"{one.label} has no score of a task published for {rows[0].model} ({', '.join(have)}); its own: {mine_are}. "
        f"Next: phizoo eval run {one.label} --task {wanted[0]}"
    )
