"""The one form that results of other tools are read into: TaskResults, with a SampleLine for each sample and draw."""

from collections.abc import Iterable, Sequence
from typing import Any

import msgspec

from zoo.digest import digest
from zoo.errors import ZooError
from zoo.records import Record


class SampleLine(Record, frozen=True):
    """One sample and draw. asked: the (context, continuation) pairs to the byte; () if the file has none.

    trials  metric -> the outcomes that it is the mean of, as in `evals.records.Result`
    fault   why it has no score; its metrics then count for nothing
    messages  (role, content) of the messages before the answer, where it was asked by chat
    more    further fields of `evals.records.Result` that the file gives
    seed    the run's, where a file of ours says it: it may hold the runs of several seeds
    """

    sample: str
    draw: int
    metrics: dict[str, float]
    asked: tuple[tuple[str, str], ...] = ()
    answer: str | None = None
    text: str = ""
    logprobs: tuple[float, ...] = ()
    cluster: str = ""
    detail: str = ""
    trials: dict[str, tuple[float, ...]] = {}
    fault: str = ""
    messages: tuple[tuple[str, str], ...] = ()
    more: dict[str, Any] = {}
    seed: int | None = None


def shared_metrics(lines: Iterable[SampleLine]) -> tuple[str, ...]:
    """The metrics that every scored line has, in the order in which they first stand."""
    scored = [line for line in lines if not line.fault]
    names = dict.fromkeys(name for line in scored for name in line.metrics)
    return tuple(name for name in names if all(name in line.metrics for line in scored))


def shared_metrics_once(name: str, tool: str, lines: Sequence[SampleLine]) -> tuple[str, ...]:
    """The shared metrics of a file in which each sample stands once.

    Raises  ZooError for a sample that stands twice, or lines without a metric in common
    """
    if len({line.sample for line in lines}) != len(lines):
        raise ZooError(f"{name} has a sample twice; export it again with {tool}")
    if not (metrics := shared_metrics(lines)):
        raise ZooError(f"{name} has no metric of a sample in 0..1")
    return metrics


class TaskResults(Record, frozen=True):
    """One task's results by one tool.

    protocol  our name for it, if the file has no prompts but the tool has only one protocol
    decoding  the fields of `evals.records.Decoding` that the file gives
    date      seconds since 1970; 0 if not known
    claimed   the protocol's record, where this package wrote the file; it counts only if the prompts are its own
    command   how the run was made, if the file says so
    scorer    the tool's own name of a metric that is taken under ours
    """

    tool: str
    release: str
    task: str
    file: str
    sha256: str
    metrics: tuple[str, ...]
    lines: tuple[SampleLine, ...]
    model: str = ""
    protocol: str = ""
    version: float = 0
    shots: int = 0
    decoding: dict[str, Any] = {}
    dtype: str = ""
    device: str = ""
    context_tokens: int = 0
    seed: int = 0
    versions: dict[str, str] = {}
    commit: str = ""
    date: float = 0
    claimed: dict[str, Any] = {}
    command: str = ""
    scorer: str = ""


def split_seeds(results: TaskResults) -> list[TaskResults]:
    """The results of each seed, for a file that holds several; else the results with their one seed, if it is known."""
    seeds = list(dict.fromkeys(line.seed for line in results.lines if line.seed is not None))
    if len(seeds) < 2:
        return [msgspec.structs.replace(results, seed=seed) for seed in seeds] or [results]
    return [
        msgspec.structs.replace(
            results, seed=seed, sha256=digest([results.sha256, seed]),
            lines=tuple(line for line in results.lines if line.seed == seed),
        )
        for seed in seeds
    ]  # fmt: skip
