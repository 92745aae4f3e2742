"""Options that several `phizoo data` commands share, and how they print the dataset that was made."""

import functools
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

import click

from zoo.cli.options import RenamedOption
from zoo.cli.output import emit_json

if TYPE_CHECKING:
    from training.data.build import MadeDataset

Command = TypeVar("Command", bound=Callable[..., Any])

NAME = click.option(
    "--name", cls=RenamedOption, former=("--out",), required=True, metavar="NAME", help="Name of the dataset to make."
)
SEED = click.option("--seed", default=0, show_default=True, help="Another seed gives another sample.")


def scaled(command: Command) -> Command:
    """Adds --workers and --ray, which choose where a command's shards are computed. The output is the same."""

    @click.option("--workers", type=click.IntRange(min=1), help="Processes; one a core by default.")
    @click.option("--ray", default="", metavar="ADDRESS", help="A Ray cluster to run on, as auto or HOST:6379.")
    @functools.wraps(command)
    def run(*args: Any, workers: int | None, ray: str, **kwargs: Any) -> Any:
        from training.data.shards import use_workers

        with use_workers(workers, ray):
            return command(*args, **kwargs)

    return run  # type: ignore[return-value]


def print_made(*results: "MadeDataset", as_json: bool) -> None:
    """Prints new datasets with their counts by stage and reason, or that they were up to date."""
    import msgspec

    if as_json:
        rows = [{**msgspec.to_builtins(made.dataset), "fresh": made.fresh} for made in results]
        emit_json(rows if len(rows) > 1 else rows[0])
        return
    for made in results:
        dataset, state = made.dataset, "made" if made.fresh else "up to date"
        size = f"{dataset.documents:,} documents" + (f", {dataset.tokens:,} tokens" if dataset.tokens else "")
        click.echo(f"{dataset.name}: {state}, {size}, digest {dataset.digest[:12]}")
        for stage in dataset.stages if made.fresh else ():
            dropped = ", ".join(f"{reason} {number:,}" for reason, number in stage.dropped.items())
            counts = f"{stage.entered:,} entered, {stage.kept:,} kept" + (f"; {dropped}" if dropped else "")
            click.echo(f"  {stage.name}: {counts}")
