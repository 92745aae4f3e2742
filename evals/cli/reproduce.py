"""`phizoo eval reproduce | export | import`: repeats a run, writes its samples, reads the files of other tools."""

import tempfile
from pathlib import Path

import click

from zoo.cli.completion import A_RUN
from zoo.cli.options import AS_JSON, open_registry
from zoo.cli.output import emit_json, share_cell, table
from zoo.errors import CheckFailed, ZooError

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
@click.argument("cell", shell_complete=A_RUN)
@click.option("--out", type=click.Path(path_type=Path, file_okay=False), required=True, help="Folder to write to.")
@click.option("--format", "form", type=click.Choice(["jsonl", "parquet"]), default="jsonl", show_default=True,
              help="Format of the samples.")  # fmt: skip
def export(cell: str, out: Path, form: str) -> None:
    """Write a run's samples and its card as files.

    \b
    phizoo eval export phi-1-small-mini/humaneval --out humaneval-run
    phizoo eval export 3f2a9c41d0aa --out run --format parquet
    """
    from evals.results import reproduce as results

    with open_registry(readonly=True) as registry:
        for path in results.export(registry, results.cell_run(registry, cell), out, form):
            click.echo(str(path))


@click.command("import")
@click.argument("paths", nargs=-1, required=True, metavar="FILE...", type=click.Path(path_type=Path, exists=True))
@click.option("--model", help="Checkpoint of the zoo, or a name for a model that is not in it.")
@AS_JSON
def import_(paths: tuple[Path, ...], model: str | None, as_json: bool) -> None:
    """Import results of lm-eval or EvalPlus, with their samples.

    \b
    phizoo eval import results/my-model --model phi-1-small-mini
    phizoo eval import samples_arc_easy_2025-01-01T00-00-00.000000.jsonl --model other-7b
    phizoo eval import humaneval/other-7b_eval_results.json --model other-7b

    lm_eval writes samples with --log_samples. Where a file's prompts are ours byte for byte, its samples are paired
    with runs made here: phizoo eval compare NAME other-7b.
    """
    from evals.results.import_formats import read
    from evals.results.imported import import_results
    from zoo import settings

    with open_registry() as registry:
        results = [result for path in paths for result in read(path)]
        imported = import_results(registry, results, model, settings.runs_dir())
    if as_json:
        emit_json(imported)
        return
    rows = []
    for run in imported:
        for score in run.scores:
            value = share_cell(score.value, score.low, score.high, score.n, score.metric)
            prompts = "prompts not in the file" if run.same is None else f"{run.same} of {score.n} prompts are ours"
            prompts += "" if run.published else "; a part of the task, so not published"
            column = f"{run.column.rpartition(' ')[0]} {score.metric}"
            rows.append((run.model, column, value, f"run {run.run[:12]} ({prompts})"))
    table(rows)
