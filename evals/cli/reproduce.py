"""`phizoo eval reproduce | export | import`: repeats a run, writes its samples, reads the files of other tools."""

import re
import tempfile
from pathlib import Path

import click

from zoo.cli.completion import A_RUN
from zoo.cli.options import AS_JSON, check_writable, open_registry
from zoo.cli.output import emit_json, share_cell, table
from zoo.errors import CheckFailed, ZooError

OWN_FORMS = ("jsonl", "parquet")
FORMS = ("every-eval-ever", "lm-eval", "inspect", "inspect-json", "huggingface")  # evals.interchange.write
ONE_CELL = re.compile(r"[^*?\[]+/[^*?\[]+|[0-9a-f]{4,64}")  # a checkpoint with a task, or a run
SHOWN = 10  # differing samples printed; all of them are in the JSON


@click.command()
@click.argument("cell", shell_complete=A_RUN)
@click.option("--dry-run", is_flag=True, help="Print the command and run nothing.")
@AS_JSON
def reproduce(cell: str, dry_run: bool, as_json: bool) -> None:
    """Repeat a published run and compare every sample.

    \b
    phizoo eval reproduce phi-1-small-mini/mini_exercises
    phizoo eval reproduce 3f2a9c41d0aa --dry-run

    CELL is CHECKPOINT/TASK or a run id. Exit code 1 if any sample differs.
    """
    from evals.results.reproduce import cell_run, differences
    from evals.results.rerun import rerun
    from evals.results.task_of_run import commands, name_of_run
    from evals.run_folder import read_results

    with open_registry(readonly=True) as registry:
        header = cell_run(registry, cell)
        if name_of_run(header).imported:
            by = header.backend
            raise ZooError(
                f"run {header.id[:12]} was measured elsewhere, by {by.engine} {by.version}; "
                f"to measure it here: phizoo eval run {header.checkpoint_label} --task {header.task}"
            )
        click.echo("\n".join(commands(header)), err=as_json)
        if dry_run:
            return
        with tempfile.TemporaryDirectory(prefix="phizoo-reproduce-") as scratch:
            repeat = rerun(registry, header, Path(scratch))
        changed = differences(read_results(registry.results(header.id)), repeat.results)
        versions = {
            name: f"{version} -> {repeat.header.versions.get(name, 'absent')}"
            for name, version in header.versions.items()
            if repeat.header.versions.get(name) != version
        }
    if as_json:
        report = {"run": header.id, "same": not changed, "differences": changed, "versions_changed": versions}
        emit_json(report)
    for name, change in versions.items() if not as_json else ():
        click.echo(f"version changed: {name} {change}")
    for sample in changed[:SHOWN] if not as_json else ():
        click.echo(f"{sample.sample} draw {sample.draw}: was {sample.before}, now {sample.after}")
    if changed:
        raise CheckFailed(f"{len(changed)} of {len(repeat.results)} samples differ (run {header.id[:12]})")
    click.echo(f"identical: all {len(repeat.results)} samples of run {header.id[:12]}", err=as_json)


@click.command()
@click.argument("cells", nargs=-1, required=True, metavar="CELL...", shell_complete=A_RUN)
@click.option("--out", type=click.Path(path_type=Path, file_okay=False), required=True, help="Folder to write to.")
@click.option("--format", "form", type=click.Choice([*OWN_FORMS, *FORMS]), default="jsonl", show_default=True,
              help="Our own samples (jsonl, parquet), or another tool's files.")  # fmt: skip
