"""Bits per byte of gold answers and texts against the harness and a plain forward, on a real small model and this CPU.

    python tests/bench/bench_likelihood.py FILE.gguf --lm-eval lm-eval/bin/python [--part gold] [--turns 2]

FILE.gguf as for bench_small.py; both sides load the same weights, dequantised to fp32, and are timed by their own
processor time on one thread, in turns.

gold    the first samples of HumanEval, MBPP and GSM8K: speed and log-probabilities against the harness's `loglikelihood`
texts   the pages in docs/ against its `loglikelihood_rolling`
plain   some samples of every set of gold answers against one plain forward a pair
whole   all samples of HumanEval, MBPP and GSM8K: the tokens that are fed, the time, and the time that the model's matrix
        products alone would take
"""

import argparse
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from bench_engines import Harness
from bench_small import keep, limit_seconds, make_folder

GOLD = ("humaneval_bpb", "mbpp_bpb", "gsm8k_bpb")
BATCHES = (1, 8)  # of the harness; the faster one counts
RELATIVE = 1e-4
DOCS = Path(__file__).resolve().parents[2] / "docs"


def requests_of(spec: str, count: int | None) -> list[Any]:
    """The requests of a task's first samples."""
    from evals.records import ChoiceRequest
    from evals.tasks import task

    one = task(spec)
    assert one.pairs is not None
    samples = list(one.samples())[:count]
    return [ChoiceRequest(sample=sample.id, pairs=one.pairs(sample), whole=True) for sample in samples]


def read(engine: Any, requests: list[Any]) -> tuple[float, list[float]]:
    """(processor seconds, the log-probability of each request in order)."""
    began = time.process_time()
    found = {s.sample: sum(piece.logprob for piece in s.choices) for s in engine.choose(requests)}
    return time.process_time() - began, [found[request.sample] for request in requests]


def farthest(ours: list[float], theirs: list[float]) -> float:
    """The largest relative difference."""
    return max(abs(a - b) / max(abs(b), 1e-9) for a, b in zip(ours, theirs, strict=True))


def run_gold(engine: Any, harness: Harness, count: int, turns: int) -> None:
    """Ours and the harness on the same pairs, in turns."""
    for spec in GOLD:
        requests, ratios, apart, rate = requests_of(spec, count), [], 0.0, 0.0
        size = sum(len(request.pairs[0][1].encode()) for request in requests)
        for _ in range(turns):
            seconds, ours = read(engine, requests)
            sides = [harness.ask(pairs=[list(r.pairs[0]) for r in requests], batch=batch) for batch in BATCHES]
            ratios.append(min(side["seconds"] for side in sides) / seconds)
            apart, rate = max(apart, *(farthest(ours, side["logprobs"]) for side in sides)), size / seconds
        keep(
            f"SmolLM2-135M: {spec}, {len(requests)} gold answers", peer="lm-evaluation-harness, its best batch",
            ratios=ratios, target="3", figure=f"largest relative difference {apart:.1e}", note=f"{rate:.0f} bytes/s",
        )  # fmt: skip


