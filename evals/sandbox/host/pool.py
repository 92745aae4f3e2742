"""The sandbox's pool: gives programs to workers, watches them from outside, yields verdicts as they arrive.

A program's time is the CPU time of its whole tree and of its judge; blocked time counts too, but not time
spent waiting for a core. The first run gets half the limit. Programs that time out are retried alone at the
full limit, once nothing else runs and without a forecast of their calls; only then are they timeouts. A
judge that cannot continue (kept busy in C by a returned value) is killed with its worker.
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

from evals.sandbox.guest.preload import wants_wide
from evals.sandbox.host import processes
from evals.sandbox.host.cores import Cores
from evals.sandbox.host.worker import CannotIsolate, Worker
from evals.sandbox.program import Program, Verdict

TICK_SECONDS = 0.05
BLOCKED_SECONDS = 1.5  # a program's wall bound, without waiting for a core, is its limit plus this
BLOCKED_ALONE = 0.25  # and this in its last run: to sleep past the limit is a timeout
FIRST_SHARE = 0.5  # of the limit, for the run beside others: an endless program costs 1.5 limits, not 2
WALL_FACTOR = 20.0  # times the limit: the wall bound on any machine
MOST_MEMORY = 2 << 30  # resident bytes of one program's tree
MEMORY = "memory"
STILL_SECONDS = 60.0  # a judge may need so long between two children, or for a test's reference outputs
MOST_AHEAD = 1 << 14  # characters; in bytes at most a third of a socket's buffer
FAULTS = 2  # of the sandbox, in a program's runs, before the program is unscored


class SandboxJob:
    """A program until it has its verdict."""

    def __init__(self, index: int, program: Program) -> None:
        self.index, self.program = index, program
        self.runs = 0
        self.faults = 0
        self.alone = False
        self.killed = ""  # why the watch killed it
        tested = program.test if program.form != "evalplus" else ""  # the second view runs it beside the program
        self.wide = wants_wide(program.prompt + program.completion + tested)

    def message(self) -> dict[str, Any]:
        """The message to the judge."""
        program = self.program
        return {
            "index": self.index, "source": program.prompt + program.completion, "prompt": program.prompt,
            "test": program.test, "entry_point": program.entry_point, "form": program.form,
            "cpu_seconds": math.ceil(program.timeout_seconds) + 1, "forecast": not self.alone,
        }  # fmt: skip

    def verdict(self, verdict: Any, detail: str, seconds: float, disputed: bool = False) -> Verdict:
        """The record of its verdict."""
        return Verdict(id=self.program.id, verdict=verdict, detail=detail, seconds=round(seconds, 4), runs=self.runs,
                       disputed=disputed)  # fmt: skip

    def killed_verdict(self, seconds: float) -> Verdict:
        """The verdict of a program that the watch killed, whatever the judge reported."""
        return self.verdict("failed" if self.killed.startswith(MEMORY) else "timeout", self.killed, seconds)


class PoolSlot:
    """A narrow and perhaps a wide worker (`evals.sandbox.guest.preload`), and the job that one of them runs."""

    def __init__(self, tier: str) -> None:
        self.tier = tier
        self.wide = False
        self.workers = {False: Worker(tier)}
        self.only_narrow = False
        self.job: SandboxJob | None = None
        self.ahead: SandboxJob | None = None  # already sent to the same worker, so that it need not wait for the pool
        self.since = 0.0
        self.waited = (0, 0.0)  # programs begun; seconds that the judge had waited for a core at the start
        self.seen: dict[tuple[int, bytes], float] = {}  # CPU of each process of the running child's tree
        self.watched = (0, 0.0)  # programs begun, and the judge's CPU seconds, when the watch last killed

    @property
    def worker(self) -> Worker:
        """The worker that runs, or ran last."""
        return self.workers[self.wide]

    def turn_to(self, wide: bool) -> None:
        """Sends the next program to the wide or the narrow worker, starting the worker if needed.

        A narrow worker runs every program, if more slowly: it is the substitute where a wide one cannot start.
        """
        if wide not in self.workers:
            worker = Worker(self.tier, wide)
            try:
                worker.wait_ready()
            except CannotIsolate as error:
                worker.close()
                if not wide:
                    raise
                sys.stderr.write(
                    f"phizoo: no worker with numpy preloaded ({error}): programs that import it take longer\n"
                )
                self.only_narrow, wide = True, False
            else:
                self.workers[wide] = worker
        if wide != self.wide:
            self.wide, self.waited, self.watched = wide, (0, 0.0), (0, 0.0)

    def hand(self, job: SandboxJob) -> None:
        """Gives the worker a program, to run now or after the current one."""
        job.killed = ""
        if self.job is None:
            self.turn_to(self.wants_wide(job))
            self._begin(job)
        else:
            self.ahead = job
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):  # a dead judge is noticed at the next read
            self.worker.send(job.message())

    def may_take_ahead(self, job: SandboxJob) -> bool:
        """Whether a program may be sent while another runs: it must fit into the socket, whose reader is busy."""
        if self.job is None or self.ahead is not None or self.job.alone:
            return False
        program = job.program
        size = 2 * len(program.prompt) + len(program.completion) + len(program.test)
        return size < MOST_AHEAD and self.wants_wide(job) == self.wide

    def finish(self) -> None:
        """Ends the current program, which has its verdict, and begins the one sent ahead."""
        self.job = None
        if self.ahead is not None:
            following, self.ahead = self.ahead, None
            self._begin(following)

    def _begin(self, job: SandboxJob) -> None:
        job.runs += 1
        self.job, self.since = job, time.monotonic()

    def wants_wide(self, job: SandboxJob) -> bool:
        """Whether a program should run on the wide worker."""
        return job.wide and self.tier == "namespaces" and not self.only_narrow

    def renew(self) -> None:
        """Replaces a worker that ended."""
        self.worker.close()
        del self.workers[self.wide]
        self.turn_to(self.wide)
        self.waited, self.watched = (0, 0.0), (0, 0.0)  # the new one counts its programs from the start

    def processes(self) -> list[int]:
        """The process ids of its workers, the running zygote's first."""
        workers = (self.worker, *self.workers.values())
        return [process.pid for worker in workers for process in (worker.zygote_process, worker.judge_process)]

    def close(self) -> None:
        """Ends its workers and every process in them."""
        for worker in self.workers.values():
            worker.close()


