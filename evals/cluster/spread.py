"""`--ray ADDRESS`: checkpoints x tasks spread over a cluster's replicas; this process asks, scores and writes.

A replica keeps the checkpoint that it has loaded; a free one takes the next checkpoint, and helps with another
when none is left. Runs, scores and the registry are written here alone, by the ordinary loop (`evals.run`), in the
ordinary folders: with Ray or without, a run has the same id and continues where it stopped.

The pieces of a lost machine are asked again, and new machines are used. An answer is written when its piece
returns, so killing this process costs at most the pieces that were out.
"""

from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path

from evals import run_folder
from evals.cluster.replicas import Answer, Cluster, RunPiece
from evals.engines.replay import Replay
from evals.records import Generation
from evals.run import (
    FinishedRun,
    RunOptions,
    RunPlan,
    count_draws,
    evaluate,
    missing_requests,
    plan_run,
    score_choices,
    select_samples,
)
from evals.run_folder import RunFolder
from evals.task import Task
from zoo.errors import ZooError
from zoo.progress import progress
from zoo.records import Record

PIECE = 128  # requests asked of a replica at a time: vLLM's batch is full with them, and a kill costs few
FEW = 8  # ... but a small task is cut finer, so that every replica gets some
OPEN = 64  # runs open at a time, three files each
DEATHS = 3  # replicas that may die over one piece before the piece is blamed


class SpreadJob(Record, frozen=True, kw_only=True):
    """One run to be made: a checkpoint's digest, label and folder, a task and the options."""

    digest: str
    label: str
    path: Path
    task: Task
    options: RunOptions


