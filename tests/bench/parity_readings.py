"""Prompts and readings against lm-evaluation-harness 0.4.13, sample by sample, no model needed (`make parity`).

    LM_EVAL_PYTHON=lm-eval/bin/python python tests/bench/parity_readings.py [--run FOLDER] [--task gsm8k@lm-eval]

Every request of a task is compared byte for byte. For tasks that write, answers are made of each sample (right, wrong,
with other punctuation, the phrase missing or twice, cut short) and, with --run, taken from a run's saved generations;
the harness's own filters and metrics and ours read the same texts. Ends with 1 where one differs.
"""

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from peers import parse_with_harness
from rows import row

# ours -> the harness's file below lm_eval/tasks, and our rows' set and split by the harness's split
TASKS: dict[str, tuple[str, dict[str, tuple[str, str]]]] = {
    "gsm8k@lm-eval": ("gsm8k/gsm8k.yaml", {"test": ("gsm8k", "test"), "train": ("gsm8k", "train")}),
    "gsm8k@lm-eval-cot": ("gsm8k/gsm8k-cot.yaml", {"test": ("gsm8k", "test"), "train": ("gsm8k", "train")}),
    "bbh@lm-eval": ("bbh/cot_fewshot/{subtask}.yaml", {"test": ("bbh", "test")}),
    "trivia_qa@lm-eval": ("triviaqa/default.yaml", {"validation": ("trivia_qa", "validation")}),
    "commonsense_qa@lm-eval": ("commonsense_qa/default.yaml", {"validation": ("commonsense_qa", "validation")}),
    "sciq@lm-eval-validation": ("sciq/sciq.yaml", {"validation": ("sciq", "validation")}),
    "copa@lm-eval": ("super_glue/copa/default.yaml", {"validation": ("copa", "validation")}),
    "lambada@lm-eval": ("lambada/lambada_openai.yaml", {"test": ("lambada_openai", "test")}),
}


def native(name: str, row: dict[str, Any]) -> dict[str, Any]:
    """A row of ours in the fields that the harness's task reads."""
    if name == "commonsense_qa":
        letters = ["A", "B", "C", "D", "E"]
        return {"question": row["question"], "choices": {"text": row["choices"], "label": letters},
                "answerKey": letters[row["gold"]]}  # fmt: skip
    if name == "sciq":
        distractors = {f"distractor{place + 1}": text for place, text in enumerate(row["choices"][:3])}
        return {
            **distractors,
            "question": row["question"],
            "support": row["support"],
            "correct_answer": row["choices"][3],
        }
    if name == "trivia_qa":
        return {"question": row["question"], "answer": {"aliases": row["answers"]}}
    return row


def answers(task: Any, sample: Any, draw: random.Random) -> list[str]:
    """Answers that a model might have written to a sample, cut at the stops as an engine cuts them."""
    from evals.scoring.answer import cut

    gold = (task.gold(sample) or "").strip()
    target = sample.target if isinstance(sample.target, str) else sample.target[0]
    number = str(draw.randint(-9999, 99999))
    made = [
        f" {gold}", f" The answer is {target}.", f" so the answer is {target}.", f" So The Answer Is {target}.",
        f"{target}", f"{target.upper()}", f" {target}!", f" It is ${number}.00, or {target}", f"#### {target}", f"#### ${target}.",
        f" the answer is {number}. the answer is {target}.", f"{gold}\n\nQ: next? The answer is {number}.", "", "\n",
        f" The answer is {target}", f" {gold[: len(gold) // 2]}", f"{draw.choice('abc')} {number}, {number}.5 -{number}",
    ]  # fmt: skip
    return [cut(text, task.decoding.stop) for text in made]


def saved(folder: Path | None) -> dict[str, list[str]]:
    """The texts that a run saved, by sample."""
    found: dict[str, list[str]] = {}
    for line in (folder / "generations.jsonl").read_text().splitlines() if folder else ():
        one = json.loads(line)
        found.setdefault(one["sample"], []).append(one["text"])
    return found


