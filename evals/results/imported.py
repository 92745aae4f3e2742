"""Imports results that another tool measured, with their samples, and results of another zoo in another tool's form.

They stay apart from our own results: the engine is the tool's name, and the names of protocol and column end in
"elsewhere". If a file holds the prompts and they are ours byte for byte, the samples get our ids and can be compared
with our runs sample by sample. Not here: reading the files (`import_formats`).
"""

import contextlib
import datetime
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec

from evals.chat import ChatShape, chat_task
from evals.datasets import load as datasets
from evals.interchange.tool_results import SampleLine, TaskResults
from evals.protocol import prompts_sha256, protocol, shown
from evals.protocol_name import ProtocolName
from evals.records import Facts, Result, Run, Sample, Verdict, encode_line
from evals.results.import_check import check_results
from evals.results.publish import publish
from evals.results.publish import scores as run_scores
from evals.results.task_of_run import task_of_protocol
from evals.run import FinishedRun
from evals.stats.pass_at_k import pass_metrics
from evals.task import Task
from evals.tasks import TASKS, benchmark_of, protocols
from zoo.digest import digest, whole_file, write_json
from zoo.errors import ZooError, nearest
from zoo.metrics import metric_of
from zoo.records import Checkpoint, ProtocolRecord, Record, Score
from zoo.registry import Registry

OWN_NAMES = ("lm-eval", "evalplus")  # tools whose metrics have our names, or another meaning
IN_PARTS = ("mmlu", "bbh", "gsm8k")  # tasks of which other tools have subtasks or variants, named TASK_PART


class ImportedRun(Record, frozen=True):
    """One imported run.

    same       samples whose prompt is ours byte for byte; None: the file has no prompts
    asked      its samples
    published  False for a part of a task, which would not be comparable with whole ones
    """

    model: str
    run: str
    column: str
    scores: tuple[Score, ...]
    same: int | None
    asked: int = 0
    published: bool = True


def import_results(
    registry: Registry, tool_runs: Sequence[TaskResults], model: str | None, runs: Path
) -> list[ImportedRun]:
    """Publishes results as measured elsewhere, one run a protocol; a part of a task is kept, but not published.

    model   a checkpoint of the zoo, or a name for a model that is not here; None: the name in the files
    Raises  ZooError when the model has no name, or a file has no score of a sample
    """
    taken = []
    for tool_run in _merge([check_results(tool_run) for tool_run in tool_runs]):
        label = model or tool_run.model
        if not label:
            raise ZooError(f"{tool_run.file} does not say which model it is of; name it: --model NAME")
        digest_, label = _who(registry, label)
        task, same, lines = _ours(tool_run)
        tool_run, lines = _under_our_metric(tool_run, task, lines)
        part = _part(tool_run, task, lines)
        record = _record(tool_run, task, lines, part)
        results = tuple(_result(line) for line in lines)
        header = _header(tool_run, record, len({line.sample for line in lines}), digest_, label)
        least_draws = min(Counter(line.sample for line in lines).values())
        metrics = pass_metrics(tool_run.metrics, least_draws)
        records = tuple(msgspec.structs.replace(record, metric=metric) for metric in metrics)
        folder = runs / header.id
        with whole_file(folder / "results.jsonl") as file:
            file.write(b"".join(map(encode_line, results)))
        write_json(folder / "header.json", msgspec.to_builtins(header))
        done = FinishedRun(header=header, protocols=records, results=results, path=folder / "results.jsonl")
        most = (
            100.0 if tool_run.claimed else None
        )  # another zoo has published it with the samples that it could not score
        scores = run_scores(done) if part else publish(registry, done, max_unscored=most)
        prompts = any(line.asked or line.messages for line in lines)
        taken.append(
            ImportedRun(
                model=label,
                run=header.id,
                column=record.column,
                scores=tuple(scores),
                same=same if prompts else None,
                asked=len({line.sample for line in lines}),
                published=not part,
            )
        )
    return taken


