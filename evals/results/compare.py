"""Compares two checkpoints under the same protocol, paired by sample; or a checkpoint with a published number.

A protocol's fingerprint decides which scores may be compared: the same task under another prompt is another
measurement. If a run's samples are missing, or the other side is a published number, the comparison is unpaired and
says so. Not here: printing (`evals.cli.compare`).
"""

from collections.abc import Container, Mapping, Sequence
from functools import partial
from typing import Literal

from msgspec.structs import replace

from evals.protocol_name import ProtocolName
from evals.results import imported
from evals.results.choice import chosen_scores, samples_of
from evals.results.nothing_to_compare import nothing_published, nothing_shared, unknown_task
from evals.results.task_of_run import run_options
from evals.stats.averages import PairedTask
from evals.stats.equivalence import Equivalence, Verdict, two_one_sided, verdict
from evals.stats.intervals import Interval, effective_n
from evals.stats.paired import SHARE, Difference, holm, unpaired_difference, unpaired_interval
from evals.stats.summary import SampleScore, Summary, derive_summary, not_comparable
from evals.tasks import TASKS, benchmark_of
from evals.tasks import protocols as task_protocols
from zoo import published
from zoo.errors import ZooError, nearest, unknown
from zoo.metrics import Metric, metric_of
from zoo.records import Checkpoint, ProtocolRecord, Record, Reported, Score
from zoo.registry import Registry

PUBLISHED = "published:"  # before a name: the published model, even if a checkpoint has that name

Kind = Literal["paired", "unpaired", "reported"]


class Flip(Record, frozen=True):
    """A sample on which the two differ, with each one's score."""

    sample: str
    first: float
    second: float


class ComparisonRow(Record, frozen=True):
    """One protocol's comparison.

    first, second  the two scores, 0..1
    difference     first - second with interval and p; None where a published number has no n, or is not comparable
    p_holm         p adjusted for all rows of the family; None for the others, whose p is not adjusted
    runs           the runs compared, the newest of several seeds; one if the other side is reported
    shots          of the first and the second; None where a published number does not say
    family         one reading of each task, its main metric, of two checkpoints: what the table is asked about
    equivalence    the difference held against the margin that was asked about; None without one
    note           why it is not paired, or how many samples were left out; the source of a reported number
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
    shots: tuple[int | None, int | None] = (None, None)
    family: bool = False
    equivalence: Equivalence | None = None

    @property
    def verdict(self) -> Verdict:
        """The verdict against the margin, by Holm's p where the row has one."""
        if self.difference is None or self.equivalence is None:
            return "NOT RESOLVED"
        p = self.difference.p if self.p_holm is None else self.p_holm
        return verdict(self.equivalence, metric_of(self.metric).merit(self.difference.value), p)


class Comparison(Record, frozen=True):
    """A table of rows for two names; rows in the order of the first one's runs."""

    first: str
    second: str
    rows: tuple[ComparisonRow, ...]


