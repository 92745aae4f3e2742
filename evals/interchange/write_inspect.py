"""Writes a cell as an inspect_ai log: the `.eval` archive, or one `.json` file.

Inspect asks by chat alone. A completion is written as one message of the user, and `metadata.phizoo.asked` says
"completion", since no template was around it. A draw is an epoch; a score with several seeds has the draws of all.

Source  inspect_ai 0.3.285, log/_log.py (`EvalLog`, version 2) and log/_recorders/eval.py (the archive's members)
"""

import datetime
import hashlib
import re
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from evals.interchange.cells import ExportedCell, Question
from evals.interchange.facts import OWN, as_json, command_of, iso, made_by, own_result, own_run, standard_error
from evals.records import Result, Run
from zoo.digest import whole_file
from zoo.errors import ZooError
from zoo.metrics import metric_of

VERSION = 2
EARLIEST = (1980, 1, 1, 0, 0, 0)  # a zip member's date: the same log has the same bytes
STOPS = {"stop": "stop", "length": "max_tokens"}


def write_inspect(cell: ExportedCell, folder: Path, now: int, form: str = "eval") -> list[Path]:
    """Writes a cell's log. Returns the file.

    form    "eval" (an archive) or "json"
    now     seconds since 1970, for the name
    Raises  ZooError if its samples or their prompts are not known
    """
    if not cell.results or not cell.questions:
        raise ZooError(
            f"{cell.label} on {cell.protocol.task}: {cell.why or 'the result lines are gone'}; an inspect_ai log has a "
            "prompt in each sample. Without samples: --format every-eval-ever"
        )
    date = datetime.datetime.fromtimestamp(now, datetime.UTC).strftime("%Y-%m-%dT%H-%M-%S-00-00")
    task = re.sub(r"[^\w.-]+", "-", cell.protocol.task)
    path = folder / f"{date}_{task}_{_id(cell.run.id)}.{form}"
    log, samples = _log(cell), list(_samples(cell))
    if form == "json":
        with whole_file(path) as file:
            file.write(as_json({**log, "samples": samples}).encode())
        return [path]
    summaries = [_summary(sample) for sample in samples]
    start = {"version": VERSION, "eval": log["eval"], "plan": log["plan"]}
    members: dict[str, Any] = {"_journal/start.json": start}
    members |= {f"samples/{_member(sample['id'])}_epoch_{sample['epoch']}.json": sample for sample in samples}
    members |= {"summaries.json": summaries, "header.json": log}
    with whole_file(path) as file, zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, value in members.items():
            archive.writestr(zipfile.ZipInfo(name, EARLIEST), as_json(value), zipfile.ZIP_DEFLATED)
    return [path]


def _id(text: str) -> str:
    """An id of 22 letters and digits, as inspect_ai's are."""
    return hashlib.sha256(text.encode()).hexdigest()[:22]


def _member(sample: str) -> str:
    return sample.replace("\\", "_")


def _summary(sample: dict[str, Any]) -> dict[str, Any]:
    kept = ("id", "epoch", "input", "target", "scores", "model_usage", "uuid", "choices")
    fields = {name: sample[name] for name in kept if name in sample}
    if isinstance(fields["input"], str):
        fields["input"] = fields["input"][:1000]
    return {**fields, "metadata": {}, "completed": True, **({"error": "unscored"} if "error" in sample else {})}


def _log(cell: ExportedCell) -> dict[str, Any]:
    """The log without samples: what was run, how, and the scores."""
    header, protocol = cell.run, cell.protocol
    whole = [score for score in cell.scores if score.subset == "all"]
    ids = list(dict.fromkeys(result.sample for _, result in cell.lines if result.sample in cell.questions))
    tool, version = made_by(header)
    epochs = header.draws * len(cell.headers)
    started = iso(header.started) or "1970-01-01T00:00:00Z"
    config = {"max_tokens": protocol.decoding.get("max_tokens"), "temperature": protocol.decoding.get("temperature"),
              "top_p": protocol.decoding.get("top_p"), "stop_seqs": list(protocol.decoding.get("stop", ())) or None,
              "seed": header.seed}  # fmt: skip
    config = {name: value for name, value in config.items() if value is not None}
    own = {**own_run(cell), "asked": "chat" if protocol.chat else "completion", "command": command_of(header),
           "scores": [msgspec.to_builtins(score) for score in cell.scores]}  # fmt: skip
    evaluation = {
        "eval_id": _id(f"eval {header.id}"), "run_id": _id(f"run {header.id}"), "created": started,
        "task": protocol.task, "task_id": _id(f"task {header.id}"), "task_version": protocol.task_version,
        "task_display_name": protocol.task, "task_attribs": {}, "task_args": {"protocol": protocol.name,
                                                                             "shots": protocol.shots},
        "task_args_passed": {}, "dataset": {"name": cell.repository or protocol.task, "samples": len(ids),
                                            "sample_ids": ids, "shuffled": False},
        "model": f"{header.backend.engine}/{cell.label}", "model_generate_config": {},
        "model_args": {"dtype": header.backend.dtype, "device": header.backend.device},
        "config": {"epochs": epochs, "limit": header.limit, "log_samples": True},
        "packages": {tool: version}, "metadata": {OWN: own}, "tags": ["phi-zoo"],
        "scorers": [{"name": score.metric, "options": {}, "metrics": [{"name": "mean", "options": {}}], "metadata": {}}
                    for score in whole],
    }  # fmt: skip
    return {
        "version": VERSION, "status": "success", "eval": evaluation,
        "plan": {"name": "plan", "steps": [{"solver": "generate", "params": {}, "params_passed": {}}],
                 "config": config},
        "results": {"total_samples": len(ids) * epochs, "completed_samples": len(ids) * epochs,
                    "scores": [_score(score) for score in whole]},
        "stats": {"started_at": started, "completed_at": started, "model_usage": {}, "role_usage": {}},
        "invalidated": False, "tags": ["phi-zoo"], "metadata": {OWN: own},
    }  # fmt: skip


