"""`phizoo eval ranks | seeds | power`: a column as ranks, several seeds as one number, what a task can resolve."""

from typing import TYPE_CHECKING, Any

import click

from zoo.cli.completion import A_CHECKPOINT, A_TASK
from zoo.errors import ZooError

if TYPE_CHECKING:
    from evals.results.ranking import Column
    from evals.stats.ranks import Rank


def _json(value: Any) -> None:
    import msgspec

    click.echo(msgspec.json.format(msgspec.json.encode(value), indent=2))


@click.command()
@click.argument("task", shell_complete=A_TASK)
@click.option("--metric", help="Another metric than the task's first.")
@click.option("--all-versions", is_flag=True, help="All versions of each name, not the newest alone.")
@click.option("--json", "as_json", is_flag=True, help="Print as JSON.")
def ranks(task: str, metric: str | None, all_versions: bool, as_json: bool) -> None:
    """Rank the checkpoints scored on a task, with the ranks that the data allow.

    \b
    phizoo eval ranks arc_easy
    phizoo eval ranks mmlu@lm-eval-5 --json

    All intervals of a column hold at once in 95 of 100 columns. RANK is made from the scores' intervals, as on the
    leaderboard; PAIRED, where all samples are at hand, from exact tests on the same samples, and tells more apart.
    Checkpoints not told apart, by the paired tests where there are any, stand under ALIKE.
    """
    from evals.results.ranking import column
    from zoo.registry import open_registry

    with open_registry() as registry:
        found = column(registry, task, metric, all_versions)
    if as_json:
        _json(found)
        return
    for one in found:
        _print(one)


def _print(found: "Column") -> None:
    n = min(row.score.n for row in found.rows)
    click.echo(f"{found.protocol.column}, {resolves(n)}")
    if not found.paired:
        click.echo("ranks from intervals alone, since not all samples are at hand")
    rows = [("RANK", "PAIRED", "CHECKPOINT", "SCORE [95%]", "ALIKE")]
    for one in found.rows:
        score = one.score
        cell = f"{100 * score.value:.1f} [{100 * score.low:.1f}–{100 * score.high:.1f}] n={score.n}"
        closer = span(one.paired) if one.paired else "–"
        rows.append((span(one.rank), closer, one.checkpoint, cell, ", ".join(one.alike) or "none"))
    widths = [max(len(row[place]) for row in rows) for place in range(len(rows[0]))]
    for row in rows:
        click.echo("  ".join(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True)).rstrip())


def span(rank: "Rank") -> str:
    """A rank interval as it is read: `2–5`, or `3` where its ends are one."""
    return str(rank.first) if rank.first == rank.last else f"{rank.first}–{rank.last}"


def resolves(n: int) -> str:
    """What n samples can tell apart, in words.

    >>> resolves(164)
    'n=164 resolves differences of 15.4 points, 10.9 paired (80% power)'
    """
    from evals.stats.power import resolution

    told = resolution(n)
    return f"n={n} resolves differences of {100 * told.unpaired:.1f} points, {100 * told.paired:.1f} paired (80% power)"


@click.command()
@click.argument("names", shell_complete=A_CHECKPOINT, nargs=-1, required=True, metavar="NAME...")
@click.option(
    "--task",
    "tasks",
    shell_complete=A_TASK,
    multiple=True,
    help="Only this task, or TASK@PROTOCOL; may be given again.",
)
@click.option("--json", "as_json", is_flag=True, help="Print as JSON.")
def seeds(names: tuple[str, ...], tasks: tuple[str, ...], as_json: bool) -> None:
    """Combine runs that differ by seed alone into one number.

    \b
    phizoo eval seeds phi-1-a phi-1-b phi-1-c
    phizoo eval seeds phi-1-small-mini --task humaneval

    Several checkpoints of one recipe, or one checkpoint's runs with other --seed. The interval holds the chance of the
    seeds and of the problems; the spread of both is told.
    """
    from evals.results.ranking import seeds as combined
    from zoo.registry import open_registry

    with open_registry() as registry:
        found = combined(registry, names, tasks)
    if as_json:
        _json(found)
        return
    for one in found:
        told = one.combined
        cell = f"{100 * told.value:.1f} [{100 * told.low:.1f}–{100 * told.high:.1f}]"
        spread = f"standard deviation {100 * told.between**0.5:.2f} points from seed to seed"
        click.echo(
            f"{one.column}: {cell}, {told.runs} runs of n={told.n}; {spread}, "
            f"{100 * told.within**0.5:.2f} from the choice of problems"
        )
        if told.runs == 2:
            click.echo("  two runs tell little of the seeds: this interval can be as low as 87%; three are enough")
    for note in dict.fromkeys(one.note for one in found if one.note):
        click.echo(note)


