# ruff: noqa: S102, S302
"""The judge: holds the tests, drives one candidate at a time, decides the verdict.

A process of its own, because a value that a candidate returned (a huge integer, say) may keep a test busy
in C, where no Python timer fires: `evals.sandbox.host.pool` watches it from outside and kills it. The
judge handles a completion only as text to pass on and runs none of its code.
"""

import ast
import builtins
import contextlib
import io
import json
import marshal
import mmap
import os
import random
import re
import resource
import signal
import socket
import struct
import sys
import time
import traceback
from collections.abc import Callable
from functools import lru_cache
from types import CodeType
from typing import Any

from evals.sandbox.judge import evalplus
from evals.sandbox.judge.channel import AHEAD, BYTES_AHEAD, Call, Channel, Died, Unexpected
from evals.sandbox.judge.mirrored import SPACE

STATUS = struct.Struct("<QQdd")  # programs begun, process id of the child (0: none), its start, our CPU time then
MOST_MEMORY = 4 << 30
DEEP = 4000  # results nested deeper than this fail: the C stack allows about twice as many
TEST = "<test>"


class BrokenTest(Exception):
    """The test itself cannot run, so the program is unscored."""


@lru_cache(maxsize=4096)
def compile_test(source: str, name: str) -> CodeType:
    """Compiles a trusted source, once."""
    return compile(source, name, "exec", dont_inherit=True)


@lru_cache(maxsize=4096)
def helpers(prompt: str) -> CodeType | None:
    """The code of a prompt, for its helpers beside the requested function; None if it does not compile."""
    for source in (prompt, prompt.rstrip() + "\n    pass\n"):
        try:
            return compile(source, "<prompt>", "exec", dont_inherit=True)
        except (SyntaxError, ValueError):
            continue
    return None


@lru_cache(maxsize=4096)
def free_names(test: str) -> tuple[str, ...]:
    """The names that a test uses but neither it nor Python defines: the program must.

    >>> free_names("root = Node(1)\\nassert height(root) == max(1, 0)")
    ('Node', 'height')
    """
    used: set[str] = set()
    bound = set(vars(builtins))
    for node in ast.walk(ast.parse(test)):
        if isinstance(node, ast.Name):
            (used if isinstance(node.ctx, ast.Load) else bound).add(node.id)
        elif isinstance(node, ast.FunctionDef | ast.ClassDef | ast.AsyncFunctionDef):
            bound.add(node.name)
        elif isinstance(node, ast.arg):
            bound.add(node.arg)
        elif isinstance(node, ast.Import | ast.ImportFrom):
            bound.update((alias.asname or alias.name).split(".")[0] for alias in node.names)
        elif isinstance(node, ast.ExceptHandler) and node.name:
            bound.add(node.name)
    return tuple(sorted(used - bound))


@lru_cache(maxsize=4096)
def defined_classes(prompt: str) -> tuple[str, ...]:
    """The names of the classes that a prompt defines."""
    code = helpers(prompt)
    return () if code is None else tuple(n for n in code.co_names if re.search(rf"^class {n}\b", prompt, re.MULTILINE))


def _run_check(job: dict[str, Any], channel: Channel) -> None:
    """Runs a test of HumanEval's form: the prompt's helpers, then check(candidate)."""
    space: dict[str, Any] = {"__name__": SPACE}
    code = helpers(job["prompt"])
    if code is not None:
        try:
            exec(code, space)
        except Exception:
            space = {"__name__": SPACE}
    candidate = channel.proxy(job["entry_point"])
    try:
        exec(compile_test(job["test"], TEST), space)
        check = space["check"]
        for name in free_names(job["test"]):
            space.setdefault(name, channel.proxy(name))
        kinds = {name: kind for name, kind in space.items() if isinstance(kind, type) and kind.__module__ == SPACE}
        channel.mirrored.classes = {name: kinds[name] for name in channel.mirrored.names if name in kinds}
    except Exception as error:
        raise BrokenTest(f"{type(error).__name__}: {error}") from None
    space[job["entry_point"]] = candidate
    check(candidate)


def _run_asserts(job: dict[str, Any], channel: Channel) -> None:
    """Runs a test of MBPP's form: setup lines and plain asserts, with proxies for their free names."""
    try:
        code, names = compile_test(job["test"], TEST), free_names(job["test"])
    except (SyntaxError, ValueError) as error:
        raise BrokenTest(f"{type(error).__name__}: {error}") from None
    space = {name: channel.proxy(name) for name in (job["entry_point"], *names)}
    space["__name__"] = "test"  # type: ignore[assignment]
    exec(code, space)


@lru_cache(maxsize=64)
def prepare(test: str) -> evalplus.Reference:
    """Prepares an EvalPlus test and the reference's outputs, once."""
    return evalplus.Reference(test)


def _run_evalplus(job: dict[str, Any], channel: Channel) -> None:
    """Runs a test of EvalPlus's form: outputs against the reference's; changes of an input in place do not matter."""
    channel.restores = False
    evalplus.compare(prepare(job["test"]), channel.proxy(job["entry_point"]))


FORMS: dict[str, Callable[[dict[str, Any], Channel], None]] = {
    "humaneval": _run_check,
    "asserts": _run_asserts,
    "evalplus": _run_evalplus,
}


