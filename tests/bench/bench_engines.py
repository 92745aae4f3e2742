"""Our transformers engine against lm-evaluation-harness 0.4.13's hf model: ratios in one run, on this CPU.

    python3.11 -m venv lm-eval && lm-eval/bin/pip install torch==2.13.0 transformers==5.23.0 lm_eval==0.4.13 accelerate
    python tests/bench/bench_engines.py --lm-eval lm-eval/bin/python [--model FOLDER] [--part hellaswag_0]

Both sides get the same (context, continuation) pairs, one thread, fp32, and are timed by their own
processor time, one after the other in turns; the harness takes its best of three batch sizes. Every
log-probability is compared too. Without --model a random Phi of 9 million parameters is made.
Targets: HellaSwag 0-shot 2x, HellaSwag 10-shot and ARC 25-shot 3x, MMLU 5-shot 5x, generation 1.5x. `--part whole`
is 400 HellaSwag questions 0- and 10-shot and 200 of MMLU 5-shot, which took the harness 8.4 minutes at batch 8 on two
cores. Peak memory is that of the
process so far: to see one part's, run it alone.
"""

import argparse
import json
import os
import random
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from peers import use_shared_data
from rows import missing, row

SIDE = Path(__file__).with_name("harness_side.py")
BATCHES = (1, 8, 32)
Pairs = list[list[tuple[str, str]]]


