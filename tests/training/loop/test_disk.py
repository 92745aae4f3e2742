"""A full disk is one line, leaves no half state, and the same command goes on once there is space."""

from pathlib import Path
from typing import Any

import pytest
from safetensors import SafetensorError

from training import run as running
from training import state
from zoo.cli.root import run as phizoo
from zoo.registry import open_registry

STEPS = ("training.steps=12", "states.every_seconds=0.0", "states.every_steps=3", "validation.every_steps=0")
WORDS = [word for override in STEPS for word in ("--set", override)]


class Disk:
    """Counts the writes of tensors and refuses those of some."""

    def __init__(self, full: set[int], real: Any) -> None:
        self.full, self.real, self.count = full, real, 0

    def __call__(self, tensors: Any, path: Any, metadata: Any = None) -> None:
        self.count += 1
        if self.count in self.full:
            Path(path).write_bytes(b"half")
            raise SafetensorError("Error while serializing: I/O error: No space left on device (os error 28)")
        self.real(tensors, path, metadata=metadata)


@pytest.mark.parametrize("full", [3, 9], ids=["a state", "the checkpoint"])
def test_a_full_disk_is_one_line_and_the_same_command_goes_on(
    registered_tokens: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], full: int
) -> None:
    import safetensors.torch

    registered_tokens("tiny-tokens")
    disk = Disk({full}, safetensors.torch.save_file)
    monkeypatch.setattr(safetensors.torch, "save_file", disk)
    assert phizoo(["train", "run", "phi-1-small-tiny", *WORDS]) == 2
    error = [line for line in capsys.readouterr().err.splitlines() if line.startswith("phizoo:")]
    assert len(error) == 1
    assert "the disk is full: " in error[0]
    assert "free some space and type the same command, which goes on from there" in error[0]
    places = list(running.training_dir().glob("*/states/*"))
    assert places
    assert not [path for path in places if path.name.startswith(".")]  # no half state is in the way
    assert phizoo(["train", "run", "phi-1-small-tiny", *WORDS]) == 0
    assert "resumed after step" in capsys.readouterr().out
    disk.full.clear()
    running.run("phi-1-small-tiny", STEPS, name="whole", say=lambda _: None)
    with open_registry() as registry:
        assert registry.get("phi-1-small-tiny").digest == registry.get("whole").digest


def test_other_errors_of_safetensors_stay_what_they_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import safetensors.torch

    def broken(*_: Any, **__: Any) -> None:
        raise SafetensorError("a bug")

    monkeypatch.setattr(safetensors.torch, "save_file", broken)
    with pytest.raises(SafetensorError, match="a bug"):
        state.save_tensors({}, tmp_path / "x")
