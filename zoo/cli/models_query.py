"""`phizoo models`, the commands that query the zoo: find, lineage, card, variants, audit."""

from typing import TYPE_CHECKING, Any

import click

from zoo.cli.completion import A_CHECKPOINT, A_DATASET
from zoo.cli.models_show import echo_checkpoints
from zoo.cli.options import AS_JSON, QUANTITY, open_registry
from zoo.cli.output import count, emit_json, table
from zoo.errors import ZooError

if TYPE_CHECKING:
    from zoo.db.audit import Author


@click.command()
@click.option("--where", "conditions", multiple=True, metavar="CONDITION",
              help="A condition that must hold; may be given several times.")  # fmt: skip
@click.option("--name", shell_complete=A_CHECKPOINT, help="Exactly this name.")
@click.option("--family", help="Of this family, such as phi.")
@click.option("--licence", help="Under this licence, such as mit.")
@click.option("--tag", multiple=True, help="With this tag; may be given several times.")
@click.option("--parent", shell_complete=A_CHECKPOINT, metavar="CHECKPOINT", help="Made directly from this checkpoint.")
@click.option("--dataset", shell_complete=A_DATASET, metavar="NAME", help="Trained on this dataset (name or digest).")
@click.option("--min-parameters", type=QUANTITY, help="At least this many parameters, such as 50M.")
@click.option("--max-parameters", type=QUANTITY, help="At most this many parameters, such as 500M.")
@click.option("--sort", "order", default="name", show_default=True, metavar="ORDER",
              help="name, newest, parameters, or a score: humaneval.low puts the surest best first.")  # fmt: skip
@click.option("--limit", type=click.IntRange(min=1), help="List at most this many.")
@AS_JSON
def find(conditions: tuple[str, ...], order: str, limit: int | None, as_json: bool, **filters: Any) -> None:
    """Find checkpoints by their properties and scores.

    A condition compares fields (name family licence tag parent dataset source created quantisation quantised version
    chat parameters context_tokens training_tokens training_flops bytes) and scores (TASK.low TASK.value
    TASK.high, in 0..1 or bits per byte; TASK.METRIC.low; TASK.clean.low) with < <= > >= = != or ~ (contains), and
    joins them with and, or, not and parentheses. 3e9, 3B and 350M are numbers.

    \b
    Example:  phizoo models find --where 'humaneval.low > 0.4' --where 'parameters < 3e9'
              phizoo models find --where "tag = keep or name ~ mini" --json
              phizoo models find --max-parameters 500M --licence apache-2.0 --sort humaneval.low
    """
    with open_registry(readonly=True) as registry:
        checkpoints = registry.find(conditions, limit=limit, order=order, **filters)
        empty = "No checkpoint matches. All checkpoints: phizoo models list"
        echo_checkpoints(registry, checkpoints, as_json, empty)


@click.command()
@click.argument("checkpoint", shell_complete=A_CHECKPOINT)
@click.option(
    "--format", "form", type=click.Choice(["tree", "json", "mermaid", "dot"]), default="tree", show_default=True,
    help="Form of the graph.",
)  # fmt: skip
@AS_JSON
def lineage(checkpoint: str, form: str, as_json: bool) -> None:
    """Show the ancestors and descendants of a checkpoint.

    \b
    Example:  phizoo models lineage phi-1-mini
              phizoo models lineage phi-1-mini --format dot | dot -Tsvg > lineage.svg
    """
    from zoo import lineage as family

    with open_registry(readonly=True) as registry:
        graph = family.graph(registry, checkpoint)
    if as_json or form == "json":
        emit_json(graph)
    else:
        click.echo({"tree": family.tree, "mermaid": family.mermaid, "dot": family.dot}[form](graph))


@click.command()
@click.argument("checkpoint", shell_complete=A_CHECKPOINT)
@click.option("--out", type=click.Path(dir_okay=False, writable=True), help="Write the card to this file.")
def card(checkpoint: str, out: str | None) -> None:
    """Print the model card made from the records.

    \b
    Example:  phizoo models card phi-1-mini --out README.md
    """
    from pathlib import Path

    from zoo.exchange.card import model_card

    with open_registry(readonly=True) as registry:
        text = model_card(registry, checkpoint)
    if out is None:
        click.echo(text, nl=False)
        return
    if not Path(out).parent.is_dir():
        raise ZooError(f"{out}: no such folder; create it first: mkdir -p {Path(out).parent}")
    Path(out).write_text(text, encoding="utf-8")


@click.command()
@click.argument("name", required=False)
@AS_JSON
def variants(name: str | None, as_json: bool) -> None:
    """List the Phi models of the talk with their exact sizes.

    Sizes are counted from the configuration alone.

    \b
    Example:  phizoo models variants
              phizoo models variants phi-2 --json
    """
    from zoo.published.phi_variants import VARIANTS, get_variant

    chosen = [get_variant(name)] if name else list(VARIANTS.values())
    if as_json:
        keys = ("name", "repository", "training_tokens", "about", "parameters", "config")
        emit_json([{key: getattr(model, key) for key in keys} for model in chosen])
        return
    rows = [
        (
            model.name, f"{model.parameters:,}", str(model.layers), str(model.width),
            f"{model.heads} x {model.width // model.heads}", count(model.training_tokens),
            f"phizoo models add {model.repository}" if model.repository else "not published", model.about,
        )
        for model in chosen
    ]  # fmt: skip
    table(rows, ("NAME", "PARAMETERS", "LAYERS", "WIDTH", "HEADS", "TOKENS", "WEIGHTS", "TRAINED ON"))


@click.command()
@click.option("--limit", type=click.IntRange(min=1), default=100, show_default=True, help="List at most this many.")
@AS_JSON
def audit(limit: int, as_json: bool) -> None:
    """List who added, published, moved and removed what.

    The newest first: checkpoints added, runs published, aliases moved, versions removed. The role is the one that
    PostgreSQL let in; user and host are those of the writer's machine. "unknown" is of a version before the audit.

    \b
    Example:  phizoo models audit --limit 20
    """
    with open_registry(readonly=True) as registry:
        entries = registry.audit(limit)
    if as_json:
        emit_json([entry._asdict() | {"author": entry.author.fields()} for entry in entries])
        return
    if not entries:
        click.echo("Nothing was written yet. Add a checkpoint: phizoo models add FOLDER --name NAME")
        return
    table(
        [
            (entry.time[:19].replace("T", " "), entry.action, entry.subject, entry.detail, *_author_cells(entry.author))
            for entry in entries
        ],
        ("TIME", "ACTION", "SUBJECT", "DETAIL", "USER", "ROLE", "HOST", "PHIZOO"),
    )


def _author_cells(author: "Author") -> tuple[str, ...]:
    return author.user or "unknown", author.role, author.host, author.phizoo
