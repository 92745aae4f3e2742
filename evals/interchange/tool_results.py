"""The one form that results of other tools are read into: TaskResults, with a SampleLine for each sample and draw."""

from typing import Any

from zoo.records import Record


class SampleLine(Record, frozen=True):
    """One sample and draw. asked: the (context, continuation) pairs to the byte; () if the file has none.

    trials  metric -> the outcomes that it is the mean of, as in `evals.records.Result`
    fault   why it has no score; its metrics then count for nothing
    messages  (role, content) of the messages before the answer, where it was asked by chat
    more    further fields of `evals.records.Result` that the file gives
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
