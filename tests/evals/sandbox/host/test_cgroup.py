"""Groups are made where that is allowed, limit what they say, and are taken off; elsewhere nothing fails."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from evals.sandbox.host import cgroup

HOLD = "import sys; sys.stdin.read()"


@pytest.fixture
def process() -> "subprocess.Popen[bytes]":
    return subprocess.Popen([sys.executable, "-c", HOLD], stdin=subprocess.PIPE)


def test_a_group_holds_the_process_and_its_limit(process: "subprocess.Popen[bytes]") -> None:
    groups = cgroup.enclose(process.pid, 300 << 20, 50)
    process.communicate(b"")
    if not groups:
        pytest.skip("no control group may be made here")
    limits = [Path(group, name) for group in groups for pair in cgroup.LIMITS.values() for name in pair]
    told = {path.read_text().strip() for path in limits if path.exists()}
    cgroup.remove(groups)
    assert told & {str(300 << 20), "50"}
    assert not any(os.path.exists(group) for group in groups)


def test_a_group_of_a_pool_that_was_killed_is_swept(process: "subprocess.Popen[bytes]", tmp_path: Path) -> None:
    gone, here = tmp_path / f"{cgroup.PREFIX}999999999-1", tmp_path / f"{cgroup.PREFIX}{os.getpid()}-1"
    gone.mkdir()
    here.mkdir()
    cgroup._sweep(str(tmp_path))
    process.communicate(b"")
    assert not gone.exists()
    assert here.exists()


def test_where_nothing_may_be_made_nothing_is(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(cgroup, "find_places", lambda: {"memory": (str(tmp_path / "absent"), 2)})
    assert cgroup.enclose(os.getpid(), 1, 1) == []


def test_version_2_is_looked_for_upward(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "a" / "cgroup.subtree_control").write_text("cpu memory pids\n")
    texts = {"/proc/mounts": f"cgroup2 {tmp_path} cgroup2 rw 0 0\n", "/proc/self/cgroup": "0::/a/b\n"}
    real = cgroup._read
    monkeypatch.setattr(cgroup, "_read", lambda path: texts.get(path) or real(path))
    assert cgroup.find_places() == {"memory": (f"{tmp_path}/a", 2), "pids": (f"{tmp_path}/a", 2)}