def run_texts(engine: Any, harness: Harness, count: int, turns: int) -> None:
    """The pages of the documentation as documents, in rolling windows."""
    from evals.records import ChoiceRequest
    from evals.text import rolling_windows

    texts = [page.read_text(encoding="utf-8") for page in sorted(DOCS.glob("*.md"))[: max(2, count // 10)]]
    tokens, room = engine.tokens, engine.facts.context_tokens
    ratios, apart = [], 0.0
    for _ in range(turns):
        began = time.process_time()
        windows = [
            ChoiceRequest(sample=f"{number}/{place}", windows=(window,))
            for number, text in enumerate(texts)
            for place, window in enumerate(rolling_windows(tokens.encode(text), tokens.prefix, room))
        ]
        ours = [0.0] * len(texts)
        for scores in engine.choose(windows):
            ours[int(scores.sample.partition("/")[0])] += scores.choices[0].logprob
        seconds = time.process_time() - began
        side = harness.ask(texts=texts, batch=1)
        ratios.append(side["seconds"] / seconds)
        apart = max(apart, farthest(ours, side["logprobs"]))
    keep(
        f"SmolLM2-135M: {len(texts)} pages in {len(windows)} rolling windows of {room}",
        peer="lm-evaluation-harness, loglikelihood_rolling", ratios=ratios,
        figure=f"largest relative difference {apart:.1e}",
    )  # fmt: skip


def run_plain(engine: Any, count: int) -> None:
    """Samples of every set against one forward pass of transformers' own model for each."""
    import torch

    from evals.tasks import GOLD as NAMES
    from evals.tasks import protocols

    specs = [f"{name}@{protocol}" for name in NAMES for protocol in protocols(name)]
    worst, samples = (0.0, ""), 0
    for spec in specs:
        requests = requests_of(spec, None)
        some = requests[:: max(1, len(requests) // count)][:count]
        _, ours = read(engine, some)
        samples += len(some)
        for request, logprob in zip(some, ours, strict=True):
            wanted = 0.0
            for pair in engine.tokens.pairs(request, engine.facts.context_tokens):
                with torch.inference_mode():
                    logits_TV = engine.model(torch.tensor([pair.tokens[:-1]])).logits[0].double()
                target = torch.tensor(pair.tokens[pair.start :])
                rows_TV = torch.log_softmax(logits_TV[pair.start - 1 :], dim=-1)
                wanted += float(rows_TV.gather(1, target[:, None]).sum())
            worst = max(worst, (farthest([logprob], [wanted]), f"{spec} {request.sample}"))
    keep(
        f"SmolLM2-135M: {samples} samples of {len(specs)} protocols of gold answers", peer="a plain forward",
        figure=f"largest relative difference {worst[0]:.1e} ({worst[1]})", target=f"{RELATIVE:.0e}",
    )  # fmt: skip


def run_whole(engine: Any) -> None:
    """All samples: processor and wall seconds, and what the matrix products alone would take."""
    from evals.engines.local.choices import merge_single_rows
    from evals.engines.local.rows import make_row

    requests = [request for spec in GOLD for request in requests_of(spec, None)]
    rows = [make_row(request, engine.tokens, engine.facts.context_tokens) for request in requests]
    fed = sum(
        len(shared) + sum(row.fed - len(shared) for row in members) for shared, members in merge_single_rows(rows)
    )
    reads = sum(row.reads for row in rows)
    limit, about = limit_seconds(engine.model, fed, 0, reads)
    began = time.monotonic()
    seconds, _ = read(engine, requests)
    keep(
        f"SmolLM2-135M: all {len(requests)} gold answers of {', '.join(GOLD)}", target="60 s on two cores",
        figure=f"{seconds:.0f} s of one core ({time.monotonic() - began:.0f} s), {fed:,} tokens fed, {reads:,} read",
        note=f"matrix products alone {limit:.0f} s ({about})", share=[limit / seconds],
    )  # fmt: skip


def main() -> None:
    parts = ("gold", "texts", "plain", "whole")
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("gguf", type=Path, nargs="?", default=os.environ.get("SMALL_MODEL_GGUF"))
    parser.add_argument("--lm-eval", default=os.environ.get("LM_EVAL_PYTHON"), help="the Python that has lm_eval")
    parser.add_argument("--part", choices=parts, action="append")
    parser.add_argument("--samples", type=int, default=40, help="of each task in gold; of each set in plain a tenth")
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
        chosen: dict[str, Callable[[], None]] = {
            "plain": lambda: run_plain(engine, max(1, given.samples // 10)), "whole": lambda: run_whole(engine),
        }  # fmt: skip
        if harness is not None:
            chosen = {
                "gold": lambda: run_gold(engine, harness, given.samples, given.turns),
                "texts": lambda: run_texts(engine, harness, given.samples, given.turns), **chosen,
            }  # fmt: skip
        for part in given.part or chosen:
            chosen[part]()
        if harness is not None:
            harness.close()


if __name__ == "__main__":
    main()
