"""Reads the sample files of lm-evaluation-harness 0.4, in the three forms that its releases write.

0.4.0 to 0.4.2   MODELARGS_TASK.jsonl, one JSON list, beside the results file; arguments are lists, no filter is named
0.4.3 to 0.4.6   samples_TASK_DATE.jsonl, one line a document and filter; neither filter nor metrics are named
0.4.7 to 0.4.13  the same with "filter" and "metrics"

Formats are facts of the tool: loggers/evaluation_tracker.py and evaluator.py of these releases, __main__.py of the
first three.
"""

import re
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec

from evals.interchange.facts import OWN, own_line
from evals.interchange.tool_results import SampleLine, TaskResults, shared_metrics, split_seeds
from evals.scoring.answer import exact_and_f1
from evals.scoring.finite import find_overflow
from evals.scoring.squad_threshold import at_best_threshold
from zoo.admission.result_files import read_json_file
from zoo.digest import file_sha256
from zoo.errors import ZooError
from zoo.jsonl import read_lines

SAMPLES = re.compile(r"samples_(?P<task>.+)_(?P<date>\d{4}-\d\d-\d\dT[\d.:-]+)\.jsonl")
READ = "0.4.0 to 0.4.13"
FIELDS = {
    "doc_id", "doc", "target", "arguments", "resps", "filtered_resps", "filter", "metrics", "doc_hash", "prompt_hash",
    "target_hash", OWN,
}  # fmt: skip
# the harness's metrics of IFEval, of which those by instruction are lists -> ours
IFEVAL = {
    "prompt_level_strict_acc": "prompt_strict", "inst_level_strict_acc": "inst_strict",
    "prompt_level_loose_acc": "prompt_loose", "inst_level_loose_acc": "inst_loose",
}  # fmt: skip


def is_samples(path: Path) -> bool:
    """Whether a file has the name of a samples file, or of one of 0.4.0 to 0.4.2 beside its results."""
    return bool(SAMPLES.fullmatch(path.name)) or _old_results(path) is not None


def read_lm_eval(path: Path) -> list[TaskResults]:
    """The results of a samples file. Raises ZooError, or what its values raise, for another form."""
    match = SAMPLES.fullmatch(path.name)
    if match:
        rows = [row for _, row in read_lines(path, "an lm_eval sample", nonfinite=True)]
        header = _header(path.with_name(f"results_{match['date']}.json"), match["task"])
        task = match["task"]
    else:
        results, task = _old_results(path) or (path, path.stem)
        rows = read_json_file(path, nonfinite=True)
        header = _header(results, task)
    if not rows:
        raise ZooError(f"{path} holds no samples")
    rows = _name_filters(path, [_in_newest_form(row) for row in rows], header.pop("filters"))
    rows.sort(key=lambda row: int(row["doc_id"]))  # its own order may be the batches'
    own = header.pop("own")
    return split_seeds(_own_results(path, rows, header, own)) if own else [_results(path, task, rows, header)]


def _old_results(path: Path) -> tuple[Path, str] | None:
    """The results file of 0.4.0 to 0.4.2 beside a samples file of theirs, and the task; None for other files."""
    if path.suffix != ".jsonl" or not path.is_file():
        return None
    with path.open("rb") as file:
        if file.read(1) != b"[":
            return None
    for beside in sorted(path.parent.glob("*.json")):
        try:
            content = read_json_file(beside, nonfinite=True)
        except (ZooError, ValueError):
            continue
        tasks = content.get("configs") if isinstance(content, dict) else None
        fitting = [task for task in tasks or {} if path.stem.endswith(f"_{task}")]
        if fitting:
            return beside, max(fitting, key=len)
    return None


def _in_newest_form(row: dict[str, Any]) -> dict[str, Any]:
    """A row with its arguments by name and its metrics named, as 0.4.13 writes them."""
    arguments = row["arguments"]
    if isinstance(arguments, list):
        arguments = {
            f"gen_args_{number}": {f"arg_{place}": value for place, value in enumerate(pair)}
            for number, pair in enumerate(arguments)
        }
    metrics = row.get("metrics")
    if metrics is None:
        metrics = [name for name in row if name not in FIELDS]
    return {**row, "arguments": arguments, "metrics": metrics}


def _name_filters(path: Path, rows: list[dict[str, Any]], names: Sequence[str]) -> list[dict[str, Any]]:
    """The rows with their filter. Before 0.4.7 they stand one filter after the other, as the task lists them."""
    if all("filter" in row for row in rows):
        return rows
    seen: dict[object, int] = defaultdict(int)
    named = []
    for row in rows:
        place = seen[row["doc_id"]]
        seen[row["doc_id"]] += 1
        named.append({**row, "filter": names[place] if place < len(names) else str(place)})
    several = max(seen.values())
    if several > 1 and several != len(names):
        raise ZooError(
            f"{path.name} has {several} readings of a sample and no names for them (lm_eval before 0.4.7 gives them in "
            "its results file alone); put its results file beside it"
        )
    return named


