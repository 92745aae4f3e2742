"""Runs one task on one engine: samples in, scored results out, one flushed line each.

The loop knows the four kinds of task and nothing of any task or engine. If the process is killed, the same call
continues: it asks the engine only for answers that are missing from the run's folder.
"""

import hashlib
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from math import sqrt
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from evals import environment, run_folder
from evals.chat import plan_thought
from evals.engines import Engine, FactsChanged
from evals.meter import metered
from evals.protocol import protocol, shown
from evals.records import (
    ChatShape,
    ChoiceRequest,
    ChoiceScores,
    Facts,
    GenerateRequest,
    Generation,
    Result,
    Run,
    Sample,
)
from evals.run_folder import RunFolder
from evals.sandbox import open_sandbox, selftest
from evals.sandbox.program import VIEWS
from evals.scoring.finite import find_overflow
from evals.scoring.likelihood import join_pieces
from evals.stats.intervals import normal_quantile, wilson
from evals.stats.pass_at_k import pass_metrics
from evals.task import NO_SCORE, Task
from zoo.digest import digest
from zoo.errors import ZooError, nearest
from zoo.metrics import metric_of
from zoo.progress import Bar, progress, rate_text
from zoo.records import ProtocolRecord, Record

if TYPE_CHECKING:
    from evals.sandbox.tiers import Sandbox

UNFINISHED = "the thought has no end, so there is no answer"
CODE_BATCH = 64  # programs given to the sandbox at a time: keeps its workers busy, and a kill loses few


class RunOptions(Record, frozen=True, kw_only=True):
    """How checkpoints are run on tasks; the defaults are those of `phizoo eval run`.

    engine       a key of `evals.engines.ENGINES`
    connection   keyword arguments of the engine's `connect`: dtype, device, batch, and the engine's own
    samples      the ids to ask, all if empty; of these the first `limit`
    draws        texts drawn per sample; 1 for choice tasks in any case
    temperature  with top_p: the sampling instead of the protocol's own
    chat         the tasks are asked by chat, in this shape; None: each as its protocol has it
    pass_at      k of which pass@k is scored, beside the usual ones (`evals.stats.pass_at_k.COLUMNS`)
    tier         the sandbox's tier; None for the best one. allow_weak: also one that isolates nothing
    workers      programs run at a time; None for one per core
    ray          the address of a Ray cluster to spread over; "" for this process
    replicas     copies of the model on this machine, spread over by Ray; 0 for none
    command      the command line, for the header
    """

    engine: str = "transformers"
    connection: dict[str, Any] = {}
    seed: int = 0
    draws: int = 1
    limit: int | None = None
    samples: tuple[str, ...] = ()
    temperature: float | None = None
    top_p: float | None = None
    chat: ChatShape | None = None
    pass_at: tuple[int, ...] = ()
    tier: str | None = None
    allow_weak: bool = False
    workers: int | None = None
    ray: str = ""
    replicas: int = 0
    cpus_per_replica: int | None = None
    command: str = ""


class RunPlan(Record, frozen=True, kw_only=True):
    """A run before anything is asked: its header (and so its folder), the samples, the protocol per metric."""

    header: Run
    task: Task
    samples: tuple[Sample, ...]
    protocols: tuple[ProtocolRecord, ...]


class FinishedRun(Record, frozen=True, kw_only=True):
    """A finished run: its header, the protocol per metric, the results in the task's order, the file."""

    header: Run
    protocols: tuple[ProtocolRecord, ...]
    results: tuple[Result, ...]
    path: Path

    @property
    def complete(self) -> bool:
        """Whether every sample of the task was asked: only then may it stand on the leaderboard."""
        return self.header.samples == self.protocols[0].samples


def select_samples(task: Task, options: RunOptions) -> tuple[list[Sample], list[Sample]]:
    """All samples of a task, and those that the options ask for. Raises ZooError for an unknown id."""
    samples = list(task.samples())
    selected = samples
    if options.samples:
        by_id = {sample.id: sample for sample in samples}
        for wanted in options.samples:
            if wanted not in by_id:
                raise ZooError(f'{task.name} has no sample "{wanted}"{nearest(wanted, by_id)}; ids: phizoo eval tasks')
        selected = [by_id[wanted] for wanted in dict.fromkeys(options.samples)]
    return samples, selected[: options.limit]


def count_draws(task: Task, options: RunOptions) -> int:
    """The draws per sample: given continuations are read once, whatever the options say."""
    return 1 if task.by_logprob else options.draws


