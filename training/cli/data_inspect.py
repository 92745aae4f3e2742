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
    found = inspect.ends(dataset, number) if scored and number else None
    plain = inspect.sample(dataset, number) if dataset.kind == "documents" and not scored else []
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

    from training.data.inspect import story

    found = story(document)
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


@click.command()
@click.argument("name", shell_complete=A_DATASET)
@JSON
def contamination(name: str, as_json: bool) -> None:
    """Tell which evaluation problems a dataset held.

    NAME is what decontaminate made. By method: how many problems are similar; by match rate of syntax
    trees: the table of the phi-1 paper, with the documents that each rate removes. The flags beside the
    dataset split a score: phizoo eval run --help.

    \b
    Example:  phizoo data contamination exercises-clean
    """
    import msgspec

    from training.data.build import find, folder_of
    from training.data.contaminated import FILE, Table
    from zoo.errors import ZooError

    path = folder_of(find(name)) / FILE
    if not path.is_file():
        raise ZooError(f"{name} was not searched; that is done by: phizoo data decontaminate {name} --out NAME")
    table = msgspec.json.decode(path.read_bytes(), type=Table)
    if as_json:
        click.echo(msgspec.json.encode(table).decode())
        return
    methods = sorted({method for found in table.problems.values() for method in found})
    click.echo(
        f"{table.similar:,} of {len(table.problems):,} problems are similar to one of {table.documents:,} documents"
    )
    for method in methods:
        click.echo(f"  by {method}: {sum(method in found for found in table.problems.values()):,}")
    if table.rows:
        click.echo("\n| match rate | similar | non-similar | documents removed |\n| --- | ---: | ---: | ---: |")
    for row in table.rows:
        share = row.removed / max(1, table.documents)
        click.echo(f"| {row.rate:.2f} | {row.similar:,} | {row.other:,} | {row.removed:,} ({share:.1%}) |")
    if table.too_short:
        click.echo(f"{len(table.too_short)} solutions are too short for their trees to tell anything")
    for problem, found in table.problems.items():
        for method, near in found.items():
            click.echo(f"  {problem} {method} {near[0]['value']:g} in {near[0]['document']}")


@click.command()
@click.option("--embedding", default="minilm", show_default=True, help="minilm, a checkpoint's name or a folder.")
@click.option("--planted", type=click.IntRange(10, 164), default=50, show_default=True, help="HumanEval problems.")
@click.option("--innocent", type=click.IntRange(min=100), default=2_000, show_default=True, help="Other functions.")
@JSON
def leaks(embedding: str, planted: int, innocent: int, as_json: bool) -> None:
    """Measure what the searches find of planted leaks, and what falsely.

    HumanEval problems copied, renamed, with another docstring, and rebuilt; and functions of this machine's
    packages, which are none. The distance of the embedding is calibrated so that 1% of them are taken for one;
    what it then takes of others is counted crosswise, half by half.

    \b
    Example:  phizoo data leaks
              phizoo data leaks --embedding codegen-350m --innocent 200
    """
    import msgspec

    from training.data.leak_table import lines, measure

    table = measure(embedding, planted, innocent)
    if as_json:
        click.echo(msgspec.json.encode(table).decode())
        return
    click.echo(
        f"{table.planted} problems planted at each of four distances; false positives of {table.innocent:,} functions; "
        f"{table.encoder}: distance {table.calibrated:g} at 1% of them"
    )
    click.echo("\n".join(lines(table)))


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
    from training.data.quality.agreement import agreement

    found = agreement(find(name, ("documents",)))
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