def _results(path: Path, task: str, rows: list[dict[str, Any]], header: dict[str, Any]) -> TaskResults:
    filters = list(dict.fromkeys(str(row["filter"]) for row in rows))
    seen: set[tuple[object, str]] = set()
    lines: dict[int, SampleLine] = {}
    for row in rows:
        key = (row["doc_id"], str(row["filter"]))
        if key in seen:
            raise ZooError(
                f"{path.name} has the sample {str(row['doc_id'])[:40]!r} twice; export it again with lm_eval"
            )
        seen.add(key)
        metrics = {
            _metric(name, row["filter"], row["metrics"], filters): float(row[name])
            for name in row["metrics"]
            if isinstance(row.get(name), int | float) and 0 <= row[name] <= 1
        }
        if set(row["metrics"]) == set(IFEVAL):
            metrics = _ifeval(row)
        if row["metrics"] and _is_squad(row[row["metrics"][0]]):
            metrics = _squad(row[row["metrics"][0]])
        earlier = lines.get(row["doc_id"])
        lines[row["doc_id"]] = _line(task, row, {**(earlier.metrics if earlier else {}), **metrics})
    if _is_squad(rows[0].get("exact")):
        _add_thresholds(lines, rows)
    scored = [line for line in lines.values() if not line.fault] or list(lines.values())
    metrics_ = tuple(m for m in scored[0].metrics if all(m in line.metrics for line in scored))
    if scored[0].fault:
        metrics_ = tuple(rows[0]["metrics"][:1])
    if not metrics_:
        raise ZooError(f"{path} has no metric of a sample in 0..1; {', '.join(rows[0]['metrics'])} is not taken in")
    kept = tuple(
        msgspec.structs.replace(line, metrics={metric: line.metrics[metric] for metric in metrics_ if not line.fault})
        for line in lines.values()
    )
    return TaskResults(
        tool="lm-eval", task=task, file=path.name, sha256=file_sha256(path), metrics=metrics_, lines=kept,
        decoding=_decoding(rows[0]), **header,
    )  # fmt: skip


def _ifeval(row: dict[str, Any]) -> dict[str, float]:
    """IFEval's metrics under our names; one by instruction is the mean of its list."""
    values = {ours: row[name] if isinstance(row[name], list) else [row[name]] for name, ours in IFEVAL.items()}
    if not all(values.values()):
        raise ValueError("a sample of IFEval has no instruction")
    return {name: sum(map(float, outcomes)) / len(outcomes) for name, outcomes in values.items()}


def _trials(row: dict[str, Any]) -> dict[str, tuple[float, ...]]:
    return {
        ours: tuple(map(float, row[name]))
        for name, ours in IFEVAL.items()
        if name in row["metrics"] and isinstance(row.get(name), list)
    }


def _is_squad(value: Any) -> bool:
    """Whether a metric has squadv2's form: the inputs of the number, for all samples, and not the number."""
    return isinstance(value, list) and len(value) == 2 and isinstance(value[0], dict) and "prediction_text" in value[0]


def _squad(pair: list[dict[str, Any]]) -> dict[str, float]:
    exact, f1 = exact_and_f1(pair[0]["prediction_text"], list(pair[1]["answers"]["text"]))
    return {"exact": exact, "f1": f1}


def _add_thresholds(lines: dict[int, SampleLine], rows: list[dict[str, Any]]) -> None:
    """Adds best_exact and best_f1, from each sample's probability that there is no answer."""
    pairs = [row["exact"] for row in rows]
    texts = [str(pair[0]["prediction_text"]) for pair in pairs]
    for name in ("exact", "f1"):
        values = at_best_threshold(
            [lines[row["doc_id"]].metrics[name] for row in rows],
            [float(pair[0]["no_answer_probability"]) for pair in pairs],
            [bool(pair[1]["answers"]["text"]) for pair in pairs], texts,
        )  # fmt: skip
        for row, value in zip(rows, values, strict=True):
            lines[row["doc_id"]].metrics[f"best_{name}"] = value


