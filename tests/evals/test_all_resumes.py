"""The whole suite killed in the middle and started again: what was done stays, the rest comes out the same."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from evals.evidence import differences
from evals.folder import read_results

# suite:all over three tasks of two kinds, few samples each, in a process that can be killed
DRIVER = """
import importlib, sys
import msgspec
from evals.tasks import TASKS
from zoo import cli
kept = {"copa": 24, "trivia_qa": 4, "piqa": 40}
for name in [name for name in TASKS if name not in kept]:
    del TASKS[name]
for name, count in kept.items():
    protocols = importlib.import_module(TASKS[name]).PROTOCOLS
    first, whole = next(iter(protocols.items()))
    few = list(whole.samples())[:count]
    protocols[first] = msgspec.structs.replace(whole, samples=lambda few=few: few, size=count)
sys.exit(cli.run(sys.argv[1:]))
"""
WORDS = ["eval", "run", "tiny", "--tasks", "suite:all", "--batch", "1"]


def started(home: Path, words: list[str]) -> "subprocess.Popen[bytes]":
    environment = {**os.environ, "PHIZOO_HOME": str(home), "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(
        [sys.executable, "-c", DRIVER, *words], env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )


def lines(home: Path) -> dict[str, bytes]:
    return {path.parent.name: path.read_bytes() for path in home.glob("runs/*/results.jsonl")}


def done(home: Path) -> int:
    return sum(text.count(b"\n") for text in lines(home).values())


def test_all_killed_in_the_middle_goes_on_and_ends_the_same(tiny_phi: Path, tmp_path: Path) -> None:
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    for home in (whole, broken):
        assert started(home, ["models", "add", str(tiny_phi), "--name", "tiny"]).wait() == 0
    assert started(whole, WORDS).wait() == 0
    assert done(whole) == 68
    running = started(broken, WORDS)
    limit = time.monotonic() + 120
    while done(broken) < 30 and running.poll() is None and time.monotonic() < limit:
        time.sleep(0.002)
    running.send_signal(signal.SIGKILL)
    assert running.wait() == -signal.SIGKILL
    before = lines(broken)
    assert 30 <= done(broken) < 68
    assert started(broken, WORDS).wait() == 0
    after = lines(broken)
    for run, text in before.items():  # what was flushed is not made again
        kept = text[: text.rfind(b"\n") + 1].splitlines()
        assert set(kept) <= set(after[run].splitlines())
    assert after.keys() == lines(whole).keys()
    for run in after:
        path = Path("runs") / run / "results.jsonl"
        assert differences(read_results(whole / path), read_results(broken / path)) == []
