"""Reads olmo-eval's predictions, `SPEC_HASH-predictions.jsonl`, and those of OLMES before it, `task-000-NAME-…`.

The prompts are in the requests file of the same name, beside it or in the folder `requests`; without it the samples are
read, but paired with nothing. Metrics are {metric: {scorer: value}} (olmo-eval) or {metric: value} (OLMES).

The package ai2-olmo-eval (0.9.0) is another tool, which scores during training and writes no files.

Source  olmo-eval 1.0, runners/io/builders.py and writers.py; OLMES, OUTPUT_FORMATS.md
"""

import math
import re
from collections import defaultdict
from pathlib import Path
from typing import Any

from evals.interchange.tool_results import SampleLine, TaskResults, shared_metrics_once
from evals.scoring.finite import find_overflow
from zoo.admission.result_files import check_lines_file, read_json_file
from zoo.digest import file_sha256
from zoo.errors import ZooError
from zoo.jsonl import read_lines
from zoo.metrics import metric_of

PREDICTIONS, REQUESTS = "-predictions.jsonl", "-requests.jsonl"
OLMES = re.compile(r"task-\d+-(?P<task>.+)-predictions\.jsonl")
HASHED = re.compile(r"(?P<spec>.+?)(?:_[0-9a-f]{6})?-predictions\.jsonl")
# the two tools' metrics of choices -> ours
NAMES = {"acc_raw": "acc", "acc_per_char": "acc_norm"}
# what OLMES writes among its metrics that says which choice was taken or how likely it is: of two choices, 0 or 1
NO_METRIC = re.compile(r"predicted_index_.*|correct_choice|.*_corr|(sum_)?logits_.*")


def read_olmo_eval(path: Path) -> list[TaskResults]:
    """The results of a predictions file. Raises ZooError for other lines, no metric in 0..1, or a sample twice."""
    check_lines_file(path)
    rows = [row for _, row in read_lines(path, "olmo-eval predictions", nonfinite=True)]
    if not rows:
        raise ZooError(f"{path.name} holds no samples")
    if not all(isinstance(row, dict) and {"doc_id", "model_output"} <= row.keys() for row in rows):
        raise ZooError(
            f"{path.name} has lines without doc_id and model_output; read are those of olmo-eval 1.0 and OLMES"
        )
    match = OLMES.fullmatch(path.name) or HASHED.fullmatch(path.name)
    spec = match["task"] if match and "task" in match.groupdict() else match["spec"] if match else path.stem
    requests = _requests(path)
    first = next(iter(requests.values()), [{}])[0]
    task = str(first.get("task_name") or spec).partition(":")[0]
    lines = [_line(task, row, requests.get(str(row["doc_id"]), [])) for row in rows]
    metrics = shared_metrics_once(path.name, "olmo-eval", lines)
    return [
        TaskResults(
            tool="olmo-eval" if "instance_metrics" in rows[0] else "olmes", task=task, file=path.name,
            sha256=file_sha256(path), metrics=metrics, lines=tuple(lines), decoding=_decoding(first),
            **_header(path, spec),
        )
    ]  # fmt: skip


def _requests(path: Path) -> dict[str, list[dict[str, Any]]]:
    """The requests of each document, from the file of the same name beside the predictions or in `requests`."""
    name = path.name.removesuffix(PREDICTIONS) + REQUESTS
    places = [path.with_name(name), path.parent.parent.parent / "requests" / path.parent.name / name]
    found = next((place for place in places if place.is_file()), None)
    requests: dict[str, list[dict[str, Any]]] = defaultdict(list)
    if found is not None:
        check_lines_file(found)
        for _, row in read_lines(found, "olmo-eval requests", nonfinite=True):
            requests[str(row["doc_id"])].append(row)
    for rows in requests.values():
        rows.sort(key=lambda row: int(row.get("idx") or 0))
    return requests


