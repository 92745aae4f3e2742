"""The pool: hands programs to workers, watches them from outside, gives the verdicts as they come.

The watch: a program's time is the CPU of its whole tree and of its judge; time blocked counts too,
time spent waiting for a core does not. The first run gets half the limit: one that is not done then
waits until nothing else runs and is run again alone with all of it, without a forecast of its calls;
only then it is a timeout. A judge that cannot go on (kept busy in C by a returned value) is killed with its worker.
"""

import contextlib
import itertools
import math
import os
import select
import signal
import sys
import time
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from evals.sandbox.guest.warm import wants_wide
from evals.sandbox.host import processes
from evals.sandbox.host.cores import Cores
from evals.sandbox.host.worker import CannotIsolate, Worker
from evals.sandbox.program import Program, Verdict

TICK_SECONDS = 0.05
BLOCKED_SECONDS = 1.5  # a program's wall bound net of waiting for a core is its limit and this
FIRST_SHARE = 0.5  # of the limit, for the run beside others: an endless program costs 1.5 limits, not 2
WALL_FACTOR = 20.0  # wall bound whatever the machine does
MOST_MEMORY = 2 << 30  # resident bytes of one program's tree
MEMORY = "memory"
STILL_SECONDS = 60.0  # a judge between two children, or preparing a test's reference outputs
MOST_AHEAD = 1 << 14  # characters; in bytes at most a third of what a socket holds unread
FAULTS = 2  # runs that a fault of ours may cost a program before it is unscored


class Job:
    """One program on its way."""

    def __init__(self, index: int, program: Program) -> None:
        self.index, self.program = index, program
        self.runs = 0
        self.faults = 0
        self.alone = False
        self.killed = ""  # why the watch killed it
        self.wide = wants_wide(program.prompt + program.completion)

    def message(self) -> dict[str, Any]:
        """What the judge is told."""
        program = self.program
        return {
            "index": self.index, "source": program.prompt + program.completion, "prompt": program.prompt,
            "test": program.test, "entry_point": program.entry_point, "form": program.form,
            "cpu_seconds": math.ceil(program.timeout_seconds) + 1, "forecast": not self.alone,
        }  # fmt: skip

    def verdict(self, verdict: Any, detail: str, seconds: float) -> Verdict:
        """Its record."""
        return Verdict(id=self.program.id, verdict=verdict, detail=detail, seconds=round(seconds, 4), runs=self.runs)

    def stopped(self, seconds: float) -> Verdict:
        """The record of one that the watch killed, whatever the judge said of it."""
        return self.verdict("failed" if self.killed.startswith(MEMORY) else "timeout", self.killed, seconds)


