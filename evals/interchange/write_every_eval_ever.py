"""Writes cells as Every Eval Ever 0.3: one JSON record a run, and its samples as lines beside it.

The files lie as the format's datastore wants them, data/TASK/DEVELOPER/MODEL/UUID.json and UUID_samples.jsonl. A line
is one sample, draw and metric. Samples without a score have no line, since a line's score is a number: the record
counts and names them.

Source  the package every-eval-ever 0.3.0: eval.schema.json, instance_level_eval.schema.json
"""

import hashlib
import re
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from evals.engines import SENDS_MESSAGES
from evals.interchange.cells import ExportedCell, Question
from evals.interchange.facts import OWN, as_json, command_of, epoch, interval_method, made_by, own_result, own_run
from evals.records import Result, Run
from evals.stats.summary import PASS_AT
from zoo.digest import whole_file, write_json
from zoo.metrics import metric_of
from zoo.records import Score

SCHEMA = "0.3.0"
HUB = re.compile(r"(?:hub:|https://huggingface\.co/|hf://)?(?P<id>[\w.-]+/[\w.-]+)(?:@[0-9a-f]{7,40})?")
SPLITS = {"validation": "val"}  # train, val or test, the schema says
ERRORS = ("timeout", "error")


def write_every_eval_ever(cell: ExportedCell, folder: Path, now: int) -> list[Path]:
    """Writes a cell's record and, where its prompts are known, its sample lines. Returns the files.

    now  seconds since 1970, when the record is made
    """
    model = model_id(cell)
    evaluation = f"{cell.protocol.task}/{model}/{now}"
    place = Path("data", _component(cell.protocol.task), *(_component(part) for part in model.split("/", 1)))
    name = _uuid([cell.run.id, *(score.run for score in cell.scores[:1]), *cell.scores[0].runs])
    record = _record(cell, model, evaluation, now)
    files = [folder / place / f"{name}.json"]
    if cell.results and cell.questions:
        samples = folder / place / f"{name}_samples.jsonl"
        seen, rows = hashlib.sha256(), 0
        with whole_file(samples) as file:
            for line in _lines(cell, model, evaluation):
                data = as_json(line).encode() + b"\n"
                seen.update(data)
                rows += 1
                file.write(data)
        unscored = [
            {**own_result(header, result), "sample": result.sample, "draw": result.draw, "text": result.text,
             "answer": result.answer, "thought": result.thought}
            for header, result in cell.lines
            if result.score is None
        ]  # fmt: skip
        record["detailed_evaluation_results"] = {
            "format": "jsonl", "file_path": (place / samples.name).as_posix(), "hash_algorithm": "sha256",
            "checksum": seen.hexdigest(), "total_rows": rows,
            "additional_details": {"unscored_samples": as_json(unscored)},
        }  # fmt: skip
        files.append(samples)
    write_json(files[0], record)
    return files


def model_id(cell: ExportedCell) -> str:
    """The model as ORGANISATION/NAME: the hub's repository that it came from, or "local/NAME"."""
    source = HUB.fullmatch(cell.checkpoint.source) if cell.checkpoint else None
    if source:
        return source["id"]
    return f"local/{_component(cell.label.rpartition(':')[0] or cell.label)}"


def _component(text: str) -> str:
    """A text as a portable part of a path."""
    name = re.sub(r"[^\w.+-]+", "_", text).strip("._") or "unnamed"
    return name if name != "data" else "data_"


def _uuid(parts: list[str]) -> str:
    """A UUID of version 4's form, always the same for the same runs."""
    return str(uuid.UUID(bytes=hashlib.sha256("\n".join(parts).encode()).digest()[:16], version=4))


def _record(cell: ExportedCell, model: str, evaluation: str, now: int) -> dict[str, Any]:
    tool, version = made_by(cell.run)
    own = {name: as_json(value) if not isinstance(value, str) else value for name, value in own_run(cell).items()}
    details = (
        {"why_without_samples": cell.why or "the result lines are gone"}
        if not (cell.results and cell.questions)
        else {}
    )
    moment = epoch(cell.run.started)
    return {
        "schema_version": SCHEMA, "evaluation_id": evaluation,
        **({"evaluation_timestamp": str(moment)} if moment is not None else {}),
        "retrieved_timestamp": str(now),
        "source_metadata": {
            "source_name": "phi-zoo", "source_type": "evaluation_run", "source_organization_name": "unknown",
            "evaluator_relationship": "other", "additional_details": {**own, **details},
        },
        "eval_library": {"name": tool, "version": version or "unknown",
                         "additional_details": dict(sorted(cell.run.versions.items()))},
        "model_info": _model(cell, model),
        "evaluation_results": [_result(cell, score) for score in cell.scores],
    }  # fmt: skip


