"""`phizoo eval compare`: compares two checkpoints on the same samples."""

from typing import TYPE_CHECKING

import click

from zoo.cli.completion import A_CHECKPOINT
from zoo.cli.options import AS_JSON, open_registry, task_option
from zoo.cli.output import emit_json, p_text, table
from zoo.metrics import metric_of

if TYPE_CHECKING:
    from evals.results.compare import Comparison, ComparisonRow

COLUMNS = ("task [protocol] metric", ">A", ">B", ">A - B [95%]", ">won/lost/tied", ">p", ">p Holm")


@click.command()
@click.argument("first", shell_complete=A_CHECKPOINT)
@click.argument("second", shell_complete=A_CHECKPOINT)
@task_option("Only this task, or TASK@PROTOCOL; may be given again.", ())
@click.option("--flips", is_flag=True, help="List the samples that only one of the two gets right.")
@click.option("--chat", is_flag=True, help="A as completions, B by chat; may be the same checkpoint.")
@AS_JSON
def compare(first: str, second: str, tasks: tuple[str, ...], flips: bool, chat: bool, as_json: bool) -> None:
    """Compare two checkpoints, or one with a published model.

    \b
    phizoo eval compare phi-1-small-mini phi-1-small-mini-base
    phizoo eval compare phi-1-small-mini phi-1-small-mini-base --task humaneval --flips
    phizoo eval compare phi-1-small-mini "Code Llama 34B"
    phizoo eval compare smollm2 smollm2 --chat --task arc_easy --flips

    Won, lost and tied samples, the difference with its 95% interval, the exact McNemar p (of a sign-flip test
    if scores are not only 0 or 1), and Holm's p over one reading of each task, its main metric. Further readings and
    published numbers have a p that is not adjusted. ↓ marks a metric of which less is better (bits per byte). JSON
    has scores and differences in 0..1, or in the metric's unit.
    """
    from evals.results.compare import compare as compare_runs
    from evals.results.outcome import outcome_of, overall_text

    with open_registry(readonly=True) as registry:
        comparison = compare_runs(registry, first, second, tasks, flips=flips, chat=chat)
    if as_json:
        emit_json(comparison)
        return
    click.echo(f"A {comparison.first}\nB {comparison.second} (the baseline: every difference is A minus B)\n")
    outcomes = [outcome_of(row.difference, row.p_holm if row.family else None, row.metric) for row in comparison.rows]
    click.echo(f"{overall_text(comparison.first, outcomes)}\n")
    significant = [number for number, row in enumerate(comparison.rows) if _is_significant(row)]
    table([_cells(row) for row in comparison.rows], COLUMNS, significant)
    click.echo()
    for line in _notes(comparison):
        click.echo(line)
    if flips:
        _print_flips(comparison)


def _is_significant(row: "ComparisonRow") -> bool:
    return row.p_holm is not None and row.p_holm <= 0.05


def _cells(row: "ComparisonRow") -> tuple[str, ...]:
    """One row of the table in points: task, both scores, the difference, counts, p, adjusted p."""
    metric = metric_of(row.metric)
    scores = (row.column + metric.mark, metric.text(row.first), metric.text(row.second))
    d = row.difference
    if d is None:
        return (*scores, metric.text(row.first - row.second, "+"), row.kind, "", "")
    interval = f"{metric.text(d.value, '+')} [{metric.text(d.low, '+')} to {metric.text(d.high, '+')}]"
    counts = f"{d.wins}/{d.losses}/{d.ties}" if row.kind == "paired" else row.kind
    return (*scores, interval, counts, p_text(d.p), p_text(row.p_holm) if row.family else "unadjusted")


def _notes(comparison: "Comparison") -> list[str]:
    """The table in words: the significant rows, and the rows that are not paired and why."""
    lines = []
    for row in filter(_is_significant, comparison.rows):
        better = comparison.first if metric_of(row.metric).is_better(row.first, row.second) else comparison.second
        lines.append(f"{row.column}: {better} is better (p Holm {p_text(row.p_holm)})")
    if not lines and any(row.family for row in comparison.rows):
        lines.append("No row is significant at 5% (p Holm): the differences may be chance.")
    if any(row.difference and not row.family for row in comparison.rows):
        lines.append("Unadjusted: further readings of a task and published numbers; each p is for that row alone.")
    drawn: dict[int, list[str]] = {}
    for row in comparison.rows:
        if row.difference and row.difference.flips:
            drawn.setdefault(row.difference.flips, []).append(row.task)
    for flips, tasks in drawn.items():
        names = ", ".join(dict.fromkeys(tasks))
        lines.append(f"{names}: p is drawn from {flips:,} sign flips, so it is never below {1 / (flips + 1):.5f}")
    lines += dict.fromkeys(f"{row.task}: {row.note}" for row in comparison.rows if row.note)
    return lines


def _print_flips(comparison: "Comparison") -> None:
    for row in comparison.rows:
        if row.kind != "paired":
            continue
        for title, sign in ((comparison.first, 1), (comparison.second, -1)):
            flips = [flip for flip in row.flips if metric_of(row.metric).merit(sign * (flip.first - flip.second)) > 0]
            click.echo(f"\n{row.column}: better with {title}, {len(flips)} samples")
            for flip in flips:
                click.echo(f"  {flip.sample}  {flip.first:g} against {flip.second:g}")
