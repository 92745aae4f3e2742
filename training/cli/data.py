"""`phizoo data`: a literal table of its commands, each imported only when it is used."""

import click

from zoo.cli.root import LazyGroup

# name -> (where the click command lives, its one-line help: a test holds that it equals the command's own)
COMMANDS: dict[str, tuple[str, str]] = {
    "gather": ("training.cli.data_make:gather", "Gather source code or text, and cut it into documents."),
    "filter": ("training.cli.data_make:filter_documents", "Keep the documents of the highest educational value."),
    "annotate": ("training.cli.data_teach:annotate", "Label a sample of documents for their educational value."),
    "synthesise": ("training.cli.data_teach:synthesise", "Write exercises or textbook passages, and test their code."),
    "dedup": ("training.cli.data_make:dedup", "Drop documents that repeat an earlier one."),
    "decontaminate": ("training.cli.data_make:decontaminate", "Drop documents that contain evaluation problems."),
    "refine": ("training.cli.data_make:refine", "Filter, deduplicate and decontaminate, with a table of the steps."),
    "recipe": ("training.cli.data_recipe:recipe", "Make a training recipe's data by its commands."),
    "tokenizer": ("training.cli.data_make:tokenizer", "Train a byte-level BPE tokenizer."),
    "pack": ("training.cli.data_make:pack", "Turn documents into tokens, mixed by weight."),
    "chats": ("training.cli.data_chats:chats", "Turn conversations into tokens, with the answers marked."),
    "list": ("training.cli.data_inspect:list_datasets", "List the datasets."),
    "show": ("training.cli.data_inspect:show", "Show a dataset, or the history of one of its documents."),
    "why": ("training.cli.data_inspect:why", "Show each stage's decision on a file, in every dataset."),
    "card": ("training.cli.data_inspect:card", "Print a dataset's card."),
}
RENAMED: dict[str, tuple[str, str]] = {
    "agree": ("training.cli.data_inspect:show", "data show --agreement"),
    "contamination": ("training.cli.data_inspect:contamination", "eval contamination TASK --dataset NAME"),
}


@click.command(cls=LazyGroup, table=COMMANDS, renamed=RENAMED)
def data() -> None:
    """Turn raw text into training data, and account for every document.

    \b
    Example:  phizoo data gather python --name code
              phizoo data filter code --name code-filtered --keep 0.3
              phizoo data why heapq.py
    """