def model_of(registry: Registry, name: str) -> Checkpoint | None:
    """A model of which only imported runs are here, as a checkpoint without files; None if no run has that name."""
    for run in registry.runs():
        if run["checkpoint_label"] == name and run["checkpoint"] == _foreign(name):
            return Checkpoint(
                name=name, version=0, digest=_foreign(name), files=(), architecture={}, parameters=0, context_tokens=0,
                prompt_style="completion", training_tokens=None, recipe_digest=None, parents=(), datasets=(),
                licence="unknown", created="", source="elsewhere",
            )  # fmt: skip
    return None


def pairing_key(record: ProtocolRecord) -> str:
    """The column that two runs must share to be paired: of the protocol, wherever it was measured."""
    name = ProtocolName.parse(record.name).replace(imported=False)
    return msgspec.structs.replace(record, name=name.render()).column_key


def _foreign(name: str) -> str:
    return digest(["elsewhere", name])


def _who(registry: Registry, name: str) -> tuple[str, str]:
    try:
        checkpoint = registry.get(name)
    except ZooError:
        return _foreign(name), name
    return checkpoint.digest, checkpoint.label


def _merge(tool_runs: Sequence[TaskResults]) -> list[TaskResults]:
    """Subtasks of one of our tasks (MMLU's subjects, say) merged into one."""
    groups: dict[tuple[object, ...], list[TaskResults]] = {}
    for tool_run in tool_runs:
        key = (tool_run.tool, _our_name(tool_run.task), tool_run.protocol + tool_run.model, tool_run.seed)
        groups.setdefault(key, []).append(tool_run)
    merged = []
    for group in groups.values():
        metrics = [metric for metric in group[0].metrics if all(metric in tool_run.metrics for tool_run in group)]
        merged.append(
            msgspec.structs.replace(
                group[0],
                lines=tuple(line for tool_run in group for line in tool_run.lines),
                metrics=tuple(metrics),
                sha256=digest(sorted(tool_run.sha256 for tool_run in group)),
            )
        )
    return merged


def _our_name(task: str) -> str:
    """Our name of a tool's task, or the tool's own.

    >>> _our_name("mmlu_anatomy"), _our_name("social_iqa"), _our_name("xquad_en")
    ('mmlu', 'siqa', 'xquad_en')
    """
    if (name := benchmark_of(task)) in TASKS:
        return name
    return next((name for name in IN_PARTS if task.startswith(f"{name}_")), task)


def _ours(tool_run: TaskResults) -> tuple[Task | None, int, list[SampleLine]]:
    """Our protocol with the same prompts, how many are the same, and the lines, with our ids if all are."""
    name = _our_name(tool_run.task)
    if name not in TASKS or not _has_samples(name):
        return None, 0, list(tool_run.lines)
    if tool_run.protocol:  # a tool whose protocol is known and whose file holds no prompts
        task = protocols(name)[tool_run.protocol]
        ids = {sample.id: sample.cluster for sample in task.samples()}
        if strange := next((line.sample for line in tool_run.lines if line.sample not in ids), None):
            raise ZooError(f'{tool_run.file} has "{strange}", which {name} does not have{nearest(strange, ids)}')
        return task, 0, [msgspec.structs.replace(line, cluster=ids[line.sample]) for line in tool_run.lines]
    best = 0
    for task in _candidates(name, tool_run):
        lines, same = _as_samples(task, tool_run.lines)
        best = max(best, same)
        if lines is not None:
            return task, same, lines
    return None, best, list(tool_run.lines)


def _candidates(name: str, tool_run: TaskResults) -> Iterator[Task]:
    """The protocols of a task that a tool may have asked: by chat if it sent messages, else completions."""
    if tool_run.claimed:
        with contextlib.suppress(ZooError, ValueError, LookupError, TypeError):  # a claim, which may be nonsense
            record = msgspec.convert(tool_run.claimed, ProtocolRecord)
            yield task_of_protocol(name, msgspec.to_builtins(record))
    by_chat = any(line.messages for line in tool_run.lines)
    for task in protocols(name).values():
        if by_chat and task.asked is None:
            yield chat_task(task, ChatShape())
        elif by_chat == (task.asked is not None) or not by_chat:
            yield task


