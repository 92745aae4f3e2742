"""The command line: help is fast and loads nothing heavy, every group exists, errors are one line."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import click
import pytest

from zoo.cli import root
from zoo.cli.root import GROUPS, LazyGroup, phizoo

HEAVY = (
    "torch",
    "transformers",
    "sqlalchemy",
    "numpy",
    "pandas",
    "streamlit",
    "datasets",
    "sklearn",
    "alembic",
    "scipy",
)


def commands(command: click.Command, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    """Every command with its path of names."""
    yield path, command
    if isinstance(command, click.Group):
        context = click.Context(command)
        for name in command.list_commands(context):
            found = command.get_command(context, name)
            assert found is not None, name
            yield from commands(found, (*path, name))


EVERY = dict(commands(phizoo))


@pytest.mark.parametrize("path", [("phizoo",), *((name,) for name in GROUPS)], ids=lambda path: path[0])
def test_help_loads_nothing_heavy(path: tuple[str, ...]) -> None:
    args = [] if path == ("phizoo",) else list(path)
    code = (
        "import sys; from zoo.cli.root import run; run(sys.argv[1:]);"
        f"print([name for name in {HEAVY!r} if name in sys.modules])"
    )
    ended = subprocess.run([sys.executable, "-c", code, *args, "--help"], capture_output=True, text=True, check=True)
    assert ended.stdout.splitlines()[-1] == "[]"
    assert "Usage: phizoo" in ended.stdout


@pytest.mark.parametrize("path", [path for path in EVERY if isinstance(EVERY[path], click.Group)], ids=" ".join)
def test_a_group_alone_gives_its_help(path: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
    assert root.run(path) == 2
    assert capsys.readouterr().err.startswith(" ".join(("Usage: phizoo", *path)))


@pytest.mark.parametrize("path", [path for path in EVERY if path], ids=" ".join)
def test_every_command_has_help_with_an_example(path: tuple[str, ...]) -> None:
    command = EVERY[path]
    assert command.help, "no help"
    assert "phizoo " in command.help, "no example"


@pytest.mark.parametrize("path", [path for path in EVERY if path], ids=" ".join)
def test_a_tab_completes_every_argument_that_names_something_of_the_zoo(path: tuple[str, ...]) -> None:
    names = ("checkpoint", "run", "recipe", "task")
    asked = [one for one in EVERY[path].params if isinstance(one, click.Argument) and one.name in names]
    assert [one.name for one in asked if one._custom_shell_complete is None] == []


@pytest.mark.parametrize(
    "path", [path for path, command in EVERY.items() if isinstance(command, LazyGroup)], ids=" ".join
)
def test_the_table_has_each_commands_own_first_line(path: tuple[str, ...]) -> None:
    group = EVERY[path]
    assert isinstance(group, LazyGroup)
    for name, (_, text) in group.table.items():
        first, _, _ = (EVERY[(*path, name)].help or "").partition("\n\n")
        assert " ".join(first.split()) == text, name


RENAMED = [(path, name) for path, group in EVERY.items() if isinstance(group, LazyGroup) for name in group.renamed]


@pytest.mark.parametrize(("path", "name"), RENAMED, ids=str)
def test_a_former_name_works_unseen_and_prints_the_new_one(
    path: tuple[str, ...], name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    group = EVERY[path]
    assert isinstance(group, LazyGroup)
    assert name not in group.list_commands(click.Context(group))
    assert name not in [item.value for item in group.shell_complete(click.Context(group), name)]
    words = group.renamed[name][1].split()
    command: click.Command | None = phizoo
    for word in words:
        if not isinstance(command, click.Group):
            break
        command = command.get_command(click.Context(command), word)
    assert command is not None, words
    options = {option for parameter in command.params for option in parameter.opts}
    assert {word for word in words if word.startswith("--")} <= options
    assert root.run([*path, name, "--help"]) == 0
    assert (
        capsys.readouterr().err == f"phizoo: `{' '.join(('phizoo', *path, name))}` is now `phizoo {' '.join(words)}`\n"
    )


def run(*args: str, capsys: pytest.CaptureFixture[str]) -> tuple[int, str]:
    code = root.run(args)
    return code, capsys.readouterr().err


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (["modles"], 'nearest: "models"'),
        (["eval", "rnu"], 'nearest: "run"'),
        (["eval", "run", "nobody", "--task", "humanevall"], 'nearest: "humaneval"'),
        (["eval", "run", "nobody", "--task", "humaneval"], "nobody"),
        (["eval", "run", "nobody"], "--task"),
        (["models", "show", "nobody"], "nobody"),
        (["train", "run", "phi-1-smal"], "phi-1-small"),
        (["eval", "show", "abcdef"], "phizoo eval runs"),
    ],
)
def test_wrong_use_is_one_line_and_exit_code_2(args: list[str], words: str, capsys: pytest.CaptureFixture[str]) -> None:
    code, message = run(*args, capsys=capsys)
    assert code == 2
    assert words in message
    assert len(message.strip().splitlines()) == 1


def test_a_full_disk_is_one_line(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def full(*_args: object, **_kwargs: object) -> None:
        raise OSError(28, "No space left on device", "results.jsonl")

    monkeypatch.setattr(phizoo, "main", full)
    code, message = run("doctor", capsys=capsys)
    assert (code, message.count("\n")) == (2, 1)
    assert "results.jsonl: the disk is full" in message


def test_a_full_disk_that_names_no_file_is_that_with_the_least_room(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    def full(*_args: object, **_kwargs: object) -> None:
        raise OSError(28, "No space left on device")

    def usage(place: Path) -> SimpleNamespace:
        return SimpleNamespace(free=3_000_000 if tmp_path in (place, *place.parents) else 9e9)

    monkeypatch.setattr(phizoo, "main", full)
    monkeypatch.setattr("shutil.disk_usage", usage)
    monkeypatch.setenv("PHIZOO_HOME", str(tmp_path / "home"))
    code, message = run("doctor", capsys=capsys)
    assert code == 2
    assert f"writing (least room: 3.0 MB at {tmp_path / 'home'}): the disk is full" in message


def test_an_interrupt_says_that_work_is_kept(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupted(*_args: object, **_kwargs: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(phizoo, "main", interrupted)
    code, message = run("doctor", capsys=capsys)
    assert code == 130
    assert "kept" in message
