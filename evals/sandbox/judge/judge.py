# ruff: noqa: S302
"""The judge: holds the tests, drives one candidate at a time, decides the verdict.

A process of its own, because a value that a candidate returned (a huge integer, say) may keep a test busy
in C, where no Python timer fires: `evals.sandbox.host.pool` watches it from outside and kills it. The
judge handles a completion only as text to pass on and runs none of its code.
"""

import contextlib
import json
import marshal
import mmap
import os
import random
import resource
import signal
import socket
import struct
import sys
import time
import traceback
from typing import Any, NamedTuple

from evals.sandbox.judge import faithful
from evals.sandbox.judge.channel import AHEAD, BYTES_AHEAD, Channel, Died, Unexpected
from evals.sandbox.judge.forms import RUNS, TEST, BrokenTest, compiled, meant_classes, prepare, shared_classes
from evals.sandbox.judge.rehearsal import Rehearsal, independent, without_assertions
from evals.sandbox.judge.surroundings import SINK, draws
from evals.sandbox.judge.values import Violation

STATUS = struct.Struct("<QQdd")  # programs begun, process id of the child (0: none), its start, our CPU time then
MOST_MEMORY = 4 << 30
MOST_KEPT = 512 << 20  # resident bytes after a program; usually below 100 MiB
DEEP = 4000  # results nested deeper than this fail: the C stack allows about twice as many
LOST = "the sandbox did not read the program"  # a failure of the second view that is the sandbox's own


def describe(error: BaseException, test: str, last_error: str) -> str:
    """Describes a failure in one line: the exception, and the line of the test."""
    number = 0
    for frame in traceback.extract_tb(error.__traceback__):
        if frame.filename == TEST:
            number = frame.lineno or 0
    try:
        message = last_error or f"{type(error).__name__}: {error}".rstrip(": ")
    except BaseException:  # an object of the program's in it, which cannot be asked any more
        message = type(error).__name__
    return message[:600] + at_line(test, number)


def at_line(test: str, number: int) -> str:
    """The place of a failure in the words of `describe`; "" if the line is not one of the test's."""
    lines = test.splitlines()
    if not 0 < number <= len(lines):
        return ""
    ordinal = sum(line.lstrip().startswith("assert") for line in lines[:number])
    return f" in test {ordinal}, line {number}: {lines[number - 1].strip()[:200]}"


def resident_bytes() -> int:
    """The resident memory of this process."""
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * resource.getpagesize()


class JudgedProgram(NamedTuple):
    """The outcome for one program.

    due       why a second view is due; "" if none is
    disputed  the verdict rests on one view alone: plain Python passes what the judge fails, or could not look
    stands    the verdict is final, even if the watch killed the child of the second view
    """

    verdict: str
    detail: str = ""
    due: str = ""
    disputed: bool = False
    stands: bool = False


def _names(job: dict[str, Any]) -> tuple[tuple[str, ...], str]:
    """(the classes that both sides define, the name that the program was asked for)."""
    whole = shared_classes(job["prompt"], job["entry_point"]) if job["form"] == "humaneval" else ()
    return whole, job["entry_point"]


def _key(job: dict[str, Any]) -> tuple[str, str, bool]:
    """What the calls of a test depend on: its text, and whether the state of `random` goes with them."""
    return job["entry_point"], job["test"], draws(job["source"])