class Slot:
    """The workers of a slot, narrow or wide (`evals.sandbox.guest.warm`), and the job that one of them runs."""

    def __init__(self, tier: str) -> None:
        self.tier = tier
        self.wide = False
        self.workers = {False: Worker(tier)}
        self.only_narrow = False
        self.job: Job | None = None
        self.ahead: Job | None = None  # handed to the same worker already, so that it need not wait for the pool
        self.since = 0.0
        self.waited = (0, 0.0)  # programs begun, how long the judge had waited for a core when first seen in it
        self.seen: dict[tuple[int, bytes], float] = {}  # CPU of each process of the running child's tree
        self.watched = (0, 0.0)  # programs begun, and the judge's CPU seconds, when the watch last killed

    @property
    def worker(self) -> Worker:
        """The one that runs, or ran last."""
        return self.workers[self.wide]

    def turn_to(self, wide: bool) -> None:
        """Makes the next program one of the wide or the narrow worker's; a new worker is started and waited for.

        A narrow one runs every program, if more slowly: it stands in where a wide one cannot be had.
        """
        if wide not in self.workers:
            made = Worker(self.tier, wide)
            try:
                made.wait_ready()
            except CannotIsolate as error:
                made.close()
                if not wide:
                    raise
                sys.stderr.write(f"phizoo: no sandbox with numpy warm ({error}): programs that want it take longer\n")
                self.only_narrow, wide = True, False
            else:
                self.workers[wide] = made
        if wide != self.wide:
            self.wide, self.waited, self.watched = wide, (0, 0.0), (0, 0.0)

    def hand(self, job: Job) -> None:
        """Gives the worker a program: it is the one that runs, or the one after it."""
        job.killed = ""
        if self.job is None:
            self.turn_to(self.wants(job))
            self._begin(job)
        else:
            self.ahead = job
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):  # a judge that is gone is seen when read
            self.worker.send(job.message())

    def may_take_ahead(self, job: Job) -> bool:
        """Whether a program may be handed over while another runs: it must fit the socket, whose reader is busy."""
        if self.job is None or self.ahead is not None or self.job.alone:
            return False
        program = job.program
        size = 2 * len(program.prompt) + len(program.completion) + len(program.test)
        return size < MOST_AHEAD and self.wants(job) == self.wide

    def done(self) -> None:
        """The program that ran has its verdict."""
        self.job = None
        if self.ahead is not None:
            following, self.ahead = self.ahead, None
            self._begin(following)

    def _begin(self, job: Job) -> None:
        job.runs += 1
        self.job, self.since = job, time.monotonic()

    def wants(self, job: Job) -> bool:
        """Whether a program wants the wide worker."""
        return job.wide and self.tier == "namespaces" and not self.only_narrow

    def renew(self) -> None:
        """A new worker in the place of one that ended."""
        self.worker.close()
        del self.workers[self.wide]
        self.turn_to(self.wide)
        self.waited, self.watched = (0, 0.0), (0, 0.0)  # it counts its programs from the first one again

    def processes(self) -> list[int]:
        """The process ids of its workers, the running zygote's first."""
        every = (self.worker, *self.workers.values())
        return [process.pid for one in every for process in (one.zygote_process, one.judge_process)]

    def close(self) -> None:
        """Ends its workers and whatever runs in them."""
        for worker in self.workers.values():
            worker.close()


