"""Two processes (FSDP2 over gloo) train as one does, through a stop and a resume."""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from training import parallel
from zoo.errors import ZooError

DRIVER = Path(__file__).with_name("parallel_driver.py")


def trained(folder: Path, processes: int, kind: str = "adamw") -> dict[str, Any]:
    folder.mkdir()
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    started = []
    for rank in range(processes):
        place = {"RANK": str(rank), "LOCAL_RANK": str(rank), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
        environment = {**os.environ, **place, "WORLD_SIZE": str(processes), "OMP_NUM_THREADS": "1"}
        command = [sys.executable, str(DRIVER), str(folder), kind]
        started.append(subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True))
    errors = [process.communicate()[1] for process in started]
    assert [process.returncode for process in started] == [0] * processes, errors
    told: dict[str, Any] = json.loads((folder / "told.json").read_text())
    return told


@pytest.mark.parametrize("kind", ["adamw", "muon", "phi3"])
def test_two_processes_give_the_losses_of_one(tmp_path: Path, kind: str) -> None:
    one, two = trained(tmp_path / "one", 1, kind), trained(tmp_path / "two", 2, kind)
    assert one["stopped"] == two["stopped"] == 7
    assert "resumed after step 7" in two["notes"]
    assert two["losses"] == pytest.approx(one["losses"], abs=1e-4)  # sums in another order, then 12 steps
    assert two["validation"] == pytest.approx(one["validation"], abs=1e-4)
    assert two["norms"] == pytest.approx(one["norms"], rel=1e-3)
    assert two["squares"] == pytest.approx(one["squares"], rel=1e-4)
    assert two["shapes"] == one["shapes"]
    assert two["chosen"] == one["chosen"]
    assert one["states"] == ["optimizer.safetensors", "state.json", "weights.safetensors"]
    assert two["states"] == [".metadata", "__0_0.distcp", "__1_0.distcp", "state.json"]  # each process its own shards


def test_no_gpu_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(ZooError, match="no CUDA device here"):
        parallel.enter("cuda")
    assert parallel.enter("auto").device == "cpu"
