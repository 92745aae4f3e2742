"""THE loop: a task's samples through a backend to scored results, one flushed line each.

It knows the three kinds of task and nothing of any task or engine. Killed at any moment and started
again, it goes on: generations and results that stand in the run's folder are not made again.
"""

import hashlib
import os
import platform
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from evals import run_folder
from evals.engines import Backend
from evals.protocol import protocol, shown
from evals.records import ChoiceRequest, ChoiceScores, Facts, GenerateRequest, Generation, Result, Run, Sample
from evals.run_folder import RunFolder
from evals.sandbox import Verdict, open_sandbox, selftest
from evals.stats.intervals import wilson
from evals.task import Task
from zoo.digest import digest
from zoo.errors import ZooError, nearest
from zoo.progress import Bar, progress, rate_text
from zoo.records import ProtocolRecord, Record

if TYPE_CHECKING:
    from evals.sandbox.tiers import Sandbox

CODE_BATCH = 64  # programs handed to the sandbox at a time: both workers busy, little lost on a kill


class Asked(Record, frozen=True, kw_only=True):
    """What a user asks of a run beyond checkpoint and task. workers: programs run at a time, None for one a core."""

    seed: int = 0
    draws: int = 1
    limit: int | None = None
    samples: tuple[str, ...] = ()
    tier: str | None = None
    allow_weak: bool = False
    workers: int | None = None
    command: str = ""


class Planned(Record, frozen=True, kw_only=True):
    """A run before anything is asked: its header (and so its folder), the samples, the protocol per metric."""

    header: Run
    task: Task
    samples: tuple[Sample, ...]
    protocols: tuple[ProtocolRecord, ...]


class Done(Record, frozen=True, kw_only=True):
    """A finished run: its header, the protocol per metric, the results in the task's order, the file."""

    header: Run
    protocols: tuple[ProtocolRecord, ...]
    results: tuple[Result, ...]
    path: Path

    @property
    def complete(self) -> bool:
        """Whether every sample of the task was asked: only then may it stand on the leaderboard."""
        return self.header.samples == self.protocols[0].samples


def chosen(task: Task, asked: Asked) -> tuple[list[Sample], list[Sample]]:
    """All samples of a task, and those asked for. Raises ZooError for an id that is not there."""
    every = list(task.samples())
    some = every
    if asked.samples:
        by_id = {sample.id: sample for sample in every}
        for wanted in asked.samples:
            if wanted not in by_id:
                raise ZooError(f'{task.name} has no sample "{wanted}"{nearest(wanted, by_id)}; ids: phizoo eval tasks')
        some = [by_id[wanted] for wanted in dict.fromkeys(asked.samples)]
    return every, some[: asked.limit]


def draw_seed(seed: int, sample: str, draw: int) -> int:
    """The seed of one draw: a function of (run seed, sample, draw) alone, so a resume draws the same."""
    return int.from_bytes(hashlib.sha256(f"{seed}/{sample}/{draw}".encode()).digest()[:8], "big") >> 1


def evaluate(backend: Backend, task: Task, checkpoint: tuple[str, str], runs: Path, asked: Asked) -> Done:
    """Runs a task on a loaded model and gives the scored run.

    checkpoint  (digest, label) of what the backend has loaded
    runs        the folder of runs; this one goes to runs/ID
    Raises      ZooError when the backend cannot do this kind of task, or no isolation is to be had
    """
    with ExitStack() as stack:
        sandbox = None
        if task.kind == "code":
            check(backend.facts, task, asked)  # before a sandbox is built
            sandbox = stack.enter_context(open_sandbox(asked.workers, asked.tier, allow_weak=asked.allow_weak))
            if sandbox.tier != "process":  # that one contains nothing: it was allowed by name, and is recorded
                selftest.require(sandbox.tier, asked.workers)
        planned = plan(backend.facts, task, checkpoint, asked, sandbox.tier if sandbox else "")
        folder = stack.enter_context(run_folder.opened(runs, planned.header))
        with progress(f"{task.name} {checkpoint[1]}", len(planned.samples) * asked.draws, "samples") as bar:
            tally = _Tally(bar, folder)
            if task.kind == "choices":
                _choices(backend, planned, folder, tally)
            else:
                _generate(backend, planned, folder, tally, sandbox)
        ids = [sample.id for sample in planned.samples]
        path = run_folder.write_ordered(folder, ids, asked.draws)
        results = tuple(folder.ordered(ids, asked.draws))
    header = run_folder.read_header(path.parent)
    return Done(header=header, protocols=planned.protocols, results=results, path=path)


