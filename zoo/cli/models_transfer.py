"""`phizoo models`, the commands that move checkpoints to and from other zoos: push, pull."""

import contextlib
import sys
from typing import TYPE_CHECKING

import click

from zoo.cli.completion import A_CHECKPOINT, A_FOLDER
from zoo.cli.options import AS_JSON, open_registry
from zoo.cli.output import bytes_text, emit_json
from zoo.errors import ZooError

if TYPE_CHECKING:
    from zoo.exchange.zoo_remote import Transfer


@click.command()
@click.argument("checkpoint", shell_complete=A_CHECKPOINT)
@click.argument("zoo", shell_complete=A_FOLDER)
@click.option("--remove", "removing", is_flag=True, help="Remove it there instead, and free its bytes.")
@click.option("--yes", is_flag=True, help="Remove it even if another zoo pushed it.")
@AS_JSON
def push(checkpoint: str, zoo: str, removing: bool, yes: bool, as_json: bool) -> None:
    """Send a checkpoint to another zoo: a folder or s3://.

    Its recipe, its datasets' records, its runs and scores go with it, and its name's aliases. Only files that are
    missing there are sent. A name that another zoo pushed there is refused: OWNER/NAME is a name of your own.

    \b
    Example:  phizoo models push phi-1-mini s3://team-bucket/exchange
              phizoo models push lab/phi-1-mini /mnt/share/exchange
              phizoo models push --remove phi-1-mini:2 /mnt/share/exchange
    """
    from zoo.exchange.zoo_remote import push as send
    from zoo.exchange.zoo_remote import unpush

    with open_registry(readonly=True) as registry:
        if not removing:
            _echo_moved("pushed", send(registry, checkpoint, zoo), as_json)
            return
        removed = unpush(registry, checkpoint, zoo, yes)
    if as_json:
        emit_json(removed._asdict())
    else:
        files = f"{removed.files} file{'s' * (removed.files != 1)}"
        click.echo(f"removed {removed.label} there, freed {bytes_text(removed.bytes)} in {files}")


@click.command()
@click.argument("checkpoint", shell_complete=A_CHECKPOINT, required=False)
@click.argument("zoo", shell_complete=A_FOLDER, required=False)
@click.option("--list", "remote", metavar="ZOO", help="List the checkpoints of another zoo instead.")
@AS_JSON
def pull(checkpoint: str | None, zoo: str | None, remote: str | None, as_json: bool) -> None:
    """Fetch a checkpoint from another zoo.

    Only files that are missing here are fetched, and they are checked like those of any added checkpoint. Its records
    enter all or none, and its scores say where they come from. The other zoo is only read.

    \b
    Example:  phizoo models pull phi-1-mini s3://team-bucket/exchange
              phizoo models pull lab/phi-1-mini@best /mnt/share/exchange
              phizoo models pull --list s3://team-bucket/exchange
    """
    from zoo.exchange.zoo_remote import pull as fetch

    if remote is not None:
        _list_remote(remote, as_json)
        return
    if checkpoint is None or zoo is None:
        raise ZooError("no checkpoint or no zoo given. Example: phizoo models pull phi-1-mini s3://team-bucket/zoo")
    with open_registry() as registry:
        moved = fetch(registry, checkpoint, zoo)
        _echo_moved("pulled", moved, as_json)
        scored = bool(registry.database.rows("SELECT 1 FROM scores LIMIT 1"))
    if scored:
        renew_scores("--checkpoint", moved.label)


def renew_scores(*options: str) -> None:
    """Brings derived scores up to date by `phizoo eval runs --renew`: only `evals` can score runs."""
    from zoo.cli import root

    with contextlib.redirect_stdout(sys.stderr):
        root.run(["eval", "runs", "--renew", *options])


def _list_remote(url: str, as_json: bool) -> None:
    from zoo.exchange.zoo_remote import open_remote

    with open_remote(url) as zoo:
        labels = zoo.labels()
    if as_json:
        emit_json(labels)
    else:
        click.echo("\n".join(labels) or f"{url} has no checkpoints. Send one: phizoo models push NAME {url}")


def _echo_moved(did: str, moved: "Transfer", as_json: bool) -> None:
    if as_json:
        emit_json(moved)
    else:
        files = f"{moved.files} file{'s' * (moved.files != 1)}"
        click.echo(f"{did} {moved.label}  {moved.digest[:12]}  {files} moved, {bytes_text(moved.bytes)}")
        for note in moved.notes:
            click.echo(f"phizoo: {note}", err=True)
