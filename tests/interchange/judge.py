"""Runs inside the environment of .ci/interchange: each tool's own reader judges a folder of files. Prints JSON.

python judge.py every-eval-ever | inspect | lm-eval  FOLDER
"""

import json
import sys
from pathlib import Path
from typing import Any


def every_eval_ever(folder: Path) -> dict[str, Any]:
    """The validator's reports of all files below a folder, with the checks of its datastore."""
    from every_eval_ever.validator.validation_core import validate_file

    files = {path.relative_to(folder).as_posix(): path for path in sorted(folder.rglob("*.json*"))}
    reports = {
        name: validate_file(
            path, repo_path=name, available_files=frozenset(files), run_semantic_checks=True,
            read_repo_file=lambda other: files[other].read_text(encoding="utf-8"),
        )
        for name, path in files.items()
    }  # fmt: skip
    return {name: {"valid": report.valid, "errors": report.errors, "warnings": report.warnings, "lines": report.line_count}
            for name, report in reports.items()}  # fmt: skip


def inspect(folder: Path) -> dict[str, Any]:
    """What `read_eval_log` gives for each log, and that its samples and summaries can be read alone."""
    from inspect_ai.log import read_eval_log, read_eval_log_sample_summaries, read_eval_log_samples

    told = {}
    for path in sorted(folder.iterdir()):
        log = read_eval_log(str(path))
        samples = log.samples or []
        streamed = list(read_eval_log_samples(str(path)))
        told[path.name] = {
            "status": log.status, "task": log.eval.task, "model": log.eval.model, "samples": len(samples),
            "streamed": len(streamed), "summaries": len(read_eval_log_sample_summaries(str(path))),
            "scores": {each.name: {name: metric.value for name, metric in each.metrics.items()}
                       for each in (log.results.scores if log.results else [])},
            "values": [score.value for sample in samples for score in (sample.scores or {}).values()],
            "unscored": [str(sample.id) for sample in samples if sample.error is not None],
            "texts": [sample.output.completion for sample in samples],
        }  # fmt: skip
    return told


def lm_eval(folder: Path) -> dict[str, Any]:
    """What the harness's own readers make of a folder: names, the table that it prints, and `datasets` on its files."""
    from datasets import load_dataset
    from lm_eval.utils import (
        get_file_datetime,
        get_file_task_name,
        get_latest_filename,
        get_results_filenames,
        get_sample_results_filenames,
        make_table,
    )

    names = [path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()]
    results, samples = get_results_filenames(names), get_sample_results_filenames(names)
    told: dict[str, Any] = {"results": len(results), "samples": len(samples), "tables": [], "rows": {}}
    for name in results:
        told["tables"].append(make_table(json.loads((folder / name).read_text(encoding="utf-8"))))
        loaded = load_dataset("json", data_files=str(folder / name), split="train")  # as recreate_metadata_card does
        told.setdefault("loaded", []).append(sorted(loaded["results"][0]))
    for name in samples:
        task = get_file_task_name(Path(name).name)
        rows = load_dataset("json", data_files=str(folder / name), split="train")
        told["rows"][task] = [len(rows), get_file_datetime(Path(name).name), sorted(rows[0]["metrics"])]
    told["latest"] = get_latest_filename(results)
    return told


if __name__ == "__main__":
    judges = {"every-eval-ever": every_eval_ever, "inspect": inspect, "lm-eval": lm_eval}
    print(json.dumps(judges[sys.argv[1]](Path(sys.argv[2]))))