class _Run:
    """One run whose questions are out: its open folder, the pieces that wait and those that have not returned."""

    def __init__(self, job: SpreadJob, plan: RunPlan, folder: RunFolder, stack: ExitStack, replicas: int) -> None:
        self.job, self.plan, self.folder, self.stack = job, plan, folder, stack
        self.samples = {sample.id: sample for sample in plan.samples}
        self.faults: dict[tuple[str, int], Answer] = {}
        requests = missing_requests(plan, folder)
        self.missing = len(requests)
        size = min(PIECE, max(FEW, -(-len(requests) // max(1, 2 * replicas))))
        about = (job.digest, str(job.path), plan.header.backend)
        self.waiting = deque(
            RunPiece(*about, requests[begin : begin + size]) for begin in range(0, len(requests), size)
        )
        self.pieces = set(self.waiting)  # those that have not returned

    def write(self, piece: RunPiece, answers: Sequence[Answer]) -> None:
        """Writes a piece's answers: a question's score, or a text that is scored when the run is complete.

        An answer that the folder has already is left as it is, and a fault is kept for the run's own unscored line.
        """
        for answer in answers:
            key = (answer.sample, answer.draw if isinstance(answer, Generation) else 0)
            if answer.fault:
                self.faults[key] = answer
            elif isinstance(answer, Generation):
                if key not in self.folder.generations:
                    self.folder.add_generation(answer)
            elif key not in self.folder.results:
                self.folder.add_result(score_choices(self.plan.task, self.samples[answer.sample], answer))
        self.pieces.discard(piece)


def spread(cluster: Cluster, jobs: Sequence[SpreadJob], runs: Path) -> Iterator[tuple[SpreadJob, FinishedRun]]:
    """Makes every run on the cluster and yields each when it is complete and scored, in the order they end.

    Raises  ZooError as `evaluate` does, when the cluster is gone, or when one piece kills replica after replica
    """
    tier = _find_tier(jobs)
    tasks = {id(job.task): job for job in jobs}
    counts = {
        name: len(select_samples(job.task, job.options)[1]) * count_draws(job.task, job.options)
        for name, job in tasks.items()
    }
    with ExitStack() as stack:
        total = sum(counts[id(job.task)] for job in jobs)
        bar = stack.enter_context(progress(f"{len(jobs)} runs on {cluster.count_room()} replicas", total, "samples"))
        table = _Table(cluster, deque(jobs), stack, runs, tier)
        while table.waiting or table.runs:
            cluster.update()
            for replica in list(cluster.idle):
                while (run := table.find_run(replica)) is None and table.has_room() and replica in cluster.idle:
                    if opened := table.open_next(replica):
                        bar.advance(counts[id(opened.job.task)] - opened.missing)  # answered by an earlier start
                if (run := run or table.largest_run()) and replica in cluster.idle:
                    cluster.ask(replica, run.waiting.popleft())
            for piece, answers in cluster.take_answers():
                _write_or_repeat(next(run for run in table.runs if piece in run.pieces), piece, answers)
                bar.advance(len(piece.requests) if answers is not None else 0)
            for run in [run for run in table.runs if not run.pieces]:
                table.runs.remove(run)
                run.stack.close()
                faults = Replay(run.faults, run.plan.header.backend)
                yield run.job, evaluate(faults, run.job.task, (run.job.digest, run.job.label), runs, run.job.options)


class _Table:
    """The runs that wait and those whose questions are out; chooses the run that a free replica helps."""

    def __init__(self, cluster: Cluster, waiting: deque[SpreadJob], stack: ExitStack, runs: Path, tier: str) -> None:
        self.cluster, self.waiting, self.stack, self.runs_dir, self.tier = cluster, waiting, stack, runs, tier
        self.runs: list[_Run] = []

    def has_room(self) -> bool:
        """Whether another run may be opened."""
        return bool(self.waiting) and len(self.runs) < OPEN

    def open_next(self, replica: object) -> _Run | None:
        """Opens the next run's folder and lists its missing answers; None when the replica is gone."""
        facts = self.cluster.facts(replica, self.waiting[0].digest, str(self.waiting[0].path))
        if facts is None:
            return None
        job = self.waiting.popleft()
        tier = self.tier if job.task.kind == "code" else ""
        plan = plan_run(facts, job.task, (job.digest, job.label), job.options, tier)
        with ExitStack() as stack:
            folder = stack.enter_context(run_folder.open_run(self.runs_dir, plan.header))
            run = _Run(job, plan, folder, stack.pop_all(), max(1, self.cluster.count_room()))
        self.stack.push(run.stack)
        self.runs.append(run)
        return run

    def find_run(self, replica: object) -> _Run | None:
        """A run with questions left, of the checkpoint that the replica has loaded, or of one that no replica has."""
        loaded = self.cluster.idle.get(replica, "")
        taken = {piece.digest for _, piece in self.cluster.busy.values()} | set(self.cluster.idle.values())
        with_work = [run for run in self.runs if run.waiting]
        mine = [run for run in with_work if run.job.digest == loaded]
        free = [run for run in with_work if run.job.digest not in taken]
        return next(iter([*mine, *free]), None)

    def largest_run(self) -> _Run | None:
        """The run with the most questions left; its checkpoint is then loaded once more."""
        most = max(self.runs, key=lambda run: len(run.waiting), default=None)
        return most if most and most.waiting else None


def _write_or_repeat(run: _Run, piece: RunPiece, answers: list[Answer] | None) -> None:
    """Writes a piece's answers, or puts the piece back to be asked again."""
    if answers is not None:
        run.write(piece, answers)
        return
    piece.deaths += 1
    if piece.deaths >= DEATHS:
        raise ZooError(
            f"{DEATHS} replicas died over the same {len(piece.requests)} samples of {run.job.task.name} (from "
            f"{piece.requests[0].sample}): out of memory? What was answered is kept; try it alone, without --ray"
        )
    run.waiting.appendleft(piece)


def _find_tier(jobs: Sequence[SpreadJob]) -> str:
    """The sandbox that will score programs, found before any is generated; "" when no run has programs."""
    from evals.sandbox import open_sandbox, selftest

    code = next((job for job in jobs if job.task.kind == "code"), None)
    if code is None:
        return ""
    with open_sandbox(tier=code.options.tier, allow_weak=code.options.allow_weak) as sandbox:
        if sandbox.tier != "process":
            selftest.require(sandbox.tier)
        return sandbox.tier
