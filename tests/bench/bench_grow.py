"""Growing the real shapes with random weights: time against copying the target's bytes, memory, disk.

    python tests/bench/bench_grow.py [--pair phi-1|phi-2] [--rounds 2] [--folder DIR]

Each growth in a process of its own (peak memory is its largest resident size), copying the grown file
with fsync beside it in turn. "grow" writes and registers; the proof (logits of both models) is told apart.
Needs some 13 GB of disk for phi-1-small -> phi-1 and 33 GB for phi-1.5 -> phi-2, in DIR.
"""

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

from rows import row

PAIRS = {"phi-1": ("phi-1-small", "phi-1", "tile-exact"), "phi-2": ("phi-1.5", "phi-2", "pad-exact")}


def make_parent(home: Path, recipe: str) -> None:
    """A checkpoint of a real shape with random weights, written tensor by tensor and registered."""
    import torch

    from training import export, model
    from training.growth.grow import header
    from training.growth.rules import tensor_shapes
    from training.recipe import load, shape
    from zoo.digest import write_json
    from zoo.records import About
    from zoo.registry import open_registry

    shaped = shape(load(recipe))
    drawn = torch.Generator().manual_seed(0)

    def write(folder: Path) -> About:
        shapes = tensor_shapes(shaped, 51200)
        with (folder / "model.safetensors").open("wb") as file:
            file.write(header(shapes))
            for name, size in shapes.items():
                base = 1.0 if "layernorm.weight" in name else 0.0
                file.write((base + 0.02 * torch.randn(size, generator=drawn)).numpy().data)
        write_json(folder / "config.json", export.config_json(model.config(shaped, 51200, 50256, 50256)))
        return About(family="random")

    with open_registry() as registry:
        registry.make("parent", write)


def child(recipe: str, method: str) -> None:
    """One growth; prints what it took."""
    import resource

    from training.growth import grow as growing
    from training.growth.rules import Growth
    from training.recipe import load, shape
    from zoo.registry import open_registry

    spent = {"proof": 0.0}
    plain = growing.prove

    def proved(*args: Any) -> Any:
        begun = time.perf_counter()
        found = plain(*args)
        spent["proof"] = time.perf_counter() - begun
        return found

    growing.prove = proved
    growth = Growth(method=method, seed=int(time.time()), noise=0.01 if method == "tile-exact" else 0.0)  # type: ignore[arg-type]
    with open_registry() as registry:
        begun = time.perf_counter()
        made, proof = growing.grow(registry, "parent", recipe, shape(load(recipe)), growth, "grown")
        whole = time.perf_counter() - begun
        file = registry.path(made) / "model.safetensors"
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    told = {"seconds": whole - spent["proof"], "proof": spent["proof"], "peak": peak, "file": str(file)}
    print(json.dumps(told | {"bytes": file.stat().st_size, "digest": made.digest, "largest": proof.largest}))


def disk(home: Path) -> int:
    """Bytes under a folder, each file once however many names it has."""
    found = {}
    for path in home.rglob("*"):
        try:
            told = path.stat()
        except OSError:
            continue
        if path.is_file():
            found[told.st_ino] = told.st_size
    return sum(found.values())


def grown(home: Path, recipe: str, method: str) -> dict[str, Any]:
    """One growth in a process of its own, with the most that its home held meanwhile."""
    before, most, over = disk(home), [0], threading.Event()

    def watch() -> None:
        while not over.wait(0.1):
            most[0] = max(most[0], disk(home) - before)

    watcher = threading.Thread(target=watch)
    watcher.start()
    command = [sys.executable, __file__, "--child", recipe, method]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    over.set()
    watcher.join()
    return {**json.loads(done.stdout), "disk": most[0]}


def copied(file: Path, target: Path) -> float:
    begun = time.perf_counter()
    shutil.copyfile(file, target)
    handle = os.open(target, os.O_RDONLY)
    os.fsync(handle)
    os.close(handle)
    spent = time.perf_counter() - begun
    target.unlink()
    return spent


def main() -> None:
    if sys.argv[1:2] == ["--child"]:
        child(*sys.argv[2:])
        return
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pair", choices=PAIRS, default="phi-1")
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--folder", default=None)
    asked = parser.parse_args()
    parent, recipe, method = PAIRS[asked.pair]
    with tempfile.TemporaryDirectory(dir=asked.folder) as place:
        home = Path(place) / "home"
        os.environ["PHIZOO_HOME"] = str(home)
        make_parent(home, parent)
        ratios = []
        for _ in range(asked.rounds):
            told = grown(home, recipe, method)
            copying = copied(Path(told["file"]), Path(place) / "copy")
            ratios.append(told["seconds"] / copying)
            print(
                f"{parent} -> {recipe} by {method}: {told['bytes'] / 1e9:.2f} GB grown and registered in "
                f"{told['seconds']:.1f} s, copied in {copying:.1f} s: {ratios[-1]:.2f} times; proof {told['proof']:.1f} s,"
                f" logits apart {told['largest']:.1g}; peak memory {told['peak'] / 2**30:.2f} GiB; "
                f"disk {told['disk'] / told['bytes']:.2f} times the target", flush=True,
            )  # fmt: skip
            remove(told["digest"])
        row(
            f"{parent} grown to {recipe} and registered",
            peer="copying the grown file",
            ratios=[1 / ratio for ratio in ratios],
            target="0.5 (twice its time)",
            note=f"peak memory {told['peak'] / 2**30:.2f} GiB of {told['bytes'] / 2**30:.2f} GiB written",
        )
        print(f"median: {statistics.median(ratios):.2f} times the time of copying (target: at most 2)")


def remove(digest: str) -> None:
    """Takes the grown model out again, bytes and all."""
    from zoo.registry import open_registry

    with open_registry() as registry:
        registry.remove(digest)
        registry.gc(most=1.0, grace=0)


if __name__ == "__main__":
    main()
