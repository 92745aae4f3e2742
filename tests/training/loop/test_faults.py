"""Two processes end together, and in one line, when something goes wrong in one of them; none waits for ever."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

DRIVER = Path(__file__).with_name("fault_driver.py")


def ended(folder: Path, fault: str, limit_seconds: float = 120) -> tuple[list[int], list[str]]:
    """Exit codes and lines of both processes, by rank. Fails if they do not end."""
    folder.mkdir(exist_ok=True)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    started = []
    for rank in range(2):
        place = {"RANK": str(rank), "LOCAL_RANK": str(rank), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
        environment = {**os.environ, **place, "WORLD_SIZE": "2", "OMP_NUM_THREADS": "1"}
        command = [sys.executable, str(DRIVER), str(folder), fault]
        started.append(subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True))
    try:
        errors = [process.communicate(timeout=limit_seconds)[1] for process in started]
    finally:
        for process in started:
            process.kill()
            process.wait()
    lines = [line for error in errors for line in error.splitlines() if line.startswith("phizoo:")]
    assert not any("Traceback" in error for error in errors), errors
    return [process.returncode for process in started], lines


@pytest.mark.parametrize(
    ("fault", "says"),
    [
        ("scores", "the task's data are gone"),
        ("metrics", "No space left on device"),
        ("state", "No space left on device"),
        ("read", "dataset a cannot be read"),
    ],
)
def test_an_error_in_one_process_ends_both_with_one_line(tmp_path: Path, fault: str, says: str) -> None:
    codes, lines = ended(tmp_path / "run", fault)
    assert codes == [2, 2]
    assert len(lines) == 1
    assert says in lines[0]


def test_a_spike_stops_two_processes_saves_and_comes_again(tmp_path: Path) -> None:
    for _ in range(2):  # the second time from the saved state
        codes, lines = ended(tmp_path / "run", "spike")
        assert codes == [2, 2]
        assert len(lines) == 1
        assert "the loss spiked from" in lines[0]
        assert "at step 61; stopped before it touched the weights" in lines[0]
        assert "Repeat it: phizoo train run faulty;" in lines[0]
        saved = sorted(path.name for path in (tmp_path / "run" / "states" / "00000060").iterdir())
        assert saved == [".metadata", "__0_0.distcp", "__1_0.distcp", "state.json"]
        assert len(list((tmp_path / "run").glob("batch-00000060-*.npz"))) == 2


def test_a_hung_run_ends_with_its_reason(tmp_path: Path) -> None:
    codes, lines = ended(tmp_path / "run", "hang")
    assert 2 in codes
    assert codes[0] == 2
    assert lines[0].startswith("phizoo: the run hung: no step for ")
    assert "process 0 in step 6, process 1 in step 6" in lines[0]
    assert lines[0].endswith("the same command resumes it: phizoo train run faulty")


def test_a_process_that_dies_does_not_leave_the_other_waiting(tmp_path: Path) -> None:
    codes, lines = ended(tmp_path / "run", "die")
    assert codes == [2, -9]
    assert len(lines) == 1
    assert "lost another process" in lines[0]
