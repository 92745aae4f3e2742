"""Reads Every Eval Ever records of 0.2 and 0.3: with samples beside them as results, without as reported numbers.

The samples file is the one that lies beside the record under the record's own name, whatever path the record gives; its
sha256, its rows and its ids must be those that the record names. A metric of which less is better, or without bounds
that make it a share, is not taken in.

Source  the package every-eval-ever 0.3.0: eval.schema.json, instance_level_eval.schema.json
"""

import datetime
import re
from collections import defaultdict
from pathlib import Path
from typing import Any

import msgspec

from evals.interchange.facts import OWN, own_line
from evals.interchange.tool_results import SampleLine, TaskResults, split_seeds
from evals.tasks import benchmark_of
from zoo.admission.result_files import read_json_file
from zoo.digest import file_sha256
from zoo.errors import ZooError
from zoo.jsonl import parse_json, read_lines
from zoo.metrics import metric_of
from zoo.records import Reported

VERSION = re.compile(r"0\.[23](\.\d+)?")
READ = "0.2 and 0.3"
ADDRESS = re.compile(r"https://[\w.-]+\.[a-z]+/\S+")
STORE = "https://huggingface.co/datasets/evaleval/EEE_datastore"  # where records without an address of their own are


def is_every_eval_ever(content: Any) -> bool:
    """Whether a JSON value is a record of Every Eval Ever."""
    return isinstance(content, dict) and {"schema_version", "evaluation_results", "model_info"} <= content.keys()


def read_every_eval_ever(path: Path, content: dict[str, Any] | None = None) -> list[TaskResults | Reported]:
    """The results of a record with samples, or its numbers as reported rows.

    Raises  ZooError for another version, and for samples that are not those that the record names
    """
    record = read_json_file(path) if content is None else content
    version = str(record["schema_version"])
    if not VERSION.fullmatch(version):
        raise ZooError(f"{path.name} is Every Eval Ever {version[:20]!r}, which is not read; read are {READ}")
    samples = path.with_name(f"{path.stem}_samples.jsonl")
    if record.get("detailed_evaluation_results") and samples.is_file():
        return list(_with_samples(path, record, samples))
    rows = [row for result in record["evaluation_results"] if (row := _reported(record, result)) is not None]
    if not rows:
        raise ZooError(f"{path.name} has no number that is a share of which more is better, so nothing was taken in")
    return list(rows)


def _with_samples(path: Path, record: dict[str, Any], samples: Path) -> list[TaskResults]:
    detail = record["detailed_evaluation_results"]
    wanted = str(detail.get("checksum") or "").lower() if detail.get("hash_algorithm", "sha256") == "sha256" else ""
    if wanted and (found := file_sha256(samples)) != wanted:
        raise ZooError(f"{samples.name} has the sha256 {found[:12]}, not {wanted[:12]!r} as its record says; fetch it")
    rows = [row for _, row in read_lines(samples, "Every Eval Ever samples")]
    if not rows or detail.get("total_rows", len(rows)) != len(rows):
        raise ZooError(f"{samples.name} has {len(rows):,} rows, its record names {detail.get('total_rows')!r:.20}")
    ids = {(row["evaluation_id"], row["model_id"]) for row in rows}
    if ids != {(record["evaluation_id"], record["model_info"]["id"])}:
        raise ZooError(f"{samples.name} has rows of another evaluation or model than its record; fetch both again")
    own = _own(record)
    results = {_key(result): result for result in record["evaluation_results"]}
    grouped: dict[str, dict[tuple[str, int, str], dict[str, dict[str, Any]]]] = defaultdict(dict)
    for row in rows:
        metric = str(row.get("evaluation_result_id") or row["evaluation_name"])
        if metric not in results:
            raise ZooError(f"{samples.name}: {str(row['sample_id'])[:40]!r} belongs to no result of its record")
        mine = _mine(row) if own else {}
        key = (str(row["sample_id"]), int(mine.get("draw", 0)), str(mine.get("run", "")))
        name = str(results[metric]["evaluation_name"]).partition("/")[0]
        of_sample = grouped[name].setdefault(key, {})
        if metric in of_sample:
            raise ZooError(f"{samples.name} has the sample {key[0][:40]!r} twice under {metric[:40]!r}; fetch it again")
        of_sample[metric] = row
    unscored = _unscored(detail) if own else []
    return [
        each
        for name, of_samples in grouped.items()
        for each in split_seeds(_results(path, record, name, of_samples, results, own, unscored))
    ]


def _key(result: dict[str, Any]) -> str:
    return str(result.get("evaluation_result_id") or result["evaluation_name"])