def _model(cell: ExportedCell, model: str) -> dict[str, Any]:
    engine, checkpoint = cell.run.backend, cell.checkpoint
    details = {
        "deployment_type": "unknown" if engine.engine in SENDS_MESSAGES or checkpoint is None else "self_deployed",
        "model_availability": "open_weights" if not model.startswith("local/") else "unknown",
        "dtype": engine.dtype, "device": engine.device, "context_tokens": str(engine.context_tokens),
    }  # fmt: skip
    if checkpoint is not None:
        details |= {
            "sha256": checkpoint.digest, "parameters": str(checkpoint.parameters), "licence": checkpoint.licence,
            "quantisation": checkpoint.quantisation or "none", "prompt_style": checkpoint.prompt_style,
        }  # fmt: skip
        if checkpoint.training_tokens is not None:
            details["training_tokens"] = str(checkpoint.training_tokens)
    return {
        "name": cell.label, "id": model, "developer": model.split("/")[0],
        "inference_engine": {"name": engine.engine, "version": engine.version}, "additional_details": details,
    }  # fmt: skip


def result_id(score: Score) -> str:
    """The name of a score in its record, which its sample lines carry."""
    return score.metric if score.subset == "all" else f"{score.metric}/{score.subset}"


def _result(cell: ExportedCell, score: Score) -> dict[str, Any]:
    match, kind = PASS_AT.fullmatch(score.metric), metric_of(score.metric)
    metric = {
        "evaluation_description": cell.columns.get(score.metric, f"{score.task} {score.metric}"),
        "metric_id": "pass_at_k" if match else score.metric, "metric_name": score.metric,
        "metric_kind": "pass_rate" if match else score.metric,
        "metric_unit": "proportion" if kind.is_share else kind.unit or kind.title,
        "lower_is_better": kind.lower_is_better, "score_type": "continuous", "min_score": 0,
        "max_score": 1 if kind.is_share else "Infinity",
        **({"metric_parameters": {"k": int(match[1])}} if match else {}),
    }  # fmt: skip
    details = {
        name: str(getattr(score, name))
        for name in ("n", "clusters", "unscored", "unfinished", "disputed", "subset", "draws", "seeds", "whole")
    }
    details |= {"worst": str(score.worst), "best": str(score.best), "results_sha256": score.results}
    source: dict[str, Any] = {"dataset_name": score.task, "source_type": "other"}
    if cell.repository:
        source = {
            "dataset_name": score.task, "source_type": "hf_dataset", "hf_repo": cell.repository,
            "hf_split": SPLITS.get(cell.split, cell.split), "samples_number": cell.protocol.samples,
        }  # fmt: skip
    source["additional_details"] = {"rows_sha256": cell.protocol.data, "revision": cell.revision, "split": cell.split}
    moment = epoch(cell.run.started)
    return {
        "evaluation_result_id": result_id(score), "evaluation_name": score.task, "source_data": source,
        **({"evaluation_timestamp": str(moment)} if moment is not None else {}),
        "metric_config": metric,
        "score_details": {
            "score": score.value, "details": details,
            "uncertainty": {
                "confidence_interval": {
                    "lower": score.low, "upper": score.high, "confidence_level": 0.95,
                    "method": interval_method(cell, score),
                },
                "num_samples": score.n,
            },
        },
        "generation_config": _generation(cell),
    }  # fmt: skip