@click.command()
@click.argument("tasks", shell_complete=A_TASK, nargs=-1, required=True, metavar="TASK...")
@click.option("--difference", type=click.FloatRange(0, 100, min_open=True), help="Points that should be seen.")
@click.option("--score", type=click.FloatRange(0, 100), default=50, show_default=True, help="Score around which, in %.")
@click.option("--pair", nargs=2, help="Two scored checkpoints, from whose samples the spread is taken.")
@click.option("--json", "as_json", is_flag=True, help="Print as JSON, shares in 0..1.")
def power(
    tasks: tuple[str, ...], difference: float | None, score: float, pair: tuple[str, str] | None, as_json: bool
) -> None:
    """Tell what a task can resolve, and the samples or draws that a difference needs.

    \b
    phizoo eval power humaneval arc_easy suite:phi-2
    phizoo eval power humaneval --difference 4.3
    phizoo eval power humaneval --difference 3 --pair phi-1-small-mini phi-1-small-mini-base

    All at 80% power of a two-sided test at 5%.
    """
    from evals.results.ranking import needs
    from evals.stats.power import resolution
    from evals.suites import tasks as find
    from zoo.registry import open_registry

    rows: list[dict[str, Any]] = []
    with open_registry(readonly=True) if pair else _nothing() as registry:
        for task in find(",".join(tasks)):
            column = f"{task.name}@{task.protocol}"
            row: dict[str, Any] = {"task": column, "resolution": resolution(task.size, score / 100)}
            if difference is not None:
                scores = _pair(registry, pair, task) if pair else None
                row["needs"] = needs(registry, difference / 100, score / 100, scores)
            rows.append(row)
    if as_json:
        _json(rows)
        return
    width = max(len(row["task"]) for row in rows)
    for row in rows:
        told = row["resolution"]
        click.echo(
            f"{row['task']:<{width}}  n={told.n:<6} resolves {100 * told.unpaired:.1f} points, "
            f"{100 * told.paired:.1f} paired"
        )
        if "needs" in row:
            _tell_needs(row["needs"])


def _nothing() -> Any:
    from contextlib import nullcontext

    return nullcontext()


def _pair(registry: Any, pair: tuple[str, str], task: Any) -> tuple[Any, Any]:
    from evals.results.compare import newest

    protocols = registry.protocols()
    one, other = (newest(registry, registry.get(name), protocols, [f"{task.name}@{task.protocol}"]) for name in pair)
    shared = [(one[key], other[key]) for key in one if key in other]
    if not shared:
        raise ZooError(
            f"{pair[0]} and {pair[1]} have no scores of {task.name}@{task.protocol} both. "
            f"Next: phizoo eval run {pair[0]} {pair[1]} --tasks {task.name}@{task.protocol}"
        )
    return shared[0]


def _tell_needs(told: Any) -> None:
    share = "whose scores correlate by 0.5" if told.discordant is None else f"{100 * told.discordant:.1f}% discordant"
    click.echo(
        f"  {100 * told.difference:g} points need {told.unpaired:,} samples, {told.paired:,} paired ({share}"
        + (f", from {told.observed})" if told.observed else ")")
    )
    if told.draws:
        click.echo(f"  or {told.draws} draws of each of these samples")
    elif told.observed:
        click.echo("  draws: no number of draws is enough, or the runs have one draw each")
