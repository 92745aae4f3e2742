"""No child process imports what lies in the current folder, however it is started."""

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest

from dashboard.server import server_command
from evals.engines.vllm.process import Serving, command

ROOT = Path(__file__).resolve().parents[2]
NAMES = ("json", "pickle", "socket", "struct", "signal", "runpy", "sitecustomize", "vllm", "streamlit", "ray", "numpy",
         "torch", "jinja2", "zoo", "evals", "training", "dashboard", "multiprocessing")  # fmt: skip
TRAP = "import os\nwith open(os.environ['TRAP'], 'a') as file:\n    file.write(__name__ + '\\n')\n"

POOL = """
import os
from concurrent.futures import ProcessPoolExecutor
from zoo import safe_path
if __name__ == "__main__":
    with ProcessPoolExecutor(1, mp_context=safe_path.{kind}()) as pool:
        assert pool.submit(os.getpid).result() != os.getpid()
"""
COMMAND = """
import subprocess, sys
from zoo.cli import root
root.run = lambda arguments: subprocess.call([sys.executable, "-m", "json.tool", "--help"])
root.main()
"""
TEMPLATE = """
from zoo.admission.chat_template import check_template
check_template("{{ messages[0]['content'] }}", "a template")
"""
SANDBOX = """
from evals.sandbox import Program, open_sandbox
program = Program(id="a", prompt="def one():\\n", completion="    import json; return 1\\n",
                  test="def check(candidate):\\n    assert candidate() == 1\\n", entry_point="one")
with open_sandbox(workers=1) as sandbox:
    assert [outcome.verdict for outcome in sandbox.run([program])] == ["passed"]
"""
RAY = """
import ray
from evals.cluster.connection import connect_ray
cluster = connect_ray("local", include_dashboard=False, _node_ip_address="127.0.0.1", object_store_memory=80 << 20,
                      num_cpus=1)
@cluster.remote
def path():
    import os, sys
    import evals.records, numpy
    return [os.path.abspath(part) for part in sys.path]
assert {folder!r} not in cluster.get(path.remote()), "the current folder is on the workers' path"
ray.shutdown()
"""


@pytest.fixture
def trap(tmp_path: Path) -> Path:
    """A folder whose modules leave their name in the file `imported` of its parent."""
    folder = tmp_path / "trap"
    for name in NAMES:
        (folder / name).mkdir(parents=True)
        (folder / name / "__init__.py").write_text(TRAP)
        (folder / name / "__main__.py").write_text(TRAP)
    return folder


def imported(line: list[str], folder: Path, **environment: str) -> str:
    """The modules of the folder that the processes of a command imported, the command run there."""
    record = folder.parent / "imported"
    record.write_text("")
    given = {name: value for name, value in os.environ.items() if name not in ("PYTHONSAFEPATH", "PYTHONPATH")}
    done = subprocess.run(
        line, cwd=folder, env={**given, "TRAP": str(record), **environment}, stdin=subprocess.DEVNULL,
        capture_output=True, text=True, timeout=200,
    )  # fmt: skip
    names = record.read_text()
    assert names or not done.returncode or "No module named" in done.stderr, done.stderr
    return names


def script(folder: Path, text: str) -> list[str]:
    """The command line of a program beside the folder, as a console script is started."""
    program = folder.parent / "program.py"
    program.write_text(text)
    return [sys.executable, str(program)]


@pytest.mark.parametrize(
    "text",
    [POOL.format(kind="spawn"), POOL.format(kind="forkserver"), COMMAND, TEMPLATE, SANDBOX],
    ids=["spawn", "forkserver", "command", "template", "sandbox"],
)
def test_a_child_imports_nothing_from_the_current_folder(trap: Path, text: str) -> None:
    assert imported(script(trap, text), trap) == ""


def test_an_empty_part_of_pythonpath_is_not_the_current_folder_for_a_child(trap: Path) -> None:
    # the program itself gets its path before it can object: only its child is looked at
    child = "import os, subprocess, sys\nfrom zoo.safe_path import protect_children\nprotect_children()\n"
    child += "open(os.environ['TRAP'], 'w').close()\nsubprocess.run([sys.executable, '-m', 'json.tool', '--help'])\n"
    line = script(trap, child)
    assert imported(line, trap, PYTHONPATH=f"{ROOT}{os.pathsep}{os.pathsep}.") == ""


def test_the_servers_start_with_a_safe_path(trap: Path) -> None:
    assert imported(command(Serving(path=trap, name="mine")), trap) == ""
    page = server_command(0, public=False)
    assert imported([*page[: page.index("run") + 1], "--help"], trap) == ""


@pytest.mark.slow
def test_the_workers_of_ray_import_nothing_from_the_current_folder(trap: Path) -> None:
    assert imported(script(trap, RAY.format(folder=str(trap))), trap) == ""


def test_every_command_line_of_an_interpreter_and_every_pool_has_a_safe_path() -> None:
    faults = []
    for path in [
        path for package in ("zoo", "evals", "training", "dashboard") for path in (ROOT / package).rglob("*.py")
    ]:
        tree = ast.parse(path.read_text(encoding="utf-8"))
        if path.name == "safe_path.py":
            continue
        for node in ast.walk(tree):
            if isinstance(node, ast.List) and node.elts and ast.unparse(node.elts[0]) == "sys.executable":
                flags = {element.value for element in node.elts if isinstance(element, ast.Constant)}
                if not flags & {"-I", "-P"}:
                    faults.append(f"{path.relative_to(ROOT)}:{node.lineno}: starts Python without -P")
            if isinstance(node, ast.Name | ast.Attribute) and ast.unparse(node).endswith(
                ("get_context", "set_start_method")
            ):
                faults.append(f"{path.relative_to(ROOT)}:{node.lineno}: a pool that is not of zoo.safe_path")
    assert not faults, "\n".join(faults)
