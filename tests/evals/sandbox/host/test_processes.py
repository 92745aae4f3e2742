"""What a tree used: also of children that ended uncounted."""

import os
import signal
import subprocess
import sys
import time

import pytest

from evals.sandbox.host import processes

BURN = (
    "import os, signal, time\nsignal.signal(signal.SIGCHLD, signal.SIG_IGN)\n"
    "if os.fork() == 0:\n    while time.process_time() < 0.3: pass\n    os._exit(0)\ntime.sleep(30)"
)


def test_a_child_whose_end_is_ignored_still_counts() -> None:
    root = subprocess.Popen([sys.executable, "-S", "-c", BURN])
    seen: dict[tuple[int, bytes], float] = {}
    ended = time.monotonic() + 60
    while time.monotonic() < ended:
        usage = processes.tree_usage(root.pid, seen)
        if usage.processes == 1 and len(seen) > 1:
            break
        time.sleep(0.01)
    alone = processes.tree_usage(root.pid)
    root.send_signal(signal.SIGKILL)
    root.wait()
    assert usage.cpu_seconds > 0.2
    assert alone.cpu_seconds < 0.15


def test_children_that_were_waited_for_are_counted_once() -> None:
    burn = "import os, time\nif os.fork() == 0:\n    while time.process_time() < 0.3: pass\n    os._exit(0)\nos.wait()\ntime.sleep(30)"
    root = subprocess.Popen([sys.executable, "-S", "-c", burn])
    seen: dict[tuple[int, bytes], float] = {}
    ended = time.monotonic() + 60
    while time.monotonic() < ended:
        usage = processes.tree_usage(root.pid, seen)
        if usage.processes == 1 and len(seen) > 1:
            break
        time.sleep(0.01)
    root.send_signal(signal.SIGKILL)
    root.wait()
    assert 0.2 < usage.cpu_seconds < 0.5


def _processes_seen(root: "subprocess.Popen[bytes]") -> int:
    """Of a tree that soon has two, in a session of its own; it is ended."""
    ended = time.monotonic() + 60
    while (usage := processes.tree_usage(root.pid)).processes < 2 and time.monotonic() < ended:
        time.sleep(0.01)
    os.killpg(root.pid, signal.SIGKILL)
    root.wait()
    return usage.processes


def test_a_child_of_another_thread_is_counted() -> None:
    """What the kernel tells of children it tells by thread: a look at the main thread's would miss this one."""
    fork = (
        "import os, threading, time\ndef f():\n    if os.fork() == 0:\n        time.sleep(30)\n        os._exit(0)\n"
        "    time.sleep(30)\nthreading.Thread(target=f).start()\ntime.sleep(30)"
    )
    root = subprocess.Popen([sys.executable, "-S", "-c", fork], start_new_session=True)
    assert _processes_seen(root) == 2


def test_one_process_alone_needs_no_look_at_all_others(monkeypatch: pytest.MonkeyPatch) -> None:
    root = subprocess.Popen([sys.executable, "-S", "-c", "import time; time.sleep(30)"])
    monkeypatch.setattr(processes, "_processes", lambda: pytest.fail("looked at every process"))
    ended = time.monotonic() + 60
    while not (usage := processes.tree_usage(root.pid)).resident_bytes and time.monotonic() < ended:
        time.sleep(0.01)  # it has not begun yet
    root.kill()
    root.wait()
    assert usage.processes == 1
    assert usage.resident_bytes > 0


def test_without_lists_of_children_every_process_is_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    """Kernels may be built without /proc/N/task/N/children."""
    listed = os.listdir
    monkeypatch.setattr(os, "listdir", lambda path: ["0"] if "task" in str(path) else listed(path))
    root = subprocess.Popen(["sh", "-c", "sleep 30 & wait"], start_new_session=True)
    assert _processes_seen(root) == 2


def test_a_process_that_is_gone_used_nothing() -> None:
    assert processes.tree_usage(os.getpid() + (1 << 30)).cpu_seconds == 0
