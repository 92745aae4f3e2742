"""`phizoo models`: a literal table of its commands; each file is imported when one of it is used."""

import click

from zoo.cli import LazyGroup

# name -> (where the click command lives, its one-line help: a test holds that it equals the command's own)
COMMANDS: dict[str, tuple[str, str]] = {
    "add": ("zoo.models_keep:add", "Add a folder of weights as the next version of a name."),
    "list": ("zoo.models_look:list_checkpoints", "List checkpoints, the newest version of each."),
    "show": ("zoo.models_look:show", "Show one checkpoint: what it is, where from, its scores."),
    "path": ("zoo.models_look:path", "Print a local folder that loaders take as it is."),
    "alias": ("zoo.models_keep:alias", "Point name@alias at a version."),
    "verify": ("zoo.models_look:verify", "Check stored bytes against their digests."),
}


@click.command(cls=LazyGroup, table=COMMANDS, context_settings={"help_option_names": ["-h", "--help"]})
def models() -> None:
    """The zoo: add, list, find and verify checkpoints.

    \b
    A checkpoint is named    phi-1-mini          its newest version
                             phi-1-mini:3        that version
                             phi-1-mini@best     where the alias points
                             3fa85f64            8 or more digits of its digest
    """
