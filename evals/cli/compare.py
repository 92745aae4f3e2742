"""`phizoo eval compare`: compares two checkpoints on the same samples."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from evals.decisions.cli.comparing import end_with_verdict, print_averages
from zoo.cli.completion import A_CHECKPOINT
from zoo.cli.options import AS_JSON, open_registry, repeated, task_option
from zoo.cli.output import NONE, emit_json, p_text, table
from zoo.errors import ZooError
from zoo.metrics import metric_of

if TYPE_CHECKING:
    from evals.results.compare import Comparison, ComparisonRow

COLUMNS = ("task [protocol] metric", ">A", ">B", ">A - B [95%]", ">won/lost/tied", ">p", ">p Holm")


@click.command()
@click.argument("names", nargs=-1, metavar="A B", shell_complete=A_CHECKPOINT)
@task_option("Only this task, or TASK@PROTOCOL; may be given again.", ())
@repeated("--average", "averages", metavar="NAME", help="Only this average of several tasks; may be given again.")
@click.option("--margin", type=click.FloatRange(0, 100, min_open=True), metavar="POINTS",
              help="Largest difference that does not matter: EQUIVALENT, BETTER, WORSE, NOT RESOLVED.")  # fmt: skip
@click.option("--flips", is_flag=True, help="List the samples that only one of the two gets right.")
@click.option("--chat", is_flag=True, help="A as completions, B by chat; may be the same checkpoint.")
@click.option("--matrix", is_flag=True, help="All pairs of two or more checkpoints, or of all in the zoo.")
@click.option("--out", type=click.Path(path_type=Path, dir_okay=False),
              help="With --matrix: also write .csv, .md or .json.")  # fmt: skip
@AS_JSON
def compare(
    names: tuple[str, ...], tasks: tuple[str, ...], averages: tuple[str, ...], margin: float | None, flips: bool,
    chat: bool, matrix: bool, out: Path | None, as_json: bool,
) -> None:  # fmt: skip
    """Compare two checkpoints, or one with a published model.

    \b
    phizoo eval compare phi-1-small-mini phi-1-small-mini-base
    phizoo eval compare phi-1-small-mini phi-1-small-mini-base --task humaneval --flips
    phizoo eval compare phi-1-small-mini "Code Llama 34B"
    phizoo eval compare smollm2 smollm2 --chat --task arc_easy --flips
    phizoo eval compare smollm2-q4 smollm2 --margin 1
    phizoo eval compare phi-1-small-mini phi-1-small-mini-base --average quick
    phizoo eval compare recipe:my-phi-a recipe:my-phi-b --task humaneval
    phizoo eval compare --matrix --task arc_easy --out pairs.csv

    Won, lost and tied samples, the difference with its 95% interval, the exact McNemar p (of a sign-flip test
    if scores are not only 0 or 1), and Holm's p over one reading of each task, its main metric. Further readings and
    published numbers have a p that is not adjusted. ↓ marks a metric of which less is better (bits per byte). JSON
    has scores and differences in 0..1, or in the metric's unit.

    Averages that both have whole follow, paired within each task. With --margin each row has a verdict on A by two
    one-sided tests; exit code 0 if every row is EQUIVALENT or BETTER, 1 if one is WORSE, 3 otherwise.
    """
    from evals.decisions.pair import compare_pair
    from evals.results.outcome import outcome_of, overall_text

    others = [flag for flag, given in (("--average", averages), ("--margin", margin), ("--flips", flips),
                                       ("--chat", chat)) if given]  # fmt: skip
    if matrix:
        _compare_all(names, tasks, others, out, as_json)
        return
    if out:
        raise ZooError("--out writes the pairs of --matrix; elsewhere use --json")
    if len(names) != 2:
        raise ZooError(f"{len(names)} names; expected two: phizoo eval compare A B, or --matrix for all pairs")
    if names[0].startswith("recipe:") or names[1].startswith("recipe:"):
        _compare_recipes(names, tasks, others, as_json)
        return
    with open_registry(readonly=True) as registry:
        decided = compare_pair(registry, (names[0], names[1]), tasks, averages, margin, flips=flips, chat=chat)
    comparison = decided.comparison
    if as_json:
        emit_json(decided.as_json())
    else:
        click.echo(f"A {decided.first}\nB {decided.second} (the baseline: every difference is A minus B)\n")
        if comparison is not None:
            rows = comparison.rows
            outcomes = [outcome_of(row.difference, row.p_holm if row.family else None, row.metric) for row in rows]
            click.echo(f"{overall_text(comparison.first, outcomes)}\n")
            _print_rows(comparison)
        print_averages(decided)
        if comparison is not None and flips:
            _print_flips(comparison)
    end_with_verdict(decided)


def _compare_all(
    names: tuple[str, ...], tasks: tuple[str, ...], others: list[str], out: Path | None, as_json: bool
) -> None:
    from evals.decisions.cli.matrix import print_matrices
    from evals.decisions.matrix import all_pairs, check_export, write_matrices

    if others or any(name.startswith(("recipe:", "published:")) for name in names):
        raise ZooError(f"--matrix compares checkpoints of this zoo; leave out {' and '.join(others) or 'the prefix'}")
    path = check_export(out) if out else None
    with open_registry(readonly=True) as registry:
        matrices = all_pairs(registry, names, tasks)
    if path:
        write_matrices(matrices, path)
    if as_json:
        emit_json(matrices)
    else:
        print_matrices(matrices)


def _compare_recipes(names: tuple[str, ...], tasks: tuple[str, ...], others: list[str], as_json: bool) -> None:
    from evals.decisions.cli.recipes import print_recipes
    from evals.decisions.recipes import compare_recipes

    if others or not all(name.startswith("recipe:") for name in names):
        wrong = f"leave out {' and '.join(others)}" if others else "give two recipes"
        raise ZooError(f"{wrong}: phizoo eval compare recipe:A recipe:B, where A is a checkpoint or a recipe's name")
    with open_registry(readonly=True) as registry:
        comparison = compare_recipes(registry, names[0], names[1], tasks)
    if as_json:
        emit_json(comparison)
    else:
        print_recipes(comparison)


def _print_rows(comparison: "Comparison") -> None:
    significant = [number for number, row in enumerate(comparison.rows) if _is_significant(row)]
    judged = any(row.equivalence for row in comparison.rows)
    cells = [
        (*_cells(row), *((row.verdict if row.equivalence else NONE,) if judged else ())) for row in comparison.rows
    ]
    table(cells, (*COLUMNS, *(("verdict",) if judged else ())), significant)
    click.echo()
    for line in _notes(comparison):
        click.echo(line)


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