def describe(error: BaseException, test: str, last_error: str) -> str:
    """Describes a failure in one line: the exception, and the line of the test."""
    number = 0
    for frame in traceback.extract_tb(error.__traceback__):
        if frame.filename == TEST:
            number = frame.lineno or 0
    lines = test.splitlines()
    where = ""
    if 0 < number <= len(lines):
        ordinal = sum(line.lstrip().startswith("assert") for line in lines[:number])
        where = f" in test {ordinal}, line {number}: {lines[number - 1].strip()[:200]}"
    try:
        message = last_error or f"{type(error).__name__}: {error}".rstrip(": ")
    except Exception:
        message = type(error).__name__
    return message[:600] + where


class Judge:
    """The judge's loop: its ends of the sockets, and the calls that it remembers of each test."""

    def __init__(self, pool: int, zygote: int, status: int) -> None:
        self.pool = socket.socket(fileno=pool)
        self.zygote = socket.socket(fileno=zygote)
        self.status = mmap.mmap(status, STATUS.size)
        self.begun = 0
        self.forecasts: dict[tuple[str, str], list[Call]] = {}

    def next_child(self) -> Channel:
        """Takes a fresh child's channel and tells the watch which process to watch from now on."""
        data, rights, _, _ = self.zygote.recvmsg(10, socket.CMSG_SPACE(4))
        if not rights:
            raise SystemExit("the zygote is gone")
        number = struct.unpack("i", rights[0][2])[0]
        self.begun += 1
        STATUS.pack_into(self.status, 0, self.begun, int(data), time.monotonic(), time.process_time())
        return Channel(number)

    def end(self, channel: Channel) -> None:
        """Closes the channel and has the child's whole tree killed."""
        STATUS.pack_into(self.status, 0, self.begun, 0, 0.0, 0.0)
        channel.close()
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):  # a dead zygote is noticed at the next child
            self.zygote.send(b"d")

    def attempt(self, job: dict[str, Any], ahead: list[Call]) -> tuple[str, str]:
        """(verdict, detail) of one run; raises Unexpected if the forecast was wrong."""
        channel = self.next_child()
        if job["form"] == "humaneval":
            channel.mirrored.names = defined_classes(job["prompt"])
        try:
            state, error = channel.load(job["source"], job["cpu_seconds"], ahead)
            if state == "fault":
                return "unscored", str(error)
            if state != "loaded":
                return state, channel.last_error
            random.seed(0)  # tests may draw random arguments: the same ones for every program
            FORMS[job["form"]](job, channel)
            if channel.broken is not None:
                raise channel.broken
        except BrokenTest as error:
            return "unscored", f"the test cannot run: {error}"
        except Unexpected:
            raise
        except BaseException as error:
            if isinstance(channel.broken, Unexpected):
                raise channel.broken from None
            state = "error" if isinstance(channel.broken, Died) and channel.stage == "error" else "failed"
            return state, describe(channel.broken or error, job["test"], channel.last_error)
        finally:
            self.end(channel)
        self._remember(job, channel.made)
        return "passed", ""

    def _remember(self, job: dict[str, Any], made: list[Call]) -> None:
        key = (job["entry_point"], job["test"])
        if key not in self.forecasts and len(made) <= AHEAD and sum(len(c[2]) for c in made) <= BYTES_AHEAD:
            if len(self.forecasts) >= 2048:
                self.forecasts.clear()
            self.forecasts[key] = made

    def judge(self, job: dict[str, Any]) -> tuple[str, str]:
        """(verdict, detail) of the program, with the forecast of its test if there is one."""
        if job["form"] == "evalplus":
            try:
                prepare(job["test"])  # before a child is watched: the reference's time does not count for the program
            except Exception as error:
                return "unscored", f"the reference cannot run: {type(error).__name__}: {error}"
        ahead = self.forecasts.get((job["entry_point"], job["test"]), []) if job["forecast"] else []
        try:
            verdict = self.attempt(job, ahead)
        except Unexpected:
            return self.attempt(job, [])
        if verdict[0] == "error" and verdict[1].startswith("Died"):  # while compiling, or before it had the program
            return self.attempt(job, [])
        return verdict

    def serve(self) -> None:
        """Judges programs until the pool closes the socket."""
        stream = self.pool.makefile("rb")
        while head := stream.read(4):
            job = marshal.loads(stream.read(int.from_bytes(head, "little")))
            begun = time.monotonic()
            verdict, detail = self.judge(job)
            reply = json.dumps([job["index"], verdict, detail, time.monotonic() - begun]).encode()
            self.pool.sendall(len(reply).to_bytes(4, "little") + reply)


def main(*arguments: str) -> None:
    """Runs the judge's process. arguments: descriptors of the pool, the zygote and the status page."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    sys.setrecursionlimit(DEEP)
    sys.stdout = io.StringIO()  # the output of a test is dropped
    resource.setrlimit(resource.RLIMIT_AS, (MOST_MEMORY, MOST_MEMORY))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    with contextlib.suppress(BrokenPipeError, ConnectionResetError):
        Judge(*(int(a) for a in arguments)).serve()
    os._exit(0)
