"""`phizoo train grow`."""

import click

from zoo.cli.completion import A_CHECKPOINT, A_RECIPE

METHODS = ("scratch", "corner", "tile", "tile-exact", "pad-exact", "structured-tile")


@click.command()
@click.argument("checkpoint", shell_complete=A_CHECKPOINT)
@click.option("--to", "recipe", shell_complete=A_RECIPE, required=True, help="The recipe whose shape is wanted.")
@click.option("--method", type=click.Choice(METHODS), required=True, help="How the widths grow.")
@click.option(
    "--depth",
    type=click.Choice(["zero", "half", "copy"]),
    default="zero",
    show_default=True,
    help="What a repeated layer writes.",
)
@click.option(
    "--rounding", type=click.Choice(["half-even", "half-up", "floor"]), default="half-even", show_default=True
)
@click.option("--noise", type=click.FloatRange(0, 1), default=0.0, help="Antisymmetric noise (tile-exact), 0.01 say.")
@click.option(
    "--split", type=click.FloatRange(0, 1), default=0.0, help="Unequal shares of copies (tile-exact), 0.1 say."
)
@click.option("--seed", type=int, default=0, show_default=True, help="Seed of everything drawn.")
@click.option(
    "--optimizer-state", is_flag=True, help="Grow the parent's optimizer state too (kept with states.keep_optimizer)."
)
@click.option("--name", help="The new checkpoint's name (default: RECIPE-METHOD).")
@click.option("--set", "overrides", multiple=True, metavar="KEY=VALUE", help="Override a value of the target recipe.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def grow(
    checkpoint: str,
    recipe: str,
    method: str,
    depth: str,
    rounding: str,
    noise: float,
    split: float,
    seed: int,
    optimizer_state: bool,
    name: str | None,
    overrides: tuple[str, ...],
    as_json: bool,
) -> None:
    """Grow a checkpoint into a larger recipe's shape.

    tile-exact and pad-exact with --depth zero compute the parent's function: the logits of both are
    compared before anything is registered. corner and tile are the talk's, which do not.
    Trained on, tiled matrices learn at 1/n of the rate under AdamW: the command says how to go on.

    \b
    phizoo train grow phi-1-small-mini --to phi-1-mini --method tile-exact --noise 0.01
    phizoo train grow phi-1.5-mini --to phi-2-mini --method pad-exact
    """
    import msgspec

    from training.growth.grow import grow as make
    from training.growth.rules import Growth
    from training.recipe import load, shape
    from zoo.registry import open_registry

    told = {"method": method, "depth": depth, "rounding": rounding, "noise": noise, "split": split, "seed": seed}
    growth = msgspec.convert(told, Growth)
    target = load(recipe, overrides)
    with open_registry() as registry:
        parent_width = registry.get(checkpoint).architecture["hidden_size"]
        made, proof = make(
            registry, checkpoint, recipe, shape(target), growth, name or f"{target.name}-{method}", optimizer_state
        )
    if as_json:
        answer = {"checkpoint": made.label, "digest": made.digest, "proof": msgspec.to_builtins(proof)}
        click.echo(msgspec.json.format(msgspec.json.encode(answer), indent=2))
        return
    claim = "preserves the function" if proof.preserves else "does not preserve the function"
    click.echo(f"{made.label}  {made.parameters:,} parameters  {made.digest[:12]}")
    click.echo(
        f"{method}, depth {depth}: {claim}; logits differ by at most {proof.largest:.2g} "
        f"(mean {proof.mean:.2g}, the parent's spread {proof.spread:.2g})"
    )
    more = f"--set parent.checkpoint={made.label}"
    if method in ("tile", "tile-exact", "structured-tile"):
        copies = int(made.architecture["hidden_size"]) // int(parent_width)
        more += f" --set optimizer.tiled_copies={copies}" if copies > 1 else ""
    more += " --set parent.optimizer_state=true" if optimizer_state else ""
    click.echo(f"train it on, warmed up anew: phizoo train run {recipe} {more}")
