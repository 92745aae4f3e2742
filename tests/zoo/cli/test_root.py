"""The console script on terminals that cannot show every character."""

import os
import re
import subprocess
import sys

import click
import pytest

from tests.hostile.texts import STEERING
from zoo.cli import root
from zoo.errors import CheckFailed, ZooError

PRINTER = r"""
import click
from zoo.cli import root

def run(args):
    print("51.2 [43.6–58.8]", "\ud835")
    click.echo("naïve → –")
    return 2

root.run = run
root.main()
"""


@pytest.mark.parametrize("encoding", ["latin-1", "ascii", "utf-8", "cp1252"])
def test_a_stream_replaces_what_it_cannot_show(encoding: str) -> None:
    environment = {**os.environ, "PYTHONIOENCODING": encoding}
    done = subprocess.run([sys.executable, "-c", PRINTER], capture_output=True, env=environment, check=False)
    assert done.returncode == 2, done.stderr
    assert b"Traceback" not in done.stderr
    assert done.stdout.startswith(b"51.2 [43.6")
    assert b"D835" in done.stdout


@pytest.mark.parametrize("text", STEERING.values(), ids=STEERING.keys())
@pytest.mark.parametrize("kind", [ZooError, CheckFailed, click.UsageError])
def test_an_error_is_one_visible_line(
    kind: type[Exception], text: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise kind(f"no checkpoint {text}")

    monkeypatch.setattr(root.phizoo, "main", fail)
    assert root.run([]) in (1, 2)
    (line,) = capsys.readouterr().err.split("\n")[:-1]
    assert line.isprintable()


def test_help_is_printed_on_a_plain_terminal() -> None:
    environment = {**os.environ, "LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    command = [sys.executable, "-m", "zoo.cli", "eval", "run", "--help"]
    done = subprocess.run(command, capture_output=True, env=environment, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("group", ["eval", "models"])
def test_help_lists_the_daily_commands_first_and_each_command_once(
    group: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert root.run([group, "--help"]) == 0
    daily, more = capsys.readouterr().out.partition("Every day:")[2].split("More:")
    command = root.phizoo.get_command(click.Context(root.phizoo), group)
    assert isinstance(command, root.LazyGroup)
    listed = [[line.split()[0] for line in part.splitlines() if re.match(r"  \w", line)] for part in (daily, more)]
    assert listed[0] == list(command.daily)
    assert sorted(listed[0] + listed[1]) == sorted(command.table)
