"""No child process imports what lies in the current folder, however it is started."""

import ast
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
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


# each command as a user types it, in a folder that is somebody's; each leaves what the next needs
COMMANDS = (
    "models add {phi} --name mine", "eval run mine --task arc_easy,mini_exercises --limit 2 --device cpu",
    "data gather {text} --name texts", "models list", "models show mine", "models path mine", "models verify",
    "models push mine {other}", "eval tasks", "eval runs", "leaderboard --print", "leaderboard --out {other}.html",
    "doctor", "data dedup texts --name fewer", "models gc --yes", "train recipes", "completion bash",
)  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize(("path", "commands"), [("", COMMANDS), (os.pathsep, COMMANDS[:3]), (".", COMMANDS[:3])])
def test_each_command_works_in_a_folder_of_traps(
    trap: Path, tiny_phi: Path, tmp_path: Path, path: str, commands: tuple[str, ...]
) -> None:
    for name in ("sitecustomize", "zoo") if path else ():  # imported before any code of ours could object
        shutil.rmtree(trap / name)
    (tmp_path / "text").mkdir()
    (tmp_path / "text" / "one.py").write_text("def one():\n    return 1\n" * 40)
    names = {"phi": str(tiny_phi), "other": str(tmp_path / "other"), "text": str(tmp_path / "text")}
    more = {"PYTHONPATH": path} if path else {}
    for line in commands:
        program = str(Path(sys.executable).with_name("phizoo"))
        assert imported([program, *shlex.split(line.format(**names))], trap, **more) == "", line


def test_python_m_imports_the_current_folder_only_until_our_code_is_there(trap: Path) -> None:
    for name in ("sitecustomize", "zoo", "runpy"):  # those Python itself looks for there
        shutil.rmtree(trap / name)
    assert imported([sys.executable, "-m", "zoo.cli", "data", "--help"], trap) == ""
    assert imported([sys.executable, "-P", "-m", "zoo.cli", "models", "list"], trap) == ""


def test_the_servers_start_with_a_safe_path(trap: Path) -> None:
    assert imported(command(Serving(path=trap, name="mine")), trap) == ""
    page = server_command(0, public=False)
    assert imported([*page[: page.index("run") + 1], "--help"], trap) == ""


@pytest.mark.slow
def test_the_workers_of_ray_import_nothing_from_the_current_folder(trap: Path) -> None:
    assert imported(script(trap, RAY.format(folder=str(trap))), trap) == ""


# what is started is not an interpreter, or its line was made by `python` or `isolated` one function before
STARTED = {
    ("dashboard/server.py", "arguments[0]"): "server_command, by python",
    ("evals/engines/gpus.py", "ask"): "nvidia-smi",
    ("evals/engines/vllm/process.py", "line"): "command, by python",
    ("evals/sandbox/host/launch.py", "python"): "in the sandbox's own root, with -P",
    ("evals/sandbox/host/spawner.py", "[*self.config['remove'], name]"): "docker or podman",
    ("evals/sandbox/host/spawner.py", "command"): "bwrap, docker, podman, or process_command, by isolated",
    ("evals/sandbox/judge/judge.py", "sys.executable"): "the judge again, by its own command line",
    ("evals/sandbox/tiers.py", "[engine, 'info']"): "docker or podman",
}
POOLS = re.compile(r"(.*\.)?(get_context|set_start_method|Process|Pool|ProcessPoolExecutor)")
STARTS = re.compile(r"subprocess\.(run|Popen|call|check_call|check_output|getoutput|getstatusoutput)|pty\.spawn|"
                    r"os\.(exec\w+|spawn\w+|posix_spawnp?|system|popen)|asyncio\.create_subprocess_\w+")  # fmt: skip


def starts(path: Path) -> Iterator[tuple[int, str]]:
    """The lines of a file that start a process otherwise than through zoo.safe_path, and what they start."""
    place = path.relative_to(ROOT).as_posix()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module in ("subprocess", "pty", "multiprocessing"):
            yield node.lineno, f"from {node.module} import ...: import the module, so that each use is seen"
        if not isinstance(node, ast.Call):
            continue
        name, given = ast.unparse(node.func), [ast.unparse(value) for value in node.args]
        given += [ast.unparse(keyword.value) for keyword in node.keywords]
        if (
            STARTS.fullmatch(name)
            and not re.match(r"(isolated|python)\(", given[0])
            and (place, given[0]) not in STARTED
        ):
            yield node.lineno, f"{name}({given[0]})"
        if POOLS.fullmatch(name) and not any(
            re.fullmatch(r"safe_path\.(spawn|forkserver)\(\)", text) for text in given
        ):
            yield node.lineno, name


def test_every_child_and_every_pool_has_its_command_line_from_safe_path(tmp_path: Path) -> None:
    paths = [path for package in ("zoo", "evals", "training", "dashboard") for path in (ROOT / package).rglob("*.py")]
    faults = [
        f"{path.relative_to(ROOT)}:{line}: {text}"
        for path in paths if path.name != "safe_path.py"
        for line, text in starts(path)
    ]  # fmt: skip
    assert not faults, "not from zoo.safe_path:\n" + "\n".join(faults)


@pytest.mark.parametrize(
    "text",
    ["subprocess.run([sys.executable, '-m', 'a'])", "os.execv('/usr/bin/python3', ['a'])", "from subprocess import run",
     "multiprocessing.Process(target=print)", "ProcessPoolExecutor(2)", "ctx = mp.get_context('spawn')"],
)  # fmt: skip
def test_a_child_that_is_started_otherwise_is_seen(text: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(globals(), "ROOT", tmp_path)
    (tmp_path / "new.py").write_text(text)
    assert list(starts(tmp_path / "new.py"))