def _own(record: dict[str, Any]) -> dict[str, Any]:
    """What this package wrote into a record of its own; {} in another's."""
    details = record["source_metadata"].get("additional_details") or {}
    if record["source_metadata"].get("source_name") != "phi-zoo" or "fingerprint" not in details:
        return {}
    return {name: parse_json(details[name]) for name in ("protocol", "engine")} | {"label": details["label"]}


def _mine(row: dict[str, Any]) -> dict[str, Any]:
    value = parse_json((row.get("metadata") or {}).get(OWN, "{}"))
    if not isinstance(value, dict):
        raise ValueError("metadata of a sample is no JSON object")
    return value


def _unscored(detail: dict[str, Any]) -> list[dict[str, Any]]:
    names = parse_json((detail.get("additional_details") or {}).get("unscored_samples", "[]"))
    return msgspec.convert(names, list[dict[str, Any]])


def _results(
    path: Path, record: dict[str, Any], name: str, samples: dict[tuple[str, int, str], dict[str, dict[str, Any]]],
    results: dict[str, dict[str, Any]], own: dict[str, Any], unscored: list[dict[str, Any]],
) -> TaskResults:  # fmt: skip
    metrics = {metric: _share(result) for metric, result in results.items()}
    lines = [_line(name, sample, draw, rows, metrics, own) for (sample, draw, _), rows in samples.items()]
    for mine in unscored:
        said = {name: str(mine.get(name) or "") for name in ("text", "thought")}
        answer = None if mine.get("answer") is None else str(mine["answer"])
        lines.append(own_line(mine, "", sample=str(mine["sample"]), draw=int(mine["draw"]), answer=answer, **said))
    names = dict.fromkeys(metric for line in lines for metric in line.metrics)
    shared = tuple(metric for metric in names if all(metric in line.metrics for line in lines if not line.fault))
    if not shared:
        raise ZooError(f"{path.name} has no metric that every sample of {name[:40]!r} has")
    library, engine = record["eval_library"], own.get("engine") or {}
    first = next(result for result in results.values() if str(result["evaluation_name"]).partition("/")[0] == name)
    generation = first.get("generation_config") or {}
    arguments = generation.get("generation_args") or {}
    decoding = {key: arguments[key] for key in ("temperature", "top_p", "max_tokens") if arguments.get(key) is not None}
    model = str(own.get("label") or record["model_info"]["id"].rpartition("/")[2])
    details = record["model_info"].get("additional_details") or {}
    return TaskResults(
        tool=str(library["name"]), release=str(library["version"]), task=name, file=path.name,
        sha256=file_sha256(path), metrics=shared, lines=tuple(lines), model=model,
        decoding=own["protocol"]["decoding"] if own else decoding,
        shots=int((generation.get("additional_details") or {}).get("shots") or 0) if own else 0,
        version=float(own["protocol"]["task_version"]) if own else 0.0,
        dtype=str(engine.get("dtype") or details.get("dtype") or ""), device=str(engine.get("device") or ""),
        context_tokens=int(engine.get("context_tokens") or 0),
        versions={str(key): str(value) for key, value in (library.get("additional_details") or {}).items()},
        date=_seconds(record.get("evaluation_timestamp")), claimed=own.get("protocol") or {},
        command=str(arguments.get("execution_command") or ""),
    )  # fmt: skip


def _line(
    task: str, sample: str, draw: int, rows: dict[str, dict[str, Any]], shares: dict[str, float | None],
    own: dict[str, Any],
) -> SampleLine:  # fmt: skip
    row = next(iter(rows.values()))
    given, output = row["input"], row.get("output") or {}
    said = row.get("messages") or []
    text = str((output.get("raw") or [""])[0]) if output else str(said[-1].get("content") or "") if said else ""
    thought = str((output.get("reasoning_trace") or [""])[0]) if output else ""
    answers = row.get("answer_attribution") or []
    answer = str(answers[-1]["extracted_value"]) if answers else None
    prompt = str(given.get("formatted") or given["raw"])
    fields: dict[str, Any] = {"draw": draw, "text": text, "answer": answer}
    if own:
        if said and said[-1].get("reasoning_trace"):
            thought = str(said[-1]["reasoning_trace"])
        mine = next((mine for each in rows.values() if "pairs" in (mine := _mine(each))), {})
        pairs = tuple((str(context), str(part)) for context, part in mine.get("pairs", ()))
        messages = tuple((str(each["role"]), str(each["content"])) for each in mine.get("messages", ()))
        if mine.get("answer_is_none"):
            fields["answer"] = None
        line = own_line(mine, str(own["protocol"]["metric"]), sample=sample, asked=pairs, messages=messages,
                        thought=thought, **fields)  # fmt: skip
        stated = {metric: float(each["evaluation"]["score"]) for metric, each in rows.items()}
        if any(line.metrics.get(metric) != value for metric, value in stated.items() if metric in line.metrics):
            raise ValueError(f"the sample {sample[:40]!r} has two scores that differ")
        return line
    choices = tuple((prompt, str(choice)) for choice in given.get("choices") or ())
    messages = tuple((str(each["role"]), str(each.get("content") or "")) for each in said[:-1])
    metrics = {}
    for metric, each in rows.items():
        share = shares[metric]
        if share is not None:
            metrics[metric] = float(each["evaluation"]["score"]) / share
    detail = str(row.get("error") or "")
    return SampleLine(
        sample=f"{task}/{sample}", metrics=metrics, asked=choices or ((prompt, ""),), messages=messages,
        detail=detail.replace("\n", " ")[:200], **fields,
    )  # fmt: skip


