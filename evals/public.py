"""What `import evals` gives: evaluate, compare, list tasks and read samples, in the environment's zoo or an open one.

Each takes names as the command line does and returns records; an error is a `zoo.ZooError` of one line.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from evals.asked import choose_tasks, note_kinds
from evals.engines.fastest import AUTO
from evals.records import ChatShape, Result
from evals.results import compare as comparing
from evals.results.choice import chosen_scores, read_run
from evals.results.compare import Comparison
from evals.results.measure import Publishing, ScoreRow, find_subject, measure, measure_each
from evals.run import RunOptions
from evals.subjects import Subject
from evals.suites import find_tasks
from evals.task import Task
from evals.tasks import every
from zoo.errors import ZooError
from zoo.registry import Registry, open_registry


def evaluate(
    names: str | Sequence[str], tasks: str | Sequence[str], *, registry: Registry | None = None, engine: str = AUTO,
    chat: bool = False, limit: int | None = None, draws: int = 1, temperature: float | None = None, seed: int = 0,
    device: str = "auto", dtype: str = "auto", publish: bool = True,
) -> tuple[ScoreRow, ...]:  # fmt: skip
    """Scores checkpoints on tasks, as `phizoo eval run` does, and publishes the scores of whole tasks.

    names     one checkpoint or several: `name`, `name:3`, `name@alias` or the beginning of a digest
    tasks     task, task@protocol or suite:NAME; one text may have several, with commas between
    registry  an open zoo; None: the environment's
    engine    "auto": the fastest that is proven for each model
    chat      ask by chat, with each checkpoint's own template
    limit     only the first samples; such a score is not published
    Returns   a row for each metric, in the order of the names. If it is interrupted, the same call continues.
    Raises    ZooError for an unknown name or task, a model that is refused, or code that cannot be isolated here
    """
    options = _options(engine, device, dtype, limit, chat, draws, temperature, seed)
    with _zoo(registry, readonly=not publish) as zoo:
        return tuple(measure(zoo, *_work(zoo, names, tasks, options), options, Publishing(publish=publish)))


def evaluate_many(
    names: str | Sequence[str], tasks: str | Sequence[str], *, registry: Registry | None = None, engine: str = AUTO,
    chat: bool = False, limit: int | None = None, draws: int = 1, temperature: float | None = None, seed: int = 0,
    device: str = "auto", dtype: str = "auto", publish: bool = True,
) -> Iterator[ScoreRow]:  # fmt: skip
    """The rows of `evaluate`, each task's as soon as it has ended: for long work, to show or to stop between two tasks.

    Takes and raises what `evaluate` does; names and tasks are checked when the first row is asked for.
    """
    options = _options(engine, device, dtype, limit, chat, draws, temperature, seed)
    with _zoo(registry, readonly=not publish) as zoo:
        yield from measure_each(zoo, *_work(zoo, names, tasks, options), options, Publishing(publish=publish))


def compare(
    first: str, second: str, tasks: str | Sequence[str] = (), *, margin: float | None = None,
    registry: Registry | None = None,
) -> Comparison:  # fmt: skip
    """Compares two checkpoints under every protocol that they share, paired by sample.

    second    may be a published model: `published:NAME`
    tasks     only these; all shared ones if empty
    margin    the largest difference that does not matter, in points
    Returns   rows with both scores, the difference with its interval, p and Holm's p
    Raises    ZooError for unknown names, or if nothing is shared, with the command to run next
    """
    with _zoo(registry, readonly=True) as zoo:
        return comparing.compare(zoo, first, second, _listed(tasks), margin=margin)


def list_tasks(spec: str = "") -> tuple[str, ...]:
    """The tasks as task@protocol: of a suite or a list, such as "suite:small"; every one if empty.

    >>> list_tasks("suite:phi-1")
    ('humaneval@openai', 'mbpp@lm-eval')
    """
    return tuple(f"{task.name}@{task.protocol}" for task in (find_tasks(spec) if spec else every()))


def read_samples(name: str, task: str, *, registry: Registry | None = None) -> tuple[Result, ...]:
    """The samples behind a checkpoint's score on a task: each answer with its score and verdict.

    task    of several protocols that were measured, task@protocol says which; otherwise the newest
    Raises  ZooError where there is no such score here, or its samples are gone
    """
    wanted, _, protocol = task.partition("@")
    with _zoo(registry, readonly=True) as zoo:
        protocols = zoo.protocols()
        scores = [
            score
            for score in chosen_scores(zoo, name, wanted)
            if not protocol or protocols[score.protocol].name == protocol
        ]
        if not scores:
            raise ZooError(f"{name} has no score on {task}. Measure it: phizoo eval run {name} --task {task}")
        return tuple(read_run(zoo, max(scores, key=lambda score: score.created).run))


def _options(
    engine: str,
    device: str,
    dtype: str,
    limit: int | None,
    chat: bool,
    draws: int,
    temperature: float | None,
    seed: int,
) -> RunOptions:
    return RunOptions(
        engine=engine, connection={"device": device, "dtype": dtype, "batch": None}, limit=limit, draws=draws,
        chat=ChatShape() if chat else None, temperature=temperature, seed=seed,
    )  # fmt: skip


def _work(
    zoo: Registry, names: str | Sequence[str], tasks: str | Sequence[str], options: RunOptions
) -> tuple[list[Subject], list[Task]]:
    """The checkpoints and the tasks of these names; a note where their kinds do not fit."""
    chosen = choose_tasks(_listed(tasks), options)
    subjects = [find_subject(zoo, name) for name in _listed(names)]
    note_kinds(zoo, subjects, chosen, options.engine)
    return subjects, chosen


def _listed(words: str | Sequence[str]) -> list[str]:
    return [words] if isinstance(words, str) else list(words)


@contextmanager
def _zoo(registry: Registry | None, readonly: bool) -> Iterator[Registry]:
    """The zoo that is given, which stays open, or the environment's, which is closed at the end."""
    if registry is not None:
        yield registry
        return
    with open_registry(readonly=readonly) as opened:
        yield opened
