"""Selects cells of the leaderboard and gives each with its run, its result lines and what the model was asked.

A cell here is a run (or the runs of several seeds behind one combined score) with all of its scores: every metric and
every part of a contamination split. The writers of `evals.interchange` turn it into another tool's files.
"""

from collections.abc import Iterator, Sequence
from fnmatch import fnmatchcase

import msgspec

from evals.chat import bind
from evals.protocol import shown
from evals.records import Message, Result, Run
from evals.results.choice import chosen_scores, read_run
from evals.results.sample import bind_run
from evals.results.task_of_run import name_of_run, task_of_run
from evals.tasks import protocols
from zoo.errors import ZooError, nearest
from zoo.protocol_names import current_spec
from zoo.records import Checkpoint, ProtocolRecord, Record, Score
from zoo.registry import Registry

GLOB = "*?["


class Question(Record, frozen=True, kw_only=True):
    """What was asked of a model in one sample.

    pairs     (context, continuation), as an engine scores them; a text that is generated has one, with ""
    messages  by chat, the messages before the answer; () for a completion
    prompt    the exact text that the model read, if it is known
    golds     the right answers as texts; () if the set has none
    """

    pairs: tuple[tuple[str, str], ...]
    messages: tuple[Message, ...] = ()
    prompt: str = ""
    question: str = ""
    golds: tuple[str, ...] = ()


class ExportedCell(Record, frozen=True, kw_only=True):
    """One run, or several seeds combined, with all its scores.

    scores    of every metric and subset, the headline metric first
    columns   metric -> the leaderboard's column
    headers   one for each run, the newest first
    results   the lines of each run, in the order of `headers`; () where they are gone
    questions by sample; {} if they are not known, and `why` then says why
    repository  the hub's repository of its evaluation set, with revision and split; "" if there is none
    """

    label: str
    checkpoint: Checkpoint | None
    scores: tuple[Score, ...]
    columns: dict[str, str]
    protocol: ProtocolRecord
    headers: tuple[Run, ...]
    results: tuple[tuple[Result, ...], ...]
    questions: dict[str, Question]
    why: str = ""
    repository: str = ""
    revision: str = ""
    split: str = ""

    @property
    def run(self) -> Run:
        """The newest run behind it."""
        return self.headers[0]

    @property
    def lines(self) -> Iterator[tuple[Run, Result]]:
        """Every result line with its run."""
        for header, results in zip(self.headers, self.results, strict=bool(self.results)):
            for result in results:
                yield header, result


def select_cells(registry: Registry, words: Sequence[str]) -> list[ExportedCell]:
    """The cells that words name, each once.

    words   CHECKPOINT, CHECKPOINT/TASK, CHECKPOINT/TASK@PROTOCOL, where names may have * and ?, or a run id's beginning
    Raises  ZooError for a word that names no cell
    """
    standing = chosen_scores(registry)
    labels = _labels(registry, standing)
    chosen: dict[tuple[str, ...], list[Score]] = {}
    for word in words:
        matching = _matching(registry, word, standing, labels)
        if not matching:
            known = sorted({f"{labels[score.checkpoint]}/{score.task}" for score in standing})
            raise ZooError(f'no published cell "{word[:100]}"{nearest(word, known)}. All runs: phizoo eval runs')
        for key, scores in matching.items():
            chosen.setdefault(key, scores)
    headers = {str(header["id"]): header for header in registry.runs()}
    records = registry.protocols()
    return [_cell(registry, scores, headers, records, labels) for scores in chosen.values()]


def _labels(registry: Registry, scores: Sequence[Score]) -> dict[str, str]:
    """checkpoint digest -> its name:version, or the name that an imported run gives."""
    labels = {str(header["checkpoint"]): str(header.get("checkpoint_label", "")) for header in registry.runs()}
    labels |= {checkpoint.digest: checkpoint.label for checkpoint in registry.list(all_versions=True)}
    return {score.checkpoint: labels.get(score.checkpoint, score.checkpoint[:12]) for score in scores} | labels


