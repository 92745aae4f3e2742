"""The `phizoo train` commands: run, plan, diff, recipes, bench, curves."""

from pathlib import Path

import click

from zoo.cli.completion import A_CHECKPOINT, A_RECIPE
from zoo.cli.options import AS_JSON
from zoo.cli.output import count, emit_json, table
from zoo.errors import ZooError

SET = click.option("--set", "overrides", multiple=True, metavar="KEY=VALUE", help="Override a recipe value; recorded.")
TRACK = click.option("--track", multiple=True, type=click.Choice(["trackio", "wandb"]),
                     help="Send the run's numbers there too; may be given again.")  # fmt: skip


@click.command()
@click.argument("recipe", shell_complete=A_RECIPE)
@SET
@click.option("--name", help="Name of the checkpoint; the recipe's by default.")
@click.option("--folder", type=click.Path(path_type=Path), help="Folder of the run's state.")
@click.option("--device", type=click.Choice(["auto", "cpu", "cuda"]), default="auto", help="Where to compute.")
@click.option("--stop-after", type=click.IntRange(min=1), help="Save and stop after this many steps in all.")
@TRACK
def run(
    recipe: str, overrides: tuple[str, ...], name: str | None, folder: Path | None, device: str,
    stop_after: int | None, track: tuple[str, ...],
) -> None:  # fmt: skip
    """Train RECIPE (a name or a .toml file) and put the checkpoint into the zoo.

    A checkpoint that exists already (same recipe, data and parent) is not trained again. If the run is killed
    or stopped, the same command continues it, bit for bit. On several GPUs:
    torchrun --nproc-per-node 8 --no-python phizoo train run RECIPE

    \b
    phizoo train run phi-1-small-mini-base
    phizoo train run phi-1-small-mini --set training.steps=400 --name phi-1-small-mini-short
    """
    from training.run import run as run_recipe

    run_recipe(recipe, overrides, name, folder, device, stop_after, say=click.echo, track=track)


@click.command()
@click.argument("recipe", shell_complete=A_RECIPE)
@SET
@click.option("--gpus", type=click.IntRange(min=1), default=8, show_default=True, help="Number of GPUs.")
@click.option("--kind", type=click.Choice(["A100", "H100", "H200"]), default="H100", show_default=True,
              help="GPU model.")  # fmt: skip
@click.option("--mfu", type=click.FloatRange(0.01, 1.0), help="Model FLOPs utilisation; 0.4 is assumed by default.")
@click.option("--usd", type=float, help="Price of a GPU hour.")
@AS_JSON
def plan(
    recipe: str, overrides: tuple[str, ...], gpus: int, kind: str, mfu: float | None, usd: float | None, as_json: bool
) -> None:
    """Estimate the cost of RECIPE: parameters, tokens, FLOPs, memory, days, money.

    \b
    phizoo train plan phi-2 --gpus 64 --kind H100
    """
    from training import plan as planning
    from training.recipe import load

    estimate = planning.plan(load(recipe, overrides), gpus, kind, mfu or planning.ASSUMED_MFU, usd)
    if as_json:
        emit_json(estimate)
    else:
        click.echo("\n".join(planning.lines(estimate)))


@click.command()
@click.argument("first", shell_complete=A_RECIPE)
@click.argument("second", shell_complete=A_RECIPE)
@click.option("--all", "everything", is_flag=True, help="Compare names, texts and sources too.")
@AS_JSON
def diff(first: str, second: str, everything: bool, as_json: bool) -> None:
    """Compare two recipes: names, .toml files, or checkpoints of the zoo.

    \b
    phizoo train diff phi-1-base phi-1.5
    """
    from training.run import recipe_of
    from training.state import differences

    texts = () if everything else ("about", "sources", "published", "name")
    before, after = (
        {key: value for key, value in recipe_of(name).items() if key not in texts} for name in (first, second)
    )
    changes = differences(before, after)
    if as_json:
        emit_json(changes)
    else:
        click.echo("\n".join(changes) or "no difference")


@click.command()
@click.option("--keys", is_flag=True, help="List every recipe key and its kind instead.")
@AS_JSON
def recipes(keys: bool, as_json: bool) -> None:
    """List the recipes that come with phizoo.

    \b
    phizoo train recipes
    """
    from training import plan as planning
    from training import recipe as known

    if keys:
        kinds = known.keys()
        if as_json:
            emit_json(kinds)
        else:
            table(kinds.items(), ("KEY", "KIND"))
        return
    rows = []
    for name in known.RECIPES:
        estimate, about = planning.plan(known.load(name)), known.load(name).about
        rows.append({"name": name, "parameters": estimate["parameters"], "tokens": estimate["tokens"], "about": about})
    if as_json:
        emit_json(rows)
    else:
        fields = [(row["name"], count(row["parameters"]), count(row["tokens"]), row["about"]) for row in rows]
        table(fields, ("NAME", ">PARAMETERS", ">TOKENS", "ABOUT"))


@click.command()
@click.option("--gpu", is_flag=True, help="Measure the three full-size models on the GPU.")
@click.option("--steps", type=click.IntRange(min=1), default=20, show_default=True, help="Steps to time.")
@AS_JSON
def bench(gpu: bool, steps: int, as_json: bool) -> None:
    """Measure the training loop: tokens per second, memory, and MFU on a GPU.

    \b
    phizoo train bench
    phizoo train bench --gpu
    """
    from training import bench as benching

    names, device = (benching.REAL, "cuda") if gpu else (("phi-1-small-mini-base",), "cpu")
    rows = []
    for name in names:
        rows.append(benching.measure(name, device, steps))
        if not as_json:
            click.echo(benching.line(rows[-1]))
    if as_json:
        emit_json(rows)


@click.command()
@click.argument("name", shell_complete=A_CHECKPOINT)
@click.option("--out", type=click.Path(path_type=Path), help="A .html page or a .png picture; NAME.html by default.")
def curves(name: str, out: Path | None) -> None:
    """Draw the training curves of a checkpoint or a run's folder.

    Loss, learning rate, throughput and scores.

    \b
    phizoo train curves phi-1-small-mini --out curves.html
    phizoo train curves phi-1-small-mini --out curves.png
    """
    from training import metrics
    from training.run import metrics_of

    path = out or Path(f"{Path(name).name.replace(':', '-')}.html")
    if path.suffix not in (".html", ".png"):
        raise ZooError(f"cannot draw into {path.name}; give --out a name that ends in .html or .png")
    lines = metrics_of(name)
    if path.suffix == ".png":
        path.write_bytes(metrics.png(name, lines))
    else:
        path.write_text(metrics.page(name, lines), encoding="utf-8")
    click.echo(f"wrote {path}")
