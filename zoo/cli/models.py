"""`phizoo models`: a literal table of its commands; each file is imported when one of its commands is used."""

import click

from zoo.cli.root import LazyGroup

# name -> (where the click command lives, its one-line help: a test holds that it equals the command's own)
COMMANDS: dict[str, tuple[str, str]] = {
    "add": ("zoo.cli.models_add:add", "Add a checkpoint: a folder of weights, a repository of the hub, a Phi by name."),
    "list": ("zoo.cli.models_show:list_checkpoints", "List checkpoints, the newest version of each."),
    "show": ("zoo.cli.models_show:show", "Show one checkpoint: its record, origin and scores."),
    "path": ("zoo.cli.models_show:path", "Print a local folder that model loaders accept."),
    "find": ("zoo.cli.models_query:find", "Find checkpoints by their properties and scores."),
    "alias": ("zoo.cli.models_edit:alias", "Point name@alias at a version."),
    "lineage": ("zoo.cli.models_query:lineage", "Show the ancestors and descendants of a checkpoint."),
    "diff": ("evals.cli.diff:diff", "Compare two checkpoints: config, recipe, files, tensors."),
    "card": ("zoo.cli.models_query:card", "Print the model card made from the records."),
    "variants": ("zoo.cli.models_query:variants", "List the Phi models of the talk with their exact sizes."),
    "verify": ("zoo.cli.models_show:verify", "Check stored bytes against their digests."),
    "edit": ("zoo.cli.models_edit:edit", "Change a checkpoint's tags and note."),
    "rename": ("zoo.cli.models_edit:rename", "Give all versions of a name another name."),
    "remove": ("zoo.cli.models_edit:remove", "Remove one version from the zoo."),
    "gc": ("zoo.cli.models_edit:gc", "Free the bytes that nothing refers to."),
    "adopt": ("zoo.cli.models_edit:adopt", "Make this database the owner of this store."),
    "export": ("evals.cli.export:export", "Write a Hugging Face folder with a model card."),
    "push": ("zoo.cli.models_transfer:push", "Send a checkpoint to another zoo: a folder or s3://."),
    "pull": ("zoo.cli.models_transfer:pull", "Fetch a checkpoint from another zoo."),
    "audit": ("zoo.cli.models_query:audit", "List who added, published, moved and removed what."),
    "upgrade": ("zoo.cli.models_edit:upgrade", "Bring the zoo's database to this version's schema."),
}
RENAMED: dict[str, tuple[str, str]] = {
    "import": ("zoo.cli.models_add:add", "models add"),
    "tag": ("zoo.cli.models_edit:tag", "models edit NAME --tag WORD"),
    "note": ("zoo.cli.models_edit:note", "models edit NAME --note TEXT"),
}


DAILY = ("add", "list", "show", "find", "path", "lineage")


@click.command(
    cls=LazyGroup, table=COMMANDS, renamed=RENAMED, daily=DAILY,
    context_settings={"help_option_names": ["-h", "--help"]},
)  # fmt: skip
def models() -> None:
    """Add, list, find and verify the checkpoints of the zoo.

    \b
    A checkpoint is named    phi-1-mini          its newest version
                             phi-1-mini:3        that version
                             phi-1-mini@best     the version that the alias points at
                             3fa85f64            8 or more digits of its digest
    Example:                 phizoo models show phi-1-small-mini
    """