def _share(result: dict[str, Any]) -> float | None:
    """What a metric's values are divided by to be shares; None if they are none, or if less is better."""
    metric = result["metric_config"]
    if not metric_of(str(metric.get("metric_name"))).is_share and metric.get("min_score") == 0:
        return 1.0  # a metric that this package knows, in its own unit
    if metric["lower_is_better"] or metric.get("score_type") == "levels":
        return None
    low, high = metric.get("min_score"), metric.get("max_score")
    if metric.get("score_type") == "binary" or (low, high) == (0, 1):
        return 1.0
    if (low, high) == (0, 100) or metric.get("metric_unit") == "percent":
        return 100.0
    return 1.0 if metric.get("metric_unit") == "proportion" else None


def _reported(record: dict[str, Any], result: dict[str, Any]) -> Reported | None:
    """A result as a published number in percent; None if it is no share of which more is better."""
    share = _share(result)
    score = result["score_details"]["score"]
    if share is None or result["metric_config"]["lower_is_better"] or not 0 <= score <= share:
        return None
    source, metric = record["source_metadata"], result["metric_config"]
    details = record["model_info"].get("additional_details") or {}
    accessed = _day(record["retrieved_timestamp"])
    moment = result.get("evaluation_timestamp") or record.get("evaluation_timestamp")
    date = (_day(moment) if moment else accessed)[:7]
    title = str(source.get("source_name") or source["source_organization_name"])
    library = record["eval_library"]
    by = str(library["name"]) + ("" if library["version"] in ("", "unknown") else f" {library['version']}")
    uncertainty = result["score_details"].get("uncertainty") or {}
    name = str(result["evaluation_name"])
    measure = str(
        metric.get("metric_name") or metric.get("metric_id") or metric.get("evaluation_description") or "score"
    )
    return Reported(
        model=str(record["model_info"]["name"]), parameters=_parameters(details), unique_tokens=None,
        training_tokens=None, date=min(date, accessed[:7]), benchmark=benchmark_of(name.partition("/")[0]),
        subset=name.partition("/")[2], protocol=f"{measure}, {by}", shots=_shots(result), op="=",
        value=100 * score / share, n=uncertainty.get("num_samples"), source=f"{title} (Every Eval Ever)",
        address=_address(source, result), accessed=accessed,
    )  # fmt: skip


def _shots(result: dict[str, Any]) -> int | None:
    details = (result.get("generation_config") or {}).get("additional_details") or {}
    text = str(details.get("num_fewshot") or details.get("shots") or "")
    return int(text) if text.isdecimal() else None


def _parameters(details: dict[str, Any]) -> float | None:
    """The model's parameters, which converters write as a count or in billions."""
    for name, unit in (("num_parameters", 1.0), ("parameters", 1.0), ("params_billions", 1e9)):
        try:
            count = float(details[name]) * unit
        except (KeyError, ValueError, TypeError):
            continue
        if 1e6 <= count <= 1e13:
            return count
    return None


def _address(source: dict[str, Any], result: dict[str, Any]) -> str:
    listed = [source.get("source_organization_url"), *(result["source_data"].get("url") or [])]
    return next((url for url in listed if isinstance(url, str) and ADDRESS.fullmatch(url)), STORE)


def _seconds(text: Any) -> float:
    """Seconds since 1970 of a Unix time or an ISO date; 0 if it is neither."""
    if text is None:
        return 0.0
    try:
        return float(text)
    except ValueError:
        pass
    try:
        return datetime.datetime.fromisoformat(str(text).replace("Z", "+00:00")).timestamp()
    except ValueError:
        return 0.0


def _day(text: Any) -> str:
    return datetime.datetime.fromtimestamp(_seconds(text), datetime.UTC).strftime("%Y-%m-%d")
