"""`phizoo eval tasks --power`: the smallest differences that a task resolves, and the samples a difference needs."""

from collections.abc import Sequence
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any

import click

from zoo.cli.output import emit_json, table
from zoo.errors import ZooError

if TYPE_CHECKING:
    from evals.results.ranking import Needs
    from evals.task import Task
    from zoo.registry import Registry


def resolution_text(n: int) -> str:
    """The smallest differences that n samples can detect, in words.

    >>> resolution_text(164)
    'n=164 resolves differences of 15.4 points, 10.9 paired (80% power)'
    """
    from evals.stats.power import resolution

    smallest = resolution(n)
    points = f"{100 * smallest.unpaired:.1f} points, {100 * smallest.paired:.1f} paired"
    return f"n={n} resolves differences of {points} (80% power)"


def show_power(
    names: Sequence[str], difference: float | None, score: float, pair: tuple[str, str] | None, as_json: bool
) -> None:
    """Prints for each task its resolution, and the samples or draws that `difference` points need."""
    from evals.results.ranking import estimate_needs
    from evals.stats.power import resolution
    from evals.suites import find_tasks
    from zoo.registry import open_registry

    if not names:
        raise ZooError("--power needs a task. Example: phizoo eval tasks --power humaneval --difference 3")
    rows: list[dict[str, Any]] = []
    with open_registry(readonly=True) if pair else nullcontext() as registry:
        for task in find_tasks(",".join(names)):
            row: dict[str, Any] = {
                "task": f"{task.name}@{task.protocol}",
                "resolution": resolution(task.size, score / 100),
            }
            if difference is not None:
                scores = _pair(registry, pair, task) if registry and pair else None
                row["needs"] = estimate_needs(registry, difference / 100, score / 100, scores)
            rows.append(row)
    if as_json:
        emit_json(rows)
        return
    table([_fields(row) for row in rows])
    for row in rows:
        if "needs" in row:
            _print_needs(row["task"], row["needs"])


def _fields(row: dict[str, Any]) -> tuple[str, str, str]:
    smallest = row["resolution"]
    points = f"{100 * smallest.unpaired:.1f} points, {100 * smallest.paired:.1f} paired"
    return row["task"], f"n={smallest.n}", f"resolves {points}"


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


def _print_needs(task: str, needs: "Needs") -> None:
    spread = "score correlation 0.5" if needs.discordant is None else f"{100 * needs.discordant:.1f}% discordant"
    spread += f", from {needs.observed}" if needs.observed else ""
    sizes = f"{needs.unpaired:,} samples, {needs.paired:,} paired ({spread})"
    click.echo(f"{task}: {100 * needs.difference:g} points need {sizes}")
    if needs.draws:
        click.echo(f"  or {needs.draws} draws of each of these samples")
    elif needs.observed:
        click.echo("  no number of draws is enough, or the runs have one draw each")
