"""Asks two models the samples of a task in a fixed random order, and stops when the two are told apart or are alike.

Each block is a run of its own in the folder `until-resolved` of PHIZOO_HOME, so a stopped command goes on, and nothing
of it is ever published: samples that were asked until an answer was found are no score. Not here: the statistics
(`evals.stats.sequential`), printing.
"""

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path

from msgspec.structs import replace

from evals.engines import connect
from evals.records import Result, Sample
from evals.run import RunOptions, evaluate
from evals.stats.sequential import Look, look, looks, random_order
from evals.stats.summary import by_sample
from evals.subjects import Subject, ask_as, bind_to
from evals.task import Task
from evals.tasks import groups_of
from zoo.errors import ZooError
from zoo.metrics import metric_of
from zoo.records import Record


class Resolved(Record, frozen=True, kw_only=True):
    """Two models on one task until the pair was resolved, or all samples were asked.

    look     the last look: first minus second, with the interval that holds at every look
    asked    samples that each model was asked, of `samples`; unscored: of them without a score of one
    looks    how often it looked
    """

    first: str
    second: str
    task: str
    metric: str
    margin: float
    look: Look
    asked: int
    samples: int
    unscored: int
    looks: int

    @property
    def saved(self) -> float:
        """The share of the samples that need not be asked."""
        return 1 - self.asked / self.samples


def run_until_resolved(
    subjects: Sequence[Subject], task: Task, options: RunOptions, margin: float, runs: Path,
    tell: Callable[[Look, int], None] = lambda _look, _asked: None,
) -> Resolved:  # fmt: skip
    """Compares two models on a task, block by block.

    subjects  two, with the folders of their weights
    margin    the largest difference that does not matter, in 0..1
    runs      the folder for the blocks' runs
    tell      called after each look, with the samples asked so far
    Raises    ZooError for options that choose samples, or a metric that is not in 0..1
    """
    if options.samples or options.limit or options.ray or options.replicas:
        raise ZooError("--until-resolved chooses the samples itself: leave out --limit, --samples and --ray")
    task, metric = ask_as(task, options), task.metrics[0]
    if not metric_of(metric).is_share:
        raise ZooError(f"{metric} has no upper bound, so no interval holds at every look; run both whole and compare")
    units = _units(list(task.samples()), groups_of(task.name) == "clusters")
    order = random_order(list(units), f"{task.name}@{task.protocol} v{task.version}")
    mean_size, most = sum(map(len, units.values())) / len(units), max(map(len, units.values()))
    totals: list[float] = []
    before, asked, unscored, turns = 0, 0, 0, 0
    with ExitStack() as stack:
        opened = []
        for subject in subjects:
            named = {"model": subject.model} if subject.model else {}
            opened.append(connect(subject.engine or options.engine, subject.path, **options.connection, **named))
            stack.callback(opened[-1].close)
        for count in looks(len(order)):
            block = order[before:count]
            ids = tuple(sample for unit in block for sample in units[unit])
            sides = []
            for subject, engine in zip(subjects, opened, strict=True):
                bound = bind_to(task, subject.path, subject.engine or options.engine)
                done = evaluate(engine, bound, (subject.digest, subject.label), runs, replace(options, samples=ids))
                sides.append(_values(done.results, metric, task))
            before, asked, turns = count, asked + len(ids), turns + 1
            unscored += sum(sample not in sides[0] or sample not in sides[1] for sample in ids)
            totals += _totals([units[unit] for unit in block], sides)
            if not totals:
                continue
            now = look(totals, most, mean_size, margin)
            tell(now, asked)
            if now.verdict != "NOT RESOLVED":
                break
    if not totals:
        raise ZooError(f"no sample of {task.name} was scored for both; see why: phizoo eval runs")
    return Resolved(
        first=subjects[0].label, second=subjects[1].label, task=f"{task.name}@{task.protocol}", metric=metric,
        margin=margin, look=now, asked=asked, samples=sum(map(len, units.values())), unscored=unscored, looks=turns,
    )  # fmt: skip


def _units(samples: Sequence[Sample], clustered: bool) -> dict[str, list[str]]:
    """The ids of the samples by what they share: a passage is drawn whole, a sample alone is its own."""
    units: dict[str, list[str]] = {}
    for sample in samples:
        name = f"cluster {sample.cluster}" if clustered and sample.cluster else f"sample {sample.id}"
        units.setdefault(name, []).append(sample.id)
    return units


def _values(results: Sequence[Result], metric: str, task: Task) -> dict[str, float]:
    scored, _ = by_sample(results, metric, groups_of(task.name))
    values: dict[str, list[float]] = {}
    for sample in scored:  # a sample's trials ("id#2") are its own
        values.setdefault(sample.sample.rpartition("#")[0] if task.trials else sample.sample, []).append(sample.value)
    return {name: sum(each) / len(each) for name, each in values.items()}


def _totals(units: Sequence[Sequence[str]], sides: Sequence[dict[str, float]]) -> list[float]:
    """The difference of each unit over the samples that both scored; a unit without one is left out."""
    both = [[sample for sample in unit if all(sample in side for side in sides)] for unit in units]
    return [sum(sides[0][sample] - sides[1][sample] for sample in unit) for unit in both if unit]
