"""The whole suite killed again and again: what was done stays, the rest comes out the same, of every kind of task.

`tests/bench/soak_all.py` does the same with every task of the suite and random moments.
"""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from evals.results.reproduce import differences
from evals.run_folder import read_results
from evals.sandbox import open_sandbox
from zoo.cli import root
from zoo.registry import open_registry

# suite:all over a task of each kind with few samples, in a process that can be killed: choices, written answers,
# programs in the sandbox, the last two with two draws of each sample
DRIVER = """
import importlib, sys
import msgspec
from evals.sandbox import selftest
from evals.tasks import TASKS
from zoo.cli import root as cli
selftest.require = lambda tier, workers=None: None  # eight seconds a home; tests/evals/sandbox runs it for real
kept = {"copa": 16, "trivia_qa": 4, "mini_exercises": 5}
for name in [name for name in TASKS if name not in kept]:
    del TASKS[name]
for name, count in kept.items():
    protocols = importlib.import_module(TASKS[name]).PROTOCOLS
    first, whole = next(iter(protocols.items()))
    few = list(whole.samples())[:count]
    short = msgspec.structs.replace(whole.decoding, max_tokens=24)
    protocols[first] = msgspec.structs.replace(whole, samples=lambda few=few: few, size=count, decoding=short)
if __name__ == "__main__":
    sys.exit(cli.run(sys.argv[1:]))
"""
WORDS = ["eval", "run", "tiny", "--task", "suite:all", "--batch", "1", "--draws", "2", "--temperature", "0.8"]
TEXTS = 2 * 4 + 2 * 5
RESULTS = 16 + TEXTS


def started(home: Path, words: list[str]) -> "subprocess.Popen[bytes]":
    environment = {**os.environ, "PHIZOO_HOME": str(home), "OMP_NUM_THREADS": "1"}
    home.mkdir(exist_ok=True)
    driver = home / "driver.py"  # a file, since the sandbox's workers start from it
    driver.write_text(DRIVER)
    with (home / "log").open("ab") as log:
        return subprocess.Popen([sys.executable, str(driver), *words], env=environment, stdout=log, stderr=log)


def lines(home: Path, name: str) -> dict[str, list[bytes]]:
    """The whole lines that stand in each run's file."""
    found = {path.parent.name: path.read_bytes() for path in home.glob(f"runs/*/{name}.jsonl")}
    return {run: text[: text.rfind(b"\n") + 1].splitlines() for run, text in found.items()}


def count(home: Path, name: str, kind: str = "") -> int:
    return sum(kind.encode() in line for some in lines(home, name).values() for line in some)


def killed(home: Path, reached: Callable[[], bool]) -> None:
    """Starts the suite and kills it as soon as it is that far."""
    running = started(home, WORDS)
    limit = time.monotonic() + 120
    while not reached() and running.poll() is None and time.monotonic() < limit:
        time.sleep(0.002)
    running.send_signal(signal.SIGKILL)
    assert running.wait() == -signal.SIGKILL, (home / "log").read_text()[-2000:]


def scores(home: Path) -> list[tuple[object, ...]]:
    with open_registry(f"sqlite:///{home / 'zoo.db'}", str(home / "store")) as registry:
        return sorted((s.task, s.metric, s.value, s.low, s.high, s.n, s.unscored) for s in registry.scores())


def test_all_killed_in_every_kind_of_task_goes_on_and_ends_the_same(
    tiny_phi: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with open_sandbox():  # fails here, with what is missing, where nothing can be isolated
        pass
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    monkeypatch.setenv("PHIZOO_HOME", str(whole))
    assert root.run(["models", "add", str(tiny_phi), "--name", "tiny"]) == 0
    shutil.copytree(whole, broken)
    assert started(whole, WORDS).wait() == 0, (whole / "log").read_text()[-2000:]
    assert count(whole, "results") == RESULTS
    moments: list[tuple[str, Callable[[], bool]]] = [
        ("choices", lambda: count(broken, "results", "copa") >= 5),
        ("written answers", lambda: count(broken, "generations", "trivia_qa") >= 3),
        ("programs", lambda: count(broken, "generations", "mini_exercises") >= 4),
    ]
    for kind, reached in moments:
        before = {name: lines(broken, name) for name in ("generations", "results")}
        killed(broken, reached)
        _kept(broken, before, kind)
    assert count(broken, "results") < RESULTS
    assert count(broken, "generations") < TEXTS
    before = {name: lines(broken, name) for name in ("generations", "results")}
    assert started(broken, WORDS).wait() == 0, (broken / "log").read_text()[-2000:]
    _kept(broken, before, "the last start")
    assert count(broken, "generations") == count(whole, "generations") == TEXTS  # none was made twice
    after = lines(broken, "results")
    assert after.keys() == lines(whole, "results").keys()
    assert len(after) == 3
    for run in after:
        path = Path("runs") / run / "results.jsonl"
        assert differences(read_results(whole / path), read_results(broken / path)) == []
    assert scores(broken) == scores(whole)


def _kept(home: Path, before: dict[str, dict[str, list[bytes]]], when: str) -> None:
    """What was flushed before a start stands there after it: nothing is made again."""
    for name, runs in before.items():
        now = lines(home, name)
        for run, some in runs.items():
            assert set(some) <= set(now[run]), (when, name)
