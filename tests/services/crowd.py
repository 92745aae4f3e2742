"""Writers of one zoo that are killed at random: what each command said, and what must be true afterwards.

A nursery imports the command line once and forks a child for each command, so that a SIGKILL meets the command's work
and not two seconds of imports. Everything else is the product: its commands, its processes, its files.
"""

import contextlib
import json
import os
import random
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

NURSERY = r"""
import json, os, signal, socket, sys, threading
sys.argv = ["phizoo"]
import boto3, psycopg, s3fs, sqlalchemy, torch, transformers
import evals.cli.run, zoo.cli.models_add, zoo.cli.models_edit, zoo.cli.models_transfer, zoo.exchange.zoo_remote
import evals.engines.transformers_local, evals.results.publish
from zoo.cli import root
from zoo.store import multipart
torch.set_num_threads(1)
multipart.PART_BYTES = 5 << 20  # the least that S3 takes, so that small files have parts

def run(job):
    os.setsid()
    os.environ.clear()
    os.environ.update(job["environment"])
    for number, name in ((0, os.devnull), (1, job["out"]), (2, job["err"])):
        os.dup2(os.open(name, os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o600), number)
    code = 1
    try:
        code = root.run(job["arguments"])
    except SystemExit as stop:
        code = stop.code or 0
    except BaseException:
        import traceback
        traceback.print_exc()
    finally:
        sys.stdout.flush(); sys.stderr.flush()
        os._exit(code if isinstance(code, int) else 1)

def serve(connection):
    stream = connection.makefile("rwb")
    for line in stream:
        job = json.loads(line)
        child = os.fork()
        if not child:
            run(job)
        stream.write(b"%d\n" % child); stream.flush()
        _, status = os.waitpid(child, 0)
        stream.write(b"%d\n" % os.waitstatus_to_exitcode(status)); stream.flush()
    os._exit(0)

listening = socket.socket(socket.AF_UNIX)
listening.bind(sys.stdin.readline().strip())
listening.listen()
signal.signal(signal.SIGCHLD, signal.SIG_DFL)
print("ready", flush=True)
while True:
    connection, _ = listening.accept()
    if not os.fork():
        listening.close()
        serve(connection)
    connection.close()
"""


@contextlib.contextmanager
def open_nursery(folder: Path) -> Iterator[Path]:
    """The socket of a running nursery. folder: a short path."""
    place = folder / "nursery"
    given = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(Path(__file__).parents[2])}
    with subprocess.Popen(
        [sys.executable, "-P", "-c", NURSERY], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=given
    ) as process:
        assert process.stdin is not None and process.stdout is not None
        process.stdin.write(f"{place}\n")
        process.stdin.flush()
        assert process.stdout.readline() == "ready\n"
        try:
            yield place
        finally:
            process.kill()


class Member:
    """One who types commands, in a home of their own. `run` gives back the exit code, -9 if it was killed."""

    def __init__(self, nursery: Path, home: Path, environment: Mapping[str, str]) -> None:
        self.home, self.environment = home, {**environment, "PHIZOO_HOME": str(home)}
        home.mkdir(parents=True, exist_ok=True)
        self.out, self.err = home / "stdout", home / "stderr"
        self.connection = socket.socket(socket.AF_UNIX)
        self.connection.connect(str(nursery))
        self.stream = self.connection.makefile("rwb")

    def run(self, *arguments: str, kill_after: float | None = None) -> int:
        job = {"arguments": arguments, "environment": self.environment, "out": str(self.out), "err": str(self.err)}
        self.stream.write(json.dumps(job).encode() + b"\n")
        self.stream.flush()
        with contextlib.ExitStack() as stack:
            child = os.pidfd_open(int(self.stream.readline()))
            stack.callback(os.close, child)
            if kill_after is not None:
                timer = threading.Timer(kill_after, self._kill, (child,))
                stack.callback(timer.join)
                stack.callback(timer.cancel)
                timer.start()
            return int(self.stream.readline())

    @staticmethod
    def _kill(child: int) -> None:
        with contextlib.suppress(ProcessLookupError):
            signal.pidfd_send_signal(child, signal.SIGKILL)

    def said(self) -> Any:
        """What the last command printed with --json."""
        return json.loads(self.out.read_text())

    def check(self, *arguments: str) -> Any:
        """Runs a command that must succeed; gives back what it printed with --json."""
        code = self.run(*arguments, "--json")
        assert code == 0, f"{' '.join(arguments)}: {code}: {self.err.read_text()}"
        return self.said()

    def close(self) -> None:
        self.stream.close()
        self.connection.close()