def compare(
    registry: Registry, first: str, second: str, tasks: Sequence[str] = (), flips: bool = False, chat: bool = False,
    margin: float | None = None,
) -> Comparison:  # fmt: skip
    """Compares a checkpoint with another, or with a published model, under all protocols that they share.

    first   a checkpoint of the zoo
    second  a checkpoint, or the name of a published model (`published:NAME` where both have the name)
    tasks   only these: `humaneval`, or `humaneval@healed` for one protocol; all shared ones if empty
    flips   whether the rows list the samples that differ
    chat    the second's scores by chat beside the first's of the same protocols as completions; the two names may be
            one checkpoint, whose rows then show what the chat template changes
    margin  the largest difference that does not matter, as it is shown: in points, for rows that are shares; where no
            row is one, in the metric's unit
    Raises  ZooError for unknown names with the nearest; if nothing is shared, with the command to run next.
    """
    checkpoint = find_first(registry, first)
    other = find_second(registry, second)
    protocols = registry.protocols()
    scores = scores_by_protocol(registry, checkpoint, protocols, tasks)
    if chat:
        if not isinstance(other, Checkpoint):
            raise ZooError(f'"{other[0].model}" is a published model, which nobody here asks by chat; leave out --chat')
        return _compare_shapes(registry, (checkpoint, other), (scores, protocols), tasks, flips, margin)
    if isinstance(other, Checkpoint):
        theirs = scores_by_protocol(registry, other, protocols, tasks)
        shared = [(scores[key], theirs[key]) for key in scores if key in theirs]
        if not shared:
            raise nothing_shared(registry, (checkpoint, other), (scores, theirs), protocols, tasks)
        shares = any(metric_of(own.metric).is_share for own, _ in shared)
        pairs = [
            (
                _compare_scores(
                    registry, pair, protocols[pair[0].protocol], flips,
                    stored_margin(margin, metric_of(pair[0].metric), shares),
                ),
                pair[0].protocol,
            )
            for pair in shared
        ]  # fmt: skip
        family = main_readings(registry, [pair[0] for pair in shared], protocols)
        return Comparison(first=_label(checkpoint), second=_label(other), rows=_adjust(pairs, family))
    rows = [
        row
        for score in scores.values()
        for row in _compare_reported(
            score, protocols[score.protocol], other, stored_margin(margin, metric_of(score.metric), shares=True)
        )
    ]
    if not rows:
        raise nothing_published(checkpoint, other, scores, tasks)
    return Comparison(first=_label(checkpoint), second=other[0].model, rows=tuple(rows))


def _compare_shapes(
    registry: Registry, pair: tuple[Checkpoint, Checkpoint],
    known: tuple[Mapping[str, Score], Mapping[str, ProtocolRecord]], tasks: Sequence[str], flips: bool,
    margin: float | None,
) -> Comparison:  # fmt: skip
    """The first as completions, the second by chat: one row a protocol, metric and shape that both have.

    known  the first's scores of these tasks, and all protocols
    """
    plain, protocols = known
    shaped = scores_by_protocol(registry, pair[1], protocols, ()).values()
    completions = {
        _unshaped(protocols[score.protocol]): score for score in plain.values() if not protocols[score.protocol].chat
    }
    rows, own_scores = [], []
    for score in shaped:
        record = protocols[score.protocol]
        own = completions.get(_unshaped(record)) if record.chat else None
        if own is not None:
            name = protocols[own.protocol].name
            held = stored_margin(margin, metric_of(record.metric), shares=True)
            row = _compare_scores(registry, (own, score), record, flips, held)
            row = replace(row, column=f"{record.task} [{name}] and [{record.name}] {record.metric}")
            rows.append((row, own.protocol))
            own_scores.append(own)
    if not rows:
        if fault := unknown_task(registry, pair, tasks):
            raise fault
        first, second = map(_label, pair)
        step = f"{first} --task {tasks[0] if tasks else 'arc_easy'}, then {second} with --chat"
        if completions:
            step = f"{second} {run_options(protocols[next(iter(completions.values())).protocol])} --chat"
        raise ZooError(
            f"no protocol was asked of {first} as a completion and of {second} by chat. Next: phizoo eval run {step}"
        )
    return Comparison(
        first=f"{_label(pair[0])}, completions",
        second=f"{_label(pair[1])}, by chat",
        rows=_adjust(rows, main_readings(registry, own_scores, protocols)),
    )


def _unshaped(record: ProtocolRecord) -> tuple[str, int, str, str]:
    """What a protocol of completions and the same protocol by chat have in common."""
    return record.task, record.task_version, ProtocolName.parse(record.name).without_shape().render(), record.metric


def find_first(registry: Registry, name: str) -> Checkpoint:
    """The first of a comparison: a checkpoint, or a model of imported results; ZooError with the nearest name."""
    try:
        return imported.model_of(registry, name) or registry.get(name)
    except ZooError as error:
        if name.removeprefix(PUBLISHED) in published.by_model():
            raise ZooError(
                f'"{name}" is a published model, without samples here: give it second, '
                f'after a checkpoint of yours: phizoo eval compare NAME "{name}"'
            ) from error
        raise


