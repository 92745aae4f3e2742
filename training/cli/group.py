"""`phizoo train`: recipes to checkpoints. Only click, the standard library and errors at the top."""

import json
from pathlib import Path

import click

from training.cli.grow import grow
from training.cli.ladder import ladder
from zoo.cli.completion import A_CHECKPOINT, A_RECIPE

SET = click.option("--set", "overrides", multiple=True, metavar="KEY=VALUE", help="Override a recipe value; recorded.")
AS_JSON = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


@click.group()
def train() -> None:
    """Train a checkpoint from a recipe.

    \b
    phizoo train plan phi-1 --gpus 8 --kind H100
    phizoo train run phi-1-small-mini-base
    """


@train.command()
@click.argument("recipe", shell_complete=A_RECIPE)
@SET
@click.option("--name", help="The checkpoint's name; the recipe's by default.")
@click.option("--folder", type=click.Path(path_type=Path), help="Where the run's state lies.")
@click.option("--device", type=click.Choice(["auto", "cpu", "cuda"]), default="auto", help="Where to compute.")
@click.option("--stop-after", type=click.IntRange(min=1), help="Save and stop after this many steps in all.")
def run(
    recipe: str, overrides: tuple[str, ...], name: str | None, folder: Path | None, device: str, stop_after: int | None
) -> None:
    """Train RECIPE (a name or a .toml file) and put the checkpoint into the zoo.

    Done already from the same recipe, data and parent: says so. Killed or stopped: the same command
    goes on, bit for bit. On many GPUs: torchrun --nproc-per-node 8 -m zoo.cli train run RECIPE

    \b
    phizoo train run phi-1-small-mini-base
    phizoo train run phi-1-small-mini --set training.steps=400 --name phi-1-small-mini-short
    """
    from training.run import run as run_recipe

    run_recipe(recipe, overrides, name, folder, device, stop_after, say=click.echo)


@train.command()
@click.argument("recipe", shell_complete=A_RECIPE)
@SET
@click.option("--gpus", type=click.IntRange(min=1), default=8, show_default=True, help="GPUs together.")
@click.option("--kind", type=click.Choice(["A100", "H100", "H200"]), default="H100", show_default=True, help="Which.")
@click.option("--mfu", type=click.FloatRange(0.01, 1.0), help="Model FLOPs utilisation; 0.4 estimated by default.")
@click.option("--usd", type=float, help="Price of a GPU hour.")
@AS_JSON
def plan(
    recipe: str, overrides: tuple[str, ...], gpus: int, kind: str, mfu: float | None, usd: float | None, as_json: bool
) -> None:
    """Say what RECIPE costs: parameters, tokens, FLOPs, memory, days and money.

    \b
    phizoo train plan phi-2 --gpus 64 --kind H100
    """
    from training import plan as planning
    from training.recipe import load

    told = planning.plan(load(recipe, overrides), gpus, kind, mfu or planning.ASSUMED_MFU, usd)
    click.echo(json.dumps(told, indent=2) if as_json else "\n".join(planning.lines(told)))


@train.command()
@click.argument("first", shell_complete=A_RECIPE)
@click.argument("second", shell_complete=A_RECIPE)
@click.option("--all", "everything", is_flag=True, help="Compare names, texts and sources too.")
@AS_JSON
def diff(first: str, second: str, everything: bool, as_json: bool) -> None:
    """Say what differs between two recipes; each a name, a .toml file, or a checkpoint in the zoo.

    \b
    phizoo train diff phi-1-base phi-1.5
    """
    from training.run import recipe_of
    from training.state import differences

    texts = () if everything else ("about", "sources", "published", "name")
    told = [{key: value for key, value in recipe_of(one).items() if key not in texts} for one in (first, second)]
    found = differences(told[0], told[1])
    if as_json:
        click.echo(json.dumps(found, indent=2))
    else:
        click.echo("\n".join(found) or "no difference")


@train.command()
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
        table = known.keys()
        click.echo(
            json.dumps(table, indent=2) if as_json else "\n".join(f"{key:34} {kind}" for key, kind in table.items())
        )
        return
    rows = []
    for name in known.RECIPES:
        told = planning.plan(known.load(name))
        rows.append(
            {"name": name, "parameters": told["parameters"], "tokens": told["tokens"], "about": known.load(name).about}
        )
    if as_json:
        click.echo(json.dumps(rows, indent=2))
        return
    for row in rows:
        click.echo(
            f"{row['name']:28} {planning.si(row['parameters']):>6} "
            f"{planning.si(row['tokens']):>6} tokens  {row['about']}"
        )


@train.command()
@click.option("--gpu", is_flag=True, help="The three real sizes on the GPU at hand.")
@click.option("--steps", type=click.IntRange(min=1), default=20, show_default=True, help="Steps that are timed.")
@AS_JSON
def bench(gpu: bool, steps: int, as_json: bool) -> None:
    """Measure the training loop here: tokens per second, memory, and MFU on a GPU.

    \b
    phizoo train bench
    phizoo train bench --gpu
    """
    from training import bench as benching

    names, device = (benching.REAL, "cuda") if gpu else (("phi-1-small-mini-base",), "cpu")
    found = []
    for name in names:
        found.append(benching.measure(name, device, steps))
        if not as_json:
            click.echo(benching.line(found[-1]))
    if as_json:
        click.echo(json.dumps(found, indent=2))


@train.command()
@click.argument("name", shell_complete=A_CHECKPOINT)
@click.option("--out", type=click.Path(path_type=Path), help="A .html page or a .png picture; NAME.html by default.")
def curves(name: str, out: Path | None) -> None:
    """Draw the training curves of a checkpoint, or of a run's folder: loss, rate, throughput, scores.

    \b
    phizoo train curves phi-1-small-mini --out curves.html
    phizoo train curves phi-1-small-mini --out curves.png
    """
    from training import metrics
    from training.run import metrics_of
    from zoo.errors import ZooError

    place = out or Path(f"{Path(name).name.replace(':', '-')}.html")
    if place.suffix not in (".html", ".png"):
        raise ZooError(f"cannot draw into {place.name}; give --out a name that ends in .html or .png")
    lines = metrics_of(name)
    if place.suffix == ".png":
        place.write_bytes(metrics.png(name, lines))
    else:
        place.write_text(metrics.page(name, lines), encoding="utf-8")
    click.echo(f"wrote {place}")


train.add_command(grow)
train.add_command(ladder)
