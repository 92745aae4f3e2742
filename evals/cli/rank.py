"""`phizoo eval ranks`: a task's column as ranks; with --seeds, several seeds as one number."""

from typing import TYPE_CHECKING

import click

from evals.cli.power import resolution_text
from zoo.cli.completion import A_CHECKPOINT, A_TASK
from zoo.cli.options import AS_JSON, open_registry, task_option
from zoo.cli.output import NONE, coverage_note, emit_json, range_text, score_notes, share_cell, table
from zoo.errors import ZooError
from zoo.metrics import metric_of

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

    from evals.results.ranking import RankedColumn, RankedScore, Seeds


MOST_ALIKE = 30  # names in a row; all of them would fill megabytes where there are thousands of rows


def _complete(context: click.Context, parameter: click.Parameter, typed: str) -> "list[CompletionItem]":
    return (A_CHECKPOINT if context.params.get("seeds") else A_TASK)(context, parameter, typed)


@click.command()
@click.argument("names", shell_complete=_complete, nargs=-1, required=True, metavar="TASK|NAME...")
@click.option("--seeds", is_flag=True, help="Combine runs of these checkpoints that differ only by seed.")
@task_option("With --seeds: only this task, or TASK@PROTOCOL; may be given again.", ())
@click.option("--metric", help="Rank by this metric instead of the task's main one.")
@click.option("--all-versions", is_flag=True, help="Rank all versions of each name, not only the newest.")
@AS_JSON
def ranks(
    names: tuple[str, ...], seeds: bool, tasks: tuple[str, ...], metric: str | None, all_versions: bool, as_json: bool
) -> None:
    """Rank the checkpoints of a task, or combine their seeds into one number.

    \b
    phizoo eval ranks arc_easy
    phizoo eval ranks mmlu@lm-eval-5 --json
    phizoo eval ranks --seeds phi-1-a phi-1-b phi-1-c
    phizoo eval ranks --seeds phi-1-small-mini --task humaneval

    A rank is the range of places that the data allow; all intervals of a column hold together in 95 of 100 columns.
    RANK comes from the scores' intervals, as on the leaderboard; PAIRED from exact tests on the same samples, which
    separate more checkpoints. ALIKE lists the checkpoints that cannot be separated. With --seeds: several checkpoints
    of one recipe, or one checkpoint's runs with other --seed; the interval covers both the choice of seeds and of
    problems.
    """
    if seeds:
        if metric or all_versions:
            raise ZooError("--metric and --all-versions rank one task; leave them out with --seeds")
        _show_seeds(names, tasks, as_json)
        return
    if tasks or len(names) > 1:
        raise ZooError("ranks are of one task: phizoo eval ranks TASK; of several runs: phizoo eval ranks --seeds")
    from evals.results.ranking import rank_columns

    with open_registry(readonly=True) as registry:
        columns = rank_columns(registry, names[0], metric, all_versions)
    if as_json:
        emit_json(columns)
        return
    for ranking in columns:
        _print_column(ranking)


def _print_column(column: "RankedColumn") -> None:
    text = f", {resolution_text(column.resolution, column.protocol.metric)}" if column.resolution else ""
    click.echo(f"{column.protocol.column}{text}")
    unpaired = [row.checkpoint for row in column.rows if row.paired is None]
    if not column.paired:
        click.echo("ranks from intervals alone: some samples are missing")
    elif unpaired:
        click.echo(f"compared by intervals, samples are missing: {', '.join(unpaired)}")
    mixed = len({(row.score.engine, row.score.dtype) for row in column.rows}) > 1
    table([_fields(row, mixed) for row in column.rows], ("RANK", "PAIRED", "CHECKPOINT", "SCORE [95%]", "ALIKE"))


def _fields(row: "RankedScore", setting: bool) -> tuple[str, ...]:
    paired = range_text(row.paired.first, row.paired.last) if row.paired else NONE
    value = share_cell(row.score.value, row.score.low, row.score.high, row.score.n, row.score.metric)
    notes = score_notes(row.score, setting)
    value += f" ({notes})" if notes else ""
    alike = ", ".join(row.alike[:MOST_ALIKE]) or "none"
    alike += f" and {len(row.alike) - MOST_ALIKE:,} more" if len(row.alike) > MOST_ALIKE else ""
    return range_text(row.rank.first, row.rank.last), paired, row.checkpoint, value, alike


def _show_seeds(names: tuple[str, ...], tasks: tuple[str, ...], as_json: bool) -> None:
    from evals.results.ranking import combine_seeds

    with open_registry(readonly=True) as registry:
        rows = combine_seeds(registry, names, tasks)
    if as_json:
        emit_json(rows)
        return
    for row in rows:
        _print_seeds(row)
    for note in dict.fromkeys(row.note for row in rows if row.note):
        click.echo(note)


def _print_seeds(row: "Seeds") -> None:
    combined, kind = row.combined, metric_of(row.metric)
    between, within = (
        f"{kind.shown(variance**0.5):.{kind.digits + 1}f}" for variance in (combined.between, combined.within)
    )
    value = share_cell(combined.value, combined.low, combined.high, metric=row.metric)
    note = coverage_note(combined.value, combined.clusters, row.metric)
    value += f" ({note})" if note else ""
    click.echo(
        f"{row.column}: {value}, {combined.runs} runs of n={combined.n}; standard deviation "
        f"{between} {kind.unit} between seeds, {within} between problems"
    )
    if combined.runs == 2:
        click.echo("  two seeds say little: this interval covers as little as 87%; use three or more")