@AS_JSON
def export(cells: tuple[str, ...], out: Path, form: str, as_json: bool) -> None:
    """Write cells with their samples as files, of ours or of another tool.

    A CELL is a run id, CHECKPOINT, CHECKPOINT/TASK or CHECKPOINT/TASK@PROTOCOL; names may have * and ?.

    \b
    phizoo eval export phi-1-small-mini/humaneval --out humaneval-run
    phizoo eval export 3f2a9c41d0aa --out run --format parquet
    phizoo eval export 'phi-1-*/arc_*' --out results --format every-eval-ever
    phizoo eval export phi-1-small-mini --out logs --format inspect

    Every format, and what it keeps of n and interval: docs/interchange.md.
    """
    from evals.interchange.cells import select_cells
    from evals.interchange.write import write_cells
    from evals.results import reproduce as results

    with open_registry(readonly=True) as registry:
        if form in OWN_FORMS and len(cells) == 1 and ONE_CELL.fullmatch(cells[0]):
            files = results.export(registry, results.cell_run(registry, cells[0]), out, form)
        else:
            chosen = select_cells(registry, cells)
            if form in OWN_FORMS:
                folders = [out / f"{cell.run.task}-{cell.run.id[:12]}" for cell in chosen]
                files = [
                    path
                    for cell, folder in zip(chosen, folders, strict=True)
                    for path in results.export(registry, cell.run, folder, form)
                ]
            else:
                files = write_cells(chosen, out, form)
    if as_json:
        emit_json([str(path) for path in files])
        return
    for path in files:
        click.echo(str(path))


@click.command("import")
@click.argument("paths", nargs=-1, required=True, metavar="FILE...", type=click.Path(path_type=Path, exists=True))
@click.option("--model", help="Checkpoint of the zoo, or a name for a model that is not in it.")
@AS_JSON
def import_(paths: tuple[Path, ...], model: str | None, as_json: bool) -> None:
    """Import results of other tools, with their samples where they have them.

    \b
    phizoo eval import results/my-model --model phi-1-small-mini
    phizoo eval import samples_arc_easy_2025-01-01T00-00-00.000000.jsonl --model other-7b
    phizoo eval import humaneval/other-7b_eval_results.json --model other-7b
    phizoo eval import logs/2026-11-30T10-00-00_gsm8k_abc.eval
    phizoo eval import EEE_datastore/data/mmlu

    Read are lm_eval 0.4 (--log_samples), EvalPlus, inspect_ai, lighteval, olmo-eval and Every Eval Ever; a folder gives
    all of its files that are known. Where a file's prompts are ours byte for byte, its samples are paired with runs
    made here: phizoo eval compare NAME other-7b. Records without samples become reported rows of the leaderboard.
    """
    from evals.interchange.tool_results import TaskResults
    from evals.results.import_formats import read
    from evals.results.imported import import_results
    from zoo import settings
    from zoo.published.reported_here import keep_reported
    from zoo.records import Reported

    check_writable()
    results = {path: read(path) for path in paths}
    runs = [result for each in results.values() for result in each if isinstance(result, TaskResults)]
    reported = {path: [row for row in each if isinstance(row, Reported)] for path, each in results.items()}
    if model is not None and not runs:
        raise ZooError("these files have reported numbers alone, each with its own model; leave out --model")
    imported = []
    if runs:
        with open_registry() as registry:
            imported = import_results(registry, runs, model, settings.runs_dir())
    kept = {path: keep_reported(rows, str(path.resolve()))[1] for path, rows in reported.items() if rows}
    if as_json:
        emit_json([*imported, *(row for rows in reported.values() for row in rows)])
        return
    rows = []
    for run in imported:
        for score in run.scores:
            value = share_cell(score.value, score.low, score.high, score.n, score.metric)
            prompts = "prompts not in the file" if run.same is None else f"{run.same} of {run.asked} prompts are ours"
            prompts += "" if run.published else "; a part of the task, so not published"
            column = f"{run.column.rpartition(' ')[0]} {score.metric}"
            source = f"run {run.run[:12]}" if score.seeds == 1 else f"{score.seeds} seeds together"
            rows.append((run.model, column, value, f"{source} ({prompts})"))
    table(rows)
    for path, new in kept.items():
        models = len({row.model for row in reported[path]})
        click.echo(f"{path}: {len(reported[path]):,} reported numbers of {models:,} models, {new:,} of them new")
