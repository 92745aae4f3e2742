"""Scores checkpoints of the zoo on tasks and publishes the numbers: `phizoo eval run` and `evals.evaluate`.

Each run is kept and resumes (`evals.run`); a whole run's scores are published (`evals.results.publish`), split by the
searches of training data.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

from msgspec.structs import replace

from evals.asked import Say, note
from evals.contamination.flags import Flags, make_search, read, write
from evals.engines.fastest import AUTO, fastest_engine
from evals.results.publish import publish, scores
from evals.results.split import make_split
from evals.run import FinishedRun, RunOptions
from evals.stats.power import Resolution, resolution, weakest
from evals.stats.real import real_resolution
from evals.subjects import Subject, evaluate_many
from evals.task import Task
from evals.tasks import task as find_task
from zoo import settings
from zoo.cli.output import coverage_note, score_notes
from zoo.coverage import coverage, overlap_fields, split_line
from zoo.db.searches import check_search
from zoo.errors import ZooError
from zoo.metrics import metric_of
from zoo.records import Record, Score, Search, Split
from zoo.registry import Registry


class Publishing(Record, frozen=True, kw_only=True):
    """Whether scores are published, and how.

    flags           task -> flags of samples found in training data, beside the searches of the zoo
    allow_unscored  with max_unscored: as `evals.results.publish.publish` takes them
    """

    publish: bool = True
    flags: dict[str, list[Flags]] = {}
    allow_unscored: bool = False
    max_unscored: float | None = None


class ScoreRow(Record, frozen=True, kw_only=True):
    """One score of a checkpoint, as `phizoo eval run --json` prints it.

    column        task and protocol
    published     whether it is on the leaderboard; `asked` of `whole` samples were asked
    value         with low and high: 0 to 1 for a share, or in the metric's unit
    worst, best   the value if all unscored samples were wrong, or all right
    path          how the engine read the model
    truncated     prompts that were cut to the context
    without       parameters that an endpoint refused
    searched      with overlaps, unsearchable, unsearched: of the samples in training data
    resolution    the smallest difference that the samples can show
    """

    checkpoint: str
    column: str
    run: str
    published: bool
    asked: int
    whole: int
    metric: str
    value: float
    low: float
    high: float
    n: int
    unscored: int
    worst: float | None
    best: float | None
    seeds: int
    subset: str
    partial: str
    truncated: int
    path: str
    unfinished: int
    disputed: int
    without: tuple[str, ...]
    coverage_note: str
    notes: str
    resolution: Resolution | None
    searched: str
    unsearched: str
    overlaps: int | None
    unsearchable: int | None
    training_data: str


def measure(
    registry: Registry, subjects: Sequence[Subject], tasks: Sequence[Task], options: RunOptions, rules: Publishing,
    announce: Callable[[Task], None] | None = None,
) -> list[ScoreRow]:  # fmt: skip
    """Runs each subject on each task; the rows of all metrics, in the order of the subjects."""
    order = [subject.label for subject in subjects]
    return sorted(
        measure_each(registry, subjects, tasks, options, rules, announce), key=lambda row: order.index(row.checkpoint)
    )


def measure_each(
    registry: Registry, subjects: Sequence[Subject], tasks: Sequence[Task], options: RunOptions, rules: Publishing,
    announce: Callable[[Task], None] | None = None,
) -> Iterator[ScoreRow]:  # fmt: skip
    """The rows of `measure`, each task's as soon as it has ended."""
    foreign = {subject.digest for subject in subjects if subject.model}
    splits: dict[str, Split | None] = {}

    def publishable(run: FinishedRun) -> bool:
        return run.complete and rules.publish and run.header.checkpoint not in foreign

    def keep(run: FinishedRun) -> list[Score]:
        kept, splits[run.header.id] = _publish(registry, run, rules, publishable(run))
        return kept

    # a shared store sends the weights when their turn comes
    ready = (each if each.model else open_subject(registry, each, options.engine) for each in subjects)
    for outcome in evaluate_many(ready, tasks, options, settings.runs_dir(), keep, announce):
        split = splits[outcome.run.header.id]
        yield from _rows(outcome.subject.label, outcome.run, outcome.scores, publishable(outcome.run), split)