class Judge:
    """The judge's loop: its ends of the sockets, and the calls that it remembers of each test."""

    def __init__(self, pool: int, zygote: int, status: int) -> None:
        self.pool = socket.socket(fileno=pool)
        self.zygote = socket.socket(fileno=zygote)
        self.status = mmap.mmap(status, STATUS.size)
        self.begun = STATUS.unpack_from(self.status, 0)[0]  # 0 but in a renewed judge
        self.made: dict[tuple[str, str, bool], list[bytes]] = {}  # the calls of each test that passed
        self.forecasts: dict[tuple[str, str, bool], list[bytes]] = {}  # those of them that depend on no answer

    def next_child(self, job: dict[str, Any]) -> Channel:
        """Takes a fresh child's channel and tells the watch which process to watch from now on."""
        data, rights, _, _ = self.zygote.recvmsg(10, socket.CMSG_SPACE(4))
        if not rights:
            raise SystemExit("the zygote is gone")
        number = struct.unpack("i", rights[0][2])[0]
        self.begun += 1
        STATUS.pack_into(self.status, 0, self.begun, int(data), time.monotonic(), time.process_time())
        by_value = job["form"] == "evalplus"
        channel = Channel(number, "" if by_value else job["test"], not by_value, draws(job["source"]))
        channel.opinions.meant = meant_classes(job["prompt"], "" if by_value else job["test"], job["form"])
        return channel

    def end(self, channel: Channel) -> None:
        """Closes the channel and has the child's whole tree killed."""
        STATUS.pack_into(self.status, 0, self.begun, 0, 0.0, 0.0)
        channel.close()
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):  # a dead zygote is noticed at the next child
            self.zygote.send(b"d")

    def attempt(self, job: dict[str, Any], ahead: list[bytes]) -> JudgedProgram:
        """The judge's own view in one run; raises Unexpected if the forecast was wrong."""
        try:
            code = compiled(job)
        except BrokenTest as broken:
            return JudgedProgram("unscored", f"the test cannot run: {broken}")
        channel = self.next_child(job)
        channel.enough = faithful.enough(job["form"], job["test"], job["entry_point"])
        try:
            state, error = channel.load(job["source"], job["cpu_seconds"], *_names(job), ahead)
            if state == "fault":
                return JudgedProgram("unscored", str(error))
            if state != "loaded":
                return JudgedProgram(state, channel.last_error)
            random.seed(0)  # tests may draw random arguments: the same ones for every program
            RUNS[job["form"]](job, channel, code)
            if channel.broken is not None:
                raise channel.broken
            channel.opinions.check()
        except BrokenTest as error:
            return JudgedProgram("unscored", f"the test cannot run: {error}")
        except Unexpected:
            raise
        except BaseException as error:
            if isinstance(channel.broken, Unexpected):
                raise channel.broken from None
            detail = describe(channel.broken or error, job["test"], channel.last_error)
            if isinstance(channel.broken, Died):  # it ended, or the watch killed it
                return JudgedProgram("error" if channel.stage == "error" else "failed", detail)
            return JudgedProgram("failed", detail, due=self._due(job, channel))
        finally:
            self.end(channel)
        self._remember(job, channel.made)
        return JudgedProgram("passed", due=self._due(job, channel))

    @staticmethod
    def _due(job: dict[str, Any], channel: Channel) -> str:
        crossed = faithful.OBJECT if isinstance(channel.broken, Violation) else channel.crossed  # a refused reply
        return faithful.due(job["form"], job["test"], job["entry_point"], job["source"], crossed, channel.same)

    def look_again(self, job: dict[str, Any], first: JudgedProgram) -> JudgedProgram:
        """The verdict of both views: the test as plain Python runs it, in a fresh child, vetoes or disputes."""
        failed = first.verdict != "passed"
        alone = first._replace(disputed=True, stands=failed)
        note = f"{first.detail}; " if first.detail else ""
        if missing := faithful.unavailable(job["form"], job["test"], job["entry_point"]):
            return alone._replace(detail=f"{note}judged on copies alone: no module {missing} in the sandbox")
        try:
            source = faithful.official(job, prepare(job["test"]) if job["form"] == "evalplus" else None)
        except Exception as error:  # outputs of a reference that cannot be sent
            return alone._replace(detail=f"{note}judged on copies alone: {type(error).__name__}")
        failure = self._run_official(job, source)
        if failure == LOST:  # the sandbox's fault, since no code of the program ran
            failure = self._run_official(job, source)
        if failure is None:
            return alone._replace(detail=f"{note}plain Python passes it") if failed else first
        if failure == LOST:
            return alone._replace(detail=f"{note}judged on copies alone: {failure}")
        if failed:
            return first._replace(stands=True)
        return JudgedProgram("failed", f"passes on copies, fails as plain Python: {failure}")

    def _run_official(self, job: dict[str, Any], source: str) -> str | None:
        """The failure of a program with its test in one text; None if it passes."""
        channel = self.next_child(job)
        try:
            state, error = channel.load(source, job["cpu_seconds"], (), "", [])
            if state == "loaded":
                return None
            if state == "fault":
                return LOST
            text, line = faithful.place(channel.last_error or str(error), job["source"])
            return text + (at_line(job["test"], line) if job["form"] != "evalplus" else "")
        except (Died, Violation) as error:
            return LOST if channel.stage == "error" else f"{type(error).__name__}: {error}"
        finally:
            self.end(channel)

    def _remember(self, job: dict[str, Any], made: list[bytes]) -> None:
        key = _key(job)
        if key not in self.made and len(made) <= AHEAD and sum(map(len, made)) <= BYTES_AHEAD:
            if len(self.made) >= 2048:
                self.made.clear()
                self.forecasts.clear()
            self.made[key] = made

    def _forecast(self, job: dict[str, Any]) -> list[bytes]:
        """The calls that may be sent ahead: those of a run that passed which depend on no answer."""
        key = _key(job)
        if not job["forecast"] or key not in self.made:
            return []
        if key not in self.forecasts:
            made = self.made[key]
            if job["form"] != "evalplus":
                code = without_assertions(job["test"])
                random.seed(0)
                rehearsal = Rehearsal(made, job["test"], key[2])
                made = independent(rehearsal, lambda channel: RUNS[job["form"]](job, channel, code))
            self.forecasts[key] = made
        return self.forecasts[key]

    def judge(self, job: dict[str, Any]) -> JudgedProgram:
        """The verdict on the program, by the judge and, where that is due, by plain Python."""
        first = self.first_view(job)
        return self.look_again(job, first) if first.due else first

    def first_view(self, job: dict[str, Any]) -> JudgedProgram:
        """The judge's own view of the program, with the forecast of its test if there is one."""
        if job["form"] == "evalplus":
            try:
                prepare(job["test"])  # before a child is watched: the reference's time does not count for the program
            except Exception as error:
                return JudgedProgram("unscored", f"the reference cannot run: {type(error).__name__}: {error}")
        try:
            verdict = self.attempt(job, self._forecast(job))
        except Unexpected:
            return self.attempt(job, [])
        if verdict.verdict == "error" and verdict.detail.startswith("Died"):  # while compiling, or before
            return self.attempt(job, [])
        return verdict

    def serve(self) -> None:
        """Judges programs until the pool closes the socket."""
        while head := self._receive(4):
            job = marshal.loads(self._receive(int.from_bytes(head, "little")))
            begun = time.monotonic()
            made = self.judge(job)
            facts = [job["index"], made.verdict, made.detail, time.monotonic() - begun, made.disputed, made.stands]
            reply = json.dumps(facts).encode()
            self.pool.sendall(len(reply).to_bytes(4, "little") + reply)
            if resident_bytes() > MOST_KEPT:
                os.execv(sys.executable, sys.orig_argv)  # noqa: S606 (renewed: its sockets stay, its memory goes)

    def _receive(self, size: int) -> bytes:
        """Exactly `size` bytes of the pool's, and none of the next message; b"" at its end."""
        data = b""
        while len(data) < size and (more := self.pool.recv(size - len(data))):
            data += more
        return data


def main(*arguments: str) -> None:
    """Runs the judge's process. arguments: descriptors of the pool, the zygote and the status page."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    sys.setrecursionlimit(DEEP)
    sys.stdout = sys.stderr = SINK  # the output of a test is dropped
    resource.setrlimit(resource.RLIMIT_AS, (MOST_MEMORY, MOST_MEMORY))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    with contextlib.suppress(BrokenPipeError, ConnectionResetError):
        Judge(*(int(a) for a in arguments)).serve()
    os._exit(0)
