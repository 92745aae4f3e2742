"""Reads inspect_ai logs of version 2: the `.eval` archive and the one `.json` file.

A scorer is a metric: "C" is 1, "I" and "N" are 0, "P" is 0.5, a dictionary is one metric a key. An epoch is a draw.
Inspect asks by chat; a log that this package wrote says where it was a completion. Only a log that ended with success
is read.

Source  inspect_ai 0.3.285, log/_log.py (`EvalLog`), scorer/_metric.py (`value_to_float`),
        log/_condense.py (attachments)
"""

import datetime
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from evals.interchange.facts import OWN, own_line
from evals.interchange.tool_results import SampleLine, TaskResults, shared_metrics, split_seeds
from zoo.admission.result_files import JsonArchive, read_json_file
from zoo.digest import file_sha256
from zoo.errors import ZooError

VERSION = 2
MARKS = {"C": 1.0, "I": 0.0, "P": 0.5, "N": 0.0, "yes": 1.0, "true": 1.0, "no": 0.0, "false": 0.0}
ATTACHED = "attachment://"
MOST_EPOCHS = 10_000


def is_inspect(content: Any) -> bool:
    """Whether a JSON value is an inspect_ai log."""
    return isinstance(content, dict) and {"version", "status", "eval"} <= content.keys()


def read_inspect_archive(path: Path) -> list[TaskResults]:
    """The results of an `.eval` archive. Raises ZooError as `read_inspect`, or for what is not a sound archive."""
    with JsonArchive(path) as archive:
        names = list(archive.names)
        if "header.json" not in names:
            raise ZooError(
                f"{path} has no header.json: its evaluation did not end; end it: inspect eval-retry {path.name}"
            )
        log = archive.read("header.json", nonfinite=True)
        samples = (archive.read(name, nonfinite=True) for name in names if name.startswith("samples/"))
        return split_seeds(_results(path, log, samples))


def read_inspect(path: Path, content: dict[str, Any] | None = None) -> list[TaskResults]:
    """The results of a `.json` log.

    Raises  ZooError for another version, an evaluation that did not end, no samples, or a sample that stands twice
    """
    log = read_json_file(path, nonfinite=True) if content is None else content
    return split_seeds(_results(path, log, iter(log.get("samples") or ())))


def _results(path: Path, log: dict[str, Any], samples: Iterator[dict[str, Any]]) -> TaskResults:
    if log["version"] != VERSION:
        raise ZooError(f"{path.name} is an inspect_ai log of version {str(log['version'])[:20]}; read is {VERSION}")
    if log["status"] != "success":
        raise ZooError(
            f"{path.name} is of an evaluation with status {str(log['status'])[:20]!r}; finish it: inspect eval-retry"
        )
    run = log["eval"]
    own = (run.get("metadata") or {}).get(OWN) or {}
    task = str(own["protocol"]["task"]) if own else str(run["task"]).rpartition("/")[2]
    lines, seen = [], set()
    for sample in samples:
        key = (str(sample["id"]), int(sample["epoch"]))
        if key in seen or not 1 <= key[1] <= MOST_EPOCHS:
            raise ZooError(f"{path.name} has the sample {key[0][:40]!r}, epoch {key[1]}, twice or out of range")
        seen.add(key)
        lines.append(_line(task, sample, own))
    expected = (log.get("results") or {}).get("total_samples")
    if not lines:
        raise ZooError(f"{path.name} has no samples, only means; run inspect with log_samples")
    if isinstance(expected, int) and expected != len(lines):
        raise ZooError(f"{path.name} names {expected} samples and has {len(lines)}; it is incomplete, export it again")
    return TaskResults(
        tool=_tool(own), release=_release(run, own), task=task, file=path.name, sha256=file_sha256(path),
        metrics=_shared_metrics(path, lines, own), lines=tuple(lines), model=_model(run, own),
        version=_number(run.get("task_version")), decoding=_decoding(log), seed=_seed(log),
        versions={str(name): str(value) for name, value in (run.get("packages") or {}).items()},
        commit=str((run.get("revision") or {}).get("commit") or ""), date=_seconds(run.get("created")),
        claimed=own.get("protocol") or {}, command=str(own.get("command") or ""),
        **_engine(run, own),
    )  # fmt: skip


def _tool(own: dict[str, Any]) -> str:
    return "phi-zoo" if own else "inspect_ai"


def _release(run: dict[str, Any], own: dict[str, Any]) -> str:
    packages = run.get("packages") or {}
    return str(packages.get("phi-zoo" if own else "inspect_ai") or "0.3")


def _model(run: dict[str, Any], own: dict[str, Any]) -> str:
    return str(own.get("label") or str(run.get("model") or "").rpartition("/")[2])


def _engine(run: dict[str, Any], own: dict[str, Any]) -> dict[str, Any]:
    if engine := own.get("engine"):
        return {"dtype": str(engine["dtype"]), "device": str(engine["device"]),
                "context_tokens": int(engine["context_tokens"]), "shots": int(own["protocol"]["shots"])}  # fmt: skip
    arguments = run.get("model_args") or {}
    return {"dtype": str(arguments.get("dtype") or ""), "device": str(arguments.get("device") or "")}