def draw_seed(seed: int, sample: str, draw: int) -> int:
    """The seed of one draw: a function of (run seed, sample, draw) alone, so a resume draws the same."""
    return int.from_bytes(hashlib.sha256(f"{seed}/{sample}/{draw}".encode()).digest()[:8], "big") >> 1


def evaluate(engine: Engine, task: Task, checkpoint: tuple[str, str], runs: Path, options: RunOptions) -> FinishedRun:
    """Runs a task on a loaded model and returns the scored run.

    checkpoint  (digest, label) of the model that the engine has loaded
    runs        the folder of runs; this one goes to runs/ID
    Raises      ZooError when the engine cannot run this kind of task, or code cannot be isolated
    """
    with ExitStack() as stack:
        sandbox = None
        if task.kind == "code":
            check_options(facts_of(engine, task), task, options)  # before a sandbox is built
            sandbox = stack.enter_context(open_sandbox(options.workers, options.tier, allow_weak=options.allow_weak))
            if sandbox.tier != "process":  # that one contains nothing: it was allowed by name, and is recorded
                selftest.require(sandbox.tier, options.workers)
        while True:
            plan = plan_run(facts_of(engine, task), task, checkpoint, options, sandbox.tier if sandbox else "")
            try:
                return _finish(engine, plan, checkpoint[1], runs, sandbox)
            except FactsChanged as change:
                print(f"{task.name}@{task.protocol}: {change}", file=sys.stderr)
                run_folder.drop_unanswered(runs / plan.header.id)


def _finish(engine: Engine, plan: RunPlan, label: str, runs: Path, sandbox: "Sandbox | None") -> FinishedRun:
    """Asks for the answers that a planned run does not have yet, and returns it scored."""
    with run_folder.open_run(runs, plan.header) as folder:
        known = len(folder.results)
        bar_text = f"{plan.task.name} {label}", len(plan.samples) * plan.header.draws, "samples"
        with metered(plan.header.backend.engine) as meter, progress(*bar_text) as bar:
            tally = _Tally(bar, folder, plan.task.metrics[0])
            for result in _results(engine, plan, folder, sandbox):
                folder.add_result(result)
                tally.add(result)
        ids = [sample.id for sample in plan.samples]
        run_folder.note_path(folder, facts_of(engine, plan.task).path)
        run_folder.note_cost(folder, meter.cost, len(folder.results) - known)
        path = run_folder.write_ordered(folder, ids, plan.header.draws)
        results = tuple(folder.ordered(ids, plan.header.draws))
    header = run_folder.read_header(path.parent)
    return FinishedRun(header=header, protocols=plan.protocols, results=results, path=path)


def facts_of(engine: Engine, task: Task) -> Facts:
    """An engine's facts for a task: one that sends messages has others for a task that is asked by chat."""
    by_chat: Facts | None = getattr(engine, "chat_facts", None) if task.shape is not None else None
    return by_chat or engine.facts


def plan_run(facts: Facts, task: Task, checkpoint: tuple[str, str], options: RunOptions, tier: str) -> RunPlan:
    """The header, samples and protocols of a run. tier: the sandbox for programs, "" for other kinds of task.

    Raises  ZooError as `evaluate` does
    """
    check_options(facts, task, options)
    samples, selected = select_samples(task, options)
    record = protocol(task, samples, task.metrics[0])
    metrics = pass_metrics(task.metrics, count_draws(task, options), options.pass_at)
    protocols = tuple(msgspec.structs.replace(record, metric=metric) for metric in metrics)
    header = _header(facts, task, record, checkpoint, selected, options, tier)
    return RunPlan(header=header, task=task, samples=tuple(selected), protocols=protocols)


def check_options(facts: Facts, task: Task, options: RunOptions) -> None:
    """Raises ZooError for a run that cannot be made: several greedy draws, or an engine without log-probabilities."""
    if task.needs is not None:
        task.needs()
    if count_draws(task, options) > 1 and task.decoding.temperature == 0.0:
        raise ZooError(
            f"{task.name}@{task.protocol} decodes greedily, so {options.draws} draws would be the same; "
            "take a sampled protocol, or --temperature 0.2"
        )
    if high := next((k for k in options.pass_at if k > options.draws and "pass@1" in task.metrics), None):
        raise ZooError(f"pass@{high} needs at least {high} draws a problem, not {options.draws}; add --draws {high}")
    if task.by_logprob and task.shape is not None and not facts.can_score_choices:
        raise ZooError(
            f"{facts.engine} gives no log-probabilities of a chat, so {task.name}@{task.protocol} cannot be "
            "scored with it; on a checkpoint of this zoo: --engine vllm_server --url URL, or a local engine"
        )
    if task.by_logprob and not facts.can_score_choices:
        raise ZooError(f"{facts.engine} gives no log-probabilities, so {task.name} cannot be scored with it")
    if not task.by_logprob and not facts.can_generate:
        raise ZooError(f"{facts.engine} cannot generate, so {task.name} cannot be run with it")