def ours(task: Any, sample: Any, text: str) -> dict[str, float]:
    answer = task.extract(sample, text)
    return dict.fromkeys(task.metrics, 0.0) if answer is None else dict(task.score(sample, answer).metrics)


def compared(harness: Any, spec: str, texts: dict[str, list[str]], scratch: Path) -> tuple[int, int, int]:
    """The requests and the readings of a task, and how many of both differ."""
    from evals.datasets.load import rows
    from evals.tasks import task as find

    task, (config, sets) = find(spec), TASKS[spec]
    samples = list(task.samples())
    draw = random.Random(0)
    made = {one.id: answers(task, one, draw) + texts.get(one.id, []) for one in samples if task.kind == "generate"}
    groups = [""] if "{subtask}" not in config else list(dict.fromkeys(one.cluster for one in samples))
    requests = readings = differ = 0
    for group in groups:
        some = [one for one in samples if not group or one.cluster == group]
        files = {}
        for split, (name, ours_split) in sets.items():
            path = scratch / f"{name}-{ours_split}-{group}.jsonl"
            kept = [row for row in rows(name, split=ours_split) if not group or row["subtask"] == group]
            path.write_text("".join(json.dumps(native(name, row)) + "\n" for row in kept))
            files[split] = str(path)
        least = min((len(made[one.id]) for one in some), default=0) if made else 0
        told = {"config": config.format(subtask=group), "files": files}
        told["texts"] = [made[one.id][:least] for one in some] if made else None
        harness.stdin.write(json.dumps(told) + "\n")
        harness.stdin.flush()
        line = harness.stdout.readline()
        if not line:
            raise SystemExit(f"{spec}: the harness ended ({harness.wait()}): {(scratch / 'stderr').read_text()[-400:]}")
        answer = json.loads(line)
        for number, (one, asked) in enumerate(zip(some, answer["asked"], strict=True)):
            mine = [list(pair) for pair in task.pairs(one)] if task.pairs else [[task.prompt(one), ""]]
            requests += 1
            differ += mine != asked
            for place, theirs in enumerate(answer["metrics"][number] if made else ()):
                readings += 1
                mine_read = ours(task, one, made[one.id][place])
                differ += any(mine_read[name] != value for name, value in theirs.items())
    return requests, readings, differ


def in_words(found: tuple[int, int, int]) -> str:
    """The counts in words."""
    return "{:,} requests, {:,} readings, {:,} differ".format(*found)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--run", type=Path, help="a run's folder whose saved generations are read too")
    parser.add_argument("--task", choices=TASKS, action="append")
    given = parse_with_harness(parser)
    script = Path(__file__).with_name("harness_readings.py")
    every = list[tuple[int, int, int]]()
    with tempfile.TemporaryDirectory() as scratch:
        quiet = {**os.environ, "HF_HUB_OFFLINE": "1", "HF_DATASETS_CACHE": f"{scratch}/cache"}
        harness = subprocess.Popen(
            [given.lm_eval, str(script)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=(Path(scratch) / "stderr").open("w"),
            text=True, env=quiet,
        )  # fmt: skip
        for spec in given.task or TASKS:
            found = compared(harness, spec, saved(given.run), Path(scratch))
            every.append(found)
            print(f"{spec}: {in_words(found)}{'  NOT EQUAL' if found[2] else ''}", flush=True)
        harness.stdin.close()  # type: ignore[union-attr]
        harness.wait()
    requests, readings, differ = map(sum, zip(*every, strict=True))
    what = f"prompts and readings of {len(every)} tasks"
    row(what, peer="lm-evaluation-harness", figure=in_words((requests, readings, differ)), target="0 differ")
    sys.exit(1 if differ else 0)


if __name__ == "__main__":
    main()
