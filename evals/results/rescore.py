"""Scores a run's saved generations again under another protocol's extraction; nothing is generated.

The prompts and the decoding stay those of the run, so the number is not the other protocol's own: the new protocol is
named FROM>TO (`openai>evalplus`) and has a column of its own.
"""

from pathlib import Path

import msgspec

from evals.engines.replay import Replay
from evals.records import Run
from evals.results.task_of_run import name_of_run, rescored_task, task_of_run
from evals.run import FinishedRun, RunOptions, evaluate
from evals.run_folder import read_generations, read_header
from evals.task import Task
from evals.tasks import task as find_task
from zoo.errors import ZooError
from zoo.protocol_names import current_name


def rescore(folder: Path, protocol: str, runs: Path, options: RunOptions) -> FinishedRun:
    """Scores a finished run again; the new run stands beside the old one.

    options  tier and command; seed, draws and samples are those of the run
    Raises   ZooError when the run has no generations, or cannot be scored by this protocol
    """
    header = read_header(folder)
    task, saved = _task(header, current_name(header.task, protocol)), read_generations(folder)
    if not saved:
        raise ZooError(f"run {header.id[:12]} has no generations to score. All runs: phizoo eval runs")
    samples: tuple[str, ...] = ()
    if header.samples != int(header.protocol["samples"]):
        samples = tuple(dict.fromkeys(sample for sample, _ in saved))
    identity = {**header.backend.identity, "rescored": header.id}
    facts = msgspec.structs.replace(header.backend, identity=identity, can_score_choices=False)
    engine = Replay(saved, facts, "the run has no generation of it; finish that run first")
    options = msgspec.structs.replace(options, seed=header.seed, draws=header.draws, samples=samples)
    return evaluate(engine, task, (header.checkpoint, header.checkpoint_label), runs, options)


def _task(header: Run, protocol: str) -> Task:
    """The run's task, scored by another protocol. Raises ZooError for a choice task, and for its own protocol."""
    name = name_of_run(header)
    run, own = f"run {header.id[:12]}", f"{header.task}@{name.own}"
    if name.rescored_as:
        raise ZooError(f"{run} is itself rescored; rescore the run of {own} that it came from")
    before, after = task_of_run(header), find_task(f"{header.task}@{protocol}")
    if before.by_logprob or after.kind != before.kind:
        raise ZooError(f"{own} and @{protocol} read different answers of a model; run it: phizoo eval run")
    if name.own == protocol:
        raise ZooError(f"{run} has protocol {protocol} already; it has the scores")
    return rescored_task(before, protocol)