class Harness:
    """The harness in its own Python, asked line by line. Close it."""

    def __init__(self, python: str, folder: str) -> None:
        environment = {**os.environ, "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false"}
        self.process = subprocess.Popen(
            [python, str(SIDE), folder], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
            text=True, env=environment,
        )  # fmt: skip

    def ask(self, **told: Any) -> dict[str, Any]:
        assert self.process.stdin is not None and self.process.stdout is not None
        self.process.stdin.write(json.dumps(told) + "\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        if not line:
            sys.exit(f"the harness ended with {self.process.wait()}; is lm_eval==0.4.13 in that Python?")
        found: dict[str, Any] = json.loads(line)
        return found

    def close(self) -> None:
        if self.process.stdin is not None:
            self.process.stdin.close()
        self.process.wait()


def questions(spec: str, count: int) -> Pairs:
    """The pairs of a task's first samples."""
    from evals.tasks import task

    found = task(spec)
    some = [sample for _, sample in zip(range(count), found.samples(), strict=False)]
    assert found.pairs is not None
    return [list(found.pairs(sample)) for sample in some]


def few_shot(spec: str, count: int, shots: int) -> Pairs:
    """Questions after shots that are drawn anew for each, as the harness draws them: only the choices share."""
    from evals.tasks import task

    found = task(spec)
    every = list(found.samples())[: count + 500]
    assert found.pairs is not None
    made = []
    for number, sample in enumerate(every[:count]):
        drawn = random.Random(number).sample(every[count:], shots)
        told = ["".join(found.pairs(one)[one.target]) for one in drawn]
        made.append([("\n\n".join([*told, context]), text) for context, text in found.pairs(sample)])
    return made


PARTS: dict[str, tuple[str, float, Any]] = {
    "hellaswag_0": ("HellaSwag 0-shot", 2.0, lambda n: questions("hellaswag", n)),
    "hellaswag_10": ("HellaSwag 10-shot", 3.0, lambda n: few_shot("hellaswag", max(4, n // 8), 10)),
    "arc_25": ("ARC-Challenge 25-shot", 3.0, lambda n: few_shot("arc_challenge", max(4, n // 8), 25)),
    "mmlu_5": ("MMLU 5-shot", 5.0, lambda n: questions("mmlu@lm-eval-5", n)),
}


def choices(
    engine: Any, harness: Harness, asked: Pairs, turns: int, batches: tuple[int, ...] = BATCHES
) -> tuple[float, float, float, int, float]:
    """(our seconds, the harness's best, largest difference of a log-probability, its best batch, its peak MB)."""
    from evals.engines.tokens import Tokens
    from evals.records import ChoiceRequest

    requests = [ChoiceRequest(sample=str(number), pairs=tuple(pairs)) for number, pairs in enumerate(asked)]
    flat = [pair for pairs in asked for pair in pairs]
    ours, theirs, worst, mb = [], dict.fromkeys(batches, float("inf")), 0.0, 0.0
    for _ in range(turns):
        for batch in batches:
            # a tokenizer that remembers nothing: the harness encodes every time
            engine._loaded = (engine.model, Tokens(engine.tokens.tokenizer, engine.tokens.ends), engine.paths)
            began = time.process_time()
            read = {one.sample: one for one in engine.choose(requests)}
            ours.append(time.process_time() - began)
            told = harness.ask(pairs=flat, batch=batch)
            theirs[batch], mb = min(theirs[batch], told["seconds"]), told["mb"]
            mine = [choice.logprob for number in range(len(asked)) for choice in read[str(number)].choices]
            worst = max(worst, *(abs(one - other) for one, other in zip(mine, told["logprobs"], strict=True)))
    best = min(batches, key=lambda batch: theirs[batch])
    return min(ours), theirs[best], worst, best, mb


def generation(engine: Any, harness: Harness, count: int) -> tuple[float, float, int, float]:
    """(our seconds, `model.generate`'s best, its best batch, its peak MB) on HumanEval's prompts and lengths."""
    from evals.records import Decoding, GenerateRequest
    from evals.tasks import task

    found = task("humaneval")
    assert found.prompt is not None
    prompts = [found.prompt(sample) for _, sample in zip(range(count), found.samples(), strict=False)]
    # solutions differ in length: HumanEval's own have 10 to 150 tokens; fixed batches wait for the longest
    lengths = [random.Random(number).randint(16, 192) for number in range(count)]
    requests = [
        GenerateRequest(sample=str(n), draw=0, prompt=text, decoding=Decoding(max_tokens=lengths[n]), seed=n)
        for n, text in enumerate(prompts)
    ]
    theirs, mb = dict.fromkeys((8, 32), 0.0), 0.0
    began = time.process_time()
    ours_tokens = sum(one.tokens for one in engine.generate(requests))
    ours = time.process_time() - began
    for batch in theirs:
        for start in range(0, count, batch):
            some = slice(start, start + batch)
            told = harness.ask(prompts=prompts[some], max_tokens=max(lengths[some]), batch=batch)
            theirs[batch], mb = theirs[batch] + told["seconds"], told["mb"]
    best = min(theirs, key=lambda batch: theirs[batch])
    assert ours_tokens > 0
    return ours, theirs[best], best, mb


def whole(engine: Any, harness: Harness, count: int) -> None:
    """HellaSwag questions 0- and 10-shot and half as many of MMLU 5-shot, the harness at batch 8."""
    total = [0.0, 0.0]
    parts = (questions("hellaswag", count), few_shot("hellaswag", count, 10), questions("mmlu@lm-eval-5", count // 2))
    for asked in parts:
        ours, theirs, worst, _, _ = choices(engine, harness, asked, 1, (8,))
        total = [total[0] + ours, total[1] + theirs]
        print(f"  {len(asked)} questions: ours {ours:.1f} s, harness {theirs:.1f} s, largest difference {worst:.1e}")
    print(
        f"all three: {total[1] / total[0]:.1f}x, ours {total[0]:.0f} s, harness {total[1]:.0f} s at batch 8", flush=True
    )


def bpe(texts: list[str], folder: Path) -> Any:
    """A byte-level BPE of 4,000 tokens, trained on some texts and saved into a folder."""
    from tokenizers import ByteLevelBPETokenizer
    from transformers import PreTrainedTokenizerFast

    made, end = ByteLevelBPETokenizer(), "<|endoftext|>"
    made.train_from_iterator(texts, vocab_size=4000, special_tokens=[end], show_progress=False)
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=made._tokenizer, eos_token=end, bos_token=end)
    tokenizer.save_pretrained(folder)
    return tokenizer


def random_phi(folder: Path) -> Path:
    """A random Phi of 8 layers, width 256, and a byte-level BPE of 4,000 tokens of the tasks' own text."""
    import torch
    from transformers import PhiConfig, PhiForCausalLM

    bpe(["".join(pairs[0]) for pairs in questions("hellaswag", 1500) + questions("mmlu", 1500)], folder)
    torch.manual_seed(0)
    config = PhiConfig(
        vocab_size=4096, hidden_size=256, intermediate_size=1024, num_hidden_layers=8, num_attention_heads=4,
        bos_token_id=0, eos_token_id=0, initializer_range=0.05,
    )  # fmt: skip
    PhiForCausalLM(config).save_pretrained(folder)
    return folder


def peak() -> float:
    """This process's peak memory so far, MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--lm-eval", help="the Python that has lm_eval==0.4.13", default=os.environ.get("LM_EVAL_PYTHON")
    )
    parser.add_argument("--model", type=Path)
    parser.add_argument("--part", choices=[*PARTS, "generation", "whole"], action="append")
    parser.add_argument("--questions", type=int, default=100)
    parser.add_argument("--turns", type=int, default=1)
    given = parser.parse_args()
    if not given.lm_eval:
        missing(
            "the transformers engine", "lm-evaluation-harness", "no --lm-eval PYTHON (or LM_EVAL_PYTHON), see this file"
        )
        return
    use_shared_data()
    import torch

    from evals.engines import transformers_local

    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as scratch:
        folder = given.model or random_phi(Path(scratch))
        engine = transformers_local.connect(folder, device="cpu")
        _ = engine.model
        harness = Harness(given.lm_eval, str(folder))
        for name in given.part or [*PARTS, "generation"]:
            if name == "generation":
                ours, theirs, batch, its_mb = generation(engine, harness, min(64, given.questions))
                row(
                    f"writing {min(64, given.questions)} answers of different length",
                    peer=f"transformers generate, batch {batch}",
                    ratios=[theirs / ours],
                    figure=f"{ours:.1f} CPU s",
                    target="1.5",
                )
                print(
                    f"generation: {theirs / ours:.1f}x (target 1.5x) ours {ours:.2f} s, generate {theirs:.2f} s at batch "
                    f"{batch}, peak {peak():.0f} MB, harness {its_mb:.0f} MB",
                    flush=True,
                )
                continue
            if name == "whole":
                whole(engine, harness, 4 * given.questions)
                continue
            title, target, make = PARTS[name]
            asked = make(given.questions)
            ours, theirs, worst, batch, its_mb = choices(engine, harness, asked, given.turns)
            row(
                f"{title}, {len(asked)} questions",
                peer=f"lm-evaluation-harness, batch {batch}",
                ratios=[theirs / ours],
                figure=f"{ours:.1f} CPU s, log-probabilities within {worst:.0e}",
                target=f"{target:g}",
            )
            print(
                f"{title}: {theirs / ours:.1f}x (target {target:g}x) n={len(asked)} ours {ours:.2f} s, harness "
                f"{theirs:.2f} s at batch {batch}, largest difference {worst:.1e}, peak {peak():.0f} MB, harness {its_mb:.0f} MB",
                flush=True,
            )
        harness.close()


if __name__ == "__main__":
    main()
