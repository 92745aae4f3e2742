"""The `phizoo data` commands that read: list, show, card."""

from typing import TYPE_CHECKING

import click

from zoo.cli.completion import A_DATASET
from zoo.cli.options import AS_JSON
from zoo.cli.output import cell, emit_json, table
from zoo.errors import ZooError

if TYPE_CHECKING:
    from zoo.records import Dataset


@click.command("list")
@AS_JSON
def list_datasets(as_json: bool) -> None:
    """List the datasets.

    \b
    Example:  phizoo data list --json
    """
    from training.data.inspect import all_datasets

    datasets = all_datasets()
    if as_json:
        emit_json(datasets)
    elif not datasets:
        click.echo("No datasets yet. Make one: phizoo data gather python --name code")
    else:
        rows = [
            (record.name, record.kind, f"{record.documents:,}", f"{record.tokens:,}", record.digest[:12])
            for record in datasets
        ]
        table(rows, ("NAME", "KIND", ">DOCUMENTS", ">TOKENS", "DIGEST"))


@click.command()
@click.argument("name", shell_complete=A_DATASET)
@click.argument("document", required=False)
@click.option("--documents", "number", type=click.IntRange(min=0), default=3, show_default=True,
              help="How many documents to show.")  # fmt: skip
@click.option("--agreement", is_flag=True, help="Compare the filter with 200 documents labelled by hand.")
@AS_JSON
def show(name: str, document: str | None, number: int, agreement: bool, as_json: bool) -> None:
    """Show a dataset, or the history of one of its documents.

    A dataset made by `filter` shows its best and its worst documents. DOCUMENT is a file's path, a part of a file such
    as "heapq.py::merge", or an id (its first 6 characters are enough); each stage's decision on it is shown.

    \b
    Example:  phizoo data show code-filtered --documents 5
              phizoo data show code-filtered heapq.py::merge
              phizoo data show code-filtered --agreement
    """
    from training.data.build import find

    dataset = find(name)
    if agreement:
        _show_agreement(dataset, as_json)
    elif document is None:
        _show_documents(dataset, number, as_json)
    else:
        _show_history(document, dataset, as_json)


@click.command()
@click.argument("document", metavar="PATH")
@AS_JSON
def why(document: str, as_json: bool) -> None:
    """Show each stage's decision on a file, in every dataset.

    PATH is a file's path as you would type it, or its last parts; such a path with a part, as heapq.py::merge; or a
    document's id.

    \b
    phizoo data why heapq.py
    phizoo data why my-folder/main.py
    """
    _show_history(document, None, as_json)


def _show_documents(dataset: "Dataset", number: int, as_json: bool) -> None:
    from training.data import inspect

    scored = dataset.kind == "documents" and (dataset.recipe or {}).get("stage") == "filter"
    ends = inspect.find_extremes(dataset, number) if scored and number else None
    documents = inspect.pick_documents(dataset, number) if dataset.kind == "documents" and not scored else []
    if as_json:
        high, low = (ends.high, ends.low) if ends else ((), ())
        emit_json({"dataset": dataset, "documents": documents, "high": high, "low": low})
        return
    click.echo(inspect.card(dataset).split("\n## How", maxsplit=1)[0])
    for title, group in (("highest", ends.high), ("lowest", ends.low)) if ends else (("sample", documents),):
        for document in group:
            score = f" score {document.facts['score']}" if "score" in document.facts else ""
            click.echo(f"--- {title}: {document.id} {document.source}{score}")
            click.echo(document.text[:1500].rstrip())


def _show_history(document: str, dataset: "Dataset | None", as_json: bool) -> None:
    from training.data.inspect import document_histories

    histories = document_histories(document, None if dataset is None else [dataset])
    if dataset is not None and len(histories) == 1:
        histories = document_histories(histories[0].id)  # in the other datasets too
    if as_json:
        emit_json(histories[0] if len(histories) == 1 else histories)
        return
    if len(histories) > 1:
        click.echo(f"{len(histories)} documents; the history of one: phizoo data why ID")
    for history in histories:
        origin = f"{history.project}, {history.licence}; {history.kind}, {history.tokens:,} tokens"
        click.echo(f"{history.id}  {history.source}  ({origin})")
        for verdict in history.verdicts:
            decision = "kept" if verdict.kept else f"dropped by {verdict.stage}: {verdict.reason}"
            click.echo(f"  {verdict.dataset} ({verdict.digest[:12]}): {decision}")
            for key, value in verdict.facts.items() if len(histories) == 1 else ():
                click.echo(f"    {key}: {value}")


def _show_agreement(dataset: "Dataset", as_json: bool) -> None:
    from training.data.quality.agreement import measure_agreement

    result = measure_agreement(dataset)
    if as_json:
        emit_json(result)
        return
    kept = result.kept
    labelled = f"{result.matched} of {result.labels} labelled documents"
    click.echo(f"{labelled}, {kept.educational} educational, {kept.projects} projects")
    for title, part in (("kept", kept), ("educational by the filter's own cut", result.called)):
        f1 = cell(part.f1, part.f1_low, part.f1_high, digits=3)
        click.echo(f"  {title} at {part.cut:.4g}: F1 {f1}, precision {part.precision:.3f}, recall {part.recall:.3f}")
    ranked = cell(result.ranked, result.ranked_low, result.ranked_high, digits=3)
    average = cell(result.average, result.average_low, result.average_high, digits=3)
    click.echo(f"  an educational document scores above another in {ranked} of pairs")
    click.echo(f"  average precision {average}, {kept.educational / kept.labelled:.3f} by chance")


@click.command()
@click.argument("name", shell_complete=A_DATASET)
def card(name: str) -> None:
    """Print a dataset's card.

    \b
    Example:  phizoo data card code-filtered > README.md
    """
    from training.data import inspect
    from training.data.build import find

    click.echo(inspect.card(find(name)), nl=False)


# Former commands, which `phizoo data --help` no longer shows.


@click.command()
@click.argument("name", shell_complete=A_DATASET)
def contamination(name: str) -> None:
    """Name the command that searches a dataset."""
    raise ZooError(f"to search a dataset: phizoo eval contamination humaneval --dataset {name}")
