"""`phizoo train branch`: goes on from a kept state of a finished run."""

import shlex

import click

from training.cli.train import SET
from zoo.cli.completion import A_CHECKPOINT


@click.command()
@click.argument("checkpoint", shell_complete=A_CHECKPOINT)
@click.option("--step", type=click.IntRange(min=1), required=True, help="The step of the kept state.")
@click.option("--steps", type=click.IntRange(min=1), required=True, help="Steps in all, counted from the run's start.")
@click.option("--name", required=True, help="Name of the new checkpoint.")
@SET
@click.option("--device", type=click.Choice(["auto", "cpu", "cuda"]), default="auto", help="Where to compute.")
def branch(checkpoint: str, step: int, steps: int, name: str, overrides: tuple[str, ...], device: str) -> None:
    """Go on from a kept state of a finished run, with changes.

    Weights, optimizer, data order and schedule go on from that step; --set changes the rest: a cool-down,
    another mixture, more steps. The run must have kept its states: --set states.keep_finished=true, and
    states.keep_every_steps for states before the end.

    \b
    phizoo train branch base --step 400 --steps 600 --name base-longer
    phizoo train branch base --step 400 --steps 500 --name cool \
      --set schedule.kind=wsd --set schedule.decay_steps=100
    """
    from training.run import branch_recipe, run_recipe

    given = (f"training.steps={steps}", *overrides)
    recipe = branch_recipe(checkpoint, step, given, name)
    words = ["phizoo", "train", "branch", checkpoint, "--step", str(step), "--steps", str(steps), "--name", name]
    words += [word for override in overrides for word in ("--set", override)]
    run_recipe(recipe, recipe.name, name, device=device, say=click.echo, command=shlex.join(words))
