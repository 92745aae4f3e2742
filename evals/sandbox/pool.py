"""The pool: hands programs to workers, watches them from outside, gives the verdicts as they come.

The watch: a program's time is the CPU of its whole tree and of its judge; time blocked counts too,
time spent waiting for a core does not. One that ran out of time waits until nothing else runs and
is run again alone, without a forecast of its calls; only then it is a timeout. A judge that cannot
go on (kept busy in C by a returned value) is killed with its worker.
"""

import math
import os
import select
import signal
import time
from collections import deque
from collections.abc import Iterable, Iterator
from typing import Any

from evals.sandbox import processes
from evals.sandbox.program import Program, Verdict
from evals.sandbox.worker import Worker

TICK_SECONDS = 0.05
BLOCKED_FACTOR, BLOCKED_SECONDS = 1.0, 1.5  # wall bound net of waiting for a core: limit * 1 + 1.5 s
WALL_FACTOR = 20.0  # wall bound whatever the machine does
MOST_MEMORY = 2 << 30  # resident bytes of one program's tree
FAULTS = 2  # runs that a fault of ours may cost a program before it is unscored


class Job:
    """One program on its way."""

    def __init__(self, index: int, program: Program) -> None:
        self.index, self.program = index, program
        self.runs = 0
        self.faults = 0
        self.alone = False
        self.killed = ""  # why the watch killed it

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


class Slot:
    """A worker and the job it runs."""

    def __init__(self, worker: Worker) -> None:
        self.worker = worker
        self.job: Job | None = None
        self.since = 0.0
        self.watched = 0  # how many programs the judge had begun when the watch last killed


class Pool:
    """Workers of one tier. `run` gives verdicts in the order in which they come."""

    def __init__(self, workers: int, numpy: bool) -> None:
        self.numpy = numpy
        self.slots = [Slot(Worker(numpy)) for _ in range(workers)]
        for slot in self.slots:
            slot.worker.wait_ready()

    def close(self) -> None:
        """Ends every worker and whatever runs in it."""
        for slot in self.slots:
            slot.worker.close()

    def run(self, programs: Iterable[Program]) -> Iterator[Verdict]:
        """Verdicts of the programs, streaming; each program exactly once."""
        source = enumerate(programs)
        suspects: deque[Job] = deque()
        again: deque[Job] = deque()
        exhausted = False
        while True:
            idle = [slot for slot in self.slots if slot.job is None]
            while idle and not exhausted:
                if again:
                    self._start(idle.pop(), again.popleft())
                    continue
                try:
                    index, program = next(source)
                except StopIteration:
                    exhausted = True
                    break
                self._start(idle.pop(), Job(index, program))
            if exhausted and again and idle:
                self._start(idle.pop(), again.popleft())
                continue
            busy = [slot for slot in self.slots if slot.job is not None]
            if not busy:
                if not suspects:
                    return
                job = suspects.popleft()
                job.alone = True
                self._start(self.slots[0], job)
                continue
            for slot in self._wait(busy):
                for job, verdict in self._collect(slot):
                    if verdict is None:
                        again.append(job)
                    elif verdict.verdict == "timeout" and not job.alone:
                        suspects.append(job)
                    else:
                        yield verdict
            self._watch()

    def _start(self, slot: Slot, job: Job) -> None:
        job.runs += 1
        job.killed = ""
        slot.job, slot.since = job, time.monotonic()
        try:
            slot.worker.send(job.message())
        except (BrokenPipeError, ConnectionResetError):
            pass  # the judge is gone: seen when its reply is read

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
            yield job, self._lost(slot, job)
            return
        for _, verdict, detail, seconds in replies:
            slot.job = None
            if job.killed:
                verdict, detail = ("timeout", job.killed) if "memory" not in job.killed else ("failed", job.killed)
            yield job, job.verdict(verdict, detail, seconds)

    def _lost(self, slot: Slot, job: Job) -> Verdict | None:
        """The judge ended: killed by the watch, or by a fault of ours. A new worker takes its place."""
        seconds = time.monotonic() - slot.since
        slot.worker.close()
        slot.worker = Worker(self.numpy)
        slot.worker.wait_ready()
        slot.job = None
        if job.killed:
            return job.verdict("timeout", job.killed, seconds)
        job.faults += 1
        if job.faults < FAULTS:
            return None
        return job.verdict("unscored", "the judge ended without a verdict", seconds)

    def _watch(self) -> None:
        """Kills what is over its time or memory."""
        now = time.monotonic()
        for slot in self.slots:
            if slot.job is None or now - slot.since < 2 * TICK_SECONDS:
                continue
            begun, process, at, spent = slot.worker.running()
            limit = slot.job.program.timeout_seconds
            if not process or begun == slot.watched:
                if now - slot.since > limit * WALL_FACTOR:
                    slot.job.killed = "the judge stood still"
                    slot.worker.judge_process.kill()
                continue
            usage = processes.tree(process)
            judge = slot.worker.judge_process.pid
            judging = processes.cpu_seconds(judge) - spent
            elapsed = now - at - usage.waited_seconds - processes.waited_seconds(judge) * 0
            why = ""
            if usage.resident_bytes > MOST_MEMORY:
                why = f"over {MOST_MEMORY >> 20} MiB of memory"
            elif usage.cpu_seconds + judging > limit:
                why = f"over {limit:g} s of CPU time"
            elif elapsed > limit * BLOCKED_FACTOR + BLOCKED_SECONDS or now - at > limit * WALL_FACTOR:
                why = f"not done after {now - at:.1f} s"
            if not why:
                continue
            slot.job.killed = why
            slot.watched = begun
            if judging > limit / 2:
                slot.worker.judge_process.kill()
            try:
                os.kill(process, signal.SIGKILL)
            except ProcessLookupError:
                pass
