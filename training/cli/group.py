"""`phizoo train`: a literal table of its commands, each imported only when it is used."""

import click

from zoo.cli.root import LazyGroup

# name -> (where the click command lives, its one-line help: a test holds that it equals the command's own)
COMMANDS: dict[str, tuple[str, str]] = {
    "run": ("training.cli.train:run", "Train RECIPE (a name or a .toml file) and put the checkpoint into the zoo."),
    "branch": ("training.cli.branch:branch", "Go on from a kept state of a finished run, with changes."),
    "plan": ("training.cli.train:plan", "Estimate the cost of RECIPE: parameters, tokens, FLOPs, memory, days, money."),
    "diff": ("training.cli.train:diff", "Compare two recipes: names, .toml files, or checkpoints of the zoo."),
    "recipes": ("training.cli.train:recipes", "List the recipes that come with phizoo."),
    "bench": ("training.cli.train:bench", "Measure the training loop: tokens per second, memory, and MFU on a GPU."),
    "curves": ("training.cli.train:curves", "Draw the training curves of a checkpoint or a run's folder."),
    "grow": ("training.cli.grow:grow", "Grow a checkpoint into a larger recipe's shape."),
    "ladder": ("training.cli.ladder:ladder", "Run three studies of data and weight reuse, and write their report."),
}


@click.command(cls=LazyGroup, table=COMMANDS)
def train() -> None:
    """Train a checkpoint from a recipe.

    \b
    phizoo train plan phi-1 --gpus 8 --kind H100
    phizoo train run phi-1-small-mini-base
    """
