"""The GPUs of this machine, and the data sheets of those that models are served on."""

import os
import subprocess
from pathlib import Path

from zoo.records import Record


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


MARGIN_PERCENT = 3  # of the whole memory: what the driver and this process's own context take


def count() -> int:
    """How many NVIDIA GPUs this machine has, without asking a driver or importing torch."""
    return len(list(Path("/dev").glob("nvidia[0-9]*")))


def share(table: str, visible: str | None = None) -> float | None:
    """The share of a GPU's memory that an engine may ask for: what is free on the fullest, less a margin, 0.9 at most.

    vLLM refuses to start where less is free than it was told to take, as beside a desktop or another model.
    table    lines "number, MiB in all, MiB free", as nvidia-smi writes them
    visible  CUDA_VISIBLE_DEVICES; the others are not looked at
    Returns  None where the table tells of no GPU, or of a full one

    >>> table = "0, 81559, 81079\\n1, 24564, 20000"
    >>> share(table), share(table, "0"), share("0, 100, 1"), share("")
    (0.78, 0.9, None, None)
    """
    rows = [line.split(",") for line in table.splitlines() if line.count(",") == 2]
    wanted = (visible or "").split(",")
    rows = [row for row in rows if row[0].strip() in wanted] or rows
    found = [float(free) / float(whole) for _, whole, free in rows]
    left = int(100 * min(found, default=0.0) - MARGIN_PERCENT) / 100
    return min(0.9, left) if left > 0 else None


def free_share() -> float | None:
    """`share` of this machine's GPUs now; None where nvidia-smi does not answer."""
    ask = ["nvidia-smi", "--query-gpu=index,memory.total,memory.free", "--format=csv,noheader,nounits"]
    try:
        told = subprocess.run(ask, capture_output=True, text=True, timeout=20, check=True).stdout
        return share(told, os.environ.get("CUDA_VISIBLE_DEVICES"))
    except (OSError, ValueError, subprocess.SubprocessError):
        return None
