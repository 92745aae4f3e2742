"""lm-evaluation-harness 0.4.13's own requests, filters and metrics over rows of ours: one JSON request a line.

Run by the harness's own Python (tests/bench/bench_engines.py says how to make it), never imported.
{"config": "gsm8k/gsm8k.yaml", "files": {"test": PATH}, "split": "test", "texts": [[...], ...] or null}
-> {"asked": [[[context, continuation], ...], ...], "metrics": [[{name: value}, ...], ...]}
A document's `texts` are answers as a model might have written them, cut at the task's stops; each is read by itself.
"""

import json
import sys
from pathlib import Path

import lm_eval
from lm_eval.api.task import ConfigurableTask
from lm_eval.tasks._yaml_loader import load_yaml

TASKS = Path(lm_eval.__file__).parent / "tasks"


def made(config, files):
    told = dict(load_yaml(TASKS / config, resolve_func=True))
    told.update(dataset_path="json", dataset_name=None, dataset_kwargs={"data_files": files})
    for split in ("training", "validation", "test"):
        if told.get(f"{split}_split") not in files:
            told.pop(f"{split}_split", None)
    told.pop("include", None)
    return ConfigurableTask(config=told)


def named(filters, metric, chosen):
    return metric if len(filters) == 1 else chosen


def answer(told):
    task = made(told["config"], told["files"])
    task.set_fewshot_seed(1234)  # what its own evaluator sets
    task.build_all_requests(limit=None, rank=0, world_size=1)
    by_document = {}
    for request in task.instances:
        by_document.setdefault(request.doc_id, []).append(request)
    asked = [
        [[one.args[0], one.args[1] if isinstance(one.args[1], str) else ""] for one in requests]
        for requests in by_document.values()
    ]
    metrics = []
    filters = [one.name for one in task._filters]
    for place in range(max(map(len, told["texts"] or [[]]))):
        for document, requests in by_document.items():
            requests[0].resps = [told["texts"][document][place]]
            requests[0].filtered_resps = {}
        task.apply_filters()
        for document, requests in by_document.items():
            found = {}
            for name in filters:
                read = task.process_results(requests[0].doc, [requests[0].filtered_resps[name]])
                found.update({named(filters, metric, name): float(value) for metric, value in read.items()})
            if place == 0:
                metrics.append([])
            metrics[document].append(found)
    return {"asked": asked, "metrics": metrics}


answers = sys.stdout
sys.stdout = sys.stderr
for line in sys.stdin:
    answers.write(json.dumps(answer(json.loads(line))) + "\n")
    answers.flush()
