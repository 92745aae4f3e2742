"""`phizoo models`: a literal table of its commands; each file is imported when one of it is used."""

import click

from zoo.cli import LazyGroup

# name -> (where the click command lives, its one-line help: a test holds that it equals the command's own)
COMMANDS: dict[str, tuple[str, str]] = {
    "add": ("zoo.models_keep:add", "Add a folder of weights as the next version of a name."),
    "list": ("zoo.models_look:list_checkpoints", "List checkpoints, the newest version of each."),
    "show": ("zoo.models_look:show", "Show one checkpoint: what it is, where from, its scores."),
    "path": ("zoo.models_look:path", "Print a local folder that loaders take as it is."),
    "find": ("zoo.models_ask:find", "Find checkpoints by what they are and what they score."),
    "alias": ("zoo.models_keep:alias", "Point name@alias at a version."),
    "lineage": ("zoo.models_ask:lineage", "Show what a checkpoint comes from and what was made from it."),
    "diff": ("zoo.models_ask:diff", "Compare two checkpoints: config, recipe, files, tensors."),
    "card": ("zoo.models_ask:card", "Print the model card made from the records."),
    "variants": ("zoo.models_ask:variants", "List the Phi models of the talk with their exact sizes."),
    "verify": ("zoo.models_look:verify", "Check stored bytes against their digests."),
    "tag": ("zoo.models_keep:tag", "Add or remove words to find a checkpoint by."),
    "note": ("zoo.models_keep:note", "Replace a checkpoint's note."),
    "rename": ("zoo.models_keep:rename", "Give all versions of a name another name."),
    "remove": ("zoo.models_keep:remove", "Take one version out of the zoo."),
    "gc": ("zoo.models_keep:gc", "Free the bytes that nothing refers to."),
    "import": ("zoo.models_move:import_checkpoint", "Import a Hugging Face folder or repository."),
    "export": ("zoo.models_move:export", "Write a Hugging Face folder with a model card."),
    "push": ("zoo.models_move:push", "Send a checkpoint to another zoo: a folder or s3://."),
    "pull": ("zoo.models_move:pull", "Fetch a checkpoint from another zoo."),
    "upgrade": ("zoo.models_keep:upgrade", "Bring the zoo's database to this version's schema."),
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
