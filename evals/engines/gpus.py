"""The GPUs of this machine, and the data sheets of those that models are trained and served on."""

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


MARGIN_PERCENT = 3  # of the whole memory: the driver and this process's own context need it


def count() -> int:
    """Counts this machine's NVIDIA GPUs without a driver and without torch."""
    return len(list(Path("/dev").glob("nvidia[0-9]*")))


def usable_share(table: str, visible: str | None = None) -> float | None:
    """The fraction of GPU memory to request: the smallest free share minus a margin, at most 0.9.

    vLLM refuses to start if less is free than it requests, as beside a desktop or another model.
    table    lines "number, MiB in all, MiB free", as nvidia-smi writes them
    visible  CUDA_VISIBLE_DEVICES; other GPUs are ignored
    Returns  None if the table has no GPU, or a full one

    >>> table = "0, 81559, 81079\\n1, 24564, 20000"
    >>> usable_share(table), usable_share(table, "0"), usable_share("0, 100, 1"), usable_share("")
    (0.78, 0.9, None, None)
    """
    rows = [line.split(",") for line in table.splitlines() if line.count(",") == 2]
    numbers = (visible or "").split(",")
    rows = [row for row in rows if row[0].strip() in numbers] or rows
    free_shares = [float(free) / float(whole) for _, whole, free in rows]
    usable = int(100 * min(free_shares, default=0.0) - MARGIN_PERCENT) / 100
    return min(0.9, usable) if usable > 0 else None


def free_share() -> float | None:
    """`usable_share` of this machine's GPUs now; None if nvidia-smi does not answer."""
    ask = ["nvidia-smi", "--query-gpu=index,memory.total,memory.free", "--format=csv,noheader,nounits"]
    try:
        table = subprocess.run(ask, capture_output=True, text=True, timeout=20, check=True).stdout
        return usable_share(table, os.environ.get("CUDA_VISIBLE_DEVICES"))
    except (OSError, ValueError, subprocess.SubprocessError):
        return None
