"""`phizoo eval tasks --power`: the differences that a task resolves, and what it tells apart among the models here."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

from zoo.cli.output import NONE, emit_json, table
from zoo.errors import ZooError
from zoo.metrics import metric_of

if TYPE_CHECKING:
    from evals.records import Sample
    from evals.results.ranking import Needs
    from evals.stats.power import Effective, Resolution
    from evals.task import Task
    from zoo.records import Score
    from zoo.registry import Registry


def resolution_text(smallest: "Resolution", metric: str = "") -> str:
    """The smallest differences that samples can detect, in words, in the unit of the metric.

    >>> from evals.stats.power import planned, resolution
    >>> resolution_text(resolution(164))
    'n=164 resolves differences of 15.4 points, 11.2 paired (80% power)'
    >>> print(resolution_text(resolution(planned([380] * 16))).replace("; ", ";\\n"))
    n=6080 in 16 clusters resolves differences of 17.2 points, 11.7 paired (80% power);
    a score is worth 132 independent samples;
    assumed correlation in a cluster 0.1
    >>> resolution_text(resolution(5))
    'n=5 resolves differences of 78.5 points (80% power); no paired test of 5 samples can be significant'
    """
    grouped = smallest.clusters < smallest.n
    kind = metric_of(metric)
    points = [f"{kind.text(value)} {kind.unit}" for value in (smallest.unpaired,) if value is not None]
    if smallest.paired is not None:
        points.append(f"{kind.text(smallest.paired)}{'' if points else f' {kind.unit}'} paired")
    text = f"n={smallest.n}" + (f" in {smallest.clusters} clusters" if grouped else "")
    text += f" resolves differences of {', '.join(points)} (80% power)" if points else " resolves no difference"
    if smallest.paired is None:
        noun = "clusters" if grouped else "samples"
        text += f"; no paired test of {smallest.clusters} {noun} can be significant"
    if abs(smallest.effective - smallest.n) > 0.01 * smallest.n and smallest.effective >= 1:
        text += f"; a score is worth {smallest.effective:,.0f} independent samples"
    if smallest.correlation is not None:
        text += f"; assumed correlation in a cluster {smallest.correlation:g}"
    return text


def plan(task: "Task", samples: "Sequence[Sample]", draws: int = 1) -> "Effective":
    """What these samples of a task are worth before anything is run; strata count as independent samples."""
    from evals.stats.power import group_sizes, planned

    strata = task.groups == "strata"
    return planned([1] * len(samples) if strata else group_sizes([sample.cluster for sample in samples]), draws)


def show_power(
    names: Sequence[str], difference: float | None, score: float, pair: tuple[str, str] | None, as_json: bool
) -> None:
    """Prints for each task its resolution, its signal here, and the samples or draws that `difference` points need."""
    from evals.results.ranking import estimate_needs, observe_pair
    from evals.results.signal import TaskSignal, prior_text, signal_text, task_signal
    from evals.stats.power import resolution
    from evals.stats.signal import pairs_apart
    from evals.suites import find_tasks, task_names
    from zoo.registry import open_registry

    if not names:
        raise ZooError("--power needs a task. Example: phizoo eval tasks --power humaneval --difference 3")
    rows: list[dict[str, Any]] = []
    tested: dict[str, TaskSignal] = {}
    with open_registry(readonly=True) as registry:
        for task in find_tasks(",".join(names)):
            here = tested[f"{task.name}@{task.protocol}"] = task_signal(registry, task)
            known = {"signal": here.signal, "decision_accuracy": here.prior}
            if not metric_of(task.metrics[0]).is_share:
                rows.append(_real_row(registry, task, difference, pair) | known)
                continue
            seen = observe_pair(registry, _pair(registry, pair, task)) if pair else None
            effective, note = (seen.effective, seen.text) if seen else _scored(registry, task) or _plan_local(task)
            row: dict[str, Any] = {"task": f"{task.name}@{task.protocol}", "note": note}
            row["resolution"] = resolution(effective, score / 100, seen.discordant if seen else None)
            if difference is not None:
                row["needs"] = estimate_needs(difference / 100, score / 100, effective, seen)
            rows.append(row | known)
    if as_json:
        emit_json(rows)
        return
    table([(row["task"], _row_text(row), row["note"]) for row in rows])
    for row in rows:
        if row["signal"].noise.models:
            click.echo(f"{row['task']}: {signal_text(row['signal'])}")
        if row["decision_accuracy"]:
            click.echo(f"{row['task']}: {prior_text(row['decision_accuracy'])}")
        if "needs" in row:
            _print_needs(row["task"], row["needs"], row.get("metric", ""))
    for name in filter(lambda name: name.startswith("suite:"), ",".join(names).split(",")):
        apart, pairs = pairs_apart([tested[part].tests for part in task_names(name.removeprefix("suite:"))])
        if pairs:
            click.echo(f"{name}: {apart:,} of {pairs:,} pairs are apart in a column at 5%, Holm over all its columns")


def _row_text(row: dict[str, Any]) -> str:
    return resolution_text(row["resolution"], row.get("metric", "")) if row["resolution"] else NONE


def _real_row(
    registry: "Registry", task: "Task", difference: float | None, pair: tuple[str, str] | None
) -> dict[str, Any]:
    """The row of a task whose metric is no share: its spread is known from scores alone. difference: in its unit."""
    from evals.results.ranking import estimate_real_needs, real_pair
    from evals.stats.real import real_resolution

    seen = real_pair(registry, _pair(registry, pair, task)) if pair else None
    scores = _scores_of(registry, task)
    found = real_resolution([(s.value, s.low, s.high, s.n, s.clusters) for s in scores], seen)
    note = f"by the widest interval of {len(scores)} scores here" if found else "no score here: the spread is not known"
    row: dict[str, Any] = {"task": f"{task.name}@{task.protocol}", "note": note, "resolution": found}
    if found and difference is not None:
        row["needs"] = estimate_real_needs(difference, found)
    return row | {"metric": task.metrics[0]}


def _scored(registry: "Registry", task: "Task") -> "tuple[Effective, str] | None":
    """What the least certain score of the whole task here is worth; None if there is none."""
    from evals.stats.power import weakest

    scores = _scores_of(registry, task)
    effective = weakest((score.value, score.low, score.high, score.n, score.clusters) for score in scores)
    return (effective, f"by the widest interval of {len(scores)} scores here") if effective else None


def _scores_of(registry: "Registry", task: "Task") -> "list[Score]":
    """The scores of the whole task here, under its main metric."""
    from evals.results.choice import chosen_scores

    protocols = registry.protocols()
    return [
        score
        for score in chosen_scores(registry, task=task.name)
        if score.protocol in protocols
        and protocols[score.protocol].name == task.protocol
        and (score.metric, score.subset) == (task.metrics[0], "all")
        and score.n + score.unscored == task.size
    ]


def _plan_local(task: "Task") -> "tuple[Effective, str]":
    """What a task's samples are worth; as independent ones, with a note, if its set is not on this machine."""
    from evals.datasets import load
    from evals.datasets.forms import MissingSetError
    from evals.stats.power import independent

    try:
        if task.data:
            load.source(task.data, task.split)
    except MissingSetError:
        return independent(task.size), "if no samples share a passage: the set is not on this machine"
    return plan(task, list(task.samples())), ""


