"""`phizoo data`: a literal table of its commands, each imported only when it is used."""

import click

from zoo.cli import LazyGroup

COMMANDS: dict[str, tuple[str, str]] = {
    "gather": ("training.data.make_cli:gather", "Gather source code or text, and cut it into documents."),
    "filter": ("training.data.make_cli:filter_documents", "Keep the documents of the highest educational value."),
    "annotate": ("training.data.teach_cli:annotate", "Label a sample of documents for their educational value."),
    "synthesise": ("training.data.teach_cli:synthesise", "Write exercises or textbook passages, tested."),
    "dedup": ("training.data.make_cli:dedup", "Drop documents that repeat an earlier one."),
    "decontaminate": ("training.data.make_cli:decontaminate", "Drop documents that hold evaluation problems."),
    "refine": ("training.data.make_cli:refine", "Filter, deduplicate and decontaminate, and print the table of it."),
    "tokenizer": ("training.data.make_cli:tokenizer", "Train a byte-level BPE tokenizer."),
    "pack": ("training.data.make_cli:pack", "Turn documents into tokens, mixed by weight."),
    "list": ("training.data.look_cli:list_datasets", "List the datasets."),
    "show": ("training.data.look_cli:show", "Show a dataset's counts and some of its documents."),
    "why": ("training.data.look_cli:why", "Tell what became of one document, and why."),
    "contamination": ("training.data.look_cli:contamination", "Tell which evaluation problems a dataset held."),
    "leaks": ("training.data.look_cli:leaks", "Measure what the searches find of planted leaks, and what falsely."),
    "agree": ("training.data.look_cli:agree", "Compare a filter with 200 documents labelled by hand."),
    "card": ("training.data.look_cli:card", "Write a dataset's card."),
}


@click.group(cls=LazyGroup, table=COMMANDS)
def data() -> None:
    """Turn raw text into training data, each document accounted for.

    \b
    Example:  phizoo data gather python --out code
              phizoo data filter code --out code-filtered --keep 0.3
              phizoo data why 3f2a9c01d4e5b6a7
    """