def _label(checkpoint: Checkpoint) -> str:
    """A checkpoint's label; the name of a model that is not here."""
    return checkpoint.label if checkpoint.version else checkpoint.name


def find_second(registry: Registry, name: str) -> Checkpoint | tuple[Reported, ...]:
    """The second of a comparison: a checkpoint, or the rows of a published model."""
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


def scores_by_protocol(
    registry: Registry, checkpoint: Checkpoint, protocols: Mapping[str, ProtocolRecord], tasks: Sequence[str]
) -> dict[str, Score]:
    """The score that stands for a checkpoint under each protocol of the given tasks; our own before an imported one."""
    scores = [score for score in chosen_scores(registry, checkpoint.digest) if score.subset == "all"]
    scores.sort(key=lambda score: not ProtocolName.parse(protocols[score.protocol].name).imported)
    return {
        imported.pairing_key(protocols[score.protocol]): score
        for score in scores
        if not tasks or {score.task, f"{score.task}@{protocols[score.protocol].name}"} & set(tasks)
    }


def stored_margin(margin: float | None, metric: Metric, shares: bool) -> float | None:
    """A margin in a metric's stored unit; None where it says nothing of the metric. shares: some row is a share."""
    return None if margin is None or (shares and not metric.is_share) else margin / metric.scale


def _compare_scores(
    registry: Registry, pair: tuple[Score, Score], protocol: ProtocolRecord, flips: bool, margin: float | None
) -> ComparisonRow:
    """The row of two scores: paired if the samples of both runs are here."""
    notes, both = _settings(pair), []
    try:
        first, second = (samples_of(registry, score) for score in pair)
        both = shared_samples(first, second)
        reason = "unpaired: the two runs have no scored sample in common"
    except ZooError as error:
        reason = f"unpaired, samples are missing: {error}"
    if not both:
        metric = metric_of(protocol.metric)
        row = _row(pair, protocol, "unpaired", _unpaired(*pair, metric), note="; ".join([reason, *notes]))
        return replace(row, equivalence=held_unpaired(*pair, margin, metric))
    left_out = len(first.keys() | second.keys()) - len(both)
    notes = [f"{left_out} samples that only one of them has scored are left out", *notes] if left_out else notes
    moved = [Flip(sample=a.sample, first=a.value, second=b.value) for a, b in both if a.value != b.value]
    sides = paired_task(both, metric_of(protocol.metric))
    row = _row(
        pair, protocol, "paired", sides.difference(),
        scores=(sum(a.value for a, _ in both) / len(both), sum(b.value for _, b in both) / len(both)),
        note="; ".join(notes),
        flips=tuple(moved) if flips else (),
    )  # fmt: skip
    return replace(row, equivalence=None if margin is None else two_one_sided(sides.ends, margin))


def _settings(pair: tuple[Score, Score]) -> list[str]:
    """The seeds behind the two scores, their engines and dtypes where these differ, and the places of pulled ones."""
    first, second = pair
    notes = [f"means over {first.seeds} and {second.seeds} seeds"] if max(first.seeds, second.seeds) > 1 else []
    names = [f"{score.engine} {score.dtype}".strip() for score in pair]
    notes += [f"A ran with {names[0]}, B with {names[1]}"] if names[0] != names[1] else []
    places = zip("AB", (score.measured_at for score in pair), strict=True)
    return [*notes, *(f"{side} was measured elsewhere: {place}" for side, place in places if place)]


def shared_samples(
    first: Mapping[str, SampleScore], second: Mapping[str, SampleScore]
) -> list[tuple[SampleScore, SampleScore]]:
    """The samples that two runs have both scored, in the first one's order."""
    return [(first[sample], second[sample]) for sample in first if sample in second]


def paired_task(pairs: Sequence[tuple[SampleScore, SampleScore]], metric: Metric) -> PairedTask:
    """Two models' values on shared samples, clustered as these are."""
    return PairedTask([a.value for a, _ in pairs], [b.value for _, b in pairs], [a.unit for a, _ in pairs], metric)


