"""Sample by sample against lm-evaluation-harness 0.4.13 (`make parity`): log-probabilities, acc, acc_norm, texts.

    LM_EVAL_PYTHON=lm-eval/bin/python make parity       bench_engines.py says how to make that Python
    python tests/bench/parity_lm_eval.py --lm-eval PYTHON [--model FOLDER] [--limit 100] [--task piqa@lm-eval]
    make parity PARITY='--checkpoint smollm2 --task piqa@lm-eval'      a checkpoint of the zoo; .ci/real-model adds it
    make parity PARITY='--checkpoint smollm2 --chat --limit 100'       by chat: the harness with --apply_chat_template

The harness itself is run: `lm_eval run --model hf`, fp32, batch 8, its own tasks over files of our rows
(parity_tasks.py), samples logged. Ours goes through the loop with the transformers engine. Without --model a Phi of
about two million parameters is trained for a minute, so that its answers are not all alike. Of a checkpoint that is a
GGUF, the harness gets the same numbers as a folder in fp32; a whole run that `phizoo eval run` made of it (in
PHIZOO_HOME) is compared as it is. Ends with 1 when a prompt or text differs, a choice flips, a metric of any sample is
another, or a log-probability is off by over 1e-4 + 2^-23 of the value, of a given model over 1e-3 + 1e-5 of it. How
many are off, and the value where the largest was seen, stand at the line's end.
HumanEval's texts are compared, not its scores: the harness's metric is on the hub alone.
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
from typing import Any, NamedTuple

from bench_engines import bpe, questions
from parity_tasks import TASKS, harness_name, written
from peers import parse_with_harness
from rows import row

TOLERANCE = (1e-4, 2**-23)  # nats, and one float32 step of the value: the harness adds in float32
REAL_TOLERANCE = (1e-3, 1e-5)  # the sums of 30 layers in another order differ by more
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


def read_shape(given: argparse.Namespace) -> Any:
    """How our side asks by chat; None: as a completion."""
    from evals.chat import ChatShape

    shape = ChatShape(system=given.system, fewshot_as_turns=given.fewshot_as_turns)
    return shape if given.chat else None


def chat_words(given: argparse.Namespace) -> list[str]:
    """The harness's options for the same."""
    words = ["--apply_chat_template", "--fewshot_as_multiturn", str(given.fewshot_as_turns)] if given.chat else []
    return words + (["--system_instruction", given.system] if given.system else [])


