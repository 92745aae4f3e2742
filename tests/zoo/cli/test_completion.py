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
from zoo.cli.completion import SHELLS, shell_script
from zoo.cli.root import phizoo, run
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
        ("phizoo eval run phi-a --task arc_", ["arc_easy", "arc_challenge", "arc_easy_bpb", "arc_challenge_bpb"]),
        (
            "phizoo eval run phi-a --task arc_easy,arc_",
            ["arc_easy,arc_challenge", "arc_easy,arc_easy_bpb", "arc_easy,arc_challenge_bpb"],
        ),
        ("phizoo eval run phi-a --task suite:q", ["suite:quick"]),
        ("phizoo eval run phi-a --task gsm8k@c", ["gsm8k@code", "gsm8k@chat"]),
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


# What each shell's own machinery offers for a line: bash and zsh through stand-ins for the builtins that show it.
ASK = {
    "bash": (
        'compopt() {{ echo "<$2>"; }}; source {script}; COMP_LINE={line}; COMP_POINT=${{#COMP_LINE}}; '
        "_phizoo_completion; printf '%s\\n' \"${{COMPREPLY[@]}}\""
    ),
    "zsh": (
        'compdef() {{ }}; compset() {{ }}; compadd() {{ print -rl -- $plain; }}; _path_files() {{ print -r -- "<$1>"; }}; '
        "_describe() {{ print -rl -- $described; }}; source {script}; "
        "words=({words}); CURRENT=$#words; _phizoo_completion"
    ),
    "fish": "source {script}; complete -C {line}",
}


@pytest.mark.usefixtures("zoo")
@pytest.mark.parametrize(
    ("shell", "line", "expected"),
    [
        ("bash", "phizoo models show ph", ["phi-a"]),
        ("bash", "phizoo models show phi-a:", ["1", "2"]),  # readline keeps what stands before its own word breaks
        ("bash", "phizoo models show phi-a@b", ["best"]),
        ("bash", "phizoo eval run phi-a --task piqa,suite:q", ["quick"]),
        ("bash", "phizoo eval run phi-a --engine=repl", ["replay"]),
        ("bash", "phizoo models add fold", ["<dirnames>"]),
        ("zsh", "phizoo models show ph", ["phi-a"]),
        ("zsh", "phizoo models show phi-a:", ["phi-a:1", "phi-a:2"]),
        ("zsh", "phizoo eval run phi-a --task piqa,suite:q", ["piqa,suite\\:quick:9 tasks"]),
        ("zsh", "phizoo mode", ["models:Add, list, find and verify the checkpoints of the zoo."]),
        ("zsh", "phizoo eval run phi-a --engine=repl", ["replay"]),
        ("zsh", "phizoo models add fold", ["<-/>"]),
        ("fish", "phizoo models show ph", ["phi-a"]),
        ("fish", "phizoo models show phi-a:", ["phi-a:1", "phi-a:2"]),
        ("fish", "phizoo eval run phi-a --task piqa,suite:q", ["piqa,suite:quick\t9 tasks"]),
        ("fish", "phizoo mode", ["models\tAdd, list, find and verify the checkpoints of the zoo."]),
        ("fish", "phizoo eval run phi-a --engine=repl", ["--engine=replay"]),
        ("fish", "phizoo models add fold", ["folder/"]),
    ],
)
def test_a_shell_completes_by_its_script(
    shell: str, line: str, expected: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    phizoo_here = Path(sys.executable).with_name("phizoo")
    if not phizoo_here.exists() or not shutil.which(shell):
        pytest.skip(f"needs {shell} and the installed command")
    (tmp_path / "folder").mkdir()
    monkeypatch.chdir(tmp_path)
    script = tmp_path / f"completion.{shell}"
    script.write_text(shell_script(shell))
    words = " ".join(map(shlex.quote, line.split()))
    ask = ASK[shell].format(script=script, line=shlex.quote(line), words=words)
    path = f"{phizoo_here.parent}{os.pathsep}{os.environ['PATH']}"
    told = subprocess.run(
        [shell, "-c", ask],
        env={**os.environ, "PATH": path, "HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert [found.partition("\tDirectory")[0] for found in told.stdout.splitlines() if found] == expected
    assert told.stderr == ""


def test_zsh_without_its_completion_loaded_loads_it(tmp_path: Path) -> None:
    if not shutil.which("zsh"):
        pytest.skip("needs zsh")
    (tmp_path / ".zshrc").write_text(shell_script("zsh"))
    told = subprocess.run(
        ["zsh", "-i", "-c", "print $_comps[phizoo]"],
        env={"HOME": str(tmp_path), "PATH": os.environ["PATH"], "ZSH_DISABLE_COMPFIX": "true"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert told.stdout == "_phizoo_completion\n"
    assert "command not found" not in told.stderr


@pytest.mark.parametrize("shell", SHELLS)
def test_the_script_of_each_shell_is_printed(shell: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["completion", shell]) == 0
    assert "_PHIZOO_COMPLETE" in capsys.readouterr().out
    if shutil.which(shell):
        subprocess.run([shell, "-n"], input=shell_script(shell), text=True, check=True)


@pytest.mark.parametrize("line", ["models show ", "eval run x --task ", "eval show ", "train run "])
def test_a_tab_loads_nothing_heavy(line: str) -> None:
    code = (
        "import sys\nfrom zoo.cli.root import main\ntry: main()\nexcept SystemExit: pass\n"
        "print([n for n in ('torch', 'sqlalchemy', 'alembic', 'numpy', 'transformers') if n in sys.modules])"
    )
    words = f"phizoo {line}"
    env = {"_PHIZOO_COMPLETE": "bash_complete", "COMP_WORDS": words, "COMP_CWORD": str(len(words.split()))}
    told = subprocess.run([sys.executable, "-c", code], env={**os.environ, **env}, capture_output=True, text=True)
    assert told.stdout.splitlines()[-1] == "[]", told.stderr