def find_subject(registry: Registry, name: str) -> Subject:
    """A checkpoint of the zoo as a subject, before its files are opened."""
    checkpoint = registry.get(name)
    return Subject(digest=checkpoint.digest, label=checkpoint.label)


def open_subject(registry: Registry, subject: Subject, engine: str, say: Say = note) -> Subject:
    """A checkpoint with its files, and under `auto` with its engine, which a line names."""
    opened = replace(subject, path=registry.path(subject.label))
    if engine != AUTO or opened.path is None:
        return opened
    name, reason = fastest_engine(opened.path)
    say(f"{subject.label}: engine {name}: {reason}")
    return replace(opened, engine=name)


def read_flags(paths: Iterable[Path], tasks: Sequence[Task]) -> dict[str, list[Flags]]:
    """The flags in these files by task, checked before anything runs, against all samples of the task."""
    searches: dict[str, list[Flags]] = {}
    for flags in map(read, paths):
        searches.setdefault(flags.search.task, []).append(flags)
    for name, of_task in searches.items():
        if name not in {task.name for task in tasks}:
            raise ZooError(f"--overlap has flags of {name}, which is not among the tasks; add it, or drop the flags")
        _make_searches(of_task, "0" * 64, name)
    return searches


def _make_searches(flags: Sequence[Flags], checkpoint: str, task: str) -> list[Search]:
    """The flags as searches for a checkpoint. Raises ZooError for flags of other samples, or that disagree."""
    ids = [sample.id for sample in find_task(task).samples()] if flags else []
    return [check_search(make_search(each, checkpoint, task, ids)) for each in flags]


def _publish(
    registry: Registry, run: FinishedRun, rules: Publishing, publishable: bool
) -> tuple[list[Score], Split | None]:
    """A run's scores, and its split by its flags and the searches of the zoo; kept there if it is publishable."""
    header = run.header
    of_task = rules.flags.get(header.task) or _kept_flags(run)
    for each in of_task:  # beside the evidence, with the documents that matched
        write(run.path.parent / f"overlap-{each.search.method}.jsonl", each)
    searches = _make_searches(of_task, header.checkpoint, header.task)
    if publishable:
        for search in searches:
            registry.add_search(search)
        published = publish(registry, run, allow_unscored=rules.allow_unscored, max_unscored=rules.max_unscored)
        return published, registry.splits(header.checkpoint, header.task).get(header.id)
    searches += registry.searches(header.checkpoint, header.task)
    if not searches:
        return scores(run), None
    covered = coverage(registry, header.checkpoint, searches)
    split, _ = make_split(header.id, (result.sample for result in run.results), searches, covered)
    return scores(run, searches, covered), split


def _kept_flags(run: FinishedRun) -> list[Flags]:
    """The flags beside a run from an earlier start, so that its scores stay split."""
    return [read(path) for path in sorted(run.path.parent.glob("overlap-*.jsonl"))]


def _rows(
    label: str, run: FinishedRun, of_run: Sequence[Score], published: bool, split: Split | None
) -> Iterable[ScoreRow]:
    """The rows of a run, with what the searches of training data say of them."""
    cut = sum(result.truncated > 0 for result in run.results)
    for score in of_run:
        protocol = next(p for p in run.protocols if p.fingerprint == score.protocol)
        yield ScoreRow(
            checkpoint=label, column=protocol.column, run=score.run, published=published, asked=run.header.samples,
            whole=protocol.samples, metric=score.metric, value=score.value, low=score.low, high=score.high, n=score.n,
            unscored=score.unscored, worst=score.worst, best=score.best, seeds=score.seeds, subset=score.subset,
            partial=protocol.partial, truncated=cut, path=run.header.backend.path,
            unfinished=sum(result.unfinished for result in run.results),
            disputed=sum(result.disputed for result in run.results),
            without=tuple(run.header.backend.identity.get("without", ())),
            coverage_note=coverage_note(score.value, score.clusters, score.metric),
            notes=score_notes(score, setting=False), resolution=_resolution(score),
            training_data=split_line(split, score, of_run) if score.subset == "all" else "", **overlap_fields(split),
        )  # fmt: skip


def _resolution(score: Score) -> Resolution | None:
    span = (score.value, score.low, score.high, score.n, score.clusters)
    if not metric_of(score.metric).is_share:
        return real_resolution([span])
    worth = weakest([span])
    return resolution(worth) if worth else None
