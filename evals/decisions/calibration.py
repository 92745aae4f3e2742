"""Holds what was measured here against what others published of the same model, row by row.

Two numbers get a verdict only where tool, shots, metric and set are the same; every other row is named "another
protocol", with what differs. A fixed part of the questions (`-quick3`) stands for the whole set, and is said.

AGREES        theirs lies inside our 95% interval
NOT RESOLVED  it lies outside, but the difference's interval has 0, or their n is not known
DIFFERS       the difference's interval (Newcombe's, unpaired) does not have 0

Both sides asked the same questions, so the difference's true error is smaller than its interval: DIFFERS is strong,
AGREES is what a right harness gives in 95 of 100 rows or more. Not here: printing (`evals.decisions.calibration_page`).
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from typing import Literal, NamedTuple

from msgspec.structs import replace

from evals.protocol_name import ProtocolName
from evals.results.choice import chosen_scores
from evals.results.compare import score_ends
from evals.stats.intervals import Interval
from evals.stats.paired import Difference, unpaired_difference
from evals.stats.summary import derive_summary, not_comparable
from evals.tasks import TASKS, benchmark_of
from zoo import published
from zoo.errors import ZooError, unknown
from zoo.lineage import with_ancestors
from zoo.metrics import metric_of
from zoo.published import PublishedModel
from zoo.published.reported_here import load_reported
from zoo.records import Checkpoint, ProtocolRecord, Record, Reported, Score
from zoo.registry import Registry

Agreement = Literal["AGREES", "NOT RESOLVED", "DIFFERS", "another protocol"]
QUANTISATION = re.compile(r"[.-](?:i?q\d\w*|f16|f32|bf16|fp16|fp32|gguf)$", re.IGNORECASE)
HUB = re.compile(r"^(?:hf:(?://)?|https://huggingface\.co/)")
NEAR = 0.25  # share by which the parameters of a file and of its card may differ: embeddings are counted or not


class Reading(NamedTuple):
    """How a published protocol reads: the protocol of ours with the same prompts ("": none has), and its metric."""

    protocol: str
    metric: str
    differs: str = ""


class OwnScore(NamedTuple):
    """One score of ours with its protocol, the protocol's name in parts, and the task's main metric."""

    score: Score
    record: ProtocolRecord
    name: ProtocolName
    main: str


# published protocol -> ours. Only a tool that names its metric has one of ours. lighteval's prompts are its own; other
# people's runs of SmolLM's published scripts print acc_norm alone, so that is the nearest of ours
READINGS = {
    "accuracy (lm-eval, acc)": Reading("lm-eval", "acc"),
    "accuracy (lm-eval, acc_norm)": Reading("lm-eval", "acc_norm"),
    "exact match (lm-eval, flexible-extract)": Reading("lm-eval", "flexible-extract"),
    "pass@1 greedy (completion)": Reading("evalplus", "pass@1"),
    "pass@1 greedy (chat prompt)": Reading("", "pass@1", "EvalPlus begins the answer of a chat"),
    "lighteval score": Reading("", "acc_norm", "lighteval's prompts and reading"),
    "lighteval score, cloze": Reading("", "acc_norm", "lighteval's prompts and reading"),
}


def stated_metric(protocol: str) -> str:
    """The metric of ours that a published protocol names; empty where it names none.

    >>> stated_metric("accuracy (lm-eval, acc_norm), 0-shot"), stated_metric("score, 0-shot")
    ('acc_norm', '')
    """
    return next((reading.metric for known, reading in READINGS.items() if protocol.startswith(known)), "")


class CalibrationRow(Record, frozen=True, kw_only=True):
    """A score of ours beside a published number of the same model and benchmark; shares in 0..1.

    column      our task, protocol and metric
    value, low, high, n   ours
    theirs      the published share; their_n: its samples, if known; bound: only an upper bound was printed
    difference  ours minus theirs; None where their n is not known
    differs     what makes it another protocol; empty where it is the same
    notes       what else may move the difference: a part of the questions, our file's quantisation, ...
    """

    benchmark: str
    column: str
    shots: int
    value: float
    low: float
    high: float
    n: int
    theirs: float
    their_n: int | None
    their_shots: int | None
    their_protocol: str
    source: str
    address: str
    difference: Difference | None
    verdict: Agreement
    differs: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    bound: bool = False


class Calibration(Record, frozen=True, kw_only=True):
    """A checkpoint beside the published model that it is.

    by          how it was recognised
    rows        by benchmark, the same protocol first
    unmeasured  benchmarks that are published and not measured here
    """

    checkpoint: str
    model: str
    by: str
    rows: tuple[CalibrationRow, ...]
    unmeasured: tuple[str, ...]


def judge(ours: Interval, theirs: float, difference: Difference | None) -> Agreement:
    """The verdict on a number of the same protocol.

    >>> from evals.stats.intervals import wilson
    >>> judge(wilson(50, 100), 0.45, None), judge(wilson(50, 100), 0.2, None)
    ('AGREES', 'NOT RESOLVED')
    """
    if ours.low <= theirs <= ours.high:
        return "AGREES"
    apart = difference is not None and not difference.low <= 0 <= difference.high
    return "DIFFERS" if apart else "NOT RESOLVED"


def calibrate_all(registry: Registry) -> list[Calibration]:
    """The calibrations of all checkpoints here that are published models and have scores on what is published."""
    every = (calibrate(registry, checkpoint) for checkpoint in registry.list())
    return [one for one in every if one is not None and one.rows]


def calibrate(registry: Registry, checkpoint: Checkpoint, model: str = "") -> Calibration | None:
    """A checkpoint's scores beside what was published of it; None where no published model is recognised.

    model   the published model that it is; "": recognised by its source, its files or its name
    Raises  ZooError for a model that is not published, or of another size
    """
    match = _named(model, checkpoint) if model else recognise(registry, checkpoint)
    if match is None:
        return None
    rows = [*published.by_model()[match[0].model], *(row for row in load_reported() if row.model in match[0].names)]
    measured = _measured(registry, checkpoint)
    stored = _stored_as(registry, checkpoint)
    pairs = [_pair(ours, row, stored) for row in rows for ours in _columns(measured, row)]
    tasks = {benchmark_of(one.score.task) for one in measured}
    places = {benchmark_of(task): place for place, task in enumerate(TASKS)}
    pairs.sort(key=lambda pair: (places.get(pair.benchmark, len(places)), bool(pair.differs), pair.source, pair.column))
    others = dict.fromkeys(row.benchmark for row in rows if benchmark_of(row.benchmark) not in tasks)
    return Calibration(
        checkpoint=checkpoint.label, model=match[0].model, by=match[1], rows=tuple(pairs),
        unmeasured=tuple(others),
    )  # fmt: skip


def recognise(registry: Registry, checkpoint: Checkpoint) -> tuple[PublishedModel, str] | None:
    """The published model that a checkpoint is, and by which of its facts; None where none fits.

    A name counts where it is one published model's alone, with its number of parameters. A checkpoint that was
    converted from another (dequantised, say) is the same model.
    """
    return next(filter(None, map(_recognise_form, _same_model(registry, checkpoint))), None)


def _recognise_form(checkpoint: Checkpoint) -> tuple[PublishedModel, str] | None:
    names = {"its source": HUB.sub("", checkpoint.source).partition("@")[0]}
    for file in checkpoint.files:
        if file.path.endswith(".gguf"):
            names["its file"] = QUANTISATION.sub("", file.path.removesuffix(".gguf"))
    names["its name"] = checkpoint.name
    for by, name in names.items():
        models = {model.model: model for model in _by_short_name().get(_short(name), ())}
        exact = published.read_models().get(name)
        candidates = [exact] if exact else list(models.values())
        if len(candidates) == 1 and candidates[0].model in published.by_model() and _fits(candidates[0], checkpoint):
            return candidates[0], by
    return None


def _same_model(registry: Registry, checkpoint: Checkpoint) -> Iterator[Checkpoint]:
    """A checkpoint and what it was converted from, nearest first: one model in several forms."""
    line, _ = with_ancestors(registry, checkpoint)
    forms = {checkpoint.digest}
    for member in line:
        if member.digest in forms:
            forms |= {parent.digest for parent in member.parents if parent.relation == "convert"}
            yield member


def _short(name: str) -> str:
    return name.rpartition("/")[2].lower()


@cache
def _by_short_name() -> Mapping[str, list[PublishedModel]]:
    table: dict[str, list[PublishedModel]] = {}
    for name, model in published.read_models().items():
        table.setdefault(_short(name), []).append(model)
    return table


def _fits(model: PublishedModel, checkpoint: Checkpoint) -> bool:
    return not model.parameters or abs(checkpoint.parameters / model.parameters - 1) <= NEAR


def _named(name: str, checkpoint: Checkpoint) -> tuple[PublishedModel, str]:
    model = published.read_models().get(name)
    if model is None or model.model not in published.by_model():
        raise unknown("published model", name, published.by_model(), "phizoo leaderboard --suite all")
    if not _fits(model, checkpoint):
        raise ZooError(
            f"{checkpoint.label} has {checkpoint.parameters:,} parameters and {model.model} {model.parameters:,.0f}: "
            "they are two models. Another name: --model NAME, of phizoo leaderboard --suite all"
        )
    return model, "--model"


def _stored_as(registry: Registry, checkpoint: Checkpoint) -> str:
    """How coarsely its weights are stored, or were before they were converted; empty: as they were trained."""
    stored = next((form for form in _same_model(registry, checkpoint) if form.quantisation), None)
    if stored is None:
        return ""
    is_own = stored is checkpoint
    return f"our file is {stored.quantisation}" if is_own else f"our weights were {stored.quantisation} before"


def _measured(registry: Registry, checkpoint: Checkpoint) -> list[OwnScore]:
    """The shares that were measured of a checkpoint, on all samples of their protocol."""
    protocols = registry.protocols()
    return [
        OwnScore(score, record, ProtocolName.parse(record.name), _main_metric(registry, score, record))
        for score in chosen_scores(registry, checkpoint.digest)
        if score.subset == "all" and (record := protocols.get(score.protocol)) and metric_of(score.metric).is_share
    ]


def _main_metric(registry: Registry, score: Score, record: ProtocolRecord) -> str:
    return str(dict(registry.run(score.run).get("protocol") or {}).get("metric", record.metric))


def _columns(measured: Sequence[OwnScore], row: Reported) -> Iterator[OwnScore]:
    """Of a row's benchmark, one score a protocol: under the metric that the row has, else the task's main one.

    A fixed part is left out where the whole set was asked in the same way.
    """
    reading = READINGS.get(row.protocol)
    ways: dict[tuple[str, ProtocolName], dict[str, OwnScore]] = {}
    for one in measured:
        if benchmark_of(one.score.task) == benchmark_of(row.benchmark):
            ways.setdefault((one.score.task, one.name), {})[one.score.metric] = one
    for (task, name), metrics in ways.items():
        if not (name.subset and (task, replace(name, subset="")) in ways):
            wanted = (reading.metric if reading else "", next(iter(metrics.values())).main, min(metrics))
            yield metrics[next(metric for metric in wanted if metric in metrics)]


def _pair(ours: OwnScore, row: Reported, stored: str) -> CalibrationRow:
    score, protocol = ours.score, ours.record
    differs = _differences(ours, row)
    theirs = derive_summary(row)
    difference = None
    if theirs is not None:
        difference = unpaired_difference(score_ends(score), score_ends(theirs), min(score.n, theirs.n))
    part = f"a fixed part, {score.n:,} of its {row.n:,} questions" if row.n else f"a fixed part, {score.n:,} questions"
    notes = (
        part if ours.name.subset else "", protocol.partial, stored, row.variant,
        f"{score.unscored:,} unscored" if score.unscored else "",
        "only an upper bound was printed" if row.op == "<" else "",
    )  # fmt: skip
    return CalibrationRow(
        benchmark=benchmark_of(row.benchmark), column=f"{score.task}@{protocol.name} {score.metric}",
        shots=protocol.shots, value=score.value, low=score.low, high=score.high, n=score.n, theirs=row.value / 100,
        their_n=row.n, their_shots=row.shots, their_protocol=row.protocol, source=row.source, address=row.address,
        difference=difference, differs=differs, notes=tuple(filter(None, notes)), bound=row.op == "<",
        verdict="another protocol" if differs else judge(score_ends(score), row.value / 100, difference),
    )  # fmt: skip


def _differences(ours: OwnScore, row: Reported) -> tuple[str, ...]:
    """What makes a published number one of another protocol; empty where tool, shots, metric and set are ours."""
    score, protocol, name = ours.score, ours.record, ours.name
    reading = READINGS.get(row.protocol, Reading("", "", f'theirs is "{row.protocol}"'))
    plain = ProtocolName(base=name.base, subset=name.subset)
    base = name.base.removesuffix(f"-{protocol.shots}") if reading.protocol == "lm-eval" else name.base
    own = reading.protocol == base and name == plain
    reasons = [not_comparable(row.subset, row.shots, protocol.shots)]
    if row.shots is None:
        reasons.append(f"their shots are not stated, {protocol.shots} here")
    if not own:
        reasons.append(reading.differs or f"theirs is {row.protocol}, ours {protocol.name}")
    elif reading.metric != score.metric:
        reasons.append(f"theirs is {reading.metric}, ours {score.metric}")
    if row.op == "<":
        reasons.append("only an upper bound is printed")
    return tuple(filter(None, reasons))
