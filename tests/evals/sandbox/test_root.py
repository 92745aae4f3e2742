"""The root that programs see: made beside the machine's folders, never in them."""

import os
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

from evals.sandbox import Program, Sandbox, open_sandbox
from evals.sandbox.host import worker
from evals.sandbox.host.worker import launch_config

MAKE = (
    "import os, sys\nsys.path.insert(0, sys.argv[1])\nfrom evals.sandbox.host import launch\n"
    "os.umask(0o077)\nproc = os.open('/proc', os.O_RDONLY)\n"
    "launch.enclose({'libraries': sys.argv[4:], 'stdlib': sys.argv[2], 'version': '3', 'links': [],\n"
    "  'binds': [[sys.argv[2] + '/small', sys.argv[3]]]}, proc)\n"
    "print(oct(os.stat(sys.argv[3]).st_mode & 0o777), open(sys.argv[3]).read())\n"
)


def _seen() -> dict[str, list[tuple[str, int, int]]]:
    folders = {"/", "/usr", "/lib", "/usr/lib", "/usr/lib64", "/usr/share", "/dev", "/var", sys.base_prefix}
    folders |= {sysconfig.get_path("stdlib"), f"{sys.base_prefix}/lib", f"{sys.base_prefix}/bin"}
    return {
        folder: sorted((one.name, one.stat(follow_symlinks=False).st_size, one.stat(follow_symlinks=False).st_mode)
                       for one in os.scandir(folder) if not one.name.endswith(".pyc"))
        for folder in folders if os.path.isdir(folder)
    }  # fmt: skip


def test_the_machines_folders_stay_as_they_are(sandbox: Sandbox) -> None:
    """As root a worker could make its places in a folder of the machine that it had bound."""
    before = _seen()
    program = Program(id="1", prompt="", completion="def f(): return 1", test="def check(f): assert f() == 1",
                      entry_point="f", timeout_seconds=5.0)  # fmt: skip
    with open_sandbox(workers=1) as opened:
        assert [one.verdict for one in opened.run([program])] == ["passed"]
    assert _seen() == before


def _launched(tmp_path: Path, place: str, *libraries: str) -> "subprocess.CompletedProcess[str]":
    here = Path(__file__).resolve().parents[3]
    command = [sys.executable, "-c", MAKE, str(here), str(tmp_path), place, *libraries]
    return subprocess.run(command, capture_output=True, text=True)


def test_a_small_file_is_copied_with_its_mode(tmp_path: Path, sandbox: Sandbox) -> None:
    (tmp_path / "small").write_text("kept")
    (tmp_path / "small").chmod(0o755)
    done = _launched(tmp_path, "/python/bin/small")
    assert done.stdout == "0o555 kept\n", done.stderr


def test_no_place_can_be_made_in_a_folder_that_is_bound(tmp_path: Path, sandbox: Sandbox) -> None:
    (tmp_path / "small").write_text("kept")
    done = _launched(tmp_path, f"{tmp_path}/made", str(tmp_path))
    assert "Read-only file system" in done.stderr
    assert sorted(one.name for one in tmp_path.iterdir()) == ["small"]


@pytest.mark.parametrize("folders", [("/usr/lib", "/usr/lib64"), ("/usr/lib/x86_64-linux-gnu", "/lib64")])
def test_no_place_is_in_a_folder_of_libraries(monkeypatch: pytest.MonkeyPatch, folders: tuple[str, ...]) -> None:
    monkeypatch.setattr(worker, "library_folders", lambda multiarch: iter(folders))
    config = launch_config(0, 0, numpy=True, wide=False)
    places = [target for _, target in config["binds"]] + [place for place, _ in config["links"]]
    assert config["libraries"]
    assert not [one for one in places for folder in config["libraries"] if one.startswith(f"{folder}/")]


def test_libraries_under_two_names_are_bound_once(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "lib").mkdir()
    (tmp_path / "lib" / "libpython9.so.1.0").write_text("")
    (tmp_path / "lib" / "libpython9.so").symlink_to("libpython9.so.1.0")
    monkeypatch.setattr(sys, "base_prefix", str(tmp_path))
    config = launch_config(0, 0, numpy=False, wide=False)
    assert [os.path.basename(source) for source, _ in config["binds"] if "libpython9" in source] == [
        "libpython9.so.1.0"
    ]
    assert ("/python/lib/libpython9.so", "libpython9.so.1.0") in config["links"]