def missing_requests(plan: RunPlan, folder: RunFolder) -> list[ChoiceRequest] | list[GenerateRequest]:
    """The requests that the run's folder has no answer to."""
    task, header = plan.task, plan.header
    if task.pairs is not None and task.by_logprob:
        unread = [sample for sample in plan.samples if (sample.id, 0) not in folder.results]
        whole = task.kind == "likelihood"
        return [ChoiceRequest(sample=sample.id, pairs=task.pairs(sample), whole=whole) for sample in unread]
    unwritten = [
        (sample, draw)
        for draw in range(header.draws)
        for sample in plan.samples
        if (sample.id, draw) not in folder.results and (sample.id, draw) not in folder.generations
    ]
    return [make_request(task, sample, draw, header.seed) for sample, draw in unwritten]


def make_request(task: Task, sample: Sample, draw: int, seed: int) -> GenerateRequest:
    """The request for one draw of a sample. seed: the run's."""
    prompt, messages = shown(task, sample), task.asked(sample)[0][0] if task.asked else ()
    return GenerateRequest(
        sample=sample.id, draw=draw, prompt=prompt, decoding=task.decoding, seed=draw_seed(seed, sample.id, draw),
        messages=messages, thought=plan_thought(task, prompt, messages),
    )  # fmt: skip


def _header(
    facts: Facts, task: Task, record: ProtocolRecord, checkpoint: tuple[str, str], samples: Sequence[Sample],
    options: RunOptions, tier: str,
) -> Run:  # fmt: skip
    draws = count_draws(task, options)
    ids = digest([sample.id for sample in samples])
    determines: list[object] = [checkpoint[0], record.fingerprint, task.metrics, facts.engine, facts.version]
    determines += [facts.dtype, facts.identity]
    if task.shape is not None and task.shape.date:  # the template writes the day: another day asks other words
        determines.append(task.shape.date)
    return Run(
        id=digest([*determines, options.seed, draws, ids, tier]), checkpoint=checkpoint[0],
        checkpoint_label=checkpoint[1], task=task.name, protocol=msgspec.to_builtins(record),
        fingerprint=record.fingerprint, backend=facts, seed=options.seed, draws=draws, limit=options.limit,
        samples=len(samples), hardware=environment.hardware(), versions=environment.versions(),
        commit=environment.commit(), sandbox=tier, views=VIEWS if tier else 0,
        started=time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()), command=options.command,
    )  # fmt: skip


class _Tally:
    """The running score, its interval and the tokens per second, shown beside the progress bar."""

    def __init__(self, bar: Bar, folder: RunFolder, metric: str) -> None:
        self.bar, self.metric, self.with_score = bar, metric_of(metric), metric not in NO_SCORE
        scores = [result.score for result in folder.results.values() if result.score is not None]
        self.scored, self.total, self.squares = len(scores), sum(scores), sum(score * score for score in scores)
        self.tokens, self.began = 0, time.monotonic()
        if folder.results:
            bar.at(len(folder.results), self.note())

    def note(self) -> str:
        """The mean so far with an interval that ignores clusters; the report's interval does not."""
        parts = []
        if self.scored and self.with_score:
            mean, text = self.total / self.scored, self.metric.text
            if self.metric.is_share:
                running = wilson(min(self.total, self.scored), self.scored)
                parts.append(f"{text(mean)}% [{text(running.low)}–{text(running.high)}]")
            else:
                half = normal_quantile() * sqrt(max(0.0, self.squares / self.scored - mean * mean) / self.scored)
                parts.append(f"{text(mean)} {self.metric.title} [{text(mean - half)}–{text(mean + half)}]")
        if self.tokens:
            parts.append(rate_text(self.tokens / max(time.monotonic() - self.began, 1e-9), "tokens"))
        return ", ".join(parts)

    def add(self, result: Result) -> None:
        self.tokens += result.prompt_tokens + result.tokens
        if result.score is not None:
            self.scored, self.total = self.scored + 1, self.total + result.score
            self.squares += result.score * result.score
        self.bar.advance(1, self.note())


