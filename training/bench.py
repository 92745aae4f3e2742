"""Measures tokens per second and MFU of the real training loop on this machine, on random tokens.

It runs `training.trainer.train` without saving states or validating; the first steps (allocation, compilation)
are left out, and the median of the others counts. Published figures of other codebases serve for comparison.
"""

import json
import math
import statistics
import tempfile
from pathlib import Path
from typing import Any

from training.plan import flops_per_token
from training.recipe import Recipe, load, shape

REAL = ("phi-1-small-base", "phi-1-base", "phi-2")
# tokens/s on one GPU. 50% of an H100's or H200's bf16 peak at 2048 tokens by our FLOP count; and
# llm-foundry's table on one node of 8 H100 (two nodes for 3B), sequence 2048, its own FLOP count.
TARGETS = {"phi-1-small-base": 238_000, "phi-1-base": 58_000, "phi-2": 29_000}
LLM_FOUNDRY = {"phi-1-small-base": ("760M", 63_100), "phi-1-base": ("1.3B", 45_500), "phi-2": ("3B", 24_100)}
WARM_STEPS = 3


def measure(name: str, device: str, steps: int, overrides: tuple[str, ...] = ()) -> dict[str, Any]:
    """Measures one recipe's loop on a device: median tokens/s, MFU if the peak is known, and memory."""
    from training import metrics, model, parallel, trainer

    world = parallel.enter(device)
    recipe = _short(load(name, overrides), steps + WARM_STEPS, world.device)
    shaped = shape(recipe)
    vocabulary = shaped.vocabulary or 1024
    with tempfile.TemporaryDirectory() as place:
        job = trainer.TrainJob(
            recipe=recipe, settings=model.config(shaped, vocabulary, 0, 0),
            sources=[_random_tokens(Path(place), recipe, vocabulary)], folder=Path(place), identity={},
            flops_per_token=flops_per_token(shaped, vocabulary, recipe.data.sequence_tokens),
        )  # fmt: skip
        trainer.train(job, world)
        lines = metrics.read(Path(place) / "metrics.jsonl")[WARM_STEPS:]
    rate = statistics.median(line["tokens_per_second"] for line in lines)
    figures = {"recipe": name, "device": _device_name(world.device), "tokens_per_second": rate, "steps": len(lines)}
    figures |= {"memory_bytes": lines[-1]["memory_bytes"], "flops_per_token": job.flops_per_token}
    if "mfu" in lines[-1]:
        figures["mfu"] = statistics.median(line["mfu"] for line in lines)
    if name in TARGETS and world.device.startswith("cuda"):
        figures |= {"target": TARGETS[name], "llm_foundry": LLM_FOUNDRY[name]}
    return figures


def _short(recipe: Recipe, steps: int, device: str) -> Recipe:
    """The recipe cut to a few steps without validation or saving: one microbatch, on a GPU 16 sequences or more."""
    import msgspec

    how = recipe.execution
    if device.startswith("cuda") and how.compile == "auto":
        how = msgspec.structs.replace(how, compile="yes")  # as a run of the recipe's own length is
    micro = how.microbatch_sequences or recipe.training.batch_sequences
    rows = micro * math.ceil(16 / micro) if device.startswith("cuda") else micro
    return msgspec.structs.replace(
        recipe,
        training=msgspec.structs.replace(recipe.training, steps=steps, batch_sequences=rows, dropout=0.0),
        schedule=msgspec.structs.replace(recipe.schedule, kind="constant", warmup_steps=0, steps=None),
        validation=msgspec.structs.replace(recipe.validation, every_steps=0),
        selection=msgspec.structs.replace(recipe.selection, rule="last"),
        states=msgspec.structs.replace(recipe.states, every_seconds=0.0, every_steps=0, keep_every_steps=0),
        data=msgspec.structs.replace(recipe.data, sources=recipe.data.sources[:1]),
        execution=msgspec.structs.replace(how, microbatch_sequences=micro),
    )


def _random_tokens(folder: Path, recipe: Recipe, vocabulary: int) -> Any:
    import numpy as np

    from training.data.tokens.loader import open_tokens

    count = 64 * recipe.data.sequence_tokens + 1
    np.random.default_rng(0).integers(0, min(vocabulary, 50_000), count).astype("<u2").tofile(folder / "tokens.bin")
    listing = {"eos": 0, "vocabulary": vocabulary, "validation": []}
    listing["shards"] = [{"file": "tokens.bin", "tokens": count, "sha256": ""}]
    (folder / "shards.json").write_text(json.dumps(listing))
    return open_tokens(folder, "random", "random")


def _device_name(device: str) -> str:
    import platform

    import torch

    return torch.cuda.get_device_name() if device.startswith("cuda") else f"{platform.machine()} CPU"


def line(figures: dict[str, Any]) -> str:
    """One measurement as a line of text."""
    text = f"{figures['recipe']:20} {figures['tokens_per_second']:>10,.0f} tokens/s on {figures['device']}"
    text += f", {figures['flops_per_token'] / 1e9:.3g} GFLOP a token, {figures['memory_bytes'] / 2**30:.1f} GiB"
    if "mfu" in figures:
        text += f", MFU {figures['mfu']:.1%}"
    if "target" in figures:
        size, rate = figures["llm_foundry"]
        text += f" (target {figures['target']:,}; llm-foundry {size} on H100: {rate:,})"
    return text
