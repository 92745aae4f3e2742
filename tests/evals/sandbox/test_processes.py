"""What a tree used: also of children that ended uncounted."""

import os
import signal
import subprocess
import sys
import time

from evals.sandbox import processes

BURN = (
    "import os, signal, time\nsignal.signal(signal.SIGCHLD, signal.SIG_IGN)\n"
    "if os.fork() == 0:\n    while time.process_time() < 0.3: pass\n    os._exit(0)\ntime.sleep(30)"
)


def test_a_child_whose_end_is_ignored_still_counts() -> None:
    root = subprocess.Popen([sys.executable, "-S", "-c", BURN])
    seen: dict[tuple[int, bytes], float] = {}
    ended = time.monotonic() + 60
    while time.monotonic() < ended:
        usage = processes.tree(root.pid, seen)
        if usage.processes == 1 and len(seen) > 1:
            break
        time.sleep(0.01)
    alone = processes.tree(root.pid)
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
        usage = processes.tree(root.pid, seen)
        if usage.processes == 1 and len(seen) > 1:
            break
        time.sleep(0.01)
    root.send_signal(signal.SIGKILL)
    root.wait()
    assert 0.2 < usage.cpu_seconds < 0.5


def test_a_process_that_is_gone_used_nothing() -> None:
    assert processes.tree(os.getpid() + (1 << 30)).cpu_seconds == 0
