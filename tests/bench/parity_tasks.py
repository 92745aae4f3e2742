"""The harness's own tasks over local files: its row shapes, and a YAML a task that includes the harness's own.

lm-evaluation-harness 0.4.13 reads a file of rows with `dataset_path: json`; prompts, choices, filters and metrics
stay those of its YAML, which is included by path. Used by parity_lm_eval.py.
"""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml

from evals.datasets.load import rows

Row = dict[str, Any]
LETTERS = "ABCDE"
SUBJECTS = ("anatomy", "college_computer_science", "econometrics", "international_law", "nutrition")


def labelled(row: Row) -> Row:
    choices = {"text": row["choices"], "label": list(LETTERS[: len(row["choices"])])}
    question = row["question"]
    return {"question": question, "question_stem": question, "choices": choices, "answerKey": LETTERS[row["gold"]]}


def piqa(row: Row) -> Row:
    return {"goal": row["goal"], "sol1": row["choices"][0], "sol2": row["choices"][1], "label": row["gold"]}


def hellaswag(row: Row) -> Row:
    kept = {key: row[key] for key in ("ind", "activity_label", "ctx_a", "ctx_b", "source_id")}
    return {**kept, "endings": row["choices"], "label": str(row["gold"])}


def winogrande(row: Row) -> Row:
    first, second = row["choices"]
    return {"sentence": row["sentence"], "option1": first, "option2": second, "answer": str(row["gold"] + 1)}


def boolq(row: Row) -> Row:
    return {"passage": row["passage"], "question": row["question"], "label": int(row["answer"])}


def siqa(row: Row) -> Row:
    answers = dict(zip(("answerA", "answerB", "answerC"), row["choices"], strict=True))
    return {"context": row["context"], "question": row["question"], **answers, "label": str(row["gold"] + 1)}


def mmlu(row: Row) -> Row:
    kept = {key: row[key] for key in ("question", "choices", "subject")}
    return {**kept, "answer": row["gold"]}


def gsm8k(row: Row) -> Row:
    return {"question": row["question"], "answer": row["answer"]}


def humaneval(row: Row) -> Row:
    return {key: row[key] for key in ("task_id", "prompt", "canonical_solution", "test", "entry_point")}


# our task and protocol -> (the harness's YAML, our set, the split, the shape of its rows, samples at most)
TASKS: dict[str, tuple[str, str, str, Callable[[Row], Row], int | None]] = {
    "arc_easy@lm-eval": ("arc/arc_easy.yaml", "arc_easy", "test", labelled, None),
    "arc_challenge@lm-eval": ("arc/arc_challenge.yaml", "arc_challenge", "test", labelled, None),
    "piqa@lm-eval": ("piqa/piqa.yaml", "piqa", "validation", piqa, None),
    "hellaswag@lm-eval": ("hellaswag/hellaswag.yaml", "hellaswag", "validation", hellaswag, 1000),
    "winogrande@lm-eval": ("winogrande/default.yaml", "winogrande", "validation", winogrande, None),
    "boolq@lm-eval": ("super_glue/boolq/default.yaml", "boolq_titled", "validation", boolq, None),
    "openbookqa@lm-eval": ("openbookqa/openbookqa.yaml", "openbookqa", "test", labelled, None),
    "siqa@lm-eval": ("siqa/siqa.yaml", "siqa", "validation", siqa, None),
    **{
        f"mmlu@lm-eval-5/{subject}": (f"mmlu/default/mmlu_{subject}.yaml", "mmlu", "test", mmlu, None)
        for subject in SUBJECTS
    },
    "gsm8k@lm-eval": ("gsm8k/gsm8k.yaml", "gsm8k", "test", gsm8k, 50),
    "humaneval@lm-eval": ("humaneval/humaneval.yaml", "humaneval", "test", humaneval, 40),
    "humaneval@openai": ("humaneval/humaneval.yaml", "humaneval", "test", humaneval, 40),
}
# the harness's metric runs the programs by a package that the hub alone has, and loads it with the task: these tasks
# are compared by prompts and texts, so its functions are left out
TEXTS_ONLY = ("humaneval",)
OURS = {"humaneval@openai": {"max_gen_toks": 512}}  # the one setting in which our protocol is not the harness's


def harness_name(spec: str) -> str:
    """The name a task has on the harness's side: none of its own."""
    return "parity_" + spec.replace("@", "_").replace("/", "_").replace("-", "_")


def written(spec: str, harness: Path, folder: Path, most: int | None) -> int:
    """Writes a task's rows and YAML into a folder; `harness` is lm_eval's folder of tasks. Returns the rows written."""
    config, name, split, shape, limit = TASKS[spec]
    subject = spec.partition("/")[2]
    some = [shape(row) for row in rows(name, split) if not subject or row["subject"] == subject]
    some = some[: most or limit or len(some)]
    files = {split: _lines(folder / f"{harness_name(spec)}.jsonl", some)}
    keys = {"training_split": None, "validation_split": None, "test_split": None, f"{split}_split": split}
    if name == "mmlu":
        shots = [mmlu(row) for row in rows("mmlu", "dev") if row["subject"] == subject]
        files["dev"] = _lines(folder / f"{harness_name(spec)}.dev.jsonl", shots)
    if name == "gsm8k":
        files["train"], keys["training_split"] = (
            _lines(folder / "gsm8k.train.jsonl", [gsm8k(row) for row in rows("gsm8k", "train")]),
            "train",
        )
    told = {
        **(_plain(harness / config, OURS.get(spec, {})) if name in TEXTS_ONLY else {"include": str(harness / config)}),
        "task": harness_name(spec),
        "dataset_path": "json",
        "dataset_name": None,
        "dataset_kwargs": {"data_files": files},
        **keys,
        **({"num_fewshot": 5} if name == "mmlu" else {}),
    }
    (folder / f"{harness_name(spec)}.yaml").write_text(json.dumps(told, indent=1))  # JSON is YAML
    return len(some)


class _Plain(yaml.SafeLoader):
    """Reads a YAML of the harness without importing the functions that it names."""


_Plain.add_constructor("!function", lambda _loader, _node: None)


def _plain(path: Path, generation: dict[str, Any]) -> dict[str, Any]:
    """A task's YAML with the metric that scores nothing, and the settings of `generation` in place of its own."""
    task: dict[str, Any] = yaml.load(path.read_text(), _Plain)
    task.pop("filter_list", None)
    task["generation_kwargs"] |= generation
    return {**task, "metric_list": [{"metric": "bypass"}], "unsafe_code": False}


def _lines(path: Path, some: list[Row]) -> str:
    path.write_text("".join(json.dumps(row) + "\n" for row in some))
    return str(path)
