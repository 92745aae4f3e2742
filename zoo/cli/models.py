"""`phizoo models`: a literal table of its commands; each file is imported when one of it is used."""

import click

from zoo.cli.root import LazyGroup

# name -> (where the click command lives, its one-line help: a test holds that it equals the command's own)
COMMANDS: dict[str, tuple[str, str]] = {
    "add": ("zoo.cli.models_edit:add", "Add a folder of weights as the next version of a name."),
    "list": ("zoo.cli.models_show:list_checkpoints", "List checkpoints, the newest version of each."),
    "show": ("zoo.cli.models_show:show", "Show one checkpoint: what it is, where from, its scores."),
    "path": ("zoo.cli.models_show:path", "Print a local folder that loaders take as it is."),
    "find": ("zoo.cli.models_query:find", "Find checkpoints by what they are and what they score."),
    "alias": ("zoo.cli.models_edit:alias", "Point name@alias at a version."),
    "lineage": ("zoo.cli.models_query:lineage", "Show what a checkpoint comes from and what was made from it."),
    "diff": ("zoo.cli.models_query:diff", "Compare two checkpoints: config, recipe, files, tensors."),
    "card": ("zoo.cli.models_query:card", "Print the model card made from the records."),
    "variants": ("zoo.cli.models_query:variants", "List the Phi models of the talk with their exact sizes."),
    "verify": ("zoo.cli.models_show:verify", "Check stored bytes against their digests."),
    "tag": ("zoo.cli.models_edit:tag", "Add or remove words to find a checkpoint by."),
    "note": ("zoo.cli.models_edit:note", "Replace a checkpoint's note."),
    "rename": ("zoo.cli.models_edit:rename", "Give all versions of a name another name."),
    "remove": ("zoo.cli.models_edit:remove", "Take one version out of the zoo."),
    "gc": ("zoo.cli.models_edit:gc", "Free the bytes that nothing refers to."),
    "import": ("zoo.cli.models_transfer:import_checkpoint", "Import a Hugging Face folder or repository."),
    "export": ("zoo.cli.models_transfer:export", "Write a Hugging Face folder with a model card."),
    "push": ("zoo.cli.models_transfer:push", "Send a checkpoint to another zoo: a folder or s3://."),
    "pull": ("zoo.cli.models_transfer:pull", "Fetch a checkpoint from another zoo."),
    "upgrade": ("zoo.cli.models_edit:upgrade", "Bring the zoo's database to this version's schema."),
}


@click.command(cls=LazyGroup, table=COMMANDS, context_settings={"help_option_names": ["-h", "--help"]})
def models() -> None:
    """The zoo: add, list, find and verify checkpoints.

    \b
    A checkpoint is named    phi-1-mini          its newest version
                             phi-1-mini:3        that version
                             phi-1-mini@best     where the alias points
                             3fa85f64            8 or more digits of its digest
    Example:                 phizoo models show phi-1-small-mini
    """