def plan(facts: Facts, task: Task, checkpoint: tuple[str, str], asked: Asked, tier: str) -> Planned:
    """What a run will ask, and of whom. tier: the sandbox that will score programs, "" for other kinds.

    Raises  ZooError as `evaluate` does
    """
    check(facts, task, asked)
    every, some = chosen(task, asked)
    protocols = tuple(protocol(task, every, metric) for metric in task.metrics)
    header = _header(facts, task, protocols[0], checkpoint, some, asked, tier)
    return Planned(header=header, task=task, samples=tuple(some), protocols=protocols)


def check(facts: Facts, task: Task, asked: Asked) -> None:
    """Raises ZooError for what makes no sense or cannot be done: greedy draws, an engine without log-probabilities."""
    if asked.draws > 1 and task.decoding.temperature == 0.0:
        raise ZooError(
            f"{task.name}@{task.protocol} decodes greedily, so {asked.draws} draws would be one and the same; "
            "take a sampled protocol, or --temperature 0.2"
        )
    if task.kind == "choices" and not facts.can_score_choices:
        raise ZooError(f"{facts.engine} gives no log-probabilities, so {task.name} cannot be scored with it")
    if task.kind != "choices" and not facts.can_generate:
        raise ZooError(f"{facts.engine} cannot generate, so {task.name} cannot be run with it")


def unanswered(planned: Planned, folder: RunFolder) -> list[ChoiceRequest] | list[GenerateRequest]:
    """What a run still has to ask of an engine: no request whose answer stands in its folder."""
    task, header = planned.task, planned.header
    if task.pairs is not None and task.kind == "choices":
        left = [sample for sample in planned.samples if (sample.id, 0) not in folder.results]
        return [ChoiceRequest(sample=sample.id, pairs=task.pairs(sample)) for sample in left]
    return [
        GenerateRequest(
            sample=sample.id,
            draw=draw,
            prompt=shown(task, sample),
            decoding=task.decoding,
            seed=draw_seed(header.seed, sample.id, draw),
        )
        for draw in range(header.draws)
        for sample in planned.samples
        if (sample.id, draw) not in folder.results and (sample.id, draw) not in folder.generations
    ]


def _header(
    facts: Facts,
    task: Task,
    record: ProtocolRecord,
    checkpoint: tuple[str, str],
    some: Sequence[Sample],
    asked: Asked,
    tier: str,
) -> Run:
    ids = digest([sample.id for sample in some])
    determines: list[object] = [checkpoint[0], record.fingerprint, task.metrics, facts.engine, facts.version]
    determines += [facts.dtype, facts.identity]
    return Run(
        id=digest([*determines, asked.seed, asked.draws, ids, tier]),
        checkpoint=checkpoint[0],
        checkpoint_label=checkpoint[1],
        task=task.name,
        protocol=msgspec.to_builtins(record),
        fingerprint=record.fingerprint,
        backend=facts,
        seed=asked.seed,
        draws=asked.draws,
        limit=asked.limit,
        samples=len(some),
        hardware=hardware(),
        versions=versions(),
        commit=commit(),
        sandbox=tier,
        started=time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        command=asked.command,
    )


def hardware() -> dict[str, str | int]:
    """What the run ran on: machine type, cores, operating system."""
    return {"machine": platform.machine(), "cores": os.cpu_count() or 1, "system": platform.system()}


def versions() -> dict[str, str]:
    """Versions of the packages that can move a number."""
    from importlib.metadata import PackageNotFoundError, version

    found = {"python": platform.python_version()}
    for name in ("phi-zoo", "torch", "transformers", "tokenizers", "vllm", "numpy"):
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def commit() -> str:
    """The commit of this source tree, or "" when it is an installed package."""
    here = Path(__file__).resolve().parents[1]
    head = here / ".git" / "HEAD"
    if not head.is_file():
        return ""
    text = head.read_text().strip()
    if not text.startswith("ref: "):
        return text
    ref = here / ".git" / text.removeprefix("ref: ")
    return ref.read_text().strip() if ref.is_file() else ""


class _Tally:
    """Writes results down and keeps the running score, its interval and the tokens a second beside the bar."""

    def __init__(self, bar: Bar, folder: RunFolder) -> None:
        self.bar, self.folder = bar, folder
        scores = [result.score for result in folder.results.values() if result.score is not None]
        self.scored, self.total = len(scores), sum(scores)
        self.tokens, self.began = 0, time.monotonic()
        if folder.results:
            bar.at(len(folder.results), self.note())

    def note(self) -> str:
        """The mean so far with Wilson's interval (of independent samples; the report's knows of clusters)."""
        told = []
        if self.scored:
            running = wilson(min(self.total, self.scored), self.scored)
            told.append(f"{100 * self.total / self.scored:.1f}% [{100 * running.low:.1f}–{100 * running.high:.1f}]")
        if self.tokens:
            told.append(rate_text(self.tokens / max(time.monotonic() - self.began, 1e-9), "tokens"))
        return ", ".join(told)

    def add(self, result: Result) -> None:
        self.folder.add_result(result)
        self.tokens += result.prompt_tokens + result.tokens
        if result.score is not None:
            self.scored, self.total = self.scored + 1, self.total + result.score
        self.bar.advance(1, self.note())


