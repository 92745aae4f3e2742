"""One process of a small sharded run in which something goes wrong in one process. Usage: FOLDER FAULT

spike: a batch that nobody has seen; scores, metrics, state: an error in the first process alone; read: an error in the
last one; hang: the last process never comes to step 6; die: it is killed there.
"""

import errno
import json
import os
import signal
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch

from training import metrics, model, parallel, state, trainer
from training.data.tokens.loader import Loader, open_tokens
from training.recipe import from_plain
from zoo.errors import ZooError

RECIPE = {
    "name": "faulty",
    "model": {"layers": 1, "width": 32, "heads": 2, "mlp": 64, "rotary_dim": 8, "context_tokens": 64},
    "data": {"sources": [{"name": "a"}], "sequence_tokens": 16},
    "training": {"steps": 70, "batch_sequences": 4, "spike_nats": 0.5},
    "schedule": {"kind": "linear", "peak_learning_rate": 3e-3, "warmup_steps": 2},
    "states": {"every_seconds": 0.0, "every_steps": 5, "hang_seconds": 600.0},
    "evaluation": {"every_steps": 4},
}


def full_disk(*_: Any, **__: Any) -> None:
    raise OSError(errno.ENOSPC, "No space left on device", "somewhere")


def break_something(fault: str, world: parallel.World) -> None:
    """Breaks this process's part of the run in the way that `fault` says."""
    whole, last = Loader.batch_at, world.rank == world.size - 1

    def strange(self: Loader, step: int, rank: int = 0, size: int = 1) -> Any:
        batch = whole(self, step, rank, size)
        if fault == "spike" and step == 60:
            batch.targets_BT[:] = 49
        if fault == "hang" and step == 5 and last:
            time.sleep(3600)
        if fault == "die" and step == 5 and last:
            os.kill(os.getpid(), signal.SIGKILL)
        return batch

    Loader.batch_at = strange  # type: ignore[method-assign]
    if fault == "metrics" and world.first:
        metrics.Metrics.add = full_disk  # type: ignore[method-assign]
    if fault == "state" and world.first:
        state.Keeper.publish = full_disk  # type: ignore[method-assign]
    if fault == "read" and last:
        open_tokens(Path("nowhere"), "a", "a")


def score(_step: int, _weights: Any) -> dict[str, float]:
    raise ZooError("the task's data are gone")


def train(folder: Path, fault: str, world: parallel.World) -> None:
    recipe = from_plain({**RECIPE, "states": {**RECIPE["states"], "hang_seconds": 30.0 if fault == "hang" else 600.0}})  # type: ignore[dict-item]
    assert recipe.model is not None

    def prepare() -> trainer.TrainJob:
        break_something(fault, world)
        assert recipe.model is not None
        return trainer.TrainJob(
            recipe, model.config(recipe.model, 50, 0, 0), [open_tokens(folder, "a", "a")], folder, {},
            command="phizoo train run faulty", score=score if fault == "scores" and world.first else None,
        )  # fmt: skip

    trainer.train(parallel.together(world, prepare), world)


def main() -> None:
    folder, fault = Path(sys.argv[1]), sys.argv[2]
    torch.set_num_threads(1)
    world = parallel.enter("cpu")
    if world.first:
        ids = np.random.default_rng(0).integers(1, 6, 2000).astype("<u2")
        ids.tofile(folder / "tokens.bin")
        listed = [{"file": "tokens.bin", "tokens": 2000, "sha256": ""}]
        listing = {"eos": 0, "vocabulary": 50, "shards": listed, "validation": listed}
        (folder / "shards.json").write_text(json.dumps(listing))
    parallel.sum_over_processes(world, 0.0)
    try:
        train(folder, fault, world)
    except (ZooError, OSError) as error:
        print(f"phizoo: {error}", file=sys.stderr)
        raise SystemExit(2) from None
    except RuntimeError as error:
        if not parallel.lost(error):
            raise
        print(f"phizoo: process {world.rank} lost another process", file=sys.stderr)
        raise SystemExit(2) from None
    finally:
        parallel.leave(world)


if __name__ == "__main__":
    main()
