"""Runs command lines in forked children: their exit code and everything they print; used by the walk over all commands."""

import os
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import click

from zoo.cli import root

Words = tuple[str, ...]


class Ended(NamedTuple):
    """A command's end. code: its exit code; -1 if it had to be killed."""

    code: int
    text: str
    seconds: float

    def fault(self) -> str:
        """The reason why no user should see this end; "" for a good one."""
        if self.code == -1:
            return "it did not end"
        if "Traceback (most recent call last)" in self.text:
            return "a traceback: " + self.text.strip().rsplit("\n", 1)[-1]
        if self.code not in (0, 1, 2):
            return f"exit code {self.code}"
        if self.code and "phizoo: " not in self.text and "Usage:" not in self.text:
            return f"exit code {self.code} without a line"
        return "a terminal escape" if "\x1b" in self.text or "\x9b" in self.text else ""


def leaves(command: click.Command = root.phizoo, path: Words = ()) -> Iterator[tuple[Words, click.Command]]:
    """Every command that is no group, with its words."""
    if not isinstance(command, click.Group):
        yield path, command
        return
    context = click.Context(command)
    for name in command.list_commands(context):
        inner = command.get_command(context, name)
        assert inner is not None
        yield from leaves(inner, (*path, name))


def run(words: Sequence[str], env: Mapping[str, str], folder: Path, seconds: float = 60.0) -> Ended:
    """Runs one command line in a child of this process, in `folder` and with these variables added."""
    begin = time.monotonic()
    with tempfile.TemporaryFile() as output:
        pid = os.fork()
        if not pid:
            _child(words, env, folder, output.fileno())
        status = _wait(pid, begin + seconds)
        output.seek(0)
        text = output.read(1 << 20).decode("utf-8", "replace")
    code = -1 if status is None else os.waitstatus_to_exitcode(status)
    return Ended(code, text, time.monotonic() - begin)


def _child(words: Sequence[str], env: Mapping[str, str], folder: Path, output: int) -> None:
    code = 70
    try:
        os.setsid()
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        os.dup2(output, 1)
        os.dup2(output, 2)
        sys.stdin = open(0, encoding="utf-8", closefd=False)  # noqa: SIM115
        sys.stdout = open(1, "w", encoding="utf-8", closefd=False)  # noqa: SIM115
        sys.stderr = open(2, "w", encoding="utf-8", closefd=False)  # noqa: SIM115
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        signal.setitimer(signal.ITIMER_REAL, 0)
        os.environ.update(env)
        os.chdir(folder)
        root.guard_streams()
        try:
            code = root.run(words)
        except SystemExit as end:
            code = end.code if isinstance(end.code, int) else 1
        except BaseException:
            traceback.print_exc()
            code = 1
        sys.stdout.flush()
        sys.stderr.flush()
    finally:
        os._exit(code)


def _wait(pid: int, ends: float) -> int | None:
    while time.monotonic() < ends:
        done, status = os.waitpid(pid, os.WNOHANG)
        if done:
            return status
        time.sleep(0.005)
    os.killpg(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    return None