def _choices(backend: Backend, planned: Planned, folder: RunFolder, tally: _Tally) -> None:
    by_id = {sample.id: sample for sample in planned.samples}
    requests = [one for one in unanswered(planned, folder) if isinstance(one, ChoiceRequest)]
    for read in backend.choose(requests):
        tally.add(judged(planned.task, by_id[read.sample], read))


def judged(task: Task, sample: Sample, read: ChoiceScores) -> Result:
    """What a question's log-probabilities are worth; unscored when the engine could not read them."""
    unscored = Result(
        sample=sample.id,
        draw=0,
        score=None,
        verdict="unscored",
        detail=read.fault,
        cluster=sample.cluster,
        truncated=read.truncated,
    )
    if read.fault or task.judge is None:
        return unscored
    scored = task.judge(sample, read.choices)
    score = scored.metrics[task.metrics[0]]
    return msgspec.structs.replace(
        unscored,
        score=score,
        metrics=scored.metrics,
        verdict="passed" if score == 1.0 else "failed",
        detail=scored.detail,
        prompt_tokens=read.prompt_tokens,
        tokens=sum(choice.tokens for choice in read.choices),
        logprobs=tuple(choice.logprob for choice in read.choices),
    )


def _generate(backend: Backend, planned: Planned, folder: RunFolder, tally: _Tally, sandbox: "Sandbox | None") -> None:
    by_id = {sample.id: sample for sample in planned.samples}
    waiting = [made for key, made in folder.generations.items() if key not in folder.results and key[0] in by_id]
    requests = [one for one in unanswered(planned, folder) if isinstance(one, GenerateRequest)]
    for batch in _batches(_written(backend, requests, folder), waiting):
        for result in _scored(planned.task, by_id, batch, sandbox):
            tally.add(result)


def _written(backend: Backend, requests: Sequence[GenerateRequest], folder: RunFolder) -> Iterator[Generation]:
    """Generations as they come; a faulty one is not kept, so that the next start makes it again."""
    for generation in backend.generate(requests):
        if generation.finish != "fault":
            folder.add_generation(generation)
        yield generation


def _batches(new: Iterable[Generation], waiting: Sequence[Generation]) -> Iterator[list[Generation]]:
    batch = list(waiting)
    for generation in new:
        batch.append(generation)
        if len(batch) >= CODE_BATCH:
            yield batch
            batch = []
    if batch:
        yield batch


def _scored(
    task: Task, by_id: dict[str, Sample], batch: Sequence[Generation], sandbox: "Sandbox | None"
) -> Iterator[Result]:
    """Results of some generations: scored here, or by the sandbox where they are programs."""
    programs, running = [], {}
    for number, made in enumerate(batch):
        sample = by_id[made.sample]
        answer = task.extract(sample, made.text) if task.extract and made.finish != "fault" else made.text
        if made.finish == "fault":
            yield _result(sample, made, None, None, "unscored", made.fault)
        elif answer is None:
            yield _result(sample, made, 0.0, None, "failed", "no answer found", dict.fromkeys(task.metrics, 0.0))
        elif task.program is not None:
            programs.append(msgspec.structs.replace(task.program(sample, answer), id=str(number)))
            running[str(number)] = (sample, made, answer)
        elif task.score is not None:
            scored = task.score(sample, answer)
            score = scored.metrics[task.metrics[0]]
            verdict = "passed" if score == 1.0 else "failed"
            yield _result(sample, made, score, answer, verdict, scored.detail, scored.metrics)
    if programs and sandbox is not None:
        for verdict_ in sandbox.run(programs):
            yield _program_result(task, *running[verdict_.id], verdict_)


def _program_result(task: Task, sample: Sample, made: Generation, answer: str, told: Verdict) -> Result:
    score = None if told.verdict == "unscored" else float(told.verdict == "passed")
    metrics = {} if score is None else {task.metrics[0]: score}
    return _result(sample, made, score, answer, told.verdict, told.detail, metrics, told.seconds)


def _result(
    sample: Sample,
    made: Generation,
    score: float | None,
    answer: str | None,
    verdict: str,
    detail: str,
    metrics: dict[str, float] | None = None,
    seconds: float = 0.0,
) -> Result:
    return msgspec.convert(
        {
            "sample": sample.id,
            "draw": made.draw,
            "score": score,
            "metrics": metrics or {},
            "answer": answer,
            "text": made.text,
            "verdict": verdict,
            "detail": detail,
            "cluster": sample.cluster,
            "finish": made.finish,
            "prompt_tokens": made.prompt_tokens,
            "tokens": made.tokens,
            "truncated": made.truncated,
            "seconds": seconds,
        },
        Result,
    )
