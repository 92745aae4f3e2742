"""Trackers get the numbers of metrics.jsonl, TensorBoard if it is installed and the others if they are asked for."""

import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from training import metrics, trainer
from training.loop import trackers
from training.parallel import World
from zoo.cli.root import run as phizoo

LINE = {"step": 1, "loss": 2.5, "learning_rate": 0.1}


def fake(monkeypatch: pytest.MonkeyPatch, name: str) -> list[tuple[str, Any]]:
    """A module with the three calls that trackio and wandb share; returns the list of the calls."""
    calls: list[tuple[str, Any]] = []
    module = ModuleType(name)
    module.init = lambda **settings: calls.append(("init", settings))  # type: ignore[attr-defined]
    module.log = lambda numbers, step: calls.append(("log", (numbers, step)))  # type: ignore[attr-defined]
    module.finish = lambda: calls.append(("finish", None))  # type: ignore[attr-defined]
    monkeypatch.setattr(trackers, "import_module", {name: module}.__getitem__)
    return calls


def test_tensorboard_gets_the_same_numbers_where_it_is_installed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written: list[tuple[str, float, int]] = []

    class SummaryWriter:
        def __init__(self, folder: str, purge_step: int) -> None:
            assert (folder, purge_step) == (str(tmp_path / "tensorboard"), 0)

        def add_scalar(self, key: str, value: float, step: int) -> None:
            written.append((key, value, step))

        def close(self) -> None:
            written.append(("closed", 0.0, 0))

    module = ModuleType("torch.utils.tensorboard")
    module.SummaryWriter = SummaryWriter  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", module)
    monkeypatch.setattr(trackers, "find_spec", lambda name: name == "tensorboard")
    lines = metrics.Metrics(tmp_path, 0, trackers.open_trackers((), tmp_path, 0, "run", {}))
    lines.add(LINE)
    lines.close()
    assert written == [("loss", 2.5, 1), ("learning_rate", 0.1, 1), ("closed", 0.0, 0)]
    assert metrics.read(tmp_path / "metrics.jsonl") == [LINE]


@pytest.mark.parametrize("name", trackers.ASKED)
def test_a_tracker_gets_every_step_and_the_recipe(small_job: Any, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    import dataclasses

    calls = fake(monkeypatch, name)
    job = dataclasses.replace(small_job("run"), track=(name,))
    trainer.train(job, World(0, 1, "cpu"))
    (_, settings), *logged, (last, _) = calls
    assert settings["project"] == "phizoo"
    assert settings["resume"] == "allow"  # a resumed run goes on in the same place
    assert settings["config"]["training"]["steps"] == 12
    assert ("id" in settings) == (name == "wandb")
    assert last == "finish"
    lines = metrics.read(job.folder / "metrics.jsonl")
    expected = [({key: value for key, value in line.items() if key != "step"}, line["step"]) for line in lines]
    assert [call for _, call in logged] == expected
    assert len(logged) == 12


def test_a_tracker_that_is_not_installed_is_refused_before_the_first_step(
    registered_tokens: Any, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    registered_tokens("tiny-tokens")
    monkeypatch.setattr(trackers, "find_spec", lambda _: None)
    assert phizoo(["train", "run", "phi-1-small-tiny", "--track", "trackio"]) == 2
    assert "trackio is not installed; install it with: pip install trackio" in capsys.readouterr().err
