"""Sample by sample against lm-evaluation-harness 0.4.13 (`make parity`): log-probabilities, acc, acc_norm, texts.

    LM_EVAL_PYTHON=lm-eval/bin/python make parity       bench_engines.py says how to make that Python
    python tests/bench/parity_lm_eval.py --lm-eval PYTHON [--model FOLDER] [--limit 100] [--task piqa@lm-eval]

The harness itself is run: `lm_eval run --model hf`, fp32, batch 8, its own tasks over files of our rows
(parity_tasks.py), samples logged. Ours goes through the loop with the transformers engine. Without --model a Phi of
about two million parameters is trained for a minute, so that its answers are not all alike. Ends with 1 when a
prompt or text differs, a log-probability is off by over 1e-4, or a metric of any sample is another. How many are off,
and the value where the largest was seen, stand at the line's end: below -1024 the harness's float32 sum has steps of
1.2e-04, so that one step is already too many.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from pathlib import Path
from typing import Any

from bench_engines import SHARED, bpe, questions
from parity_tasks import TASKS, harness_name, written
from rows import row

TOLERANCE = 1e-4
Logged = dict[int, dict[str, Any]]  # the harness's lines by document


def trained_phi(folder: Path, steps: int) -> Path:
    """A Phi of 4 layers and width 160, trained on GSM8K's train split and some questions of other tasks."""
    import torch
    from transformers import PhiConfig, PhiForCausalLM
    from transformers.utils import logging

    from evals.datasets.load import rows

    logging.disable_progress_bar()

    texts = [f"Question: {row['question']}\nAnswer: {row['answer']}\n\n" for row in rows("gsm8k", "train")]
    texts += ["".join(pairs[0]) + "\n\n" for spec in ("hellaswag", "mmlu", "piqa") for pairs in questions(spec, 1500)]
    tokenizer = bpe(texts, folder)
    torch.manual_seed(0)
    order = torch.randperm(len(texts)).tolist()
    stream = torch.tensor([token for n in order for token in tokenizer(texts[n])["input_ids"]])
    config = PhiConfig(
        vocab_size=4096, hidden_size=160, intermediate_size=640, num_hidden_layers=4, num_attention_heads=5,
        bos_token_id=0, eos_token_id=0, partial_rotary_factor=0.5,
    )  # fmt: skip
    model = PhiForCausalLM(config).train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3, weight_decay=0.1)
    for step in range(steps):
        for group in optimizer.param_groups:
            group["lr"] = 3e-3 * min(1.0, (step + 1) / 20, (steps - step) / (steps / 2))
        begins = torch.randint(len(stream) - 257, (8,)).tolist()
        batch = torch.stack([stream[begin : begin + 256] for begin in begins])
        loss = model(input_ids=batch, labels=batch).loss
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
    model.eval().save_pretrained(folder)
    parameters = sum(one.numel() for one in model.parameters())
    print(
        f"model: Phi, {parameters / 1e6:.1f}M parameters, {steps} steps of training, loss {loss.item():.2f}", flush=True
    )
    return folder


def harness(python: str, model: Path, tasks: Path, specs: list[str], out: Path) -> dict[str, Logged]:
    """Runs the harness's command over the tasks, and gives what it logged of each."""
    environment = {
        **os.environ, "HF_HUB_OFFLINE": "1", "HF_DATASETS_OFFLINE": "1", "OMP_NUM_THREADS": "1",
        "TOKENIZERS_PARALLELISM": "false", "HF_HOME": str(out / "hf"),
    }  # fmt: skip
    command = [
        python, "-m", "lm_eval", "run", "--model", "hf", "--model_args", f"pretrained={model},dtype=float32",
        "--tasks", ",".join(map(harness_name, specs)), "--include_path", str(tasks), "--device", "cpu",
        "--batch_size", "8", "--log_samples", "--output_path", str(out),
    ]  # fmt: skip
    with (out / "log").open("wb") as log:
        ended = subprocess.run(command, env=environment, stdout=log, stderr=log, check=False)
    if ended.returncode:
        sys.exit(f"lm_eval ended with {ended.returncode}:\n{(out / 'log').read_text()[-3000:]}")
    found: dict[str, Logged] = {}
    for spec in specs:
        (path,) = out.rglob(f"samples_{harness_name(spec)}_*.jsonl")
        found[spec] = defaultdict(dict)
        for line in path.read_text().splitlines():
            told = json.loads(line)
            # a task with two filters logs a sample twice; prompts, answers and log-probabilities are the same
            found[spec][told["doc_id"]].update(told)
    return found


def ours(engine: Any, spec: str, count: int, runs: Path) -> tuple[Any, list[Any], list[Any]]:
    """The task, its samples and results, through the loop."""
    from evals.run import RunOptions, evaluate
    from evals.tasks import task

    name, _, subject = spec.partition("/")
    found = task(name)
    some = [sample for sample in found.samples() if not subject or sample.cluster == subject][:count]
    asked = RunOptions(samples=tuple(sample.id for sample in some))
    done = evaluate(engine, found, ("0" * 64, spec), runs, asked)
    return found, some, list(done.results)


