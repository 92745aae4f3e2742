"""Our training loop against Hugging Face's Trainer and nanoGPT's loop: ratios, in one run on this CPU.

Same model (phi-1-small-mini's shape, with our fused GELU), same batch, same tokens, interleaved rounds,
medians; the Trainer also with transformers' model as it comes, which is what its users run. Also:
the loader's share of a step, the stall of saving a state each 200 steps, and the peak memory of
chunked cross-entropy at the real vocabulary. Run: python tests/bench/bench_training.py [--rounds 5]
Trainer needs the package `accelerate`; without it that line is left out and says so.
"""

import argparse
import importlib.util
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rows import missing, row

from training import model, optimizer, state
from training.data.tokens.loader import Loader, open_tokens
from training.loop.job import TrainJob, open_parts
from training.loop.watchdog import Watchdog
from training.parallel import World
from training.recipe import Recipe, from_plain, load, resolve_recipe
from training.trainer import _step

STEPS, VOCABULARY, ALONE = 12, 1024, World(0, 1, "cpu")


def recipe_of() -> Recipe:
    plain = resolve_recipe(load("phi-1-small-mini-base"))
    plain |= {"optimizer": {"kind": "adamw", "weight_decay": 0.1}, "training": {"steps": 10_000, "batch_sequences": 8}}
    plain["validation"] = {"every_steps": 0}
    return from_plain(plain)


def job_in(folder: Path) -> TrainJob:
    ids = np.random.default_rng(0).integers(0, VOCABULARY, 300_000).astype("<u2")
    ids.tofile(folder / "tokens.bin")
    shard = f'[{{"file": "tokens.bin", "tokens": {len(ids)}, "sha256": ""}}]'
    (folder / "shards.json").write_text(
        f'{{"eos": 0, "vocabulary": {VOCABULARY}, "shards": {shard}, "validation": []}}'
    )
    recipe = recipe_of()
    assert recipe.model is not None
    settings = model.config(recipe.model, VOCABULARY, 0, 0)
    return TrainJob(recipe, settings, [open_tokens(folder, "random", "random")], folder, {})


def ours(job: TrainJob) -> Callable[[], None]:
    """STEPS of our loop."""
    parts = open_parts(job, ALONE, Watchdog(ALONE, job.folder, 0, ""))
    at = [0]

    def run() -> None:
        for _ in range(STEPS):
            _step(job, parts, at[0], [])
            at[0] += 1

    return run


def nanogpt(job: TrainJob) -> Callable[[], None]:
    """STEPS of nanoGPT's loop (its published structure): random windows, plain loss, clip, fused AdamW."""
    phi = model.build(job.settings, 0).train()
    groups = [
        {"params": [p for p in phi.parameters() if p.dim() >= 2], "weight_decay": 0.1},
        {"params": [p for p in phi.parameters() if p.dim() < 2], "weight_decay": 0.0},
    ]
    adamw = torch.optim.AdamW(groups, lr=1e-3, fused=True)
    data = np.memmap(job.folder / "tokens.bin", dtype=np.uint16, mode="r")
    rows, length = job.recipe.training.batch_sequences, job.recipe.data.sequence_tokens

    def batch() -> tuple[torch.Tensor, torch.Tensor]:
        starts = torch.randint(len(data) - length, (rows,))
        x = torch.stack([torch.from_numpy(data[i : i + length].astype(np.int64)) for i in starts])
        y = torch.stack([torch.from_numpy(data[i + 1 : i + 1 + length].astype(np.int64)) for i in starts])
        return x, y

    def run() -> None:
        for step in range(STEPS):
            for group in adamw.param_groups:
                group["lr"] = optimizer.learning_rate(job.recipe.schedule, step, 10_000)
            x, y = batch()
            logits = phi(input_ids=x, use_cache=False).logits
            loss = torch.nn.functional.cross_entropy(logits.view(-1, logits.size(-1)), y.view(-1), ignore_index=-1)
            loss.backward()
            torch.nn.utils.clip_grad_norm_(phi.parameters(), 1.0)
            adamw.step()
            adamw.zero_grad(set_to_none=True)
            loss.item()

    return run


def hugging_face(job: TrainJob, phi: Any) -> Callable[[], None]:
    """STEPS of transformers' Trainer with fused AdamW, without logging, saving and evaluation."""
    from transformers import Trainer, TrainingArguments

    rows, length = job.recipe.training.batch_sequences, job.recipe.data.sequence_tokens
    data = np.fromfile(job.folder / "tokens.bin", dtype="<u2").astype(np.int64)
    windows = [torch.from_numpy(data[i * length : (i + 1) * length]) for i in range(rows * STEPS)]

    class Windows(torch.utils.data.Dataset[dict[str, torch.Tensor]]):
        def __len__(self) -> int:
            return len(windows)

        def __getitem__(self, index: int) -> dict[str, torch.Tensor]:
            return {"input_ids": windows[index], "labels": windows[index]}

    def run() -> None:
        arguments = TrainingArguments(
            output_dir=str(job.folder / "hf"), per_device_train_batch_size=rows, max_steps=STEPS, use_cpu=True,
            optim="adamw_torch_fused", learning_rate=1e-3, weight_decay=0.1, max_grad_norm=1.0, save_strategy="no",
            logging_strategy="no", report_to=[], disable_tqdm=True,
        )  # fmt: skip
        trainer = Trainer(model=phi, args=arguments, train_dataset=Windows())
        begun = time.perf_counter()
        trainer.train()
        run.seconds = time.perf_counter() - begun  # type: ignore[attr-defined]

    return run