def _shared_metrics(path: Path, lines: list[SampleLine], own: dict[str, Any]) -> tuple[str, ...]:
    """The metrics of every scored sample, the headline metric first; several of a log of ours may cover a part."""
    if all(line.fault for line in lines):
        return (str(own["protocol"]["metric"]),) if own else ("score",)
    if not (shared := shared_metrics(lines)):
        raise ZooError(f"{path.name} has no score of a sample in 0..1 (inspect_ai's C and I, or a number)")
    return shared


def _line(task: str, sample: dict[str, Any], own: dict[str, Any]) -> SampleLine:
    attached = sample.get("attachments") or {}
    output = sample.get("output") or {}
    text, thought = _text_of(output, attached)
    scores = sample.get("scores") or {}
    answer = next((str(score["answer"]) for score in scores.values() if score.get("answer") is not None), None)
    messages, asked = _asked(sample, attached, bool(own) and own.get("asked") == "completion")
    fields: dict[str, Any] = {"text": text, "answer": answer, "messages": messages, "asked": asked}
    if own:
        mine = sample["metadata"][OWN]
        pairs = tuple((str(context), str(part)) for context, part in mine["pairs"])
        fields |= {"asked": pairs, "sample": str(sample["id"]), "draw": int(mine["draw"]), "thought": thought}
        fields |= {"answer": str(mine["answer"])} if mine.get("answer") is not None else {}
        return own_line(mine, str(own["protocol"]["metric"]), **fields)
    metrics = {name: value for scorer, score in scores.items() for name, value in _values(scorer, score["value"])}
    fault = str((sample.get("error") or {}).get("message") or "")
    if not fault and not metrics:
        fault = "not scored by its tool"
    usage = output.get("usage") or {}
    more = {"prompt_tokens": int(usage.get("input_tokens") or 0), "tokens": int(usage.get("output_tokens") or 0)}
    return SampleLine(
        sample=f"{task}/{sample['id']}", draw=int(sample["epoch"]) - 1, metrics={} if fault else metrics,
        fault=fault.replace("\n", " ")[:200], more={**more, **({"thought": thought} if thought else {})}, **fields,
    )  # fmt: skip


def _values(scorer: str, value: Any) -> Iterator[tuple[str, float]]:
    """The metrics of a score that are in 0..1, as inspect_ai's `value_to_float` reads them; another is left out."""
    if isinstance(value, dict):
        for name, inner in value.items():
            yield from _values(f"{scorer}/{name}" if len(value) > 1 else scorer, inner)
    elif isinstance(value, str) and (value in MARKS or value.lower() in MARKS):
        yield scorer, MARKS.get(value, MARKS.get(value.lower(), 0.0))
    elif isinstance(value, bool | int | float) and math.isfinite(value) and 0 <= value <= 1:
        yield scorer, float(value)


def _asked(
    sample: dict[str, Any], attached: dict[str, str], completion: bool
) -> tuple[tuple[tuple[str, str], ...], tuple[tuple[str, str], ...]]:
    """The messages before the answer, and the pairs of a completion; choices after a chat are those of the sample."""
    given = sample["input"]
    if isinstance(given, str):
        text = _resolve(given, attached)
        if completion:
            return (), ((text, ""),)
    said = [message for message in sample.get("messages") or [] if message.get("source") != "generate"]
    ends = next((place for place, message in enumerate(said) if message["role"] == "assistant"), len(said))
    messages = tuple((str(message["role"]), _content(message["content"], attached)[0]) for message in said[:ends])
    if not messages:  # an error before the first message
        listed = [{"role": "user", "content": given}] if isinstance(given, str) else given
        messages = tuple((str(message["role"]), _content(message["content"], attached)[0]) for message in listed)
    return messages, (("", ""),)


def _text_of(output: dict[str, Any], attached: dict[str, str]) -> tuple[str, str]:
    choices = output.get("choices") or []
    if choices:
        return _content(choices[0]["message"]["content"], attached)
    return _resolve(str(output.get("completion") or ""), attached), ""


def _content(content: Any, attached: dict[str, str]) -> tuple[str, str]:
    """The text and the reasoning of a message's content, which is a text or a list of parts."""
    if isinstance(content, str):
        return _resolve(content, attached), ""
    texts = [_resolve(str(part["text"]), attached) for part in content if part.get("type") == "text"]
    thoughts = [_resolve(str(part["reasoning"]), attached) for part in content if part.get("type") == "reasoning"]
    return "".join(texts), "".join(thoughts)


def _resolve(text: str, attached: dict[str, str]) -> str:
    return str(attached[text.removeprefix(ATTACHED)]) if text.startswith(ATTACHED) else text


def _config(log: dict[str, Any]) -> dict[str, Any]:
    return {**(log["eval"].get("model_generate_config") or {}), **((log.get("plan") or {}).get("config") or {})}


def _decoding(log: dict[str, Any]) -> dict[str, Any]:
    config = _config(log)
    decoding = {name: config[name] for name in ("max_tokens", "temperature", "top_p") if config.get(name) is not None}
    return decoding | ({"stop": list(config["stop_seqs"])} if config.get("stop_seqs") else {})


def _seed(log: dict[str, Any]) -> int:
    return int(_config(log).get("seed") or 0)


def _number(value: Any) -> float:
    return float(value) if isinstance(value, int | float) else 0.0


def _seconds(text: Any) -> float:
    try:
        return datetime.datetime.fromisoformat(str(text).replace("Z", "+00:00")).timestamp()
    except ValueError:
        return 0.0