def _as_samples(task: Task, lines: Sequence[SampleLine]) -> tuple[list[SampleLine] | None, int]:
    """The lines with our ids, if each has the prompt of one of the task's samples; and of how many samples that holds.

    The draws of a sample have one prompt. Equal questions are taken in their order.
    """
    by_bytes: dict[object, list[Sample]] = {}
    for sample in task.samples():
        by_bytes.setdefault(_bytes(task, sample), []).append(sample)
    taken: dict[str, Sample] = {}
    for line in lines:
        if line.sample not in taken and (waiting := by_bytes.get(_asked_bytes(line))):
            taken[line.sample] = waiting.pop(0) if len(waiting) > 1 else waiting[0]
    samples = len({line.sample for line in lines if line.asked or line.messages})
    unasked = [line for line in lines if not (line.asked or line.messages)]
    known = {sample.id: sample for each in by_bytes.values() for sample in each} if unasked else {}
    known |= {sample.id: sample for sample in taken.values()}
    for line in unasked:  # a sample without a score, of which a record has the id alone
        if line.fault and line.sample in known and samples:
            taken[line.sample] = known[line.sample]
    if len(taken) < len({line.sample for line in lines}) or len({sample.id for sample in taken.values()}) < len(taken):
        return None, len(taken)
    replaced = [
        msgspec.structs.replace(line, sample=taken[line.sample].id, cluster=taken[line.sample].cluster)
        for line in lines
    ]
    return replaced, len(taken)


def _under_our_metric(
    tool_run: TaskResults, task: Task | None, lines: list[SampleLine]
) -> tuple[TaskResults, list[SampleLine]]:
    """Results with our headline metric's name, where the tool has one verdict of right or wrong under its own.

    The prompts are then ours; the tool's scorer is not, and the run's header names it.
    """
    if task is None or tool_run.tool in OWN_NAMES or tool_run.claimed or len(tool_run.metrics) > 1:
        return tool_run, lines
    (theirs,), ours = tool_run.metrics, task.metrics[0]
    values = {line.metrics[theirs] for line in lines if not line.fault}
    if theirs in task.metrics or not metric_of(ours).is_share or not values <= {0.0, 1.0}:
        return tool_run, lines
    renamed = [
        line if line.fault else msgspec.structs.replace(line, metrics={ours: line.metrics[theirs]}) for line in lines
    ]
    return msgspec.structs.replace(tool_run, metrics=(ours,), scorer=theirs), renamed


def _has_samples(name: str) -> bool:
    """Whether the task's samples are on this machine; without them results keep the tool's own names."""
    task = next(iter(protocols(name).values()))
    try:
        datasets.find(task.data, task.split)
    except ZooError:
        return False
    return True


def _bytes(task: Task, sample: Sample) -> object:
    """What a sample asks, to be compared with `_asked_bytes`: (context, continuation) pairs, or a chat's messages."""
    if task.asked is not None:
        asked = task.asked(sample)
        return tuple((message.role, message.content) for message in asked[0][0]), tuple(part for _, part in asked)
    return task.pairs(sample) if task.pairs else ((shown(task, sample), ""),)


def _asked_bytes(line: SampleLine) -> object:
    if line.messages:
        return line.messages, tuple(part for _, part in line.asked) or ("",)
    return line.asked


def _part(tool_run: TaskResults, task: Task | None, lines: Sequence[SampleLine]) -> str:
    """How many of the task's samples the lines have, if not all; empty for all, and for a task that is not ours."""
    name = _our_name(tool_run.task)
    known = task or (next(iter(protocols(name).values())) if name in TASKS else None)
    asked = len({line.sample for line in lines})
    return f"{asked:,} of {known.size:,} samples" if known and asked < known.size else ""


