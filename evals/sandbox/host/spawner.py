"""Replaces the zygote where this process cannot make namespaces: a new interpreter for each program.

It speaks the same protocol (a child's socket to the judge, a byte back when it is done) and starts
each child with a command prefix: bubblewrap's, a container engine's, or none (the weak tier). The
child's channel is its standard input and output, which a container engine can carry.
"""

import array
import contextlib
import fcntl
import json
import os
import select
import signal
import socket
import subprocess
import sys
from typing import Any

READY = 2
FILTER = 20  # the descriptor on which bubblewrap reads the system call filter
ABOVE = 64  # our own descriptors go above this: those that we inherit may have any number, FILTER too


class Children:
    """The children kept ready, oldest first. Of the config, `command` starts one and `remove` ends its container."""

    def __init__(self, config: dict[str, Any], judge: socket.socket) -> None:
        self.config, self.judge = config, judge
        self.alive: list[tuple[subprocess.Popen[bytes], str]] = []
        self.made = 0

    def spawn(self) -> None:
        """Starts one child and hands the judge its socket."""
        ours, theirs = socket.socketpair()
        self.made += 1
        name = f"phizoo-{os.getpid()}-{self.made}"
        command = [name if part == "@NAME@" else part for part in self.config["command"]]
        filter_fd = os.memfd_create("filter", 0)
        os.write(filter_fd, bytes.fromhex(self.config["filter"]))
        os.lseek(filter_fd, 0, os.SEEK_SET)
        os.dup2(filter_fd, FILTER)
        process: subprocess.Popen[bytes] = subprocess.Popen(
            command, env=self.config["environment"], stdin=theirs.fileno(), stdout=theirs.fileno(),
            stderr=subprocess.DEVNULL,
            start_new_session=True, pass_fds=(FILTER,),
        )  # fmt: skip
        os.close(filter_fd)
        theirs.close()
        rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [ours.fileno()]))]
        self.judge.sendmsg([b"%10d" % process.pid], rights)
        ours.close()
        self.alive.append((process, name))

    def end(self) -> None:
        """Kills the oldest child with its group, and removes its container if it has one."""
        process, name = self.alive.pop(0)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        if self.config["remove"]:
            subprocess.run([*self.config["remove"], name], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def main(text: str) -> None:
    """Serves until the judge or the pool has ended. text: see `evals.sandbox.host.worker`."""
    config = json.loads(text)
    moved = [fcntl.fcntl(config[name], fcntl.F_DUPFD_CLOEXEC, ABOVE) for name in ("judge", "control")]
    judge, control = socket.socket(fileno=moved[0]), moved[1]
    for name in ("judge", "control"):
        os.close(config[name])
    os.dup2(os.open(os.devnull, os.O_RDONLY), FILTER)  # occupied from now on, so that none of our sockets gets it
    os.read(control, 1 << 20)  # the filter, which a spawner's children receive in another way
    children = Children(config, judge)
    for _ in range(READY):
        children.spawn()
    os.write(control, b"ready")
    watch = select.poll()
    watch.register(judge.fileno(), select.POLLIN)
    watch.register(control, select.POLLIN)
    while control not in [number for number, _ in watch.poll()]:
        done = judge.recv(64)
        if not done:
            break
        for _ in done:
            children.end()
            children.spawn()
    while children.alive:
        children.end()
    sys.exit(0)
