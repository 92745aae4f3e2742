"""Sample by sample against lm-evaluation-harness 0.4.13 (`make parity`): log-probabilities, acc, acc_norm.

    LM_EVAL_PYTHON=/tmp/lm-eval/bin/python make parity       bench_engines.py says how to make that Python
    python tests/bench/parity_lm_eval.py --lm-eval PYTHON --model FOLDER --questions 1000 [--task piqa]

Both sides read the same pairs (that our prompts are the harness's byte for byte is held by the tasks' own
tests), fp32, the harness at batch 8. Ends with 1 when a log-probability is off by over 1e-4 or a metric differs.
"""

import argparse
import os
import sys
import tempfile
from pathlib import Path

from bench_engines import SHARED, Harness, random_phi

TASKS = (
    "arc_easy", "arc_challenge", "piqa", "hellaswag", "winogrande", "boolq", "openbookqa", "siqa", "mmlu@lm-eval-5",
)  # fmt: skip
TOLERANCE = 1e-4


def compared(engine: object, harness: Harness, spec: str, count: int) -> tuple[str, bool]:
    """One line for a task, and whether it agrees."""
    from evals.records import Choice, ChoiceRequest
    from evals.tasks import task

    found = task(spec)
    assert found.pairs is not None and found.judge is not None
    samples = [sample for _, sample in zip(range(count), found.samples(), strict=False)]
    pairs = {sample.id: found.pairs(sample) for sample in samples}
    requests = [ChoiceRequest(sample=name, pairs=some) for name, some in pairs.items()]
    ours = {read.sample: read.choices for read in engine.choose(requests)}  # type: ignore[attr-defined]
    told = harness.ask(pairs=[pair for some in pairs.values() for pair in some], batch=8)
    theirs, at, worst, differ = told["logprobs"], 0, 0.0, 0
    for sample in samples:
        mine = ours[sample.id]
        other = tuple(
            Choice(logprob=logprob, tokens=choice.tokens, greedy=choice.greedy)
            for logprob, choice in zip(theirs[at : at + len(mine)], mine, strict=True)
        )
        at += len(mine)
        worst = max(worst, *(abs(a.logprob - b.logprob) for a, b in zip(mine, other, strict=True)))
        differ += found.judge(sample, mine).metrics != found.judge(sample, other).metrics
    line = f"{spec}: n={len(samples)}, largest difference {worst:.1e}, {differ} samples with another metric"
    return line, worst <= TOLERANCE and not differ


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--lm-eval", default=os.environ.get("LM_EVAL_PYTHON"))
    parser.add_argument("--model", type=Path)
    parser.add_argument("--questions", type=int, default=100)
    parser.add_argument("--task", choices=TASKS, action="append")
    given = parser.parse_args()
    if not given.lm_eval:
        print("skipped: no --lm-eval PYTHON (or LM_EVAL_PYTHON); bench_engines.py says how to make it")
        return
    if SHARED.is_dir():
        os.environ.setdefault("PHIZOO_DATA", str(SHARED))
    from evals.backends import transformers_local

    with tempfile.TemporaryDirectory() as scratch:
        folder = given.model or random_phi(Path(scratch))
        engine = transformers_local.connect(folder, device="cpu")
        harness = Harness(given.lm_eval, str(folder))
        agreed = True
        for spec in given.task or TASKS:
            line, good = compared(engine, harness, spec, given.questions)
            agreed = agreed and good
            print(line if good else f"{line}  NOT EQUAL", flush=True)
        harness.close()
    sys.exit(0 if agreed else 1)


if __name__ == "__main__":
    main()
