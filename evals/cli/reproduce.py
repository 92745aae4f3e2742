"""`phizoo eval reproduce | export | import`: a number made again, its samples as files, other tools' files."""

import tempfile
from pathlib import Path

import click

from zoo.cli.completion import A_RUN
from zoo.errors import CheckFailed, ZooError

SHOWN = 10  # differing samples printed; all of them are in the JSON


@click.command()
@click.argument("cell", shell_complete=A_RUN)
@click.option("--dry-run", is_flag=True, help="Print the command and run nothing.")
@click.option("--json", "as_json", is_flag=True, help="Print the differences as JSON.")
def reproduce(cell: str, dry_run: bool, as_json: bool) -> None:
    """Make a published number again and compare every sample.

    \b
    phizoo eval reproduce phi-1-small-mini/mini_exercises
    phizoo eval reproduce 3f2a9c41d0aa --dry-run

    CELL is CHECKPOINT/TASK or a run id. Exit code 1 when any sample differs.
    """
    import msgspec

    from evals.results.imported import is_elsewhere
    from evals.results.reproduce import cell_run, command, differences
    from evals.results.rerun import rerun
    from evals.run_folder import read_results
    from zoo.registry import open_registry

    with open_registry() as registry:
        header = cell_run(registry, cell)
        if is_elsewhere(header):
            by = header.backend
            raise ZooError(
                f"run {header.id[:12]} was measured elsewhere, by {by.engine} {by.version}; "
                f"ask the same here: phizoo eval run {header.checkpoint_label} --tasks {header.task}"
            )
        click.echo(command(header), err=as_json)
        if dry_run:
            return
        with tempfile.TemporaryDirectory(prefix="phizoo-reproduce-") as scratch:
            done = rerun(registry, header, Path(scratch))
        found = differences(read_results(registry.results(header.id)), done.results)
        changed = {
            name: f"{was} -> {done.header.versions.get(name, 'absent')}"
            for name, was in header.versions.items()
            if done.header.versions.get(name) != was
        }
    if as_json:
        told = {"run": header.id, "same": not found, "differences": found, "versions_changed": changed}
        click.echo(msgspec.json.format(msgspec.json.encode(told), indent=2))
    for name, change in changed.items() if not as_json else ():
        click.echo(f"version changed: {name} {change}")
    for one in found[:SHOWN] if not as_json else ():
        click.echo(f"{one.sample} draw {one.draw}: was {one.before}, now {one.after}")
    if found:
        raise CheckFailed(f"{len(found)} of {len(done.results)} samples came out differently (run {header.id[:12]})")
    click.echo(f"the same: all {len(done.results)} samples of run {header.id[:12]}", err=as_json)


@click.command()
@click.argument("cell", shell_complete=A_RUN)
@click.option("--out", type=click.Path(path_type=Path, file_okay=False), required=True, help="Folder to write to.")
@click.option("--format", "form", type=click.Choice(["jsonl", "parquet"]), default="jsonl", show_default=True)
def export(cell: str, out: Path, form: str) -> None:
    """Write a run's samples and its card as files.

    \b
    phizoo eval export phi-1-small-mini/humaneval --out humaneval-run
    phizoo eval export 3f2a9c41d0aa --out run --format parquet
    """
    from evals.results.reproduce import cell_run
    from evals.results.reproduce import export as write
    from zoo.registry import open_registry

    with open_registry(readonly=True) as registry:
        for path in write(registry, cell_run(registry, cell), out, form):
            click.echo(str(path))


@click.command("import")
@click.argument("paths", nargs=-1, required=True, metavar="FILE...", type=click.Path(path_type=Path, exists=True))
@click.option("--model", help="Checkpoint of the zoo, or a name for a model that is not in it.")
@click.option("--json", "as_json", is_flag=True, help="Print the scores as JSON.")
def take_in(paths: tuple[Path, ...], model: str | None, as_json: bool) -> None:
    """Take in lm-eval's or EvalPlus' results with their samples, as measured elsewhere.

    \b
    phizoo eval import results/my-model --model phi-1-small-mini
    phizoo eval import samples_arc_easy_2025-01-01T00-00-00.000000.jsonl --model other-7b
    phizoo eval import humaneval/other-7b_eval_results.json --model other-7b

    lm_eval writes samples with --log_samples. Where a file's prompts are ours byte for byte, its samples are paired
    with runs made here: phizoo eval compare NAME other-7b.
    """
    import msgspec

    from evals.results.import_formats import read
    from evals.results.imported import take_in as taken_in
    from zoo import settings
    from zoo.registry import open_registry

    found = [one for path in paths for one in read(path)]
    with open_registry() as registry:
        taken = taken_in(registry, found, model, settings.runs_dir())
    if as_json:
        click.echo(msgspec.json.format(msgspec.json.encode(taken), indent=2))
        return
    for one in taken:
        for score in one.scores:
            cell = f"{100 * score.value:.1f} [{100 * score.low:.1f}–{100 * score.high:.1f}] n={score.n}"
            prompts = "prompts not in the file" if one.same is None else f"{one.same} of {score.n} prompts are ours"
            column = f"{one.column.rpartition(' ')[0]} {score.metric}"
            click.echo(f"{one.model}  {column}  {cell}  run {one.run[:12]} ({prompts})")
