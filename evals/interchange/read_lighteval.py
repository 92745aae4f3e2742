"""Reads lighteval's details, one Parquet file a task: the columns of 0.10 and later, and those of 0.4 to 0.9.

0.10 and later  doc, model_response and metric, each a structure
0.4 to 0.9      full_prompt, choices, predictions, metrics, and their like, one column each

The file has the question and not always the whole prompt; where the model's input is in it, that is taken.

Source  lighteval 0.13.0, logging/info_loggers.py (`DetailsLogger.Detail`), tasks/requests.py, models/model_output.py
"""

import math
import re
from pathlib import Path
from typing import Any

from evals.interchange.tool_results import SampleLine, TaskResults, shared_metrics_once
from evals.scoring.finite import find_overflow
from zoo.admission.result_files import JSON_BYTES, check_lines_file, read_json_file
from zoo.digest import file_sha256
from zoo.errors import ZooError

DETAILS = re.compile(r"details_(?P<task>.+)_(?P<date>\d{4}-\d\d-\d\dT[\d.:-]+)\.parquet")
NEW, OLD = {"doc", "model_response", "metric"}, {"full_prompt", "predictions", "metrics"}
READ = "0.4 to 0.13"
ROWS = 1_000_000


def read_lighteval(path: Path) -> list[TaskResults]:
    """The results of a details file. Raises ZooError for other columns, too large a file, or a sample twice."""
    match = DETAILS.fullmatch(path.name)
    rows, columns = _rows(path)
    if not rows:
        raise ZooError(f"{path.name} holds no samples")
    named = match["task"] if match else str((rows[0].get("doc") or {}).get("task_name") or path.stem)
    task, shots = _task(named)
    if columns >= NEW:
        lines = [_line(task, number, row) for number, row in enumerate(rows)]
    elif columns >= OLD:
        lines = [_old_line(task, number, row) for number, row in enumerate(rows)]
    else:
        listed = ", ".join(sorted(columns))[:120]
        raise ZooError(
            f"{path.name} has the columns {listed!r}, no details of lighteval that are read; read are {READ}"
        )
    metrics = shared_metrics_once(path.name, "lighteval", lines)
    return [
        TaskResults(
            tool="lighteval", task=task, file=path.name, sha256=file_sha256(path), metrics=metrics, lines=tuple(lines),
            shots=shots, decoding=_decoding(rows[0]), **_header(path, match["date"] if match else ""),
        )
    ]  # fmt: skip


def _rows(path: Path) -> tuple[list[dict[str, Any]], set[str]]:
    try:
        import pyarrow
        from pyarrow import parquet
    except ImportError:
        raise ZooError(
            "lighteval's details are Parquet files, which need pyarrow (pip install 'phi-zoo[eval]')"
        ) from None
    check_lines_file(path)
    try:
        file = parquet.ParquetFile(path)
        metadata = file.metadata
        size = sum(metadata.row_group(number).total_byte_size for number in range(metadata.num_row_groups))
        if size > JSON_BYTES or metadata.num_rows > ROWS:
            raise ZooError(
                f"{path.name} has {metadata.num_rows:,} rows of {size:,} bytes; expected at most {JSON_BYTES:,}"
            )
        table = file.read()
        if table.nbytes > 4 * JSON_BYTES:  # a dictionary can repeat a long text
            raise ZooError(f"{path.name} unpacks to {table.nbytes:,} bytes; expected at most {4 * JSON_BYTES:,}")
        return table.to_pylist(), set(table.column_names)
    except (pyarrow.ArrowException, OSError, UnicodeDecodeError) as error:
        raise ZooError(
            f"{path.name} is no Parquet file that can be read ({str(error).splitlines()[0][:80]!r})"
        ) from None


def _task(name: str) -> tuple[str, int]:
    """A task's own name and its shots: "leaderboard|arc:challenge|25" is arc_challenge with 25."""
    parts = name.split("|")
    shots = next((int(part) for part in reversed(parts[1:]) if part.isdecimal()), 0)
    own = parts[1] if len(parts) >= 3 and not parts[1].isdecimal() else parts[0]
    return own.replace(":", "_"), shots


