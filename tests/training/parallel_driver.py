"""One process of a small sharded run, as torchrun starts it; the first writes its losses. Usage: FOLDER [KIND]

KIND: adamw, muon, or phi3 for a model with shared key heads and a tied head, and the average of its last steps.
"""

import json
import sys
from pathlib import Path

import numpy as np
import torch

from training import metrics, model, parallel, trainer
from training.data.tokens.loader import open_tokens
from training.recipe import from_plain

RECIPE = {
    "name": "sharded",
    "model": {"layers": 2, "width": 64, "heads": 2, "mlp": 128, "rotary_dim": 16, "context_tokens": 64},
    "data": {"sources": [{"name": "a"}], "sequence_tokens": 16},
    "training": {"steps": 12, "batch_sequences": 4},
    "schedule": {"kind": "linear", "peak_learning_rate": 3e-3, "warmup_steps": 2},
    "validation": {"every_steps": 6, "sequences": 4},
    "selection": {"rule": "best-validation"},
    "states": {"every_seconds": 0.0, "every_steps": 5},
}


def main() -> None:
    folder = Path(sys.argv[1])
    torch.set_num_threads(1)
    world = parallel.enter("cpu")
    if world.first:
        ids = np.random.default_rng(0).integers(0, 50, 2000).astype("<u2")
        for part in ("tokens", "validation"):
            ids[: 2000 if part == "tokens" else 200].tofile(folder / f"{part}.bin")
        told = {"eos": 0, "vocabulary": 50}
        told["shards"] = [{"file": "tokens.bin", "tokens": 2000, "sha256": ""}]
        told["validation"] = [{"file": "validation.bin", "tokens": 200, "sha256": ""}]
        (folder / "shards.json").write_text(json.dumps(told))
    parallel.sum_over_processes(world, 0.0)  # the others wait for the files
    kind = sys.argv[2] if len(sys.argv) > 2 else "adamw"
    plain = {**RECIPE, "optimizer": {"kind": "muon" if kind == "muon" else "adamw", "muon_learning_rate": 0.005}}
    if kind == "phi3":
        plain["model"] = {**RECIPE["model"], "kind": "phi3", "key_heads": 1, "tied": True}  # type: ignore[dict-item]
        plain["selection"] = {"rule": "average", "average_steps": 8}
        plain["validation"] = {"every_steps": 7, "sequences": 4}  # it stops there: a state right after a validation
    recipe = from_plain(plain)
    assert recipe.model is not None
    settings = model.config(recipe.model, 50, 0, 0)
    source = open_tokens(folder, "a", "a")
    first = trainer.train(trainer.TrainJob(recipe, settings, [source], folder, {}, stop_after=7), world)
    parallel.sum_over_processes(world, 0.0)  # the state is written when the first process is here
    states = sorted(file.name for file in (folder / "states" / "00000007").iterdir())
    done = trainer.train(trainer.TrainJob(recipe, settings, [source], folder, {}), world)
    if world.first:
        lines = metrics.read(folder / "metrics.jsonl")
        told = {
            "stopped": first.step,
            "notes": done.notes,
            "chosen": done.chosen_step,
            "states": states,
            "losses": [line["loss"] for line in lines],
        }
        told |= {"norms": [line["gradient_norm"] for line in lines]}
        told |= {"validation": [line["validation_loss"] for line in lines if "validation_loss" in line]}
        told |= {"squares": sum(float(value.square().sum()) for value in done.weights.values())}
        told |= {"shapes": {name: list(value.shape) for name, value in done.weights.items()}}
        (folder / "told.json").write_text(json.dumps(told))
    parallel.leave(world)


if __name__ == "__main__":
    main()
