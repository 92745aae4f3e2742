"""Trains one run undisturbed and one killed again and again, each in a forked child; prints both results.

A script of its own, since a process that has used its thread pool must not fork.
Usage: FOLDER KILLS SEED [edges]. "edges": each kill comes as the run passes from one epoch of a source to
the next. Printed too: the steps that were killed, and how many kills came while a state was being written.
"""

import hashlib
import json
import os
import random
import signal
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
import transformers.models.phi.modeling_phi  # noqa: F401  (imported before the fork, so that a child starts at once)

from training import metrics, model, trainer
from training.data.tokens.loader import Loader, open_tokens
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
    job = trainer.TrainJob(recipe, model.config(recipe.model, 50, 0, 0), sources, place, {"run": 1})  # type: ignore[arg-type]
    done = trainer.train(job, World(0, 1, "cpu"))
    told = hashlib.sha256(metrics.curves(metrics.read(place / "metrics.jsonl")))
    for name, value in sorted(done.weights.items()):
        told.update(name.encode() + value.numpy().tobytes())
    (place / "done").write_text(f"{told.hexdigest()} {done.step} {done.chosen_step}")


def edges() -> list[int]:
    """The steps in which a source begins another epoch."""
    recipe = from_plain(RECIPE)
    with tempfile.TemporaryDirectory() as place:
        sources = [tokens(Path(place), "a", 1500), tokens(Path(place), "b", 600)]
        batch = recipe.training.batch_sequences
        loader = Loader(recipe.data, sources, batch, recipe.training.seed)  # type: ignore[arg-type]
        epochs: dict[int, int] = {}
        found = []
        for sequence in range(recipe.training.steps * batch):
            source, epoch, _ = loader.place(sequence)
            if epochs.setdefault(source, epoch) != epoch:
                epochs[source] = epoch
                found.append(sequence // batch)
    return sorted(set(found))


def step_of(place: Path) -> int:
    """Steps that a run has told so far."""
    lines = metrics.read(place / "metrics.jsonl")
    return int(lines[-1]["step"]) if lines else 0


def wait(number: int, place: Path, seconds: float, edge: int | None) -> None:
    """Until the moment of the kill: some seconds, or when the step before an edge is done."""
    if edge is None:
        time.sleep(seconds)
        return
    while step_of(place) < edge and os.waitid(os.P_PID, number, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None:
        time.sleep(0.001)
    time.sleep(seconds % 0.05)


def child(
    folder: Path, run: str, seconds: float | None, edge: int | None = None, seen: list[str] | None = None
) -> bool:
    """Runs one life in a child, killed after some seconds; whether it ended by itself."""
    number = os.fork()
    if number == 0:
        sys.stderr = open(os.devnull, "w")  # noqa: SIM115
        train(folder, run)
        os._exit(0)
    if seconds is not None:
        wait(number, folder / run, seconds, edge)
        os.kill(number, signal.SIGKILL)
    _, status = os.waitpid(number, 0)
    if seen is not None and os.WIFSIGNALED(status):
        half = list((folder / run / "states").glob(".*"))
        seen.append(f"{step_of(folder / run)}{' while writing' if half else ''}")
    if os.WIFEXITED(status) and os.WEXITSTATUS(status):
        raise SystemExit(f"a life of {run} failed with {os.WEXITSTATUS(status)}")
    return os.WIFEXITED(status)


def main() -> None:
    folder, kills, rng = Path(sys.argv[1]), int(sys.argv[2]), random.Random(int(sys.argv[3]))
    places = edges() if sys.argv[4:] == ["edges"] else []
    began = time.monotonic()
    child(folder, "undisturbed", None)
    alone = time.monotonic() - began
    seen: list[str] = []
    results: list[str] = []
    while len(seen) < kills:  # a run ends after a few kills; then another begins, until there were enough
        run = f"killed-{len(results)}"
        targets = iter(sorted(places * 2))  # twice at each edge
        while True:
            edge = next(targets, None)
            more = len(seen) < kills and (edge is not None or not places)
            if child(folder, run, rng.uniform(0.1, 0.4) * alone if more else None, edge, seen):
                break
        results.append((folder / run / "done").read_text())
    undisturbed = (folder / "undisturbed" / "done").read_text()
    print(json.dumps({"killed": len(seen), "at": seen, "undisturbed": undisturbed, "results": results}))


if __name__ == "__main__":
    main()
