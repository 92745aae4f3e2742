"""The Tab: names of this zoo, at once, without making anything or disturbing the line."""

import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from click.shell_completion import ShellComplete

from zoo import settings
from zoo.cli import phizoo, run
from zoo.completion import SHELLS, shell_script
from zoo.registry import open_registry


def offered(line: str) -> list[str]:
    """What a Tab offers at the end of a line."""
    *words, last = shlex.split(line) if line[-1] != " " else [*shlex.split(line), ""]
    return [one.value for one in ShellComplete(phizoo, {}, "phizoo", "").get_completions(words[1:], last)]


@pytest.fixture
def zoo(tmp_path: Path, made: SimpleNamespace) -> None:
    """Two versions of one name, one of another, an alias."""
    with open_registry() as registry:
        for number, name in enumerate(("phi-a", "phi-a", "other")):
            registry.add(made.phi(tmp_path / str(number), number), name)
        registry.alias("phi-a", "best", 1)


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("phizoo mo", ["models"]),
        ("phizoo models sh", ["show"]),
        ("phizoo models show ", ["other", "phi-a"]),
        ("phizoo models show ph", ["phi-a"]),
        ("phizoo models show phi-a:", ["phi-a:1", "phi-a:2"]),
        ("phizoo models show phi-a@", ["phi-a@best"]),
        ("phizoo eval run phi-a ot", ["other"]),
        ("phizoo serve o", ["other"]),
        ("phizoo eval run phi-a --tasks arc_", ["arc_easy", "arc_challenge"]),
        ("phizoo eval run phi-a --tasks arc_easy,arc_", ["arc_easy,arc_challenge"]),
        ("phizoo eval run phi-a --tasks suite:q", ["suite:quick"]),
        ("phizoo eval run phi-a --tasks gsm8k@c", ["gsm8k@code"]),
        ("phizoo eval run phi-a --engine vllm_", ["vllm_server"]),
        ("phizoo train run phi-2-", ["phi-2-mini", "phi-2-tiny"]),
        ("phizoo eval show 0", []),
        ("phizoo modles show p", []),
        ("phizoo models list --js", ["--json"]),
    ],
)
@pytest.mark.usefixtures("zoo")
def test_names_are_offered_where_they_belong(line: str, expected: list[str]) -> None:
    assert offered(line) == expected


def test_a_tab_makes_nothing_and_survives_a_broken_zoo(capfd: pytest.CaptureFixture[str]) -> None:
    assert offered("phizoo models show ") == []
    assert not settings.home().exists() or not list(settings.home().iterdir())
    settings.home().mkdir(parents=True, exist_ok=True)
    (settings.home() / "zoo.db").write_bytes(b"no database at all, and long enough to be read as one" * 40)
    assert offered("phizoo models show ") == []
    assert capfd.readouterr() == ("", "")


@pytest.mark.usefixtures("zoo")
@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("phizoo models show ph", ["phi-a"]),
        ("phizoo models show phi-a:", ["1", "2"]),  # readline keeps what stands before its own word breaks
        ("phizoo models show phi-a@b", ["best"]),
        ("phizoo eval run phi-a --tasks piqa,suite:q", ["quick"]),
    ],
)
def test_bash_completes_by_the_script(line: str, expected: list[str], tmp_path: Path) -> None:
    phizoo_here = Path(sys.executable).with_name("phizoo")
    if not phizoo_here.exists() or not shutil.which("bash"):
        pytest.skip("needs bash and the installed command")
    script = tmp_path / "completion.bash"
    script.write_text(shell_script("bash"))
    ask = (
        f"compopt() {{ :; }}; source {script}; COMP_LINE={shlex.quote(line)}; COMP_POINT=${{#COMP_LINE}}; "
        "_phizoo_completion; printf '%s\\n' \"${COMPREPLY[@]}\""
    )
    path = f"{phizoo_here.parent}{os.pathsep}{os.environ['PATH']}"
    told = subprocess.run(
        ["bash", "-c", ask], env={**os.environ, "PATH": path}, capture_output=True, text=True, check=True
    )
    assert told.stdout.split() == expected
    assert told.stderr == ""


@pytest.mark.parametrize("shell", SHELLS)
def test_the_script_of_each_shell_is_printed(shell: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["completion", shell]) == 0
    assert "_PHIZOO_COMPLETE" in capsys.readouterr().out
    if shutil.which(shell):
        subprocess.run([shell, "-n"], input=shell_script(shell), text=True, check=True)


@pytest.mark.parametrize("line", ["models show ", "eval run x --tasks ", "eval show ", "train run "])
def test_a_tab_loads_nothing_heavy(line: str) -> None:
    code = (
        "import sys\nfrom zoo.cli import main\ntry: main()\nexcept SystemExit: pass\n"
        "print([n for n in ('torch', 'sqlalchemy', 'alembic', 'numpy', 'transformers') if n in sys.modules])"
    )
    words = f"phizoo {line}"
    env = {"_PHIZOO_COMPLETE": "bash_complete", "COMP_WORDS": words, "COMP_CWORD": str(len(words.split()))}
    told = subprocess.run([sys.executable, "-c", code], env={**os.environ, **env}, capture_output=True, text=True)
    assert told.stdout.splitlines()[-1] == "[]", told.stderr
