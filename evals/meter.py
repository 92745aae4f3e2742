"""Measures what a run costs: seconds and peak memory, noted in its header beside the engine and the machine.

Tokens are not measured here: every result line has its own. Where another process or machine holds the model (an
endpoint, a server, a Ray worker) memory is not known, and seconds are those of the requests.
"""

import contextlib
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

REMOTE = ("openai_http", "vllm_server")  # engines whose model another process holds


class Meter:
    """What one start of a run took; `cost` is whole once the block has ended."""

    def __init__(self) -> None:
        self.cost: dict[str, float] = {}


@contextlib.contextmanager
def metered(engine: str) -> Iterator[Meter]:
    """Measures the block: its seconds, and the highest memory of this process and of its GPUs in it, in bytes."""
    meter, began = Meter(), time.monotonic()
    _reset_peak()
    try:
        yield meter
    finally:
        meter.cost = {"seconds": round(time.monotonic() - began, 3)}
        if engine not in REMOTE and (peak := _peak_bytes()):
            meter.cost["peak_memory_bytes"] = peak


def add_cost(before: dict[str, float], start: dict[str, float], answers: int) -> dict[str, float]:
    """The cost of a run over several starts.

    answers  lines that this start made; seconds cover only the starts that came to their end, so a rate is
             seconds / answers

    >>> add_cost({"seconds": 2.0, "answers": 5, "peak_memory_bytes": 7}, {"seconds": 1.0, "peak_memory_bytes": 9}, 3)
    {'seconds': 3.0, 'answers': 8, 'peak_memory_bytes': 9}
    """
    if not answers:
        return before
    cost = {"seconds": before.get("seconds", 0) + start["seconds"], "answers": before.get("answers", 0) + answers}
    peak = max(before.get("peak_memory_bytes", 0), start.get("peak_memory_bytes", 0))
    return {**cost, "peak_memory_bytes": peak} if peak else cost


def _cuda() -> Any:
    """torch.cuda, if torch is loaded and has a GPU."""
    torch = sys.modules.get("torch")
    return torch.cuda if torch is not None and torch.cuda.is_available() else None


def _reset_peak() -> None:
    """Begins the peak anew, where the system can (Linux)."""
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
    if cuda := _cuda():
        for device in range(cuda.device_count()):
            cuda.reset_peak_memory_stats(device)


def _peak_bytes() -> int:
    """The peak of this process since the last reset, with that of its GPUs; 0 if unknown."""
    peak = 0
    with contextlib.suppress(OSError, ValueError, StopIteration):
        lines = Path("/proc/self/status").read_text(encoding="ascii", errors="replace").splitlines()
        peak = 1024 * int(next(line for line in lines if line.startswith("VmHWM:")).split()[1])
    if cuda := _cuda():
        peak += sum(cuda.max_memory_allocated(device) for device in range(cuda.device_count()))
    return peak
