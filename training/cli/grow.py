"""`phizoo train grow`: makes a larger checkpoint from a smaller one."""

from typing import Any

import click

from zoo.cli.completion import A_CHECKPOINT, A_RECIPE
from zoo.cli.options import AS_JSON
from zoo.cli.output import emit_json

METHODS = ("scratch", "corner", "tile", "tile-exact", "pad-exact", "structured-tile")


@click.command()
@click.argument("checkpoint", shell_complete=A_CHECKPOINT)
@click.option("--to", "recipe", shell_complete=A_RECIPE, required=True, help="The recipe of the new shape.")
@click.option("--method", type=click.Choice(METHODS), required=True, help="How the widths grow.")
@click.option("--depth", type=click.Choice(["zero", "half", "copy"]), default="zero", show_default=True,
              help="The output of a repeated layer.")  # fmt: skip
@click.option("--rounding", type=click.Choice(["half-even", "half-up", "floor"]), default="half-even",
              show_default=True, help="How fractional positions are rounded.")  # fmt: skip
@click.option("--noise", type=click.FloatRange(0, 1), default=0.0, help="Antisymmetric noise (tile-exact), like 0.01.")
@click.option("--split", type=click.FloatRange(0, 1), default=0.0,
              help="Unequal shares of copies (tile-exact), such as 0.1.")  # fmt: skip
@click.option("--seed", type=int, default=0, show_default=True, help="Seed of every random draw.")
@click.option("--optimizer-state", is_flag=True,
              help="Grow the parent's optimizer state too (kept with states.keep_optimizer).")  # fmt: skip
@click.option("--name", help="The new checkpoint's name (default: RECIPE-METHOD).")
@click.option("--set", "overrides", multiple=True, metavar="KEY=VALUE", help="Override a value of the target recipe.")
@AS_JSON
def grow(
    checkpoint: str, recipe: str, optimizer_state: bool, name: str | None, overrides: tuple[str, ...], as_json: bool,
    **rules: Any,
) -> None:  # fmt: skip
    """Grow a checkpoint into a larger recipe's shape.

    tile-exact and pad-exact with --depth zero preserve the parent's function: the logits of both are
    compared before anything is registered. corner and tile, the methods of the talk, do not. The command
    prints how to continue the training.

    \b
    phizoo train grow phi-1-small-mini --to phi-1-mini --method tile-exact --noise 0.01
    phizoo train grow phi-1.5-mini --to phi-2-mini --method pad-exact
    """
    import msgspec

    from training.growth.grow import grow as make
    from training.growth.rules import Growth
    from training.recipe import load, shape
    from zoo.registry import open_registry

    growth, target = msgspec.convert(rules, Growth), load(recipe, overrides)
    name = name or f"{target.name}-{growth.method}"
    with open_registry() as registry:
        parent_width = registry.get(checkpoint).architecture["hidden_size"]
        made, proof = make(registry, checkpoint, recipe, shape(target), growth, name, optimizer_state)
    if as_json:
        emit_json({"checkpoint": made.label, "digest": made.digest, "proof": proof})
        return
    claim = "preserves the function" if proof.preserves else "does not preserve the function"
    click.echo(f"{made.label}  {made.parameters:,} parameters  {made.digest[:12]}")
    click.echo(
        f"{growth.method}, depth {growth.depth}: {claim}; logits differ by at most {proof.largest:.2g} "
        f"(mean {proof.mean:.2g}, the parent's spread {proof.spread:.2g})"
    )
    settings = f"--set parent.checkpoint={made.label}"
    settings += " --set parent.optimizer_state=true" if optimizer_state else ""
    typed = f"phizoo train run {recipe}" + "".join(f" --set {override}" for override in overrides)
    click.echo(f"to continue its training with a new warm-up: {typed} {settings}")
    copies = int(made.architecture["hidden_size"]) // int(parent_width)
    if growth.method in ("tile", "tile-exact", "structured-tile") and copies > 1:
        click.echo(
            f"this is the whole rate, which measured best (docs/training.md, The ladder); to follow the parent's path "
            f"instead, at 1/{copies} of the rate for tiled matrices: add --set optimizer.tiled_copies={copies}"
        )