def _generation(cell: ExportedCell) -> dict[str, Any]:
    protocol, decoding = cell.protocol, cell.protocol.decoding
    arguments: dict[str, Any] = {
        name: decoding[name] for name in ("temperature", "top_p", "max_tokens") if name in decoding
    }
    if command := command_of(cell.run):
        arguments["execution_command"] = command
    if protocol.prompt:
        arguments["prompt_template"] = protocol.prompt
    thinking = (protocol.chat or {}).get("thinking")
    if thinking is not None:
        arguments["reasoning"] = bool(thinking)
    if cell.run.sandbox:
        arguments["sandbox"] = {"type": cell.run.sandbox}
    details = {
        "protocol": protocol.name, "shots": str(protocol.shots), "seed": str(cell.run.seed),
        "draws": str(cell.run.draws), "prompts_sha256": protocol.prompts_sha256,
    }  # fmt: skip
    if "stop" in decoding:
        details["stop"] = as_json(decoding["stop"])
    if "boundary" in decoding:
        details["prompt_end"] = str(decoding["boundary"])
    return {"generation_args": arguments, "additional_details": details}


def _lines(cell: ExportedCell, model: str, evaluation: str) -> Iterator[dict[str, Any]]:
    """A line for each sample, draw and metric of the scores on all samples, in the results' order."""
    whole = [score for score in cell.scores if score.subset == "all" and not _only_combines(score)]
    hashes: dict[str, str] = {}
    for header, result in cell.lines:
        question = cell.questions.get(result.sample)
        if result.score is None or question is None:
            continue
        if result.sample not in hashes:
            text = question.prompt + "".join(question.golds)
            hashes[result.sample] = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
        for place, score in enumerate(whole):
            if score.metric not in (result.metrics or {score.metric: 0}):
                continue
            own = {"draw": result.draw, "run": header.id} if place else {
                "draw": result.draw, "run": header.id, **own_result(header, result),
                "pairs": question.pairs, "messages": question.messages,
                **({"answer_is_none": True} if result.answer is None else {})}  # fmt: skip
            yield {
                "schema_version": SCHEMA, "evaluation_id": evaluation, "model_id": model,
                "evaluation_name": score.task, "evaluation_result_id": result_id(score), "sample_id": result.sample,
                "sample_hash": hashes[result.sample], "metadata": {OWN: as_json(own)},
                **_line(header, result, question, score),
            }  # fmt: skip


def _only_combines(score: Score) -> bool:
    """Whether a score is no mean of single draws' values: pass@k for k above 1."""
    match = PASS_AT.fullmatch(score.metric)
    return match is not None and match[1] != "1"


def _line(header: Run, result: Result, question: Question, score: Score) -> dict[str, Any]:
    value = result.metrics.get(score.metric, result.score or 0.0)
    chosen = result.answer if result.answer is not None else ""
    choices = [text for _, text in question.pairs] if len(question.pairs) > 1 else None
    written = {"raw": [result.text], **({"reasoning_trace": [result.thought]} if result.thought else {})}
    talk: list[dict[str, Any]] = [{"turn_idx": number, "role": message.role, "content": message.content}
            for number, message in enumerate(question.messages)]  # fmt: skip
    several = len(talk) > 1
    if several:
        answer: dict[str, Any] = {"turn_idx": len(talk), "role": "assistant", "content": result.text}
        talk.append({**answer, **({"reasoning_trace": result.thought} if result.thought else {})})
    method = "highest log-probability" if result.logprobs else f"{header.task} of phi-zoo"
    return {
        "interaction_type": "multi_turn" if several else "single_turn",
        "input": {"raw": question.prompt, "formatted": question.prompt, "reference": list(question.golds),
                  "choices": choices},
        "output": None if several else written, "messages": talk if several else None,
        "answer_attribution": [{
            "turn_idx": len(talk) - 1 if several else 0,
            "source": "messages[turn_idx].content" if several else "output.raw",
            "extracted_value": chosen, "extraction_method": method, "is_terminal": True,
        }],
        "evaluation": {"score": value, "is_correct": value == 1.0, **({"num_turns": len(talk)} if several else {})},
        "token_usage": {
            "input_tokens": result.prompt_tokens, "output_tokens": result.tokens,
            "total_tokens": result.prompt_tokens + result.tokens,
            **({"reasoning_tokens": result.thought_tokens} if result.thought_tokens else {}),
        },
        "performance": {"latency_ms": 1000 * result.seconds} if result.seconds else None,
        "error": result.detail if result.verdict in ERRORS else None,
    }  # fmt: skip
