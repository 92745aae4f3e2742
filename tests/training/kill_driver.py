"""Trains one run undisturbed and one killed again and again, each in a forked child; prints both results.

A script of its own, since a process that has used its thread pool must not fork. Usage: FOLDER KILLS SEED
"""

import hashlib
import json
import os
import random
import signal
import sys
import time
from pathlib import Path

import numpy as np
import torch
import transformers.models.phi.modeling_phi  # noqa: F401  (imported before the fork, so that a child starts at once)

from training import metrics, model, trainer
from training.data.loader import open_tokens
from training.parallel import World
from training.recipe import from_plain

torch.set_num_threads(1)
RECIPE = {
    "name": "killed",
    "model": {"layers": 2, "width": 64, "heads": 2, "mlp": 128, "rotary_dim": 16, "context_tokens": 64},
    "data": {
        "sources": [{"name": "a", "weight": 2.0}, {"name": "b", "weight": 1.0}],
        "sequence_tokens": 16,
        "packing": "shifted",
    },
    "training": {"steps": 60, "batch_sequences": 4, "dropout": 0.1},
    "schedule": {"kind": "linear", "peak_learning_rate": 3e-3, "warmup_steps": 10},
    "validation": {"every_steps": 20, "sequences": 4},
    "selection": {"rule": "best-validation"},
    "states": {"every_seconds": 0.0, "every_steps": 2},
}


def tokens(folder: Path, name: str, count: int) -> object:
    """A dataset of seeded ids, small enough that 60 steps cross several of its epochs."""
    place = folder / name
    if not place.exists():
        place.mkdir()
        told = {"eos": 0, "vocabulary": 50, "shards": [], "validation": []}
        for part, key in (("tokens", "shards"), ("validation", "validation")):
            np.random.default_rng(count).integers(0, 50, count).astype("<u2").tofile(place / f"{part}-00000.bin")
            told[key] = [{"file": f"{part}-00000.bin", "tokens": count, "sha256": ""}]
        (place / "shards.json").write_text(json.dumps(told))
    return open_tokens(place, name, name)


def train(folder: Path, run: str) -> None:
    """One life of a run: to its end, where the digests of weights and curves are written, or to a kill."""
    recipe = from_plain(RECIPE)
    sources = [tokens(folder, "a", 1500), tokens(folder, "b", 600)]
    assert recipe.model is not None
    place = folder / run
    place.mkdir(exist_ok=True)
    job = trainer.Job(recipe, model.config(recipe.model, 50, 0, 0), sources, place, {"run": 1})  # type: ignore[arg-type]
    done = trainer.train(job, World(0, 1, "cpu"))
    told = hashlib.sha256(metrics.curves(metrics.read(place / "metrics.jsonl")))
    for name, value in sorted(done.weights.items()):
        told.update(name.encode() + value.numpy().tobytes())
    (place / "done").write_text(f"{told.hexdigest()} {done.step} {done.chosen_step}")


def child(folder: Path, run: str, seconds: float | None) -> bool:
    """Runs one life in a child, killed after some seconds; whether it ended by itself."""
    number = os.fork()
    if number == 0:
        sys.stderr = open(os.devnull, "w")  # noqa: SIM115
        train(folder, run)
        os._exit(0)
    if seconds is not None:
        time.sleep(seconds)
        os.kill(number, signal.SIGKILL)
    _, status = os.waitpid(number, 0)
    if os.WIFEXITED(status) and os.WEXITSTATUS(status):
        raise SystemExit(f"a life of {run} failed with {os.WEXITSTATUS(status)}")
    return os.WIFEXITED(status)


def main() -> None:
    folder, kills, rng = Path(sys.argv[1]), int(sys.argv[2]), random.Random(int(sys.argv[3]))
    began = time.monotonic()
    child(folder, "undisturbed", None)
    alone = time.monotonic() - began
    killed, results = 0, []
    while killed < kills:  # a run ends after a few kills; then another begins, until there were enough
        run = f"killed-{len(results)}"
        while not child(folder, run, rng.uniform(0.1, 0.4) * alone if killed < kills else None):
            killed += 1
        results.append((folder / run / "done").read_text())
    print(
        json.dumps({"killed": killed, "undisturbed": (folder / "undisturbed" / "done").read_text(), "results": results})
    )


if __name__ == "__main__":
    main()
