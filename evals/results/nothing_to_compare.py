"""The errors of a comparison without a row: what the two have, and the run that would make them comparable."""

from collections.abc import Mapping, Sequence

from evals.results.task_of_run import run_options
from zoo.errors import ZooError, nearest
from zoo.records import Checkpoint, ProtocolRecord, Reported, Score
from zoo.registry import Registry


def nothing_shared(
    registry: Registry, pair: tuple[Checkpoint, Checkpoint], scores: tuple[Mapping[str, Score], Mapping[str, Score]],
    protocols: Mapping[str, ProtocolRecord], tasks: Sequence[str],
) -> ZooError:  # fmt: skip
    """The error that names the run which would make the two comparable, or an unknown task."""
    if fault := unknown_task(registry, pair, tasks):
        return fault
    for scored, other in ((0, 1), (1, 0)):
        if scores[scored]:
            wanted = protocols[next(iter(scores[scored].values())).protocol]
            return ZooError(
                f"{pair[0].label} and {pair[1].label} share no protocol"
                + (f" of {', '.join(tasks)}" if tasks else "")
                + f". Next: phizoo eval run {pair[other].label} {run_options(wanted)}"
            )
    names = ",".join(tasks) if tasks else "humaneval"
    return ZooError(
        f"neither {pair[0].label} nor {pair[1].label} has a score{' of ' + ', '.join(tasks) if tasks else ''}. "
        f"Next: phizoo eval run {pair[0].label} --task {names}, then the same for {pair[1].label}"
    )


def unknown_task(registry: Registry, pair: tuple[Checkpoint, Checkpoint], tasks: Sequence[str]) -> ZooError | None:
    """The error for a task of which neither has a score, and whose name is nearly another's."""
    known = {score.task for checkpoint in pair for score in registry.scores(checkpoint.digest)}
    for task in tasks:
        name = task.split("@")[0]
        if name not in known and (close := nearest(name, known)):
            return ZooError(f'no task "{task}" among their scores{close}. All tasks: phizoo eval tasks')
    return None


def nothing_published(
    checkpoint: Checkpoint, rows: Sequence[Reported], scores: Mapping[str, Score], tasks: Sequence[str]
) -> ZooError:
    """The error for a checkpoint without a score of a task that is published for the other."""
    benchmarks = sorted({row.benchmark for row in rows})
    wanted = [task for task in tasks if task in benchmarks] or benchmarks
    own = ", ".join(sorted({score.task for score in scores.values()})) or "none"
    return ZooError(
        f"{checkpoint.label} has no score of a task published for {rows[0].model} ({', '.join(benchmarks)}); "
        f"its own: {own}. Next: phizoo eval run {checkpoint.label} --task {wanted[0]}"
    )
