"""The `phizoo data` commands that make a dataset. Each is done at once when its output is there already."""

import click

from zoo.errors import ZooError


def told(made: object, as_json: bool) -> None:
    """Prints what was made: counts by stage and reason, or that it was there already."""
    import msgspec

    from training.data.make import Made

    assert isinstance(made, Made)
    dataset = made.dataset
    if as_json:
        click.echo(msgspec.json.encode({**msgspec.to_builtins(dataset), "fresh": made.fresh}).decode())
        return
    state = "made" if made.fresh else "up to date"
    size = f"{dataset.documents:,} documents" + (f", {dataset.tokens:,} tokens" if dataset.tokens else "")
    click.echo(f"{dataset.name}: {state}, {size}, digest {dataset.digest[:12]}")
    for stage in dataset.stages if made.fresh else ():
        lost = ", ".join(f"{reason} {number:,}" for reason, number in stage.dropped.items())
        click.echo(f"  {stage.name}: {stage.entered:,} entered, {stage.kept:,} kept" + (f"; {lost}" if lost else ""))


OUT = click.option("--out", "name", required=True, metavar="NAME", help="Name of the dataset to make.")
JSON = click.option("--json", "as_json", is_flag=True, help="Print the dataset's record as JSON.")


@click.command()
@click.argument("source", type=click.Choice(["python"]))
@OUT
@click.option("--limit", type=click.IntRange(min=1), help="Take this many files, spread by hash.")
@JSON
def gather(source: str, name: str, limit: int | None, as_json: bool) -> None:
    """Gather source code, and cut it into documents.

    SOURCE python is this machine's own: the standard library and the installed packages.

    \b
    Example:  phizoo data gather python --out code
    """
    from training.data.gather import gather_python

    told(gather_python(name, limit), as_json)


@click.command("filter")
@click.argument("source")
@OUT
@click.option("--keep", type=click.FloatRange(0, 1, min_open=True), help="Share of the documents to keep (0.3).")
@click.option("--tokens", type=click.IntRange(min=1), help="Keep the best documents up to this many words and marks.")
@click.option("--seed", default=0, show_default=True, help="Seed of the sample and the forest.")
@JSON
def filter_documents(source: str, name: str, keep: float | None, tokens: int | None, seed: int, as_json: bool) -> None:
    """Keep the documents of the highest educational value.

    A share is labelled by the rubric, a random forest learns the labels from embeddings and scores all.

    \b
    Example:  phizoo data filter code --out code-filtered --keep 0.3
    """
    from training.data.filter import filter_dataset

    if keep is not None and tokens is not None:
        raise ZooError("--keep and --tokens exclude each other: give the share or the budget")
    told(filter_dataset(source, name, keep, tokens, seed), as_json)


@click.command()
@click.argument("what", type=click.Choice(["textbooks", "exercises"]))
@OUT
@click.option("--documents", type=click.IntRange(min=1), default=20_000, show_default=True, help="How many to keep.")
@click.option("--seed", default=0, show_default=True, help="Another seed, other documents.")
@JSON
def synthesise(what: str, name: str, documents: int, seed: int, as_json: bool) -> None:
    """Write exercises or textbook passages, tested.

    Every function is run against its own tests in the sandbox; the held-out task's are left out.

    \b
    Example:  phizoo data synthesise exercises --out exercises --documents 20000
    """
    from training.data.synthesize import synthesize

    told(synthesize(what, name, documents, seed), as_json)  # type: ignore[arg-type]


@click.command()
@click.argument("source")
@OUT
@click.option("--against", default="humaneval,mbpp", show_default=True, metavar="TASK,...", help="Evaluation sets.")
@JSON
def decontaminate(source: str, name: str, against: str, as_json: bool) -> None:
    """Drop documents that hold evaluation problems.

    By shared word n-grams and by equal syntax trees; the problem and the span stand beside each.

    \b
    Example:  phizoo data decontaminate code --against humaneval,mbpp --out code-clean
    """
    from training.data.decontaminate import decontaminate_dataset

    told(decontaminate_dataset(source, name, tuple(against.split(","))), as_json)


@click.command()
@click.argument("sources", nargs=-1, required=True)
@click.option("--vocabulary", type=int, default=1024, show_default=True, help="Number of tokens, 257 to 65536.")
@OUT
@JSON
def tokenizer(sources: tuple[str, ...], vocabulary: int, name: str, as_json: bool) -> None:
    """Train a byte-level BPE tokenizer.

    \b
    Example:  phizoo data tokenizer code-filtered textbooks exercises --vocabulary 1024 --out mini-bpe
    """
    from training.data.tokens import train_tokenizer

    told(train_tokenizer(sources, name, vocabulary), as_json)


@click.command()
@click.argument("sources", nargs=-1, required=True, metavar="NAME[=WEIGHT]...")
@click.option("--tokenizer", "coder", required=True, metavar="NAME", help="A dataset made by: phizoo data tokenizer.")
@OUT
@click.option("--tokens", type=click.IntRange(min=1), help="How many tokens to take in all.")
@click.option("--seed", default=0, show_default=True, help="Seed of the order.")
@JSON
def pack(sources: tuple[str, ...], coder: str, name: str, tokens: int | None, seed: int, as_json: bool) -> None:
    """Turn documents into tokens, mixed by weight.

    Without weights everything is taken once; with them a source that is too small is repeated.

    \b
    Example:  phizoo data pack code-filtered=0.4 textbooks=0.6 --tokenizer mini-bpe --out base-tokens
    """
    from training.data.pack import pack as pack_datasets

    told(pack_datasets(sources, coder, name, tokens, seed), as_json)
