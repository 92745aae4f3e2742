"""Reads the result files of lm-evaluation-harness 0.4 (`--log_samples`) and of EvalPlus 0.3 into one form.

Formats are facts of the tools: lm_eval 0.4.13, loggers/evaluation_tracker.py (`results_DATE.json` and
`samples_TASK_DATE.jsonl`, one line a document and filter); evalplus 0.3.1, evaluate.py (`*_eval_results.json`).
"""

import datetime
import re
from pathlib import Path
from typing import Any

import msgspec

from evals.scoring.answer import exact_and_f1
from evals.scoring.finite import find_overflow
from evals.scoring.squad_threshold import at_best_threshold
from zoo.digest import file_sha256
from zoo.errors import ZooError
from zoo.jsonl import parse_json, read_lines
from zoo.records import Record

SAMPLES = re.compile(r"samples_(?P<task>.+)_(?P<date>\d{4}-\d\d-\d\dT[\d.:-]+)\.jsonl")
# the harness's metrics of IFEval, of which those by instruction are lists -> ours
IFEVAL = {
    "prompt_level_strict_acc": "prompt_strict", "inst_level_strict_acc": "inst_strict",
    "prompt_level_loose_acc": "prompt_loose", "inst_level_loose_acc": "inst_loose",
}  # fmt: skip
EVALPLUS = {"HumanEval": ("humaneval", "humaneval_plus"), "Mbpp": ("mbpp_plus", "mbpp_plus")}


class SampleLine(Record, frozen=True):
    """One sample and draw. asked: the (context, continuation) pairs to the byte; () if the file has none.

    trials  metric -> the outcomes that it is the mean of, as in `evals.records.Result`
    fault   why it has no score; its metrics then count for nothing
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


class TaskResults(Record, frozen=True):
    """One task's results by one tool.

    protocol  our name for it, if the file has no prompts but the tool has only one protocol
    decoding  the fields of `evals.records.Decoding` that the file gives
    date      seconds since 1970; 0 if not known
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


def read(path: Path) -> list[TaskResults]:
    """The results in a file, or in all files of a folder.

    Raises  ZooError if neither tool wrote the file, or it has no samples
    """
    if path.is_dir():
        files = sorted({*path.rglob("samples_*.jsonl"), *path.rglob("*eval_results.json")})
        if not files:
            raise ZooError(
                f"{path} holds no samples_TASK_DATE.jsonl (lm_eval --log_samples) and no *_eval_results.json (EvalPlus)"
            )
        return [results for file in files for results in read(file)]
    if path.exists() and not path.is_file():  # a device may have no end
        raise ZooError(f"{path} is no file; expected a result file of lm_eval or EvalPlus, or a folder of them")
    try:
        if SAMPLES.fullmatch(path.name):
            return [_lm_eval(path)]
        content = parse_json(path.read_bytes(), nonfinite=True, repair=True)
        if isinstance(content, dict) and "eval" in content:
            return _evalplus(path, content)
        if isinstance(content, dict) and "configs" in content:
            raise ZooError(f"{path.name} has only means; give samples_TASK_DATE.jsonl beside it (--log_samples)")
    except (OSError, ValueError, LookupError, TypeError, AttributeError, OverflowError, StopIteration) as error:
        raise ZooError(f"{path} cannot be read as results ({type(error).__name__}: {str(error)[:80]})") from error
    raise ZooError(
        f"{path} is no result file: expected lm_eval's samples_TASK_DATE.jsonl or EvalPlus' eval_results.json"
    )


def _lm_eval(path: Path) -> TaskResults:
    match = SAMPLES.fullmatch(path.name)
    task, date = (match["task"], match["date"]) if match else ("", "")
    rows = [row for _, row in read_lines(path, "an lm_eval sample", nonfinite=True)]
    if not rows:
        raise ZooError(f"{path} holds no samples")
    rows.sort(key=lambda row: int(row["doc_id"]))  # its own order may be the batches'
    filters = list(dict.fromkeys(str(row["filter"]) for row in rows))
    lines: dict[int, SampleLine] = {}
    for row in rows:
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
        lines[row["doc_id"]] = _lm_eval_line(task, row, {**(earlier.metrics if earlier else {}), **metrics})
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
        decoding=_decoding(rows[0]), **_lm_eval_header(path, task, date),
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


def _metric(name: str, chosen: str, names: list[str], filters: list[str]) -> str:
    """A metric's name; with several filters (GSM8K's strict and flexible reading) the filter is part of it."""
    if len(filters) == 1:
        return name
    return chosen if len(names) == 1 else f"{name},{chosen}"


def _lm_eval_line(task: str, row: dict[str, Any], metrics: dict[str, float]) -> SampleLine:
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


def _lm_eval_header(path: Path, task: str, date: str) -> dict[str, Any]:
    """The fields of a run that `results_DATE.json` beside the samples gives; without it, the release alone."""
    beside = path.with_name(f"results_{date}.json")
    if not beside.is_file():
        return {"release": "0.4"}
    header = parse_json(beside.read_bytes(), nonfinite=True, repair=True)
    config = header.get("config", {})
    versions = {"lm_eval": header.get("lm_eval_version"), "transformers": header.get("transformers_version")}
    return {
        "release": str(header.get("lm_eval_version", "0.4")), "model": Path(str(header.get("model_name", ""))).name,
        "version": float(header.get("versions", {}).get(task) or 0),
        "shots": int((header.get("n-shot") or {}).get(task) or 0),
        "dtype": str(config.get("model_dtype", "")).removeprefix("torch."), "device": str(config.get("device", "")),
        "context_tokens": int(header.get("max_length") or 0), "seed": int(config.get("random_seed") or 0),
        "versions": {name: str(value) for name, value in versions.items() if value},
        "commit": str(header.get("git_hash") or ""), "date": float(header.get("date") or 0),
    }  # fmt: skip


def _evalplus(path: Path, content: dict[str, Any]) -> list[TaskResults]:
    """The two results of a file: the base tests alone, and base and added tests together."""
    prefix = next(iter(content["eval"])).split("/")[0]
    if prefix not in EVALPLUS:
        raise ZooError(f"{path} is of {prefix}; expected HumanEval or Mbpp")
    results = []
    for plus, task in enumerate(EVALPLUS[prefix]):
        lines = tuple(
            _evalplus_line(name, draw, answer, bool(plus))
            for name, draws in content["eval"].items()
            for draw, answer in enumerate(draws)
            if not plus or answer.get("plus_status") is not None
        )
        if lines:
            ours = "evalplus" if plus or prefix == "HumanEval" else "evalplus-base"
            source = TaskResults(
                tool="evalplus", release="0.3", task=task, file=path.name, sha256=file_sha256(path),
                metrics=("pass@1",), lines=lines, protocol=ours, date=_seconds(content.get("date")),
            )  # fmt: skip
            results.append(source)
    return results


def _evalplus_line(name: str, draw: int, answer: dict[str, Any], plus: bool) -> SampleLine:
    passed = answer["base_status"] == "pass" and (not plus or answer["plus_status"] == "pass")
    detail = f"base {answer['base_status']}, plus {answer.get('plus_status')}"
    text = str(answer.get("solution", ""))
    return SampleLine(sample=name, draw=draw, metrics={"pass@1": float(passed)}, answer=text, text=text, detail=detail)


def _seconds(date: object) -> float:
    try:
        return datetime.datetime.strptime(str(date), "%Y-%m-%d %H:%M").replace(tzinfo=datetime.UTC).timestamp()
    except ValueError:
        return 0.0