def _pair(registry: "Registry", pair: tuple[str, str], task: "Task") -> tuple[Any, Any]:
    from evals.results.compare import scores_by_protocol

    protocols, column = registry.protocols(), f"{task.name}@{task.protocol}"
    first, second = (scores_by_protocol(registry, registry.get(name), protocols, [column]) for name in pair)
    shared = [(first[key], second[key]) for key in first if key in second]
    if not shared:
        raise ZooError(
            f"{pair[0]} and {pair[1]} do not both have scores of {column}. "
            f"Next: phizoo eval run {pair[0]} {pair[1]} --task {column}"
        )
    return shared[0]


def _print_needs(task: str, needs: "Needs", metric: str) -> None:
    kind = metric_of(metric)
    if not kind.is_share:
        click.echo(f"{task}: {needs.difference:g} {kind.unit} need {needs.unpaired:,} samples, {needs.paired:,} paired")
        return
    spread = "score correlation 0.5" if needs.discordant is None else f"{100 * needs.discordant:.1f}% discordant"
    spread += f", from {needs.observed}" if needs.observed else ""
    sizes = f"{needs.unpaired:,} samples, {needs.paired:,} paired ({spread})"
    click.echo(f"{task}: {100 * needs.difference:g} points need {sizes}")
    if needs.draws:
        click.echo(f"  or {needs.draws} draws of each of these samples")
    elif needs.observed:
        click.echo("  no number of draws is enough, or the runs have one draw each")