@dataclass
class Ledger:
    """What commands acknowledged, over all members."""

    added: dict[str, str] = field(default_factory=dict)  # label -> digest
    removing: set[str] = field(default_factory=set)  # a removal was begun
    removed: set[str] = field(default_factory=set)  # ... and acknowledged
    pushed: dict[str, str] = field(default_factory=dict)  # label in the exchange -> digest
    half_pushed: set[str] = field(default_factory=set)  # a push was killed; it may be typed again
    published: set[str] = field(default_factory=set)  # ids of runs
    kills: Counter[str] = field(default_factory=Counter)
    done: Counter[str] = field(default_factory=Counter)
    faults: list[str] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def must_stand(self) -> dict[str, str]:
        """The labels, with digests, that were acknowledged and that nobody began to remove."""
        return {label: digest for label, digest in self.added.items() if label not in self.removing}


@dataclass
class Places:
    """What the members share: the folders to add, the exchanges, the checkpoint that runs."""

    folders: list[Path]
    exchange: str
    foreign: str  # an exchange of another zoo
    foreign_names: list[str]
    runner: str  # the name of a checkpoint that answers


class Writer(threading.Thread):
    """A member who types command after command until enough were killed over all writers."""

    WEIGHTS = {"add": 5, "push": 3, "pull": 3, "answer": 2, "publish": 3, "gc": 3, "remove": 1}

    def __init__(self, number: int, member: Member, places: Places, ledger: Ledger, enough: threading.Event) -> None:
        super().__init__()
        self.member, self.places, self.ledger, self.enough = member, places, ledger, enough
        self.random = random.Random(number)
        self.name = f"w{number}"
        self.number, self.count = number, 0
        self.seconds = dict.fromkeys(self.WEIGHTS, 1.0)  # how long each command takes undisturbed

    def run(self) -> None:
        while not self.enough.is_set():
            kind = self.random.choices(list(self.WEIGHTS), list(self.WEIGHTS.values()))[0]
            try:
                getattr(self, kind)()
            except Exception as error:
                with self.ledger.lock:
                    self.ledger.faults.append(f"{self.name} {kind}: {type(error).__name__}: {error}")
                return

    def type(self, kind: str, *arguments: str) -> bool:
        """Types a command; whether it was acknowledged. Two in three are killed, at any moment of their work."""
        after = self.random.uniform(0, self.seconds[kind] * 1.1) if self.random.random() < 0.67 else None
        began = time.monotonic()
        code = self.member.run(*arguments, "--json", kill_after=after)
        took = time.monotonic() - began
        with self.ledger.lock:
            if code == -signal.SIGKILL:
                self.ledger.kills[kind] += 1
                return False
            if code == 0:
                self.ledger.done[kind] += 1
                self.seconds[kind] = 0.7 * self.seconds[kind] + 0.3 * took
                return True
            self.ledger.faults.append(
                f"{self.name}: phizoo {' '.join(arguments)}: exit code {code}: {self.member.err.read_text()[-600:]}"
            )
        return False

    def add(self) -> None:
        folder = self.random.choice(self.places.folders)
        if self.type("add", "models", "add", str(folder), "--name", f"{self.name}-{self.random.randrange(6)}"):
            told = self.member.said()
            with self.ledger.lock:
                self.ledger.added[f"{told['name']}:{told['version']}"] = told["digest"]

    def own(self) -> list[str]:
        with self.ledger.lock:
            return [label for label in self.ledger.must_stand() if label.startswith(f"{self.name}-")]

    def push(self) -> None:
        if labels := self.own():
            label = self.random.choice(labels)
            with self.ledger.lock:
                self.ledger.half_pushed.add(label)
            if self.type("push", "models", "push", label, self.places.exchange):
                told = self.member.said()
                with self.ledger.lock:
                    self.ledger.pushed[told["label"]] = told["digest"]

    def pull(self) -> None:
        name = self.random.choice(self.places.foreign_names)
        if self.type("pull", "models", "pull", name, self.places.foreign):
            told = self.member.said()
            with self.ledger.lock:
                self.ledger.added[told["label"]] = told["digest"]

    def _evaluate(self, kind: str, *more: str) -> bool:
        seed = str(self.number * 1000 + self.count % 1000)
        return self.type(
            kind, "eval", "run", self.places.runner, "--task", "copa", "--seed", seed, "--device", "cpu", *more
        )

    def answer(self) -> None:
        self.count += 1
        self._evaluate("answer", "--no-publish")

    def publish(self) -> None:
        if self._evaluate("publish"):
            runs = {row["run"] for row in self.member.said()}
            with self.ledger.lock:
                self.ledger.published |= runs

    def gc(self) -> None:
        self.type("gc", "models", "gc", "--yes", "--grace", "0")

    def remove(self) -> None:
        labels = self.own()
        with self.ledger.lock:
            labels = [label for label in labels if label not in self.ledger.half_pushed]
            if not labels:
                return
            label = self.random.choice(labels)
            self.ledger.removing.add(label)
        code = self.member.run("models", "remove", label)  # undisturbed: its answer has no JSON
        with self.ledger.lock:
            if code == 0:
                self.ledger.removed.add(label)
