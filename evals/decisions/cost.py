"""What a score cost: tokens read and written, seconds, peak memory, engine and machine; and which scores it pays for.

A score is on the Pareto front if no other is at least as good for less. Seconds and memory are compared between runs of
one machine and engine setting only; tokens between any runs. Not here: measuring (`evals.meter`).
"""

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from msgspec.structs import replace

from evals.results.choice import read_run
from evals.results.compare import main_readings, scores_by_protocol
from zoo.cli.output import bytes_text
from zoo.errors import ZooError
from zoo.metrics import Metric, metric_of
from zoo.records import Record, Score
from zoo.registry import Registry

Measure = Literal["seconds", "tokens", "memory"]


class RunCost(Record, frozen=True, kw_only=True):
    """What the answers behind a score cost; None where it is not known.

    answers            result lines: samples times draws, of all seeds
    tokens_read        of the prompts, tokens_written: of the answers, or of the choices that were scored
    seconds            for one answer, the mean over those that were timed
    peak_memory_bytes  the highest of the runs, of the process and its GPUs
    machine            the processor and GPUs in words; host: equal for runs of one machine, "" if not known
    """

    run: str
    answers: int | None
    tokens_read: int | None
    tokens_written: int | None
    seconds: float | None
    peak_memory_bytes: int | None
    engine: str
    dtype: str
    machine: str
    host: str

    def per_answer(self, measure: Measure) -> float | None:
        """Seconds or tokens (read and written) for one answer, or bytes at the peak."""
        if measure == "seconds":
            return self.seconds
        if measure == "memory":
            return self.peak_memory_bytes
        if not self.answers or self.tokens_read is None or self.tokens_written is None:
            return None
        return (self.tokens_read + self.tokens_written) / self.answers


def cost_of(registry: Registry, score: Score) -> RunCost:
    """The cost of a score's runs, from their headers and result lines."""
    headers = [registry.run(run) for run in score.runs or (score.run,)]
    timed = [dict(header.get("cost") or {}) for header in headers]
    answers = sum(cost.get("answers", 0) for cost in timed)
    seconds = sum(cost.get("seconds", 0.0) for cost in timed)
    peaks = [int(cost["peak_memory_bytes"]) for cost in timed if "peak_memory_bytes" in cost]
    try:
        lines = [line for header in headers for line in read_run(registry, str(header["id"]))]
    except ZooError:
        lines = None
    hardware = {_machine(dict(header.get("hardware") or {})) for header in headers}
    machine, host = hardware.pop() if len(hardware) == 1 else ("several machines", "")
    return RunCost(
        run=score.run, answers=None if lines is None else len(lines),
        tokens_read=None if lines is None else sum(line.prompt_tokens for line in lines),
        tokens_written=None if lines is None else sum(line.tokens for line in lines),
        seconds=seconds / answers if answers else None, peak_memory_bytes=max(peaks) if peaks else None,
        engine=score.engine, dtype=score.dtype, machine=machine, host=host,
    )  # fmt: skip


def _machine(hardware: dict[str, Any]) -> tuple[str, str]:
    """The machine in words, and its id."""
    words = (str(hardware.get("gpus") or ""), str(hardware.get("processor") or hardware.get("machine") or ""))
    cores = f"{hardware['cores']} cores" if hardware.get("cores") else ""
    return ", ".join(word for word in (*words, cores) if word), str(hardware.get("host") or "")


class CostRow(Record, frozen=True, kw_only=True):
    """A score and its cost. front: no other of the same machine is as good for less; None if its cost is not known."""

    checkpoint: str
    column: str
    metric: str
    value: float
    low: float
    high: float
    n: int
    cost: RunCost
    front: bool | None = None


def cost_rows(registry: Registry, task: str, names: Sequence[str], measure: Measure) -> list[CostRow]:
    """The scores of a task by its main metric under its default protocol, best first, with their costs.

    names   checkpoints; all of the zoo, in their newest version, if empty
    Raises  ZooError for unknown names, or if none has a score of the task
    """
    chosen = [registry.get(name) for name in dict.fromkeys(names)] if names else registry.list()
    protocols = registry.protocols()
    scores = [
        (checkpoint, key, score)
        for checkpoint in chosen
        for key, score in scores_by_protocol(registry, checkpoint, protocols, (task,)).items()
    ]
    main = main_readings(registry, [score for _, _, score in scores], protocols)
    key = next((key for _, key, score in scores if score.protocol in main), None)
    rows = [
        CostRow(
            checkpoint=checkpoint.label, column=protocols[score.protocol].column, metric=score.metric,
            value=score.value, low=score.low, high=score.high, n=score.n, cost=cost_of(registry, score),
        )
        for checkpoint, own, score in scores
        if own == key
    ]  # fmt: skip
    if not rows:
        raise ZooError(f"no checkpoint has a score of {task}. Next: phizoo eval run NAME --task {task}")
    metric = metric_of(rows[0].metric)
    return _with_front(sorted(rows, key=lambda row: -metric.merit(row.value)), measure, metric)


def _with_front(rows: Sequence[CostRow], measure: Measure, metric: Metric) -> list[CostRow]:
    """The rows with the front of each machine (of tokens: of all)."""
    places: dict[str, list[int]] = {}
    for index, row in enumerate(rows):
        if row.cost.per_answer(measure) is not None and (measure == "tokens" or row.cost.host):
            places.setdefault("" if measure == "tokens" else row.cost.host, []).append(index)
    fronts: dict[int, bool] = {}
    for group in places.values():
        costs = [rows[index].cost.per_answer(measure) or 0.0 for index in group]
        fronts |= dict(zip(group, pareto([metric.merit(rows[i].value) for i in group], costs), strict=True))
    return [replace(row, front=fronts.get(index)) for index, row in enumerate(rows)]


def cost_text(header: Mapping[str, Any]) -> str:
    """A run's seconds, peak memory and machine in words; "" where nothing was measured.

    >>> cost_text({"cost": {"seconds": 3.0, "answers": 2}, "hardware": {"processor": "x", "cores": 2}})
    '1.5 s an answer on x, 2 cores'
    """
    cost, parts = dict(header.get("cost") or {}), []
    if cost.get("answers"):
        parts.append(f"{cost['seconds'] / cost['answers']:.3g} s an answer")
    if cost.get("peak_memory_bytes"):
        parts.append(f"{bytes_text(cost['peak_memory_bytes'])} at the peak")
    machine = _machine(dict(header.get("hardware") or {}))[0]
    return ", ".join(parts) + (f" on {machine}" if machine else "") if parts else ""


def comparable(costs: Sequence[RunCost], measure: Measure) -> bool:
    """Whether these costs may stand side by side: tokens always, seconds and memory on one known machine."""
    hosts = {cost.host for cost in costs}
    return measure == "tokens" or (len(hosts) == 1 and "" not in hosts)


def pareto(values: Sequence[float], costs: Sequence[float]) -> list[bool]:
    """For each score whether it is on the front: no other has as much for less, or more for as little.

    >>> pareto([0.5, 0.6, 0.6, 0.4], [1.0, 2.0, 3.0, 1.0])
    [True, True, False, False]
    """
    pairs = list(zip(values, costs, strict=True))
    return [not any(v >= value and c <= cost and (v, c) != (value, cost) for v, c in pairs) for value, cost in pairs]
