"""A run that other processes began is named with the command that goes on, and nothing on disk changes."""

import json
import os
import shlex
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from training import run as running
from training.begun import check_begun
from zoo import settings
from zoo.cli.root import run as phizoo
from zoo.digest import file_sha256
from zoo.errors import ZooError

QUICK = ("training.steps=8", "validation.every_steps=0", "states.every_seconds=0.0", "states.every_steps=2")
BIN = Path(sys.executable).parent


@pytest.fixture
def tiny(registered_tokens: Any) -> Any:
    """The registered data of the tiny recipes."""
    return registered_tokens("tiny-tokens")


def snapshot() -> dict[str, str]:
    """Every file below the training folder, with its digest and time."""
    files = [path for path in sorted(settings.training_dir().rglob("*")) if path.is_file()]
    return {str(path): f"{file_sha256(path)} {path.stat().st_mtime_ns}" for path in files}


def words(stop: int | None = None) -> list[str]:
    line = ["train", "run", "phi-1-small-tiny", "--device", "cpu"]
    line += [part for override in QUICK for part in ("--set", override)]
    return [*line, "--stop-after", str(stop)] if stop else line


def torchrun(processes: int, *line: str) -> "subprocess.CompletedProcess[str]":
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    start = [str(BIN / "torchrun"), "--nproc-per-node", str(processes), "--master-addr", "127.0.0.1"]
    start += ["--master-port", port, "--no-python"]
    given = {**os.environ, "OMP_NUM_THREADS": "1", "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}"}
    return subprocess.run([*start, str(BIN / "phizoo"), *line], env=given, capture_output=True, text=True, timeout=400)


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.usefixtures("tiny")
def test_two_processes_to_one_and_back(capsys: pytest.CaptureFixture[str]) -> None:
    begun = torchrun(2, *words(stop=4))
    assert begun.returncode == 0 and "stopped after step 4 of 8" in begun.stdout, begun.stderr
    before = snapshot()
    assert phizoo(words()) == 2
    told = capsys.readouterr().err
    assert told.count("\n") == 1 and "processes: 2 -> 1" in told and snapshot() == before
    going_on = told.partition("It goes on with: ")[2].partition(" (or begin")[0]
    assert going_on.startswith("torchrun --nproc-per-node 2 --no-python phizoo train run phi-1-small-tiny")
    done = torchrun(2, *shlex.split(going_on)[5:], "--device", "cpu")
    assert done.returncode == 0 and "resumed after step 4" in done.stdout and "registered" in done.stdout


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.usefixtures("tiny")
def test_one_process_to_two() -> None:
    assert phizoo(words(stop=2)) == 0
    before = snapshot()
    told = torchrun(2, *words())
    assert told.returncode != 0 and snapshot() == before
    assert "processes: 1 -> 2" in told.stderr and "It goes on with: phizoo train run phi-1-small-tiny" in told.stderr
    assert "training/run.py" not in told.stderr  # the only traceback is torchrun's own
    assert phizoo(words()) == 0


@pytest.mark.usefixtures("tiny")
@pytest.mark.parametrize("chosen", [False, True])
def test_a_run_is_known_by_its_states_wherever_they_are(chosen: bool) -> None:
    folder = settings.training_dir() / "mine" if chosen else None
    running.run("phi-1-small-tiny", QUICK, folder=folder, device="cpu", stop_after=2, say=lambda _: None)
    (file,) = settings.training_dir().glob("*/run.json")
    identity = json.loads(file.read_text())["identity"]
    before = snapshot()
    for processes in (2, 4):
        place = file.parent if chosen else settings.training_dir() / "elsewhere"
        with pytest.raises(ZooError, match=rf"^processes: 1 -> {processes}; .* It goes on with: 1 of them"):
            check_begun({**identity, "processes": processes}, place, chosen, lambda was: f"{was} of them")
    check_begun(identity, file.parent, chosen, str)
    if chosen:  # another recipe in it: told before run.json is written
        with pytest.raises(ZooError, match=r"holds another run: recipe\.training\.seed"):
            running.run("phi-1-small-tiny", (*QUICK, "training.seed=7"), folder=folder, say=lambda _: None)
    assert snapshot() == before
    assert running.run("phi-1-small-tiny", QUICK, folder=folder, device="cpu", say=lambda _: None) is not None


@pytest.mark.usefixtures("tiny")
def test_another_run_of_another_recipe_is_no_hindrance() -> None:
    running.run("phi-1-small-tiny", QUICK, device="cpu", stop_after=2, say=lambda _: None)
    other = (*QUICK, "training.seed=7")
    assert running.run("phi-1-small-tiny", other, device="cpu", stop_after=2, say=lambda _: None) is None
