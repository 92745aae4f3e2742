"""What a score cost: tokens read and written, seconds, peak memory, engine and machine; and which scores it pays for.

A score is on the Pareto front if no other is at least as good for less. Seconds and memory are compared between runs of
one machine and engine setting only; tokens between any runs. Not here: measuring (`evals.meter`).
"""

from collections.abc import Sequence
from typing import Any, Literal

from evals.results.choice import read_run
from zoo.errors import ZooError
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