def stock_model(job: TrainJob) -> Any:
    """transformers' model as it comes."""
    from transformers import PhiForCausalLM

    torch.manual_seed(0)
    return PhiForCausalLM(job.settings).train()


def seconds(run: Callable[[], None]) -> float:
    begun = time.perf_counter()
    run()
    return float(getattr(run, "seconds", None) or time.perf_counter() - begun)


def loops(job: TrainJob, rounds: int) -> None:
    runs = {"ours": ours(job), "nanoGPT": nanogpt(job)}
    if importlib.util.find_spec("accelerate"):
        runs["Trainer, stock model"] = hugging_face(job, stock_model(job))
        runs["Trainer, our model"] = hugging_face(job, model.build(job.settings, 0).train())
    else:
        missing("the training loop", "Hugging Face Trainer", "the package accelerate is not installed")
    times: dict[str, list[float]] = {name: [] for name in runs}
    for number in range(rounds + 1):
        for name, run in runs.items():
            spent = seconds(run)
            if number:  # the first round warms up
                times[name].append(spent)
    tokens = STEPS * job.recipe.training.batch_sequences * job.recipe.data.sequence_tokens
    for name, spent in times.items():
        if name != "ours":
            turns = [other / mine for other, mine in zip(spent, times["ours"], strict=True)]
            row("the training loop, phi-1-small-mini", peer=name, ratios=turns, figure=f"{STEPS} steps a turn")
        ratio = statistics.median(other / mine for other, mine in zip(spent, times["ours"], strict=True))
        print(f"{name:20} {tokens / statistics.median(spent):>9,.0f} tokens/s; ours is {ratio:.2f} times as fast")


def overheads(job: TrainJob) -> None:
    loader = Loader(job.recipe.data, job.sources, job.recipe.training.batch_sequences, 0)
    parts = open_parts(job, ALONE, Watchdog(ALONE, job.folder, 0, ""))
    for step in range(STEPS):
        _step(job, parts, step, [])
    begun = time.perf_counter()
    for step in range(STEPS):
        _step(job, parts, step, [])
    one_step = (time.perf_counter() - begun) / STEPS
    begun = time.perf_counter()
    for step in range(200):
        loader.batch_at(step)
    row(
        "the loader's share of a step",
        figure=f"{(time.perf_counter() - begun) / 200 / one_step:.2%}",
        target="under 1%",
    )
    print(f"loader: {(time.perf_counter() - begun) / 200 / one_step:.2%} of a step (target under 1%)")
    stalls = []
    for step in range(1, 6):
        begun = time.perf_counter()
        weights = state.weight_tensors(parts.model.phi)
        parts.keeper.save(step, weights, state.optimizer_tensors(parts.model.phi, parts.optimizers), None)
        stalls.append(time.perf_counter() - begun)
        parts.keeper.wait()
    stall = statistics.median(stalls) / (200 * one_step)
    row("the stall of saving a state each 200 steps", figure=f"{stall:.2%} of the run", target="under 2%")
    print(f"saving a state each 200 steps: stalls {stall:.2%} of the run (target under 2%)")


PEAK = """
import sys, torch
from training.loss import chunked_cross_entropy
features, head = torch.randn(2048, 256).requires_grad_(), torch.nn.Linear(256, 51200)
targets = torch.randint(0, 51200, (2048,))
# not ru_maxrss: that starts with the peak of the process that started this one
peak = lambda: int(next(line for line in open("/proc/self/status") if line.startswith("VmHWM")).split()[1])
before = peak()
plain = lambda: torch.nn.functional.cross_entropy(head(features), targets, reduction="sum")
(plain() if sys.argv[1] == "plain" else chunked_cross_entropy(features, head, targets, 256)).backward()
print(peak() - before)
"""


def memory() -> None:
    grown = {
        kind: int(subprocess.run([sys.executable, "-c", PEAK, kind], check=True, capture_output=True).stdout)
        for kind in ("plain", "chunked")
    }
    row(
        "peak memory of chunked cross-entropy at 51,200 tokens",
        peer="torch's cross_entropy",
        ratios=[grown["plain"] / grown["chunked"]],
        note="how many times as small",
    )
    print(f"peak memory of chunked cross-entropy at 51,200: {grown['chunked'] / grown['plain']:.2f} of the plain one")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    rounds = parser.parse_args().rounds
    with tempfile.TemporaryDirectory() as place:
        job = job_in(Path(place))
        loops(job, rounds)
        overheads(job)
    memory()


if __name__ == "__main__":
    main()