class Sandbox:
    """An open sandbox: a pool of workers of one tier. `run` yields verdicts as they arrive."""

    def __init__(self, workers: int, tier: str) -> None:
        self.tier = tier
        self.looked = 0.0
        self.cores = Cores()
        self.slots: list[PoolSlot] = []
        try:
            for _ in range(workers):
                self.slots.append(PoolSlot(tier))
            for slot in self.slots:
                slot.worker.wait_ready()
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Ends every worker and every process in it."""
        for slot in self.slots:
            slot.close()

    def run(self, programs: Iterable[Program]) -> Iterator[Verdict]:
        """One verdict for each program, as they arrive, in any order.

        Programs of a sequence are sent ahead. From any other source a program is drawn only when a worker is idle,
        since the source may wait for earlier verdicts.
        """
        source = (SandboxJob(index, program) for index, program in enumerate(programs))
        suspects: deque[SandboxJob] = deque()
        todo: deque[SandboxJob] = deque()
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

    def _hand_out(self, todo: deque[SandboxJob], source: Iterator[SandboxJob], ahead: bool) -> None:
        """Gives each idle worker a program, and each busy one the next, while there are more programs than workers."""
        for slot in self.slots:
            if slot.job is None:
                todo.extend(itertools.islice(source, 0 if todo else 1))
                if todo:
                    slot.hand(todo.popleft())
        for slot in self.slots if ahead else ():
            todo.extend(itertools.islice(source, max(0, len(self.slots) + 1 - len(todo))))
            if len(todo) > len(self.slots) and slot.may_take_ahead(todo[0]):
                slot.hand(todo.popleft())

    def _wait(self, busy: list[PoolSlot]) -> list[PoolSlot]:
        poll = select.poll()
        for slot in busy:
            poll.register(slot.worker.judge, select.POLLIN)
        ready = {number for number, _ in poll.poll(TICK_SECONDS * 1000)}
        return [slot for slot in busy if slot.worker.judge.fileno() in ready]

    def _collect(self, slot: PoolSlot) -> Iterator[tuple[SandboxJob, Verdict | None]]:
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
        for _, verdict, detail, seconds, disputed, stands in replies:
            job = slot.job
            assert job is not None  # a judge answers once for each program
            slot.finish()
            killed = job.killed and not stands
            yield job, job.killed_verdict(seconds) if killed else job.verdict(verdict, detail, seconds, disputed)

    def _lost(self, slot: PoolSlot, job: SandboxJob) -> Verdict | None:
        """Replaces a worker whose judge ended: the watch killed it, or the sandbox is at fault."""
        seconds = time.monotonic() - slot.since
        reading = bool(slot.worker.running()[1])  # a program ran when the judge ended
        slot.renew()
        slot.job = slot.ahead = None
        if job.killed:
            return job.killed_verdict(seconds)
        job.faults += 1
        if job.faults < FAULTS:
            return None
        if reading:
            return job.verdict("failed", "the judge ended twice over what the program gave", seconds)
        return job.verdict("unscored", "the judge ended without a verdict", seconds)

    def _watch(self) -> None:
        """Kills programs that are over their time or memory."""
        now = time.monotonic()
        if now - self.looked < TICK_SECONDS:
            return
        self.looked = now
        self.cores.turn([slot.processes() for slot in self.slots], now)
        for slot in self.slots:
            if slot.job is not None and now - slot.since > 2 * TICK_SECONDS:
                self._look(slot, slot.job, now)

    def _look(self, slot: PoolSlot, job: SandboxJob, now: float) -> None:
        """Watches one running program."""
        begun, process, start, spent = slot.worker.running()
        judge = slot.worker.judge_process.pid
        limit = job.program.timeout_seconds * (1.0 if job.alone else FIRST_SHARE)
        if not process or begun == slot.watched[0]:  # between two children, or killed and not yet noticed
            if now - slot.since > STILL_SECONDS + job.program.timeout_seconds * WALL_FACTOR:
                job.killed = "the judge stood still"
            elif not job.killed or processes.cpu_seconds(judge) - slot.watched[1] <= limit:
                return
            slot.worker.judge_process.kill()  # it still works on a value and cannot notice
            return
        waited = processes.waited_seconds(judge)
        if slot.waited[0] != begun:
            slot.waited, slot.seen = (begun, waited), {}
        usage = processes.tree_usage(process, slot.seen)  # many processes wait for each other, which is no excuse
        judging = processes.cpu_seconds(judge) - spent
        why = kill_reason(
            limit,
            BLOCKED_ALONE if job.alone else BLOCKED_SECONDS,
            usage.cpu_seconds + judging,
            now - start,
            now - start - usage.waited_seconds / max(1, usage.processes) - (waited - slot.waited[1]),
            usage.resident_bytes,
        )
        if not why or slot.worker.running()[:2] != (begun, process):
            return
        job.killed, slot.watched = why, (begun, processes.cpu_seconds(judge))
        if judging > limit / 2:
            slot.worker.judge_process.kill()
        with contextlib.suppress(ProcessLookupError):
            os.kill(process, signal.SIGKILL)


def kill_reason(limit: float, blocked: float, spent: float, wall: float, unstarved: float, resident_bytes: int) -> str:
    """The reason to kill a program now, or an empty string.

    limit      its time limit, seconds
    blocked    seconds above it that a blocked program may take
    spent      CPU seconds of its tree and of the judge
    wall       since it began; unstarved: without the time it was ready and had no core

    >>> kill_reason(3.0, 1.5, spent=0.1, wall=4.0, unstarved=4.0, resident_bytes=0)
    ''
    >>> kill_reason(3.0, 1.5, spent=3.1, wall=4.0, unstarved=4.0, resident_bytes=0)
    'over 3 s of CPU time'
    >>> kill_reason(3.0, 1.5, spent=0.1, wall=9.0, unstarved=3.0, resident_bytes=0)
    ''
    """
    if resident_bytes > MOST_MEMORY:
        return f"{MEMORY}: over {MOST_MEMORY >> 20} MiB"
    if spent > limit:
        return f"over {limit:g} s of CPU time"
    if unstarved > limit + blocked or wall > limit * WALL_FACTOR + STILL_SECONDS:
        return f"not done after {wall:.1f} s"
    return ""
