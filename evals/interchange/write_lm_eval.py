"""Writes a cell as lm-evaluation-harness 0.4.13 does: `results_DATE.json` and `samples_TASK_DATE.jsonl`.

They lie in a folder named after the model, under the names that the harness's own readers look for. Several draws of a
sample are the responses of one document. The harness has no interval: the standard error that it prints is the one
that gives our interval's width, and the interval itself stands beside it under "phizoo".

Source  lm_eval 0.4.13, loggers/evaluation_tracker.py, evaluator_utils.py, result_schema.py, utils.py (`make_table`)
"""

import datetime
import hashlib
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from evals.interchange.cells import ExportedCell, Question
from evals.interchange.facts import OWN, as_json, command_of, epoch, own_result, own_run, standard_error
from evals.records import Result, Run
from zoo.digest import digest, whole_file, write_json
from zoo.errors import ZooError
from zoo.metrics import metric_of
from zoo.records import Score

RELEASE = "0.4.13"  # whose form this is
HARNESS = "lm-eval"  # the protocols that are the harness's own


def write_lm_eval(cell: ExportedCell, folder: Path, now: int) -> list[Path]:
    """Writes a cell's results and samples. Returns the files.

    now     seconds since 1970: the date in the names, which the harness's readers take the newest of
    Raises  ZooError if its samples or their prompts are not known
    """
    if not cell.results or not cell.questions:
        raise ZooError(f"{cell.label} on {cell.protocol.task}: {cell.why or 'the result lines are gone'}; lm-eval's "
                       "format has a prompt in each sample. Without samples: --format every-eval-ever")  # fmt: skip
    task = _task_name(cell)
    date = datetime.datetime.fromtimestamp(now, datetime.UTC).strftime("%Y-%m-%dT%H-%M-%S.%f")
    place = folder / re.sub(r"[\"<>:/|\\?*\[\]]+", "__", cell.label)
    samples, results = place / f"samples_{task}_{date}.jsonl", place / f"results_{date}.json"
    seen = hashlib.sha256()
    with whole_file(samples) as file:
        for row in _rows(cell):
            seen.update((row["doc_hash"] + row["prompt_hash"] + row["target_hash"]).encode())
            file.write(as_json(row).encode() + b"\n")
    write_json(results, _header(cell, task, now, seen.hexdigest()))
    return [results, samples]


def _task_name(cell: ExportedCell) -> str:
    """The task's name; a protocol that is not the harness's own is named too, without the characters of file names."""
    if cell.protocol.name == HARNESS:
        return cell.protocol.task
    return re.sub(r"[^\w.+=-]+", "-", f"{cell.protocol.task}.{cell.protocol.name}")


def _key(score: Score, kind: str = "") -> str:
    return f"{score.metric}{kind},none"