def _matching(
    registry: Registry, word: str, standing: Sequence[Score], labels: dict[str, str]
) -> dict[tuple[str, ...], list[Score]]:
    name, slash, spec = word.partition("/")
    task, _, protocol = current_spec(spec).partition("@") if slash else ("", "", "")
    scores: Sequence[Score] = []
    if slash or any(mark in name for mark in GLOB) or _is_checkpoint(registry, name):
        digests = _digests(registry, name, labels)
        scores = [score for score in standing if score.checkpoint in digests]
    if not scores and not slash and len(word) >= 4:  # a run, whether it stands or not
        runs = {str(header["id"]) for header in registry.runs() if str(header["id"]).startswith(word)}
        if len(runs) == 1:
            scores = [score for score in registry.scores() if score.run in runs and score.seeds == 1]
    names = registry.protocols() if protocol else {}
    grouped: dict[tuple[str, ...], list[Score]] = {}
    for score in scores:
        if task and not fnmatchcase(score.task, task):
            continue
        if protocol and not (score.protocol in names and fnmatchcase(names[score.protocol].name, protocol)):
            continue
        grouped.setdefault((score.checkpoint, score.run, *score.runs), []).append(score)
    return grouped


def _is_checkpoint(registry: Registry, name: str) -> bool:
    try:
        registry.get(name)
    except ZooError:
        return any(header["checkpoint_label"] == name for header in registry.runs())
    return True


def _digests(registry: Registry, name: str, labels: dict[str, str]) -> set[str]:
    if any(mark in name for mark in GLOB):
        return {
            digest
            for digest, label in labels.items()
            if fnmatchcase(label, name) or fnmatchcase(label.rpartition(":")[0] or label, name)
        }
    try:
        return {registry.get(name).digest}
    except ZooError:
        imported = {digest for digest, label in labels.items() if label == name}
        if not imported:
            raise
        return imported


def _cell(
    registry: Registry, scores: list[Score], headers: dict[str, dict[str, object]],
    records: dict[str, ProtocolRecord], labels: dict[str, str],
) -> ExportedCell:  # fmt: skip
    first = scores[0]
    runs = [msgspec.convert(headers[run], Run) for run in (first.runs or (first.run,)) if run in headers]
    if not runs:
        raise ZooError(f"the run {first.run[:12]} of {first.task} is not in this zoo any more. See: phizoo eval runs")
    runs.sort(key=lambda header: header.started, reverse=True)
    try:
        results = tuple(tuple(read_run(registry, header.id)) for header in runs)
    except ZooError:  # the scores stay; a format that needs samples says that they are gone
        results = ()
    questions, why, place = questions_of(runs[0])
    metrics = [runs[0].protocol["metric"], *(score.metric for score in scores)]
    scores.sort(key=lambda score: (metrics.index(score.metric), score.subset != "all", score.subset))
    checkpoint = None
    try:
        checkpoint = registry.get(first.checkpoint)
    except ZooError:
        checkpoint = None
    return ExportedCell(
        label=labels[first.checkpoint], checkpoint=checkpoint, scores=tuple(scores),
        columns={score.metric: records[score.protocol].column for score in scores if score.protocol in records},
        protocol=msgspec.convert(runs[0].protocol, ProtocolRecord), headers=tuple(runs), results=results,
        questions=questions, why=why, **place,
    )  # fmt: skip


def questions_of(header: Run) -> tuple[dict[str, Question], str, dict[str, str]]:
    """What each sample asked, why that is not known, and where the evaluation set is on the hub."""
    from evals.datasets import load

    name = name_of_run(header)
    place: dict[str, str] = {}
    try:
        if name.imported and name.own not in protocols(header.task):
            return {}, "the prompts are another tool's own, which did not come with its results", {}
        task = task_of_run(header)
        if task.data and (hub := load.entry(task.data, task.split).hub):
            place = {"repository": hub.repo, "revision": hub.revision, "split": task.split}
        if (before := header.protocol["task_version"]) != task.version:
            return {}, f"the prompts of version {before} are not kept; this is version {task.version}", place
        samples = list(task.samples())
        chat = task.asked is not None
        try:
            bound = bind_run(header, task)
        except ZooError:  # its template is not here: the messages are known, and the text around them is not
            bound = bind(task, None)
        questions = {}
        for sample in samples:
            pairs = bound.pairs(sample) if bound.pairs else ((shown(bound, sample), ""),)
            golds: tuple[str, ...] = ()
            if task.pairs and isinstance(sample.target, int) and 0 <= sample.target < len(pairs):
                golds = (pairs[sample.target][1],)
            elif (gold := task.gold(sample) if task.gold else None) is not None:
                golds = (gold,)
            elif isinstance(sample.target, str):
                golds = (sample.target,)
            messages = task.asked(sample)[0][0] if task.asked is not None else ()
            questions[sample.id] = Question(
                pairs=pairs, messages=messages if chat else (), prompt=shown(bound, sample),
                question=sample.question, golds=golds,
            )  # fmt: skip
    except ZooError as error:
        return {}, f"the prompts are not known here: {error}", place
    return questions, "", place
