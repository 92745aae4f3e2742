"""Checkpoints x tasks: loads each checkpoint once, runs every task on it, and publishes the scores if asked.

`phizoo eval run`, the ladder and the evaluation during training all call `evaluate_many`; one run is `evals.run`.
"""

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

from evals.chat import bind, shape_task
from evals.engines import SENDS_MESSAGES, connect
from evals.protocol import sampled_task
from evals.run import FinishedRun, RunOptions, evaluate
from evals.task import Task
from zoo.errors import ZooError
from zoo.records import Record, Score

SPREAD = ("transformers", "vllm")  # the engines that Ray can start on another machine
Publisher = Callable[[FinishedRun], Sequence[Score]]
Announce = Callable[[Task], None]


class Subject(Record, frozen=True, kw_only=True):
    """A model to evaluate.

    path    the folder of its weights; None: only an endpoint has it, under `model`
    engine  the engine that runs it, where it is not that of the options
    """

    digest: str
    label: str
    path: Path | None = None
    model: str = ""
    engine: str = ""


class RunOutcome(Record, frozen=True, kw_only=True):
    """One subject on one task: the finished run, and the scores that `publish` returned."""

    subject: Subject
    run: FinishedRun
    scores: tuple[Score, ...] = ()


def evaluate_many(
    subjects: Iterable[Subject], tasks: Sequence[Task], options: RunOptions, runs: Path,
    publish: Publisher | None = None, announce: Announce | None = None,
) -> Iterator[RunOutcome]:  # fmt: skip
    """Runs each subject on each task and yields the finished runs as they end.

    tasks     may carry the sampling and the shape of the options already
    subjects  taken one by one, so that a checkpoint may be fetched when its turn comes
    runs      the folder of runs; a run that was killed continues there
    publish   called with each run; returns its scores, which it may have written to a registry
    announce  called with a task before it is run, once the engine or the cluster has been found
    Raises   ZooError as `evals.run.evaluate` does, and for an engine that Ray cannot start
    """
    tasks = [ask_as(task, options) for task in tasks]
    spread = options.ray or (options.replicas and options.engine != "vllm_server")
    for subject, run in (_on_cluster if spread else _in_process)(subjects, tasks, options, runs, announce):
        yield RunOutcome(subject=subject, run=run, scores=tuple(publish(run)) if publish else ())


def ask_as(task: Task, options: RunOptions) -> Task:
    """The task with the sampling and the shape by chat that the options ask for."""
    return sampled_task(shape_task(task, options.chat), options.temperature, options.top_p)


def bind_to(task: Task, folder: Path | None, engine: str) -> Task:
    """The task with a checkpoint's own template, where it is asked by chat by an engine that reads rendered texts."""
    return bind(task, None if engine in SENDS_MESSAGES else folder)


def _in_process(
    subjects: Iterable[Subject],
    tasks: Sequence[Task],
    options: RunOptions,
    runs: Path,
    announce: Announce | None,
) -> Iterator[tuple[Subject, FinishedRun]]:
    """Every run in this process; an engine loads the weights only if a run is not finished yet."""
    for subject in subjects:
        named = {"model": subject.model} if subject.model else {}
        engine_name = subject.engine or options.engine
        engine = connect(engine_name, subject.path, **options.connection, **named)
        try:
            for task in tasks:
                if announce:
                    announce(task)
                bound = bind_to(task, subject.path, engine_name)
                yield subject, evaluate(engine, bound, (subject.digest, subject.label), runs, options)
        finally:
            engine.close()


def _on_cluster(
    subjects: Iterable[Subject],
    tasks: Sequence[Task],
    options: RunOptions,
    runs: Path,
    announce: Announce | None,
) -> Iterator[tuple[Subject, FinishedRun]]:
    """Every run on a Ray cluster, or by several replicas on this machine."""
    from evals.cluster.replicas import open_cluster
    from evals.cluster.spread import SpreadJob, spread

    if options.engine not in SPREAD:
        raise ZooError(f"--ray and --data-parallel spread transformers or vllm, not {options.engine}")
    if options.ray and options.replicas:
        raise ZooError("--data-parallel is for this machine alone; --ray takes all machines of its cluster")
    count, cpus = options.replicas, options.cpus_per_replica
    if count:
        cpus = cpus or max(1, len(os.sched_getaffinity(0)) // count)
    by_digest = {subject.digest: subject for subject in subjects}
    jobs = [
        SpreadJob(
            digest=subject.digest,
            label=subject.label,
            path=subject.path,
            task=bind_to(task, subject.path, options.engine),
            options=options,
        )
        for subject in by_digest.values()
        if subject.path is not None
        for task in tasks
    ]
    address = options.ray or "local"
    with open_cluster(address, options.engine, options.connection, cpus=cpus, most=count or None) as cluster:
        if count and cluster.count_room() < count:
            raise ZooError(f"--data-parallel {count}: this machine has room for {cluster.count_room()} replicas")
        if announce:
            for task in tasks:
                announce(task)
        for job, run in spread(cluster, jobs, runs):
            yield by_digest[job.digest], run
