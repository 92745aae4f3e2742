"""`phizoo models`, the commands that move checkpoints in and out: import, export, push, pull."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from zoo.cli.completion import A_CHECKPOINT, A_FOLDER
from zoo.cli.output import bytes_text, emit_json
from zoo.errors import CheckFailed, ZooError

if TYPE_CHECKING:
    from zoo.exchange.zoo_remote import Transfer


@click.command("import")
@click.argument("source", shell_complete=A_FOLDER)
@click.option("--name", help="What it is called here. Default: from the repository or folder.")
@click.option("--revision", metavar="COMMIT", help="Of the hub. A branch is resolved to its commit, which is recorded.")
@click.option("--licence", default="unknown", help="Default: what the hub says.")
@click.option("--tag", "tags", multiple=True, help="A word to find it by; may be given several times.")
@click.option("--drop-code", is_flag=True, help="Leave Python files, pickles and auto_map behind instead of refusing.")
@click.option("--convert", "pickles", is_flag=True, help="Turn .bin and .pt into safetensors in an isolated process.")
@click.option("--dry-run", is_flag=True, help="Tell what would be fetched and whether there is room; fetch nothing.")
@click.option("--json", "as_json", is_flag=True, help="Print the record as JSON.")
def import_checkpoint(
    source: str,
    name: str | None,
    revision: str | None,
    licence: str,
    tags: tuple[str, ...],
    drop_code: bool,
    pickles: bool,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Import a Hugging Face folder or repository.

    Phi's older weight formats are converted to today's, and the conversion is proved by equal
    logits on a test batch before anything is added. A broken download goes on where it ended.

    \b
    Example:  phizoo models import microsoft/phi-2
              phizoo models import microsoft/phi-2 --dry-run
              phizoo models import ./phi-1-mixformer --name phi-1 --drop-code
    """
    from zoo.exchange.huggingface import import_any, plan_import
    from zoo.records import About
    from zoo.registry import open_registry

    if dry_run:
        told, lacks = plan_import(source, name, revision)
        click.echo("\n".join((*told, *(f"lacking here: {lack}" for lack in lacks))))
        if lacks:
            raise CheckFailed(f"it would not run here: {len(lacks)} lacking, named above; nothing was done")
        return
    with open_registry() as registry:
        found = import_any(registry, source, name, revision, About(licence=licence, tags=tags), drop_code, pickles)
    if as_json:
        emit_json(found)
    else:
        click.echo(f"{found.label}  {found.parameters:,} parameters  {found.digest[:12]}")
        if found.notes:
            click.echo(found.notes)


@click.command()
@click.argument("checkpoint", shell_complete=A_CHECKPOINT)
@click.argument("folder", shell_complete=A_FOLDER)
def export(checkpoint: str, folder: str) -> None:
    """Write a Hugging Face folder with a model card.

    \b
    Example:  phizoo models export phi-1-mini@best ./phi-1-mini
    """
    from zoo.exchange.huggingface import export as written
    from zoo.registry import open_registry

    with open_registry(readonly=True) as registry:
        click.echo(written(registry, checkpoint, Path(folder).expanduser()))


@click.command()
@click.argument("checkpoint", shell_complete=A_CHECKPOINT)
@click.argument("zoo", shell_complete=A_FOLDER)
@click.option("--json", "as_json", is_flag=True, help="Print what moved as JSON.")
def push(checkpoint: str, zoo: str, as_json: bool) -> None:
    """Send a checkpoint to another zoo: a folder or s3://.

    With it go its recipe, datasets' records, runs and scores. Only files that are not there move.

    \b
    Example:  phizoo models push phi-1-mini s3://team-bucket/zoo
              phizoo models push phi-1-mini /mnt/share/zoo
    """
    from zoo.exchange.zoo_remote import push as pushed
    from zoo.registry import open_registry

    with open_registry(readonly=True) as registry:
        _echo_moved("pushed", pushed(registry, checkpoint, zoo), as_json)


@click.command()
@click.argument("checkpoint", shell_complete=A_CHECKPOINT, required=False)
@click.argument("zoo", shell_complete=A_FOLDER, required=False)
@click.option("--list", "listed", metavar="ZOO", help="Print what another zoo holds instead.")
@click.option("--json", "as_json", is_flag=True, help="Print what moved as JSON.")
def pull(checkpoint: str | None, zoo: str | None, listed: str | None, as_json: bool) -> None:
    """Fetch a checkpoint from another zoo.

    Only files that are not here move; everything is checked like any other checkpoint that enters.

    \b
    Example:  phizoo models pull phi-1-mini s3://team-bucket/zoo
              phizoo models pull --list s3://team-bucket/zoo
    """
    from zoo.exchange.zoo_remote import pull as pulled
    from zoo.registry import open_registry

    if listed is not None:
        _echo_held(listed, as_json)
        return
    if checkpoint is None or zoo is None:
        raise ZooError("which checkpoint, from where? Such as: phizoo models pull phi-1-mini s3://team-bucket/zoo")
    with open_registry() as registry:
        _echo_moved("pulled", pulled(registry, checkpoint, zoo), as_json)


def _echo_held(url: str, as_json: bool) -> None:
    from zoo.exchange.zoo_remote import open_remote

    with open_remote(url) as remote:
        labels = remote.labels()
    if as_json:
        emit_json(labels)
    else:
        click.echo("\n".join(labels) or f"{url} holds no checkpoint. Send one: phizoo models push NAME {url}")


def _echo_moved(did: str, moved: "Transfer", as_json: bool) -> None:

    if as_json:
        emit_json(moved)
    else:
        files = f"{moved.files} file{'s' * (moved.files != 1)}"
        click.echo(f"{did} {moved.label}  {moved.digest[:12]}  {files} moved, {bytes_text(moved.bytes)}")
