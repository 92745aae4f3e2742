"""`phizoo models`, the commands that answer questions: find, lineage, diff, card, variants."""

from typing import Any

import click

from zoo.cli.completion import A_CHECKPOINT, A_DATASET
from zoo.cli.models_show import echo_checkpoints
from zoo.cli.output import count, emit_json, table
from zoo.errors import ZooError


@click.command()
@click.option(
    "--where", "conditions", multiple=True, metavar="CONDITION", help="May be given several times: all must hold."
)
@click.option("--name", shell_complete=A_CHECKPOINT)
@click.option("--family")
@click.option("--licence")
@click.option("--tag", multiple=True)
@click.option("--parent", shell_complete=A_CHECKPOINT, metavar="CHECKPOINT", help="Made directly from it.")
@click.option("--dataset", shell_complete=A_DATASET, metavar="NAME", help="Trained on it, by name or digest.")
@click.option("--min-parameters", type=float)
@click.option("--max-parameters", type=float)
@click.option("--limit", type=click.IntRange(min=1), help="At most so many.")
@click.option("--json", "as_json", is_flag=True, help="Print the records as JSON.")
def find(conditions: tuple[str, ...], limit: int | None, as_json: bool, **filters: Any) -> None:
    """Find checkpoints by what they are and what they score.

    A condition compares fields (name family licence tag parent dataset source created version
    parameters context_tokens training_tokens training_flops bytes) and scores (TASK.low TASK.value
    TASK.high, in 0..1; TASK.METRIC.low; TASK.clean.low) with < <= > >= = != or ~ (contains), and
    joins them with and, or, not and parentheses. 3e9, 3B and 350M are numbers.

    \b
    Example:  phizoo models find --where 'humaneval.low > 0.4' --where 'parameters < 3e9'
              phizoo models find --where "tag = keep or name ~ mini" --json
    """
    from zoo.registry import open_registry

    with open_registry(readonly=True) as registry:
        found = registry.find(conditions, limit=limit, **filters)
        if as_json:
            emit_json(found)
        elif found:
            echo_checkpoints(registry, found)
        else:
            click.echo("None. All checkpoints: phizoo models list")


@click.command()
@click.argument("checkpoint", shell_complete=A_CHECKPOINT)
@click.option(
    "--format", "form", type=click.Choice(["tree", "json", "mermaid", "dot"]), default="tree", show_default=True
)
@click.option("--json", "as_json", is_flag=True, help="The same as --format json.")
def lineage(checkpoint: str, form: str, as_json: bool) -> None:
    """Show what a checkpoint comes from and what was made from it.

    \b
    Example:  phizoo models lineage phi-1-mini
              phizoo models lineage phi-1-mini --format dot | dot -Tsvg > lineage.svg
    """
    from zoo import lineage as lines
    from zoo.registry import open_registry

    with open_registry(readonly=True) as registry:
        found = lines.graph(registry, checkpoint)
    if as_json or form == "json":
        emit_json(found)
    else:
        click.echo({"tree": lines.tree, "mermaid": lines.mermaid, "dot": lines.dot}[form](found))


@click.command()
@click.argument("before", shell_complete=A_CHECKPOINT)
@click.argument("after", shell_complete=A_CHECKPOINT)
@click.option("--json", "as_json", is_flag=True, help="Print the difference as JSON.")
def diff(before: str, after: str, as_json: bool) -> None:
    """Compare two checkpoints: config, recipe, files, tensors.

    Each tensor that differs is told with its largest change and the norm of the change relative to
    the norm before.

    \b
    Example:  phizoo models diff phi-1-mini-base phi-1-mini
    """
    from zoo import diff as differences
    from zoo.registry import open_registry

    with open_registry(readonly=True) as registry:
        found = differences.diff(registry, before, after)
    if as_json:
        emit_json(found)
    else:
        click.echo(differences.text(found))


@click.command()
@click.argument("checkpoint", shell_complete=A_CHECKPOINT)
@click.option("--out", type=click.Path(dir_okay=False, writable=True), help="Write it to a file instead.")
def card(checkpoint: str, out: str | None) -> None:
    """Print the model card made from the records.

    \b
    Example:  phizoo models card phi-1-mini --out README.md
    """
    from pathlib import Path

    from zoo.exchange.card import model_card
    from zoo.registry import open_registry

    with open_registry(readonly=True) as registry:
        text = model_card(registry, checkpoint)
    if out is None:
        click.echo(text, nl=False)
        return
    if not Path(out).parent.is_dir():
        raise ZooError(f"{out}: there is no such folder; make it first: mkdir -p {Path(out).parent}")
    Path(out).write_text(text, encoding="utf-8")


@click.command()
@click.argument("name", required=False)
@click.option("--json", "as_json", is_flag=True, help="Print configurations and sizes as JSON.")
def variants(name: str | None, as_json: bool) -> None:
    """List the Phi models of the talk with their exact sizes.

    Sizes are counted from the configuration alone.

    \b
    Example:  phizoo models variants
              phizoo models variants phi-2 --json
    """
    from zoo.phi_variants import VARIANTS, variant

    chosen = [variant(name)] if name else list(VARIANTS.values())
    if as_json:
        keys = ("name", "repository", "training_tokens", "about")
        told = [
            {key: getattr(one, key) for key in keys} | {"parameters": one.parameters, "config": one.config}
            for one in chosen
        ]
        emit_json(told)
        return
    rows = [
        (
            one.name,
            f"{one.parameters:,}",
            str(one.layers),
            str(one.width),
            f"{one.heads} x {one.width // one.heads}",
            count(one.training_tokens),
            f"phizoo models import {one.repository}" if one.repository else "not published",
            one.about,
        )
        for one in chosen
    ]
    table(rows, ("NAME", "PARAMETERS", "LAYERS", "WIDTH", "HEADS", "TOKENS", "WEIGHTS", "TRAINED ON"))
