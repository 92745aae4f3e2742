"""How long `add` of a large checkpoint takes, beside `sha256sum` and `cp` of the same bytes, interleaved.

    python tests/bench/bench_add.py [--gib 2] [--rounds 3] [--folder /somewhere/on/the/disk]

The goal is 1.3 times the time of sha256sum, plus cp where a copy is needed (no copy-on-write disk).
The page cache is warm for all: the file was just written.
"""

import argparse
import json
import os
import shutil
import statistics
import struct
import subprocess
import tempfile
import time
from pathlib import Path

from rows import row

from zoo.published.phi_variants import phi_shapes
from zoo.registry import open_registry


def large_phi(folder: Path, gib: float) -> None:
    """A Phi of one layer whose embeddings fill the wanted size."""
    folder.mkdir()
    vocabulary = int(gib * 2**30 / 2 / 4 / 256)
    config = {
        "model_type": "phi", "hidden_size": 256, "intermediate_size": 1024, "num_hidden_layers": 1,
        "num_attention_heads": 4, "vocab_size": vocabulary, "max_position_embeddings": 2048,
    }  # fmt: skip
    (folder / "config.json").write_text(json.dumps(config))
    header, at = {}, 0
    for name, shape in phi_shapes(config).items():
        size = 4
        for length in shape:
            size *= length
        header[name] = {"dtype": "F32", "shape": list(shape), "data_offsets": [at, at + size]}
        at += size
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    block = os.urandom(1 << 20)
    with (folder / "model.safetensors").open("wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        while at > 0:
            file.write(block[: min(at, len(block))])
            at -= len(block)


def timed(call: object) -> float:
    """How long a call takes, in seconds, with nothing left to be written from before."""
    os.sync()
    began = time.perf_counter()
    call()  # type: ignore[operator]
    return time.perf_counter() - began


def main() -> None:
    """Prints the times and their ratio."""
    options = argparse.ArgumentParser()
    options.add_argument("--gib", type=float, default=2.0)
    options.add_argument("--rounds", type=int, default=3)
    options.add_argument("--folder")
    given = options.parse_args()
    times: dict[str, list[float]] = {"sha256sum": [], "cp and sync": [], "cp": [], "add": []}
    with tempfile.TemporaryDirectory(dir=given.folder) as place:
        source = Path(place, "model")
        large_phi(source, given.gib)
        weights, copy = source / "model.safetensors", Path(place, "copy")
        for _ in range(given.rounds):
            times["sha256sum"].append(
                timed(lambda: subprocess.run(["sha256sum", weights], stdout=subprocess.DEVNULL, check=True))
            )
            times["cp"].append(timed(lambda: subprocess.run(["cp", "--reflink=never", weights, copy], check=True)))
            copy.unlink()
            times["cp and sync"].append(
                timed(
                    lambda: subprocess.run(
                        f"cp --reflink=never {weights} {copy} && sync {copy}", shell=True, check=True
                    )
                )
            )
            copy.unlink()
            home = Path(place, "home")  # of this turn alone: a store belongs to its database
            with open_registry(f"sqlite:///{home}/zoo.db", f"{home}/store") as registry:
                times["add"].append(timed(lambda: registry.add(source, "large")))
            shutil.rmtree(home)
        told = {name: statistics.median(found) for name, found in times.items()}
        for name, seconds in told.items():
            print(f"{name}: {seconds:.2f} s")
        print(f"add / (sha256sum + cp): {told['add'] / (told['sha256sum'] + told['cp']):.2f} (goal 1.3)")
        for peer, wanted in (("cp", "0.77 (1.3 times their time)"), ("cp and sync", "")):
            turns = zip(times["add"], times["sha256sum"], times[peer], strict=True)
            row(
                f"adding a checkpoint of {given.gib:g} GiB",
                peer=f"sha256sum + {peer}",
                ratios=[(one + two) / mine for mine, one, two in turns],
                figure=f"{told['add']:.2f} s",
                target=wanted,
            )
        print(f"add / (sha256sum + cp and sync): {told['add'] / (told['sha256sum'] + told['cp and sync']):.2f}")


if __name__ == "__main__":
    main()