def _line(task: str, number: int, row: dict[str, Any]) -> SampleLine:
    doc, said = row["doc"], row["model_response"]
    given = said.get("input")
    prompt = given if isinstance(given, str) and given else str(doc["query"])
    if doc.get("instruction") and not (isinstance(given, str) and given):
        prompt = str(doc["instruction"]) + prompt
    messages: tuple[tuple[str, str], ...] = ()
    if isinstance(given, list):
        messages = tuple((str(each["role"]), str(each["content"])) for each in given)
    logprobs = tuple(float(value) for value in said.get("logprobs") or ())
    texts = [str(text) for text in said.get("text") or ()]
    asked = tuple((prompt, str(choice)) for choice in doc["choices"]) if logprobs and not texts else ((prompt, ""),)
    identity = doc.get("id")
    return _finish(
        f"{task}/{identity if identity not in (None, '') else number}", row["metric"], logprobs, texts, asked, messages
    )


def _old_line(task: str, number: int, row: dict[str, Any]) -> SampleLine:
    predictions = row["predictions"] or []
    metrics = row["metrics"]
    logprobs: tuple[float, ...] = ()
    if predictions and isinstance(predictions[0], list):  # (log-probability, greedy) of each choice
        logprobs = tuple(float(pair[0]) for pair in predictions)
    texts = [] if logprobs else [str(text) for text in predictions]
    choices = [str(choice) for choice in row.get("choices") or ()]
    prompt = str(row["full_prompt"])
    asked = tuple((prompt, choice) for choice in choices) if logprobs else ((prompt, ""),)
    return _finish(f"{task}/{number}", metrics, logprobs, texts, asked, ())


def _finish(
    sample: str, metrics: dict[str, Any], logprobs: tuple[float, ...], texts: list[str],
    asked: tuple[tuple[str, str], ...], messages: tuple[tuple[str, str], ...],
) -> SampleLine:  # fmt: skip
    values = {
        str(name).replace("@", " at ") if name == "" else str(name): float(value)
        for name, value in metrics.items()
        if isinstance(value, bool | int | float)
    }
    fault = find_overflow([*logprobs, *(value for value in values.values() if math.isnan(value))])
    kept = {name: value for name, value in values.items() if 0 <= value <= 1}
    return SampleLine(
        sample=sample, draw=0, metrics={} if fault else kept, asked=asked, messages=messages, fault=fault,
        text=texts[0] if texts else "", answer=texts[0] if texts else None, logprobs=() if fault else logprobs,
    )  # fmt: skip


def _decoding(row: dict[str, Any]) -> dict[str, Any]:
    doc = row.get("doc") or {}
    if not (row.get("model_response") or {}).get("text"):
        return {}
    decoding: dict[str, Any] = {}
    if doc.get("generation_size"):
        decoding["max_tokens"] = int(doc["generation_size"])
    if doc.get("stop_sequences"):
        decoding["stop"] = [str(stop) for stop in doc["stop_sequences"]]
    return decoding


def _header(path: Path, date: str) -> dict[str, Any]:
    """The fields of a run that lighteval's results file gives: OUT/results/MODEL/results_DATE.json."""
    folder = path.parent.parent  # details/ORGANISATION/MODEL/DATE/details_….parquet
    parts = list(path.parts)
    beside = Path()
    if "details" in parts:
        place = len(parts) - 1 - parts[::-1].index("details")
        beside = Path(*parts[:place], "results", *parts[place + 1 : -2], f"results_{date}.json")
    if not beside.is_file():
        return {"release": "0", "model": folder.name if "details" in parts else ""}
    general = read_json_file(beside, nonfinite=True).get("config_general") or {}
    settings = general.get("model_config") or {}
    model = str(settings.get("model_name") or general.get("model_name") or folder.name)
    seconds = 0.0
    try:
        import datetime

        seconds = datetime.datetime.strptime(date[:19], "%Y-%m-%dT%H-%M-%S").replace(tzinfo=datetime.UTC).timestamp()
    except ValueError:
        seconds = 0.0
    return {
        "release": str(general.get("lighteval_version") or "0"), "model": model.rpartition("/")[2],
        "dtype": str(general.get("model_dtype") or settings.get("dtype") or ""), "date": seconds,
        "commit": "" if general.get("lighteval_sha") in (None, "?") else str(general["lighteval_sha"]),
    }  # fmt: skip
