"""Every command and path that a page names exists."""

import re
import shlex
import subprocess
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from zoo.cli.quickstart import STEPS
from zoo.cli.root import phizoo

ROOT = Path(__file__).resolve().parents[1]
PAGES = [ROOT / name for name in ("README.md", "ARCHITECTURE.md", "CONTRIBUTING.md")] + sorted(
    (ROOT / "docs").glob("*.md")
)
COMMAND = re.compile(r"(?<![\w/.-])phizoo( [a-z][^\n`#|]*)")
PATH = re.compile(r"`((?:zoo|evals|training|dashboard|tests|docs)/[\w./*-]+)`")
LINK = re.compile(r"\]\((?!https?:)([^)#]+)")
TARGET = re.compile(r"\bmake ([a-z][a-z-]*)")


def resolve(words: list[str]) -> click.Command:
    """The click command that some words name; its options are checked to exist."""
    command: click.Command = phizoo
    while isinstance(command, click.Group) and words and not words[0].startswith("-"):
        context = click.Context(command)
        found = command.get_command(context, words[0])
        assert found is not None, f"no command {words[0]!r}"
        assert words[0] in command.list_commands(context), f"{words[0]!r} is a former name"
        command, words = found, words[1:]
    options = {name for parameter in command.params for name in (*parameter.opts, *parameter.secondary_opts)}
    for word in words:
        if word.startswith("--") and word != "--help":
            assert word.partition("=")[0] in options, f"{command.name} has no option {word}"
    return command


def commands(text: str) -> list[str]:
    return [found.group(1).strip() for found in COMMAND.finditer(text)]


def test_the_pages_are_there() -> None:
    assert all(page.is_file() for page in PAGES[:3])
    assert len(commands((ROOT / "README.md").read_text())) >= 10


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_commands_exist(page: Path) -> None:
    for line in commands(page.read_text(encoding="utf-8")):
        words = shlex.split(line.replace("…", "").replace("'", "").replace('"', ""))
        resolve([word for word in words if word])


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_paths_and_make_targets_exist(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    for name in PATH.findall(text):
        assert list(ROOT.glob(name.rstrip("/"))), f"{page.name} names {name}"
    for name in LINK.findall(text):
        assert (page.parent / name).exists(), f"{page.name} links {name}"
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    fenced = "\n".join(re.findall(r"```sh\n(.*?)```", text, re.DOTALL))
    for name in TARGET.findall(fenced) + re.findall(r"`make ([a-z-]+)`", text):
        assert name in targets, f"{page.name} names make {name}"


def test_the_folders_of_the_architecture_are_the_real_ones() -> None:
    text = (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8")
    on_page = re.findall(r"^\| `([\w/]+)/` \|", text, re.MULTILINE)
    listing = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.split()
    files = [Path(name) for name in listing if (ROOT / name).exists() and "/" in name and not name.startswith(".")]
    tops = {path.parts[0] for path in files}
    code = {path.parent.as_posix() for path in files if path.suffix in (".py", ".toml")}
    assert sorted(on_page) == sorted(tops | {name for name in code if not name.startswith(("docs/", "tests/"))})


def test_the_task_that_is_shown_is_the_real_one() -> None:
    text = (ROOT / "docs" / "adding-a-task.md").read_text(encoding="utf-8")
    shown = re.findall(r"^```python\n(.*?)```", text, re.DOTALL | re.MULTILINE)[0]
    assert (ROOT / "evals" / "tasks" / "copa.py").read_text(encoding="utf-8").endswith(shown)


@pytest.mark.parametrize("line", STEPS)
def test_the_quickstarts_commands_exist(line: str) -> None:
    resolve(shlex.split(line))


def walk(command: click.Command, path: str = "phizoo") -> Iterator[tuple[str, click.Command]]:
    yield path, command
    if isinstance(command, click.Group):
        context = click.Context(command)
        for name in command.list_commands(context):
            found = command.get_command(context, name)
            assert found is not None
            yield from walk(found, f"{path} {name}")


@pytest.mark.parametrize(("path", "command"), list(walk(phizoo)), ids=lambda value: value if type(value) is str else "")
def test_the_examples_of_a_commands_help_exist_and_one_is_its_own(path: str, command: click.Command) -> None:
    examples = []
    for line in (command.help or "").splitlines():
        text = line.strip().removeprefix("Example:").strip().replace("…", "")
        text = re.sub(r"^(\w+=\S* )+|.*\$\(|\)\"?$", "", text)  # variables before it; a command within another
        if text.startswith("phizoo "):
            words = shlex.split(text, comments=True)
            ends = [words.index(mark) for mark in ("<", ">", ">>", "|") if mark in words]
            examples.append(words[1 : min(ends, default=len(words))])
    for words in examples:
        resolve(words)
    own = path.split()[1:]
    if not isinstance(command, click.Group):
        assert [words for words in examples if words[: len(own)] == own], "no example of its own"


def test_an_unknown_command_or_option_is_seen() -> None:
    with pytest.raises(AssertionError, match="no command"):
        resolve(["models", "lisst"])
    with pytest.raises(AssertionError, match="former name"):
        resolve(["models", "import"])
    with pytest.raises(AssertionError, match="no option"):
        resolve(["models", "list", "--jason"])
