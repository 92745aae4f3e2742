"""The console script on terminals that cannot show every character."""

import os
import subprocess
import sys

import pytest

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
    assert b"?" in done.stdout


def test_help_is_printed_on_a_plain_terminal() -> None:
    environment = {**os.environ, "LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    command = [sys.executable, "-m", "zoo.cli", "eval", "run", "--help"]
    done = subprocess.run(command, capture_output=True, env=environment, check=False)
    assert done.returncode == 0, done.stderr
