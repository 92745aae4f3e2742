"""Which core a worker is kept on, and that the kernel gets to choose it again."""

import os
import subprocess
import sys
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evals.sandbox import Program, Sandbox, open_sandbox
from evals.sandbox.host.cores import FREE_SECONDS, KEPT_SECONDS, Cores, choose_cores
from evals.sandbox.host.processes import last_core

needs_two = pytest.mark.skipif(len(os.sched_getaffinity(0)) < 2, reason="one core: nothing to choose")


@given(st.sets(st.integers(0, 20), min_size=1), st.lists(st.integers(-1, 25)))
def test_each_worker_has_a_core_of_its_own(cores: set[int], found: list[int]) -> None:
    every = sorted(cores)
    found = found[: len(every)]
    kept = choose_cores(found, every)
    assert len(kept) == len(found) == len(set(kept))
    assert set(kept) <= cores
    firsts = {core: number for number, core in reversed(list(enumerate(found)))}
    assert all(kept[number] == core for core, number in firsts.items() if core in cores), "moved without need"


@pytest.fixture
def sleeper() -> Iterator[int]:
    with subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"]) as process:
        yield process.pid
        process.kill()


@needs_two
def test_a_worker_is_kept_freed_and_kept_again(sleeper: int) -> None:
    cores, every, now = Cores(), os.sched_getaffinity(0), 100.0
    cores.turn([[sleeper]], now)
    assert os.sched_getaffinity(sleeper) == every  # the kernel chooses first
    for _ in range(2):
        now += FREE_SECONDS / 2
        cores.turn([[sleeper]], now)
        assert os.sched_getaffinity(sleeper) == every
        now += FREE_SECONDS
        cores.turn([[sleeper]], now)
        assert os.sched_getaffinity(sleeper) == {last_core(sleeper)}
        now += KEPT_SECONDS / 2
        cores.turn([[sleeper]], now)
        assert len(os.sched_getaffinity(sleeper)) == 1
        now += KEPT_SECONDS
        cores.turn([[sleeper]], now)
        assert os.sched_getaffinity(sleeper) == every


@needs_two
def test_more_workers_than_cores_are_left_alone(sleeper: int) -> None:
    cores, every = Cores(), os.sched_getaffinity(0)
    for now in (1.0, 3.0, 5.0):
        cores.turn([[sleeper]] * (len(every) + 1), now)
        assert os.sched_getaffinity(sleeper) == every


def test_a_process_that_is_gone_does_not_matter() -> None:
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        process.wait()
    cores = Cores()
    for now in (1.0, 3.0, 5.0):
        cores.turn([[process.pid]], now)
    assert last_core(process.pid) == -1


@needs_two
def test_workers_that_run_are_on_cores_of_their_own(sandbox: Sandbox) -> None:
    """Seen from outside while programs run for longer than a worker is free."""
    busy = "    s = 0\n    for i in range(n):\n        s += i\n    return s\n"
    program = Program(
        id="busy", prompt="def f(n):\n", completion=busy, test="def check(f):\n    assert f(3_000_000) > 0\n",
        entry_point="f", timeout_seconds=30.0,
    )  # fmt: skip
    with open_sandbox(workers=2) as opened:
        slots = opened.slots
        seen = []
        for verdict in opened.run([program] * 12):
            assert verdict.verdict == "passed"
            seen.append([os.sched_getaffinity(slot.worker.zygote_process.pid) for slot in slots])
    kept = [pair for pair in seen if all(len(one) == 1 for one in pair)]
    assert kept
    assert all(one.isdisjoint(other) for one, other in kept)
