"""The `phizoo data` commands that look: list, show, why, card."""

import click

from zoo.cli.completion import A_DATASET

JSON = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


@click.command("list")
@JSON
def list_datasets(as_json: bool) -> None:
    """List the datasets.

    \b
    Example:  phizoo data list --json
    """
    import msgspec

    from training.data.inspect import all_datasets

    datasets = all_datasets()
    if as_json:
        click.echo(msgspec.json.encode(datasets).decode())
        return
    if not datasets:
        click.echo("no datasets yet; make one: phizoo data gather python --out code")
    for one in datasets:
        click.echo(
            f"{one.name:<28} {one.kind:<10} {one.documents:>9,} documents {one.tokens:>13,} tokens  {one.digest[:12]}"
        )


@click.command()
@click.argument("name", shell_complete=A_DATASET)
@click.option(
    "--documents", "number", type=click.IntRange(min=0), default=3, show_default=True, help="How many to show."
)
@JSON
def show(name: str, number: int, as_json: bool) -> None:
    """Show a dataset's counts and some of its documents.

    With scores (after `filter`) the best and the worst are shown.

    \b
    Example:  phizoo data show code-filtered --documents 5
    """
    import msgspec

    from training.data import inspect
    from training.data.build import find

    dataset = find(name)
    scored = dataset.kind == "documents" and (dataset.recipe or {}).get("stage") == "filter"
    found = inspect.find_extremes(dataset, number) if scored and number else None
    plain = inspect.pick_documents(dataset, number) if dataset.kind == "documents" and not scored else []
    if as_json:
        told = {
            "dataset": dataset,
            "documents": plain,
            "high": found.high if found else [],
            "low": found.low if found else [],
        }
        click.echo(msgspec.json.encode(told).decode())
        return
    click.echo(inspect.card(dataset).split("\n## How", maxsplit=1)[0])
    for title, part in (("highest", found.high), ("lowest", found.low)) if found else (("some", plain),):
        for one in part:
            score = f" score {one.facts['score']}" if "score" in one.facts else ""
            click.echo(f"--- {title}: {one.id} {one.source}{score}")
            click.echo(one.text[:1500].rstrip())


@click.command()
@click.argument("document")
@JSON
def why(document: str, as_json: bool) -> None:
    """Tell what became of one document, and why.

    DOCUMENT is an id (its first 6 characters are enough) or a source such as "heapq.py::merge".

    \b
    Example:  phizoo data why heapq.py::merge
    """
    import msgspec

    from training.data.inspect import document_history

    found = document_history(document)
    if as_json:
        click.echo(msgspec.json.encode(found).decode())
        return
    click.echo(f"{found.id}  {found.source}  ({found.project}, {found.licence}; {found.kind}, {found.tokens:,} tokens)")
    for one in found.verdicts:
        verdict = "kept" if one.kept else f"dropped by {one.stage}: {one.reason}"
        click.echo(f"  {one.dataset} ({one.digest[:12]}): {verdict}")
        for key, value in one.facts.items():
            click.echo(f"    {key}: {value}")


@click.command()
@click.argument("name", shell_complete=A_DATASET)
def card(name: str) -> None:
    """Write a dataset's card.

    \b
    Example:  phizoo data card code-filtered > README.md
    """
    from training.data import inspect
    from training.data.build import find

    click.echo(inspect.card(find(name)), nl=False)


@click.command(hidden=True)
@click.argument("name", shell_complete=A_DATASET)
def contamination(name: str) -> None:
    """Name the command that searches a dataset."""
    from zoo.errors import ZooError

    raise ZooError(f"this is one command now: phizoo eval contamination humaneval --dataset {name}")


@click.command()
@click.argument("name", shell_complete=A_DATASET)
@JSON
def agree(name: str, as_json: bool) -> None:
    """Compare a filter with 200 documents labelled by hand.

    \b
    Example:  phizoo data agree code-filtered
    """
    import msgspec

    from training.data.build import find
    from training.data.quality.agreement import measure_agreement

    found = measure_agreement(find(name, ("documents",)))
    if as_json:
        click.echo(msgspec.json.encode(found).decode())
        return
    one = found.kept
    click.echo(
        f"{found.found} of {found.labels} labelled documents, {one.educational} educational, {one.projects} projects\n"
        + "".join(
            f"  {what} at {part.cut:.4g}: F1 {part.f1:.3f} [{part.f1_low:.3f}-{part.f1_high:.3f}], "
            f"precision {part.precision:.3f}, recall {part.recall:.3f}\n"
            for what, part in (("kept", one), ("educational by the filter's own cut", found.called))
        )
        + f"  scores rank an educational document above another in {found.ranked:.3f} "
        f"[{found.ranked_low:.3f}-{found.ranked_high:.3f}] of pairs\n"
        f"  average precision {found.average:.3f} [{found.average_low:.3f}-{found.average_high:.3f}], "
        f"{one.educational / one.labelled:.3f} by chance"
    )
