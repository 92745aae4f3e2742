"""`phizoo eval reproduce | export`: a number made again, and its samples as files."""

import tempfile
from pathlib import Path

import click

from zoo.errors import CheckFailed

SHOWN = 10  # differing samples printed; all of them are in the JSON


@click.command()
@click.argument("cell")
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

    from evals.evidence import cell_run, command, differences
    from evals.folder import read_results
    from evals.rerun import rerun
    from zoo.registry import open_registry

    with open_registry() as registry:
        header = cell_run(registry, cell)
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
@click.argument("cell")
@click.option("--out", type=click.Path(path_type=Path, file_okay=False), required=True, help="Folder to write to.")
@click.option("--format", "form", type=click.Choice(["jsonl", "parquet"]), default="jsonl", show_default=True)
def export(cell: str, out: Path, form: str) -> None:
    """Write a run's samples and its card as files.

    \b
    phizoo eval export phi-1-small-mini/humaneval --out humaneval-run
    phizoo eval export 3f2a9c41d0aa --out run --format parquet
    """
    from evals.evidence import cell_run
    from evals.evidence import export as write
    from zoo.registry import open_registry

    with open_registry(readonly=True) as registry:
        for path in write(registry, cell_run(registry, cell), out, form):
            click.echo(str(path))