def harness(python: str, model: Path, tasks: Path, specs: list[str], out: Path, words: list[str]) -> dict[str, Logged]:
    """Runs the harness's command over the tasks, and gives what it logged of each."""
    environment = {
        "OMP_NUM_THREADS": "1", **os.environ, "HF_HUB_OFFLINE": "1", "HF_DATASETS_OFFLINE": "1",
        "TOKENIZERS_PARALLELISM": "false", "HF_HOME": str(out / "hf"),
    }  # fmt: skip
    command = [
        python, "-m", "lm_eval", "run", "--model", "hf", "--model_args", f"pretrained={model},dtype=float32",
        "--tasks", ",".join(map(harness_name, specs)), "--include_path", str(tasks), "--device", "cpu",
        "--batch_size", "8", "--log_samples", "--output_path", str(out), *words,
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


class Model(NamedTuple):
    """Our side's model: its engine, (digest, label), the folder of its runs, and whether whole runs are taken.

    folder, shape  where it is, and how it is asked by chat
    """

    engine: Any
    about: tuple[str, str]
    runs: Path
    folder: Path
    shape: Any
    kept: bool = False


def ours(model: Model, spec: str, count: int) -> tuple[Any, list[Any], list[Any]]:
    """The task, its first `count` samples and their results: of a whole run that is there, or through the loop."""
    from evals.chat import bind, shape_task
    from evals.run import RunOptions, evaluate
    from evals.tasks import task

    name, _, subject = spec.partition("/")
    chosen = bind(shape_task(task(name), model.shape), model.folder)
    samples = [sample for sample in chosen.samples() if not subject or sample.cluster == subject][:count]
    if model.kept and (results := whole_run(model, chosen)):
        return chosen, samples, [results[sample.id] for sample in samples]
    options = RunOptions(samples=tuple(sample.id for sample in samples))
    return chosen, samples, list(evaluate(model.engine, chosen, model.about, model.runs, options).results)


def whole_run(model: Model, task: Any) -> dict[str, Any]:
    """The results by sample of a whole greedy run of this model by this engine in fp32; empty without one."""
    from evals.run_folder import read_header, read_results

    for path in model.runs.glob("*/header.json"):
        run = read_header(path.parent)
        same = (run.checkpoint, run.task, run.protocol["name"]) == (model.about[0], task.name, task.protocol)
        facts = model.engine.facts
        if not same or (run.backend.engine, run.backend.dtype) != (facts.engine, facts.dtype) or run.limit:
            continue
        results = {result.sample: result for result in read_results(path.parent / "results.jsonl")}
        if run.draws == 1 and len(results) == run.protocol["samples"]:
            print(f"{task.name}@{task.protocol}: ours is the run {run.id[:12]}", flush=True)
            return results
    return {}


def compared(
    spec: str, told: Logged, mine: tuple[Any, list[Any], list[Any]], tolerance: tuple[float, float]
) -> tuple[str, bool]:
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
            far += sum(by > tolerance[0] + tolerance[1] * abs(value) for by, value in off)
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


def opened(given: argparse.Namespace, weights: Path, runs: Path) -> tuple[Model, Path]:
    """Our side's model, and the folder that the harness loads; `weights` is where it may be written."""
    from evals.engines import transformers_local
    from evals.engines.dequantise import write_dequantised
    from zoo import settings
    from zoo.admission.gguf import gguf_file
    from zoo.cli.options import open_registry

    if not given.checkpoint:
        path = given.model or trained_phi(weights, given.steps)
        engine = transformers_local.connect(path, device="cpu")
        return Model(engine, ("0" * 64, "parity"), runs, path, read_shape(given)), path
    with open_registry(readonly=True) as registry:
        record = registry.get(given.checkpoint)
        folder = registry.path(record)
    engine = transformers_local.connect(folder, device="cpu", dtype="float32")
    model = Model(engine, (record.digest, record.label), settings.runs_dir(), folder, read_shape(given), kept=True)
    if not gguf_file(folder):
        return model, folder
    write_dequantised(folder, weights)
    return model, weights


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path)
    parser.add_argument("--checkpoint", help="a checkpoint of the zoo in PHIZOO_HOME")
    parser.add_argument("--steps", type=int, default=200, help="training steps of the model made without --model")
    parser.add_argument(
        "--limit",
        type=int,
        help="samples of each task at most; without it HellaSwag 1000, GSM8K 50, HumanEval 40, of the others all",
    )
    parser.add_argument("--task", choices=list(TASKS), action="append")
    parser.add_argument("--chat", action="store_true", help="by chat, with the model's own template")
    parser.add_argument("--system", default="", help="with --chat: the system message")
    parser.add_argument("--fewshot-as-turns", action="store_true", help="with --chat: examples as turns")
    given = parse_with_harness(parser)
    import torch

    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "1")))
    specs = given.task or list(TASKS)
    with tempfile.TemporaryDirectory(prefix="phizoo-parity-") as scratch:
        folders = [Path(scratch) / name for name in ("model", "tasks", "out", "runs")]
        for folder in folders:
            folder.mkdir()
        weights, tasks, out, runs = folders
        real = bool(given.checkpoint or given.model)
        own = subprocess.run(
            [given.lm_eval, "-c", "import importlib.util as i; print(i.find_spec('lm_eval').origin)"],
            capture_output=True, text=True, check=True,
        )  # fmt: skip
        its_tasks = Path(own.stdout.strip()).parent / "tasks"
        counts = {spec: written(spec, its_tasks, tasks, given.limit) for spec in specs}
        model, path = opened(given, weights, runs)
        began = time.process_time()
        mine = {spec: ours(model, spec, counts[spec]) for spec in specs}
        spent = time.process_time() - began
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        told = harness(given.lm_eval, path, tasks, specs, out, chat_words(given))
        theirs = resource.getrusage(resource.RUSAGE_CHILDREN)
        print(
            f"{'task':<36} {'n':>5} {'same prompts':>13} {'max |dll|':>9} {'acc  equal':>10} {'norm equal':>10} flips  same texts"
        )
        others = []
        for spec in specs:
            line, good = compared(spec, told[spec], mine[spec], REAL_TOLERANCE if real else TOLERANCE)
            others += [] if good else [" ".join(line.split())]
            print(line, flush=True)
        its = theirs.ru_utime + theirs.ru_stime
        print(
            f"CPU time: ours {spent:.0f} s, {peak:.0f} MB (none for a run that was there); lm_eval at batch 8 "
            f"{its:.0f} s with its start, {theirs.ru_maxrss / 1024:.0f} MB"
        )
        whose = f"{given.checkpoint}{', by chat' if given.chat else ''}: " if given.checkpoint else ""
        what = f"{whose}{len(specs)} tasks, {sum(len(results) for _, _, results in mine.values()):,} samples: all of prompts, choices, scores and texts"
        figure = f"{len(specs) - len(others)} of {len(specs)} tasks equal"
        row(what, peer="lm-evaluation-harness", figure=figure, target="all", note="; ".join(others))
        if not given.checkpoint:  # whose runs may have been there
            note, ratios = "its start is in, ours not", [its / spent]
            row("CPU time of it", peer="lm-evaluation-harness, batch 8", ratios=ratios, note=note)
    sys.exit(1 if others else 0)


if __name__ == "__main__":
    main()