def score_ends(score: Score | Summary) -> Interval:
    """A score's interval with the number of independent samples that it is worth."""
    effective = effective_n(score.value, score.low, score.high, score.n)
    return Interval(value=score.value, low=score.low, high=score.high, effective=effective)


def _unpaired(first: Score | Summary, second: Score | Summary, metric: Metric = SHARE) -> Difference:
    return unpaired_difference(score_ends(first), score_ends(second), min(first.n, second.n), metric)


def held_unpaired(
    first: Score | Summary, second: Score | Summary, margin: float | None, metric: Metric = SHARE
) -> Equivalence | None:
    """Two scores held against a margin without their samples; None without a margin."""
    if margin is None:
        return None
    return two_one_sided(partial(unpaired_interval, score_ends(first), score_ends(second), metric=metric), margin)


def _row(
    pair: tuple[Score, Score], protocol: ProtocolRecord, kind: Kind, difference: Difference,
    scores: tuple[float, float] | None = None, note: str = "", flips: tuple[Flip, ...] = (),
) -> ComparisonRow:  # fmt: skip
    score, other = pair
    first, second = scores or (score.value, other.value)
    return ComparisonRow(
        task=score.task, column=protocol.column, metric=score.metric, kind=kind, first=first, second=second,
        difference=difference, p_holm=None, runs=(score.run, other.run), note=note, flips=flips,
        shots=(protocol.shots, protocol.shots),
    )  # fmt: skip


def _compare_reported(
    score: Score, protocol: ProtocolRecord, rows: Sequence[Reported], margin: float | None
) -> list[ComparisonRow]:
    """A measured score beside each published number of its task: never paired, never quite the same protocol."""
    return [
        _reported_row(score, protocol, row, margin)
        for row in rows
        if benchmark_of(row.benchmark) == benchmark_of(score.task) and row.op == "=" and "tau=" not in row.subset
    ]


def _reported_row(score: Score, protocol: ProtocolRecord, row: Reported, margin: float | None) -> ComparisonRow:
    obstacle = not_comparable(row.subset, row.shots, protocol.shots)
    summary = None if obstacle else derive_summary(row)
    shots = "shots not stated" if row.shots is None else f"{row.shots}-shot"
    origin = ", ".join(part for part in (row.protocol, shots, row.subset, row.source) if part)
    reason = f"; not comparable: {obstacle}" if obstacle else "" if summary else "; no n, so no interval"
    return ComparisonRow(
        task=score.task, column=protocol.column, metric=score.metric, kind="reported", first=score.value,
        second=row.value / metric_of(score.metric).scale, difference=_unpaired(score, summary) if summary else None,
        p_holm=None, runs=(score.run,),
        note=f"reported ({origin}), its protocol is not ours ({protocol.shots}-shot){reason}",
        shots=(protocol.shots, row.shots), equivalence=held_unpaired(score, summary, margin) if summary else None,
    )  # fmt: skip


def main_readings(registry: Registry, scores: Sequence[Score], protocols: Mapping[str, ProtocolRecord]) -> set[str]:
    """The protocols of Holm's family: of each task its main metric, under its default protocol if that is shared."""
    best: dict[str, tuple[tuple[bool, int, int], str]] = {}
    for score in scores:
        record = protocols[score.protocol]
        main = dict(registry.run(score.run).get("protocol") or {}).get("metric", record.metric)
        names = list(task_protocols(score.task)) if score.task in TASKS else []
        own = ProtocolName.parse(record.name).render()
        order = (score.metric != main, names.index(own) if own in names else len(names), -record.task_version)
        if score.task not in best or order < best[score.task][0]:
            best[score.task] = (order, score.protocol)
    return {fingerprint for _, fingerprint in best.values()}


def _adjust(pairs: Sequence[tuple[ComparisonRow, str]], family: Container[str]) -> tuple[ComparisonRow, ...]:
    """The rows with Holm's p over those whose protocol is in the family."""
    adjusted = iter(holm([row.difference.p for row, key in pairs if key in family and row.difference is not None]))
    return tuple(
        replace(row, family=True, p_holm=None if row.difference is None else next(adjusted)) if key in family else row
        for row, key in pairs
    )