def _header(cell: ExportedCell, task: str, now: int, task_hash: str) -> dict[str, Any]:
    protocol, header, engine = cell.protocol, cell.run, cell.run.backend
    whole = [score for score in cell.scores if score.subset == "all"]
    row: dict[str, Any] = {"name": task, "alias": task, "sample_len": whole[0].n + whole[0].unscored}
    for score in whole:
        row |= {_key(score): score.value, _key(score, "_stderr"): standard_error(score)}
    decoding = protocol.decoding
    generation = {"until": decoding["stop"], "max_gen_toks": decoding["max_tokens"],
                  "do_sample": decoding["temperature"] > 0, "temperature": decoding["temperature"],
                  "top_p": decoding["top_p"]} if decoding else {}  # fmt: skip
    config = {
        "task": task, "dataset_path": cell.repository or protocol.task, "test_split": cell.split or None,
        "num_fewshot": protocol.shots, "output_type": "generate_until" if decoding else "multiple_choice",
        "metric_list": [{"metric": score.metric, "aggregation": "mean",
                         "higher_is_better": not metric_of(score.metric).lower_is_better} for score in whole],
        **({"generation_kwargs": generation} if decoding else {}), "repeats": header.draws,
        "metadata": {"version": protocol.task_version, "protocol": protocol.name},
    }  # fmt: skip
    started = epoch(header.started)
    return {
        "results": {task: row}, "group_subtasks": {}, "configs": {task: config},
        "versions": {task: protocol.task_version}, "n-shot": {task: protocol.shots},
        "higher_is_better": {task: {score.metric: not metric_of(score.metric).lower_is_better for score in whole}},
        "n-samples": {task: {"original": protocol.samples, "effective": row["sample_len"]}},
        "config": {
            "model": engine.engine, "model_args": {"pretrained": cell.label, "dtype": engine.dtype},
            "model_dtype": engine.dtype, "device": engine.device, "batch_size": None, "limit": header.limit,
            "bootstrap_iters": 0, "gen_kwargs": generation, "random_seed": header.seed,
        },
        "git_hash": header.commit or None, "date": started if started is not None else now,
        "lm_eval_version": RELEASE, "transformers_version": header.versions.get("transformers", "unknown"),
        "model_source": engine.engine, "model_name": cell.label,
        "model_name_sanitized": re.sub(r"[\"<>:/|\\?*\[\]]+", "__", cell.label),
        "max_length": engine.context_tokens, "task_hashes": {task: task_hash}, "eot_token_id": None,
        "system_instruction": None, "fewshot_as_multiturn": False, "chat_template": None, "start_time": None,
        "end_time": None, "total_evaluation_time_seconds": None,
        OWN: {**own_run(cell), "command": command_of(header),
              "scores": [{name: getattr(score, name) for name in score.__struct_fields__} for score in cell.scores]},
    }  # fmt: skip


def _rows(cell: ExportedCell) -> Iterator[dict[str, Any]]:
    """One row for each sample, with its draws of all seeds as responses."""
    draws: dict[str, list[tuple[Run, Result]]] = {}
    for header, result in cell.lines:
        draws.setdefault(result.sample, []).append((header, result))
    for number, (sample, lines) in enumerate(draws.items()):
        if question := cell.questions.get(sample):
            yield _row(cell, number, sample, lines, question)


def _row(
    cell: ExportedCell, number: int, sample: str, lines: list[tuple[Run, Result]], question: Question
) -> dict[str, Any]:
    results = [result for _, result in lines]
    chosen = cell.protocol.decoding == {}
    doc = {"id": sample, "question": question.question}
    scored = [result for result in results if result.score is not None]
    names = dict.fromkeys(name for result in scored for name in (result.metrics or {cell.protocol.metric: 0}))
    values = {
        name: sum(result.metrics.get(name, result.score or 0.0) for result in scored) / len(scored) for name in names
    }
    if chosen:
        arguments: dict[str, dict[str, Any]] = {f"gen_args_{place}": {"arg_0": context, "arg_1": text}
                     for place, (context, text) in enumerate(question.pairs)}  # fmt: skip
        first = results[0]
        best = max(first.logprobs, default=0.0)
        responses: list[Any] = [[[str(value), str(value == best)]] for value in first.logprobs] or [
            [["nan", "False"]]
        ] * len(arguments)
        filtered = [response[0] for response in responses]
    else:
        decoding = cell.protocol.decoding
        settings = {"until": decoding["stop"], "max_gen_toks": decoding["max_tokens"],
                    "do_sample": decoding["temperature"] > 0, "temperature": decoding["temperature"]}  # fmt: skip
        arguments = {"gen_args_0": {"arg_0": question.pairs[0][0], "arg_1": settings}}
        responses = [[result.text for result in results]]
        filtered = [results[0].answer if results[0].answer is not None else ""]
    target = question.golds[0] if question.golds else ""
    return {
        "doc_id": number, "doc": doc, "target": target, "arguments": arguments, "resps": responses,
        "filtered_resps": filtered, "filter": "none", "metrics": list(values), "doc_hash": digest(doc),
        "prompt_hash": hashlib.sha256(question.pairs[0][0].encode("utf-8", "surrogatepass")).hexdigest(),
        "target_hash": hashlib.sha256(target.encode("utf-8", "surrogatepass")).hexdigest(), **values,
        OWN: {"messages": question.messages,
              "draws": [{**own_result(header, result), "draw": result.draw, "text": result.text,
                         "answer": result.answer, "thought": result.thought} for header, result in lines]},
    }  # fmt: skip
