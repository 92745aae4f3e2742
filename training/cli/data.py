"""`phizoo data`: a literal table of its commands, each imported only when it is used."""

import click

from zoo.cli.root import LazyGroup

COMMANDS: dict[str, tuple[str, str]] = {
    "gather": ("training.cli.data_make:gather", "Gather source code or text, and cut it into documents."),
    "filter": ("training.cli.data_make:filter_documents", "Keep the documents of the highest educational value."),
    "annotate": ("training.cli.data_teach:annotate", "Label a sample of documents for their educational value."),
    "synthesise": ("training.cli.data_teach:synthesise", "Write exercises or textbook passages, tested."),
    "dedup": ("training.cli.data_make:dedup", "Drop documents that repeat an earlier one."),
    "decontaminate": ("training.cli.data_make:decontaminate", "Drop documents that hold evaluation problems."),
    "refine": ("training.cli.data_make:refine", "Filter, deduplicate and decontaminate, and print the table of it."),
    "tokenizer": ("training.cli.data_make:tokenizer", "Train a byte-level BPE tokenizer."),
    "pack": ("training.cli.data_make:pack", "Turn documents into tokens, mixed by weight."),
    "list": ("training.cli.data_inspect:list_datasets", "List the datasets."),
    "show": ("training.cli.data_inspect:show", "Show a dataset's counts and some of its documents."),
    "why": ("training.cli.data_inspect:why", "Tell what became of one document, and why."),
    "contamination": ("training.cli.data_inspect:contamination", "Name the command that searches a dataset."),
    "agree": ("training.cli.data_inspect:agree", "Compare a filter with 200 documents labelled by hand."),
    "card": ("training.cli.data_inspect:card", "Write a dataset's card."),
}


@click.group(cls=LazyGroup, table=COMMANDS)
def data() -> None:
    """Turn raw text into training data, each document accounted for.

    \b
    Example:  phizoo data gather python --out code
              phizoo data filter code --out code-filtered --keep 0.3
              phizoo data why 3f2a9c01d4e5b6a7
    """
