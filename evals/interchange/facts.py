"""The facts of a cell that every format states in its own words: interval method, dates, commands, own fields.

Formats of other tools have no place for some fields of ours (a protocol's fingerprint, a sample's group). They go along
as one JSON value under `OWN`, so that a file of ours read again gives the same scores. What comes back so is a claim
like any other in the file, and is checked like one.
"""

import datetime
from typing import Any

import msgspec

from evals.environment import versions
from evals.interchange.cells import ExportedCell
from evals.interchange.tool_results import SampleLine
from evals.records import Result, Run
from evals.results.task_of_run import commands, name_of_run
from evals.stats.intervals import normal_quantile
from evals.tasks import groups_of
from zoo.records import Score

OWN = "phizoo"
# the fields of a result that no tool but this one knows
MORE = (
    "verdict", "finish", "prompt_tokens", "tokens", "truncated", "seconds", "thought_tokens", "unfinished", "disputed",
)  # fmt: skip
# the fields of a result that every format has a place for
ELSEWHERE = ("sample", "draw", "text", "answer", "thought")


def interval_method(cell: ExportedCell, score: Score) -> str:
    """How a score's 95% interval was computed, in words; see `evals.stats.intervals`."""
    if score.seeds > 1:
        return f"two-way cluster-robust over {score.seeds} seeds and the samples, Wilson's form, Student's t"
    if score.clusters < score.n:
        return f"cluster-robust (CR2) over {score.clusters} clusters, Wilson's form, Student's t"
    values = [result.metrics.get(score.metric, result.score) for _, result in cell.lines if result.score is not None]
    single = score.draws == 1 and all(value in (0.0, 1.0, None) for value in values)
    if single and values and groups_of(score.task) == "clusters":
        return "Wilson score interval"
    return "cluster-robust (CR2) or stratified, Wilson's form, Student's t"


def iso(text: str) -> str:
    """A run's date in ISO 8601 with its zone, or "" if it has none."""
    return text if not text or text.endswith("Z") or "+" in text else f"{text}Z"


def epoch(text: str) -> int | None:
    """Seconds since 1970 of an ISO date; None if it is none."""
    try:
        moment = datetime.datetime.fromisoformat(iso(text).replace("Z", "+00:00"))
    except ValueError:
        return None
    return int(moment.timestamp())


def made_by(header: Run) -> tuple[str, str]:
    """The name and version of what scored a run: this package, or the tool that it was imported from."""
    if name_of_run(header).imported:
        return header.backend.engine, header.backend.version
    return "phi-zoo", header.versions.get("phi-zoo") or versions().get("phi-zoo", "unknown")


def command_of(header: Run) -> str:
    """The command lines that make a run again; for one measured elsewhere, what its header holds."""
    return header.command if name_of_run(header).imported else " && ".join(commands(header))


def own_run(cell: ExportedCell) -> dict[str, Any]:
    """The fields of a cell's newest run that other formats have no place for."""
    header = cell.run
    return {
        "run": header.id, "protocol": header.protocol, "fingerprint": header.fingerprint, "draws": header.draws,
        "checkpoint": header.checkpoint, "label": cell.label, "seeds": len(cell.headers),
        "engine": msgspec.to_builtins(header.backend), "sandbox": header.sandbox, "views": header.views,
    }  # fmt: skip


def own_result(header: Run, result: Result) -> dict[str, Any]:
    """The fields of a result that other formats have no place for, but those that have their default; and its run's
    seed, since a cell may hold the runs of several."""
    defaults = msgspec.to_builtins(Result(sample="", draw=0, score=None))
    fields = msgspec.to_builtins(result)
    fields = {name: value for name, value in fields.items() if name not in ELSEWHERE and value != defaults[name]}
    return {**fields, "seed": header.seed}


def standard_error(score: Score) -> float:
    """The standard error whose 95% interval is as wide as the score's own, for formats that have no interval."""
    return (score.high - score.low) / (2 * normal_quantile())


def own_line(own: dict[str, Any], metric: str, **fields: Any) -> SampleLine:
    """A sample's line from the fields that `own_result` wrote beside another tool's.

    metric  the headline metric, for a result that names none
    fields  of the SampleLine, as the format itself gives them: sample, draw, text, answer, asked
    Raises  ValueError for fields of a wrong type
    """
    thought, known = fields.pop("thought", ""), Result.__struct_fields__
    result = msgspec.convert(
        {"sample": "", "draw": 0, "score": None, **{name: value for name, value in own.items() if name in known}},
        Result,
    )
    more = {name: value for name, value in msgspec.structs.asdict(result).items() if name in MORE and value}
    more |= {"thought": thought} if thought else {}
    more |= {} if result.metrics else {"bare": True}
    scored = result.score is not None
    return SampleLine(
        metrics=(result.metrics or {metric: result.score or 0.0}) if scored else {}, logprobs=result.logprobs,
        cluster=result.cluster, detail=result.detail, trials=result.trials,
        fault="" if scored else result.detail or "not scored", more=more, seed=_seed(own), **fields,
    )  # fmt: skip


def _seed(own: dict[str, Any]) -> int | None:
    seed = own.get("seed")
    return None if seed is None else msgspec.convert(seed, int)


def as_json(value: Any) -> str:
    """A value as compact JSON text. Characters at which Python's `splitlines` breaks a line are escaped: some readers
    of lines use it."""
    text = msgspec.json.encode(value).decode()
    for character in ("\u0085", "\u2028", "\u2029"):
        text = text.replace(character, f"\\u{ord(character):04x}")
    return text