def compared(spec: str, told: Logged, mine: tuple[Any, list[Any], list[Any]]) -> tuple[str, bool]:
    """One line of the table, and whether all is equal."""
    task, samples, results = mine
    prompts = texts = flips = far = 0
    worst, metrics = (0.0, 0.0), dict.fromkeys(("acc", "acc_norm"), 0)
    for number, (sample, result) in enumerate(zip(samples, results, strict=True)):
        line = told[number]
        pairs = [(one["arg_0"], one["arg_1"]) for one in line["arguments"].values()]
        if task.kind == "choices":
            prompts += pairs != [tuple(pair) for pair in task.pairs(sample)]
            theirs = [float(read[0][0]) for read in line["resps"]]
            off = [(abs(a - b), b) for a, b in zip(result.logprobs, theirs, strict=True)]
            worst = max(worst, *off)
            far += sum(by > TOLERANCE for by, _ in off)
            flips += _best(result.logprobs) != _best(theirs)
            for name in metrics:
                metrics[name] += name in task.metrics and result.metrics[name] != float(line[name])
        else:
            prompts += pairs[0][0] != task.prompt(sample)
            texts += result.text != line["resps"][0][0]
    equal = " ".join(
        f"{100 * sum(result.metrics[name] for result in results) / len(results):5.1f} {'no' if differ else 'yes':>4}"
        if name in task.metrics
        else f"{'':>10}"
        for name, differ in metrics.items()
    )
    text = (
        f"{len(results) - texts} of {len(results)}"
        if task.kind != "choices"
        else f"{far} over, largest at {worst[1]:.0f}"
    )
    good = not (prompts or texts or flips or far or any(metrics.values()))
    difference = f"{worst[0]:.1e}" if task.kind == "choices" else ""
    same = f"{len(results) - prompts} of {len(results)}"
    line = f"{spec:<36} {len(results):>5} {same:>13} {difference:>9} {equal} {flips:>5}  {text}"
    return line if good else f"{line}  NOT EQUAL", good


def _best(values: Any) -> int:
    return max(range(len(values)), key=lambda index: (values[index], -index))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--lm-eval", default=os.environ.get("LM_EVAL_PYTHON"))
    parser.add_argument("--model", type=Path)
    parser.add_argument("--steps", type=int, default=200, help="training steps of the model made without --model")
    parser.add_argument("--limit", type=int, help="samples of each task at most (HellaSwag 1000, GSM8K 50 in any case)")
    parser.add_argument("--task", choices=list(TASKS), action="append")
    given = parser.parse_args()
    if not given.lm_eval:
        print("skipped: no --lm-eval PYTHON (or LM_EVAL_PYTHON); bench_engines.py says how to make it")
        return
    if SHARED.is_dir():
        os.environ.setdefault("PHIZOO_DATA", str(SHARED))
    import torch

    from evals.engines import transformers_local

    torch.set_num_threads(1)
    specs = given.task or list(TASKS)
    with tempfile.TemporaryDirectory(prefix="phizoo-parity-") as scratch:
        folders = [Path(scratch) / name for name in ("model", "tasks", "out", "runs")]
        for folder in folders:
            folder.mkdir()
        model, tasks, out, runs = folders
        own = subprocess.run(
            [given.lm_eval, "-c", "import importlib.util as i; print(i.find_spec('lm_eval').origin)"],
            capture_output=True, text=True, check=True,
        )  # fmt: skip
        its_tasks = Path(own.stdout.strip()).parent / "tasks"
        counts = {spec: written(spec, its_tasks, tasks, given.limit) for spec in specs}
        path = given.model or trained_phi(model, given.steps)
        engine = transformers_local.connect(path, device="cpu")
        began = time.process_time()
        mine = {spec: ours(engine, spec, counts[spec], runs) for spec in specs}
        spent = time.process_time() - began
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        told = harness(given.lm_eval, path, tasks, specs, out)
        theirs = resource.getrusage(resource.RUSAGE_CHILDREN)
        print(
            f"{'task':<36} {'n':>5} {'same prompts':>13} {'max |dll|':>9} {'acc  equal':>10} {'norm equal':>10} flips  same texts"
        )
        others = []
        for spec in specs:
            line, good = compared(spec, told[spec], mine[spec])
            others += [] if good else [" ".join(line.split())]
            print(line, flush=True)
        its = theirs.ru_utime + theirs.ru_stime
        print(
            f"one thread: ours {spent:.0f} s, {peak:.0f} MB; lm_eval at batch 8 "
            f"{its:.0f} s with its start, {theirs.ru_maxrss / 1024:.0f} MB"
        )
        what = f"{len(specs)} tasks, {sum(len(results) for _, _, results in mine.values()):,} samples: all of prompts, choices, scores and texts"
        figure = f"{len(specs) - len(others)} of {len(specs)} tasks equal"
        row(what, peer="lm-evaluation-harness", figure=figure, target="all", note="; ".join(others))
        row(
            "CPU time of it",
            peer="lm-evaluation-harness, batch 8",
            ratios=[its / spent],
            note="its start is in, ours not",
        )
    sys.exit(1 if others else 0)


if __name__ == "__main__":
    main()