class Pool:
    """Workers of one tier. `run` gives verdicts in the order in which they come."""

    def __init__(self, workers: int, tier: str) -> None:
        self.tier = tier
        self.looked = 0.0
        self.cores = Cores()
        self.slots: list[Slot] = []
        try:
            for _ in range(workers):
                self.slots.append(Slot(tier))
            for slot in self.slots:
                slot.worker.wait_ready()
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Ends every worker and whatever runs in it."""
        for slot in self.slots:
            slot.close()

    def run(self, programs: Iterable[Program]) -> Iterator[Verdict]:
        """Verdicts of the programs, streaming; each program exactly once.

        Of a sequence programs are handed out ahead; of any other source one is drawn only when a worker is idle, since
        who gives it may wait for the verdicts of those before.
        """
        source = (Job(index, program) for index, program in enumerate(programs))
        suspects: deque[Job] = deque()
        todo: deque[Job] = deque()
        while True:
            self._hand_out(todo, source, isinstance(programs, Sequence))
            busy = [slot for slot in self.slots if slot.job is not None]
            if not busy:
                if not suspects:
                    return
                job = suspects.popleft()
                job.alone = True
                self.slots[0].hand(job)
                continue
            for slot in self._wait(busy):
                for job, verdict in self._collect(slot):
                    if verdict is None:
                        todo.appendleft(job)
                    elif verdict.verdict == "timeout" and not job.alone:
                        suspects.append(job)
                    else:
                        yield verdict
            self._watch()

    def _hand_out(self, todo: deque[Job], source: Iterator[Job], ahead: bool) -> None:
        """A program to each idle worker, and one ahead to each busy one as long as there are more than workers."""
        for slot in self.slots:
            if slot.job is None:
                todo.extend(itertools.islice(source, 0 if todo else 1))
                if todo:
                    slot.hand(todo.popleft())
        for slot in self.slots if ahead else ():
            todo.extend(itertools.islice(source, max(0, len(self.slots) + 1 - len(todo))))
            if len(todo) > len(self.slots) and slot.may_take_ahead(todo[0]):
                slot.hand(todo.popleft())

    def _wait(self, busy: list[Slot]) -> list[Slot]:
        poll = select.poll()
        for slot in busy:
            poll.register(slot.worker.judge, select.POLLIN)
        ready = {number for number, _ in poll.poll(TICK_SECONDS * 1000)}
        return [slot for slot in busy if slot.worker.judge.fileno() in ready]

    def _collect(self, slot: Slot) -> Iterator[tuple[Job, Verdict | None]]:
        job = slot.job
        replies = slot.worker.replies()
        if job is None:
            return
        if replies is None:
            following = slot.ahead
            yield job, self._lost(slot, job)
            if following is not None:
                yield following, None
            return
        for _, verdict, detail, seconds in replies:
            job = slot.job
            assert job is not None  # a judge answers once for each program it was handed
            slot.done()
            yield job, job.stopped(seconds) if job.killed else job.verdict(verdict, detail, seconds)

    def _lost(self, slot: Slot, job: Job) -> Verdict | None:
        """The judge ended: killed by the watch, or by a fault of ours. A new worker takes its place."""
        seconds = time.monotonic() - slot.since
        slot.renew()
        slot.job = slot.ahead = None
        if job.killed:
            return job.stopped(seconds)
        job.faults += 1
        if job.faults < FAULTS:
            return None
        return job.verdict("unscored", "the judge ended without a verdict", seconds)

    def _watch(self) -> None:
        """Kills what is over its time or memory."""
        now = time.monotonic()
        if now - self.looked < TICK_SECONDS:
            return
        self.looked = now
        self.cores.turn([slot.processes() for slot in self.slots], now)
        for slot in self.slots:
            if slot.job is not None and now - slot.since > 2 * TICK_SECONDS:
                self._look(slot, slot.job, now)

    def _look(self, slot: Slot, job: Job, now: float) -> None:
        """Watches one running program."""
        begun, process, at, spent = slot.worker.running()
        judge = slot.worker.judge_process.pid
        limit = job.program.timeout_seconds * (1.0 if job.alone else FIRST_SHARE)
        if not process or begun == slot.watched[0]:  # between two children, or killed and not yet noticed
            if now - slot.since > STILL_SECONDS + job.program.timeout_seconds * WALL_FACTOR:
                job.killed = "the judge stood still"
            elif not job.killed or processes.cpu_seconds(judge) - slot.watched[1] <= limit:
                return
            slot.worker.judge_process.kill()  # it still works on what it was given, and cannot notice
            return
        waited = processes.waited_seconds(judge)
        if slot.waited[0] != begun:
            slot.waited, slot.seen = (begun, waited), {}
        usage = processes.tree(process, slot.seen)  # of many processes each waits for the others: no excuse
        judging = processes.cpu_seconds(judge) - spent
        why = reason(
            limit,
            usage.cpu_seconds + judging,
            now - at,
            now - at - usage.waited_seconds / max(1, usage.processes) - (waited - slot.waited[1]),
            usage.resident_bytes,
        )
        if not why or slot.worker.running()[:2] != (begun, process):
            return
        job.killed, slot.watched = why, (begun, processes.cpu_seconds(judge))
        if judging > limit / 2:
            slot.worker.judge_process.kill()
        with contextlib.suppress(ProcessLookupError):
            os.kill(process, signal.SIGKILL)


def reason(limit: float, spent: float, wall: float, unstarved: float, resident_bytes: int) -> str:
    """Why a program must be killed now, or an empty string.

    limit      its time limit, seconds
    spent      CPU seconds of its tree and of the judge
    wall       since it began; unstarved: without the time it was ready and had no core

    >>> reason(3.0, spent=0.1, wall=4.0, unstarved=4.0, resident_bytes=0)
    ''
    >>> reason(3.0, spent=3.1, wall=4.0, unstarved=4.0, resident_bytes=0)
    'over 3 s of CPU time'
    >>> reason(3.0, spent=0.1, wall=9.0, unstarved=3.0, resident_bytes=0)
    ''
    """
    if resident_bytes > MOST_MEMORY:
        return f"{MEMORY}: over {MOST_MEMORY >> 20} MiB"
    if spent > limit:
        return f"over {limit:g} s of CPU time"
    if unstarved > limit + BLOCKED_SECONDS or wall > limit * WALL_FACTOR + STILL_SECONDS:
        return f"not done after {wall:.1f} s"
    return ""