def _record(tool_run: TaskResults, task: Task | None, lines: Sequence[SampleLine], part: str) -> ProtocolRecord:
    """The protocol of the tool's run: ours if the prompts are ours, with the tool's decoding; else the tool's."""
    asked = {line.sample for line in lines}
    metric = tool_run.metrics[0]
    if task is None:
        return ProtocolRecord(
            task=_our_name(tool_run.task), task_version=int(tool_run.version),
            name=ProtocolName(base=f"{tool_run.tool} {tool_run.release}", imported=True).render(), metric=metric,
            shots=tool_run.shots, prompt=lines[0].asked[0][0] if lines[0].asked else "",
            prompts_sha256=digest([[line.sample, line.asked] for line in lines]), samples=len(asked),
            decoding=tool_run.decoding, partial=part, trials=_count_trials(lines),
        )  # fmt: skip
    every = list(task.samples())
    imported_samples = [sample for sample in every if sample.id in asked]
    record = protocol(task, every, metric)
    record = msgspec.structs.replace(record, name=ProtocolName(base=task.protocol, imported=True).render())
    if not any(line.asked for line in lines):  # not known to the byte, so left out
        record = msgspec.structs.replace(record, prompt="", prompts_sha256="", decoding={})
    elif not task.by_logprob and not _as_ours(tool_run.decoding, record.decoding):
        record = msgspec.structs.replace(record, decoding=tool_run.decoding)
    if part:
        seen = prompts_sha256(task, imported_samples) if record.prompts_sha256 else ""
        record = msgspec.structs.replace(
            record, samples=len(imported_samples), prompts_sha256=seen, partial=part, trials=_count_trials(lines)
        )
    return record


def _count_trials(lines: Sequence[SampleLine]) -> dict[str, int] | msgspec.UnsetType:
    """metric -> the trials of all samples; unset where no metric has several a sample."""
    counts: Counter[str] = Counter()
    for line in lines:
        counts.update({metric: len(outcomes) for metric, outcomes in line.trials.items()})
    return dict(counts) or msgspec.UNSET


def _as_ours(theirs: dict[str, Any], ours: dict[str, Any]) -> bool:
    """Whether a tool decoded as our protocol does; settings that it does not name are taken as equal."""
    same = [sorted(theirs["stop"]) == sorted(ours["stop"])] if "stop" in theirs else []
    same += [theirs[key] == ours[key] for key in ("max_tokens", "temperature") if key in theirs]
    return all(same)


def _result(line: SampleLine) -> Result:
    more = {name: value for name, value in line.more.items() if name != "bare"}
    if line.fault:
        fields: dict[str, Any] = {"detail": line.fault, **more, "verdict": "unscored"}
        return Result(
            sample=line.sample, draw=line.draw, score=None, text=line.text, answer=line.answer, cluster=line.cluster,
            **fields,
        )  # fmt: skip
    name, value = next(iter(line.metrics.items()))
    verdict: Verdict = "read" if not metric_of(name).is_share else "passed" if value == 1.0 else "failed"
    fields = {"verdict": verdict, "detail": line.detail, **more}
    return Result(
        sample=line.sample, draw=line.draw, score=value, metrics={} if "bare" in line.more else line.metrics,
        answer=line.answer, text=line.text, cluster=line.cluster, logprobs=line.logprobs, trials=line.trials, **fields,
    )  # fmt: skip


def _header(tool_run: TaskResults, record: ProtocolRecord, samples: int, checkpoint: str, label: str) -> Run:
    date = datetime.datetime.fromtimestamp(tool_run.date, datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    identity = {"file": tool_run.file, "sha256": tool_run.sha256}
    identity |= {"scorer": tool_run.scorer} if tool_run.scorer else {}
    facts = Facts(
        engine=tool_run.tool, version=tool_run.release, dtype=tool_run.dtype, device=tool_run.device,
        context_tokens=tool_run.context_tokens, identity=identity,
    )  # fmt: skip
    draws = 1 + max((line.draw for line in tool_run.lines), default=0)
    return Run(
        id=digest(["elsewhere", checkpoint, record.fingerprint, tool_run.sha256]), checkpoint=checkpoint,
        checkpoint_label=label, task=record.task, protocol=msgspec.to_builtins(record),
        fingerprint=record.fingerprint, backend=facts, seed=tool_run.seed, draws=draws, limit=None, samples=samples,
        hardware={}, versions=tool_run.versions, commit=tool_run.commit, started=date if tool_run.date else "",
        command=tool_run.command,
    )  # fmt: skip
