"""IFEval asked by chat against lm-evaluation-harness 0.4.13 with --apply_chat_template, prompt by prompt.

    LM_EVAL_PYTHON=lm-eval/bin/python python tests/bench/parity_ifeval_chat.py FOLDER [--prompts 24] [--tokens 96] [--plain]

FOLDER is a checkpoint in Hugging Face's form with a chat template. Both sides read it in fp32 on one core and write up
to so many tokens, greedily. Prompts must be equal to the byte and texts equal; a text may part where the two likeliest
tokens' logits differ by less than 1e-4. Each side's verdicts on its own text are compared. Ends with 1 where one differs.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from msgspec.structs import replace
from parity_ifeval import write_tables
from peers import parse_with_harness
from rows import row

from evals.chat import ChatShape, bind, chat_task
from evals.engines import transformers_local
from evals.records import GenerateRequest
from evals.tasks import ifeval

OURS = {"prompt_level_strict_acc": "prompt_strict", "inst_level_strict_acc": "inst_strict",
        "prompt_level_loose_acc": "prompt_loose", "inst_level_loose_acc": "inst_loose"}  # fmt: skip
CLOSE = 1e-4


def theirs(python: str, folder: Path, given: argparse.Namespace, scratch: Path) -> list[dict[str, Any]]:
    """The harness's prompts, texts and metrics."""
    rows = scratch / "rows.jsonl"
    rows.write_text(
        "".join(
            json.dumps(
                {"key": sample.id, "prompt": sample.question, "instruction_id_list": sample.target, "kwargs": sample.data["arguments"]}
            ) + "\n"
            for sample in ifeval.samples()
        )
    )  # fmt: skip
    write_tables(scratch)
    environment = {
        **os.environ,
        "NLTK_DATA": str(scratch),
        "HF_HUB_OFFLINE": "1",
        "HF_DATASETS_CACHE": str(scratch / "c"),
    }
    way = "plain" if given.plain else "chat"
    script = Path(__file__).with_name("harness_chat.py")
    command = [python, str(script), str(folder), str(rows), str(given.prompts), str(given.tokens), way]
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    if done.returncode:
        raise SystemExit(f"the harness ended ({done.returncode}): {done.stderr[-800:]}")
    return list(json.loads(done.stdout))


def margin(engine: Any, prompt: str, first: str, second: str) -> float:
    """How far the logits of the two likeliest tokens are apart where two texts part, after the beginning they share."""
    import torch

    pairs = enumerate(zip(first, second, strict=False))
    shared = first[: next((place for place, (a, b) in pairs if a != b), min(len(first), len(second)))]
    least = float("inf")
    for back in range(8):  # a token may have begun before the first letter that differs
        ids = engine.tokens.encode(prompt + shared[: len(shared) - back])
        with torch.inference_mode():
            top = engine.model(torch.tensor([ids])).logits[0, -1].topk(2).values
        least = min(least, float(top[0] - top[1]))
    return least


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--prompts", type=int, default=24)
    parser.add_argument("--tokens", type=int, default=96, help="of each text; 0 compares the prompts alone")
    parser.add_argument("--plain", action="store_true", help="without the template, as the harness does by default")
    given = parse_with_harness(parser)
    task = ifeval.PROTOCOLS["lm-eval"]
    bound = task if given.plain else bind(chat_task(task, ChatShape()), given.folder)
    assert bound.prompt is not None
    chosen = list(task.samples())[: given.prompts]
    decoding = replace(task.decoding, max_tokens=given.tokens)
    requests = [
        GenerateRequest(sample=sample.id, draw=0, prompt=bound.prompt(sample), decoding=decoding, seed=0,
                        messages=bound.asked(sample)[0][0] if bound.asked else ())
        for sample in chosen
    ]  # fmt: skip
    engine = transformers_local.connect(given.folder, dtype="float32", device="cpu")
    texts = dict.fromkeys((sample.id for sample in chosen), "")
    if given.tokens:
        texts = {generation.sample: generation.text for generation in engine.generate(requests)}
    with tempfile.TemporaryDirectory() as scratch:
        other = {answer["key"]: answer for answer in theirs(given.lm_eval, given.folder, given, Path(scratch))}
    prompts = parted = verdicts = 0
    for sample, request in zip(chosen, requests, strict=True):
        their, text = other[sample.id], texts[sample.id]
        if their["prompt"] != request.prompt:
            prompts += 1
            print(f"{sample.id}: other prompt {their['prompt'][-80:]!r}, ours {request.prompt[-80:]!r}")
        if their["text"] != text:
            apart = margin(engine, request.prompt, their["text"], text)
            parted += apart >= CLOSE
            print(f"{sample.id}: the texts part where two logits are {apart:.2g} apart")
        scored = ifeval.score(sample, their["text"])
        own = {
            name: list(map(bool, scored.trials.get(name, ()))) or bool(scored.metrics[name]) for name in OURS.values()
        }
        if any(own[OURS[name]] != value for name, value in their["metrics"].items()):
            verdicts += 1
            print(f"{sample.id}: other verdicts {their['metrics']}, ours {own}")
    way = "plain" if given.plain else "by chat"
    figure = f"{len(chosen)} prompts of {given.tokens} tokens: {prompts} other prompts, {parted} other texts, {verdicts} other verdicts"
    print(f"ifeval, {way}: {figure}", flush=True)
    row(f"IFEval {way}, {given.folder.name}", peer="lm-evaluation-harness", figure=figure, target="0, 0, 0")
    sys.exit(int(bool(prompts or parted or verdicts)))


if __name__ == "__main__":
    main()