def _score(score: Any) -> dict[str, Any]:
    """A score with its interval. Inspect's own standard error is the one that gives this width."""
    values = {"mean": score.value, "stderr": standard_error(score),
              "low95": score.low, "high95": score.high}  # fmt: skip
    return {
        "name": score.metric, "scorer": score.metric, "scored_samples": score.n, "unscored_samples": score.unscored,
        "params": {}, "metrics": {name: {"name": name, "value": value, "params": {}} for name, value in values.items()},
        "metadata": {"n": score.n, "clusters": score.clusters,
                     "lower_is_better": metric_of(score.metric).lower_is_better},
    }  # fmt: skip


def _samples(cell: ExportedCell) -> Iterator[dict[str, Any]]:
    """A sample for each line, the runs of several seeds as further epochs."""
    epochs: dict[str, int] = {}
    model = f"{cell.run.backend.engine}/{cell.label}"
    for header, result in cell.lines:
        if question := cell.questions.get(result.sample):
            epochs[result.sample] = epochs.get(result.sample, 0) + 1
            yield _sample(cell, header, result, question, epochs[result.sample], model)


def _sample(
    cell: ExportedCell, header: Run, result: Result, question: Question, epoch: int, model: str
) -> dict[str, Any]:
    key = f"{header.id} {result.sample} {epoch}"
    asked: list[dict[str, Any]] = [
        {"id": _id(f"{key} {number}"), "role": message.role, "content": message.content}
        for number, message in enumerate(question.messages)
    ] or [{"id": _id(f"{key} 0"), "role": "user", "content": question.prompt, "source": "input"}]
    text: Any = result.text
    if result.thought:
        text = [{"type": "reasoning", "reasoning": result.thought}, {"type": "text", "text": result.text}]
    answer = {"id": _id(f"{key} answer"), "role": "assistant", "content": text, "source": "generate", "model": model}
    usage = {"input_tokens": result.prompt_tokens, "output_tokens": result.tokens,
             "total_tokens": result.prompt_tokens + result.tokens}  # fmt: skip
    own = {**own_result(header, result), "draw": result.draw, "run": header.id, "pairs": question.pairs}
    if result.score is None and result.answer is not None:
        own["answer"] = result.answer  # what is not scored has no score to stand in
    values = result.metrics or ({cell.protocol.metric: result.score} if result.score is not None else {})
    choices = [part for _, part in question.pairs] if len(question.pairs) > 1 else None
    sample: dict[str, Any] = {
        "id": result.sample, "epoch": epoch, "input": asked if question.messages else question.prompt,
        **({"choices": choices} if choices else {}), "target": list(question.golds) or "",
        "messages": [*asked, answer],
        "output": {"model": model, "choices": [{"message": answer, "stop_reason": STOPS.get(result.finish, "unknown")}],
                   "completion": result.text, "usage": usage},
        "scores": {name: {"value": value, "answer": result.answer, "explanation": result.detail or None, "history": []}
                   for name, value in values.items()},
        "metadata": {OWN: own},
        "store": {}, "events": [], "model_usage": {model: usage}, "role_usage": {}, "attachments": {},
        "total_time": result.seconds, "working_time": result.seconds, "uuid": _id(key), "error_retries": [],
    }  # fmt: skip
    if result.score is None:
        fault = {"message": result.detail or "not scored", "traceback": "", "traceback_ansi": ""}
        sample |= {"error": fault, "scores": {}}
    return sample