def _line(task: str, row: dict[str, Any], requests: list[dict[str, Any]]) -> SampleLine:
    outputs = row["model_output"]
    values = _flat(row.get("instance_metrics") or row.get("metrics") or {})
    asked, messages = _asked(requests)
    chosen = bool(asked) and all(part for _, part in asked)
    logprobs = (
        tuple(float(each["sum_logits"]) for each in outputs if each.get("sum_logits") is not None) if chosen else ()
    )
    fault = find_overflow([*logprobs, *(value for value in values.values() if math.isnan(value))])
    metrics = {name: value for name, value in values.items() if 0 <= value <= metric_of(name).highest}
    text = "" if chosen or not outputs else str(outputs[0].get("text", outputs[0].get("continuation")) or "")
    answer = None if chosen or not outputs else outputs[0].get("extracted_answer", text)
    identity = row.get("native_id")
    return SampleLine(
        sample=f"{task}/{identity if identity not in (None, '') else row['doc_id']}", draw=0,
        metrics={} if fault else metrics,
        asked=asked, messages=messages, text=text, answer=str(answer) if answer is not None else None,
        logprobs=() if fault else logprobs, fault=fault,
    )  # fmt: skip


def _flat(metrics: dict[str, Any]) -> dict[str, float]:
    """Metrics by one name: "metric" where its scorer has the same or is alone, else "metric:scorer"."""
    flat: dict[str, float] = {}
    for name, value in metrics.items():
        if NO_METRIC.fullmatch(name):
            continue
        if isinstance(value, dict):
            for scorer, inner in value.items():
                if isinstance(inner, bool | int | float):
                    flat[name if len(value) == 1 else f"{name}:{scorer}"] = float(inner)
        elif isinstance(value, bool | int | float):
            flat[NAMES.get(name, name)] = float(value)
    return flat


def _asked(requests: list[dict[str, Any]]) -> tuple[tuple[tuple[str, str], ...], tuple[tuple[str, str], ...]]:
    """The pairs that were scored, or the text that was asked; and by chat the messages."""
    pairs: list[tuple[str, str]] = []
    for row in requests:
        request = row["request"]
        context = request["context"]
        if isinstance(context, list):
            return (("", ""),), tuple((str(each["role"]), str(each["content"])) for each in context)
        if isinstance(context, dict):  # OLMES by chat
            return (("", ""),), tuple((str(each["role"]), str(each["content"])) for each in context["messages"])
        contexts = request.get("continuation_prompts") or []
        parts = request.get("continuations") or [request.get("continuation") or ""]
        pairs += [(str(contexts[place]) if contexts else str(context), str(part)) for place, part in enumerate(parts)]
    return tuple(pairs), ()


def _decoding(row: dict[str, Any]) -> dict[str, Any]:
    request = row.get("request") or {}
    settings = request.get("generation_kwargs") or {}
    if not settings or row.get("request_type") == "loglikelihood":
        return {}
    decoding: dict[str, Any] = {"stop": [str(stop) for stop in request.get("stop_sequences") or ()]}
    for ours, theirs in (("max_tokens", "max_gen_toks"), ("temperature", "temperature"), ("top_p", "top_p")):
        if settings.get(theirs) is not None:
            decoding[ours] = settings[theirs]
    return decoding


def _header(path: Path, spec: str) -> dict[str, Any]:
    """The fields of a run that metrics.json gives: above `predictions` (olmo-eval) or beside the file (OLMES)."""
    beside = path.with_name(path.name.removesuffix(PREDICTIONS) + "-metrics.json")
    above = path.parent.parent.parent / "metrics.json"
    for place in (beside, above):
        if place.is_file():
            break
    else:
        return {"release": "1"}
    content = read_json_file(place, nonfinite=True)
    model = content.get("model_config") or content.get("config") or {}
    provider: dict[str, Any] = model["provider"] if isinstance(model.get("provider"), dict) else model
    name = content.get("model_name") or model.get("model") or provider.get("model") or ""
    tasks = content.get("tasks") or []
    config = content.get("task_config") or next(
        (each.get("config") or {} for each in tasks if str(each.get("task")).replace(":", "_") == spec), {}
    )
    shots = config.get("num_shots", config.get("num_fewshot"))
    return {
        "release": "1", "model": str(name).rstrip("/").rpartition("/")[2], "shots": int(shots or 0),
        "dtype": str(provider.get("dtype") or ""),
    }  # fmt: skip
