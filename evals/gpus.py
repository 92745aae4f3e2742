"""The GPUs of this machine, and the data sheets of those that models are served on."""

from pathlib import Path

from zoo.checkpoint import Record


class Gpu(Record, frozen=True):
    """A GPU's data sheet: dense bf16 FLOP/s, bytes/s of its memory, bytes of it."""

    flops: float
    bandwidth: float
    memory: float


GPUS = {
    "A100": Gpu(312e12, 2.04e12, 80e9),
    "H100": Gpu(989e12, 3.35e12, 80e9),
    "H200": Gpu(989e12, 4.8e12, 141e9),
}


def count() -> int:
    """How many NVIDIA GPUs this machine has, without asking a driver or importing torch."""
    return len(list(Path("/dev").glob("nvidia[0-9]*")))