def _results(engine: Engine, plan: RunPlan, folder: RunFolder, sandbox: "Sandbox | None") -> Iterator[Result]:
    """Asks the engine for the missing answers and yields the results that the folder does not have."""
    samples = {sample.id: sample for sample in plan.samples}
    requests = missing_requests(plan, folder)
    if plan.task.by_logprob:
        for scores in engine.choose([request for request in requests if isinstance(request, ChoiceRequest)]):
            yield score_choices(plan.task, samples[scores.sample], scores)
        return
    # texts of an earlier start that were not scored before it was killed
    batch = [text for key, text in folder.generations.items() if key not in folder.results and key[0] in samples]
    for generation in engine.generate([request for request in requests if isinstance(request, GenerateRequest)]):
        if generation.finish != "fault":  # a fault is not kept, so that the next start asks again
            folder.add_generation(generation)
        batch.append(generation)
        if len(batch) >= CODE_BATCH:
            yield from score_texts(plan.task, samples, batch, sandbox)
            batch = []
    yield from score_texts(plan.task, samples, batch, sandbox)


def score_choices(task: Task, sample: Sample, scores: ChoiceScores) -> Result:
    """Scores one question from the log-probabilities of its choices; unscored if one is missing or not finite."""
    fault = scores.fault or find_overflow(choice.logprob for choice in scores.choices)
    unscored = Result(
        sample=sample.id, draw=0, score=None, verdict="unscored", detail=fault, cluster=sample.cluster,
        truncated=scores.truncated,
    )  # fmt: skip
    if fault or task.judge is None:
        return unscored
    read = (join_pieces(scores.choices),) if task.kind == "likelihood" else scores.choices
    scored = task.judge(sample, read)
    score = scored.metrics[task.metrics[0]]
    verdict = "read" if task.kind == "likelihood" else "passed" if score == 1.0 else "failed"
    return msgspec.structs.replace(
        unscored, score=score, metrics=scored.metrics, verdict=verdict, detail=scored.detail,
        prompt_tokens=scores.prompt_tokens, tokens=sum(choice.tokens for choice in read),
        logprobs=tuple(choice.logprob for choice in read),
    )  # fmt: skip


def score_texts(
    task: Task, samples: dict[str, Sample], texts: Iterable[Generation], sandbox: "Sandbox | None"
) -> Iterator[Result]:
    """Scores generated texts: by the task's own function, or by the sandbox if the answers are programs."""
    programs, running = [], {}
    for number, text in enumerate(texts):
        sample = samples[text.sample]
        if text.finish == "fault":
            yield _result(sample, text, verdict="unscored", detail=text.fault)
            continue
        answer = None if text.unfinished else task.extract(sample, text.text) if task.extract else text.text
        if answer is None:
            zeros = dict.fromkeys(task.metrics, 0.0)
            counts = task.trials(sample) if task.trials is not None else {}
            yield _result(
                sample, text, score=0.0, metrics=zeros, trials={name: (0.0,) * counts[name] for name in counts},
                verdict="failed", detail=UNFINISHED if text.unfinished else "no answer found",
            )  # fmt: skip
        elif task.program is not None:
            programs.append(msgspec.structs.replace(task.program(sample, answer), id=str(number)))
            running[str(number)] = (sample, text, answer)
        elif task.score is not None:
            scored = task.score(sample, answer)
            score = scored.metrics[task.metrics[0]]
            verdict = "passed" if score == 1.0 else "failed"
            yield _result(
                sample, text, score=score, metrics=scored.metrics, trials=scored.trials, answer=answer, verdict=verdict,
                detail=scored.detail,
            )  # fmt: skip
    for outcome in sandbox.run(programs) if programs and sandbox is not None else ():
        sample, text, answer = running[outcome.id]
        passed = None if outcome.verdict == "unscored" else float(outcome.verdict == "passed")
        yield _result(
            sample, text, score=passed, metrics={} if passed is None else {task.metrics[0]: passed}, answer=answer,
            verdict=outcome.verdict, detail=outcome.detail, seconds=outcome.seconds, disputed=outcome.disputed,
        )  # fmt: skip


def _result(sample: Sample, text: Generation, score: float | None = None, **fields: Any) -> Result:
    """The result line of one text; `fields` are those that its score gives."""
    return Result(
        sample=sample.id, draw=text.draw, score=score, text=text.text, cluster=sample.cluster, finish=text.finish,
        prompt_tokens=text.prompt_tokens, tokens=text.tokens, truncated=text.truncated,
        thought=text.thought, thought_tokens=text.thought_tokens, unfinished=text.unfinished, **fields,
    )  # fmt: skip