def _own_results(path: Path, rows: list[dict[str, Any]], header: dict[str, Any], own: dict[str, Any]) -> TaskResults:
    """The results of files that this package wrote, with the draws and fields that the harness has no place for."""
    protocol, lines = own["protocol"], []
    for row in rows:
        said = row[OWN]
        pairs = _line("", row, {}).asked
        messages = tuple((str(each["role"]), str(each["content"])) for each in said["messages"])
        lines += [
            own_line(
                draw, str(protocol["metric"]), sample=str(row["doc"]["id"]), draw=int(draw["draw"]), asked=pairs,
                text=str(draw["text"]), answer=draw["answer"], thought=str(draw["thought"]), messages=messages,
            )
            for draw in said["draws"]
        ]  # fmt: skip
    header |= {"release": str(header["versions"].get("phi-zoo", header["release"])), "model": str(own["label"])}
    return TaskResults(
        tool="phi-zoo", task=str(protocol["task"]), file=path.name, sha256=file_sha256(path), lines=tuple(lines),
        metrics=shared_metrics(lines) or (str(protocol["metric"]),), decoding=protocol["decoding"], claimed=protocol,
        command=str(own.get("command") or ""), **header,
    )  # fmt: skip


def _metric(name: str, chosen: str, names: list[str], filters: list[str]) -> str:
    """A metric's name; with several filters (GSM8K's strict and flexible reading) the filter is part of it."""
    if len(filters) == 1:
        return name
    return chosen if len(names) == 1 else f"{name},{chosen}"


def _line(task: str, row: dict[str, Any], metrics: dict[str, float]) -> SampleLine:
    arguments = [row["arguments"][key] for key in row["arguments"]]
    generated = isinstance(arguments[0]["arg_1"], dict)
    asked = tuple(
        (pair["arg_0"], "" if generated else pair["arg_1"])
        for pair in arguments
        if not generated or isinstance(pair["arg_1"], dict)  # squadv2 reads a probability beside its text
    )
    first = row["resps"][0][0]
    logprobs = () if generated else tuple(float(response[0][0]) for response in row["resps"])
    values = (row.get(name) for name in row["metrics"])
    fault = find_overflow([*logprobs, *(value for value in values if isinstance(value, float) and value != value)])
    answer = row["filtered_resps"][0] if generated else None
    return SampleLine(
        sample=f"{task}/{row['doc_id']}", draw=0, metrics=metrics, asked=asked,
        answer=str(answer) if answer is not None else None, text=str(first) if generated else "",
        logprobs=() if fault else logprobs, trials=_trials(row), fault=fault,
    )  # fmt: skip


def _decoding(row: dict[str, Any]) -> dict[str, Any]:
    settings = next(iter(row["arguments"].values()))["arg_1"]
    if not isinstance(settings, dict):
        return {}
    until = settings.get("until", [])
    decoding: dict[str, Any] = {"stop": [until] if isinstance(until, str) else list(until)}
    decoding["max_tokens"] = int(settings.get("max_gen_toks") or settings.get("max_tokens") or 256)  # its default
    decoding["temperature"] = float(settings.get("temperature", 0.0)) if settings.get("do_sample") else 0.0
    return decoding


def _header(beside: Path, task: str) -> dict[str, Any]:
    """The fields of a run that its results file gives, and the names of the task's filters; the release alone without.

    Raises  ZooError for a release that is not one of 0.4
    """
    if not beside.is_file():
        return {"release": "0.4", "filters": [], "own": {}}
    header = read_json_file(beside, nonfinite=True)
    config = header.get("config") or {}
    release = str(header.get("lm_eval_version") or "0.4")
    if not re.fullmatch(r"0\.4(\..*)?", release):
        raise ZooError(f"{beside.name} is of lm_eval {release[:40]!r}, which is not read; read are {READ}")
    arguments = config.get("model_args") or {}
    if isinstance(arguments, str):
        arguments = dict(part.split("=", 1) for part in arguments.split(",") if "=" in part)
    model = header.get("model_name") or arguments.get("pretrained") or arguments.get("model") or ""
    versions = {"lm_eval": header.get("lm_eval_version"), "transformers": header.get("transformers_version")}
    settings = (header.get("configs") or {}).get(task) or {}
    version = (header.get("versions") or {}).get(task)
    return {
        "release": release, "model": Path(str(model)).name,
        "version": float(version) if isinstance(version, int | float) else 0.0,
        "shots": int((header.get("n-shot") or {}).get(task) or settings.get("num_fewshot") or 0),
        "dtype": str(config.get("model_dtype") or arguments.get("dtype") or "").removeprefix("torch."),
        "device": str(config.get("device") or ""),
        "context_tokens": int(header.get("max_length") or 0), "seed": int(config.get("random_seed") or 0),
        "versions": {name: str(value) for name, value in versions.items() if value},
        "commit": str(header.get("git_hash") or ""), "date": float(header.get("date") or 0),
        "filters": [str(each["name"]) for each in settings.get("filter_list") or []], "own": header.get(OWN) or {},
    }  # fmt: skip
