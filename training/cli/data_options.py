"""Options that several `phizoo data` commands share."""

import functools
from collections.abc import Callable
from typing import Any, TypeVar

import click

Command = TypeVar("Command", bound=Callable[..., Any])

OUT = click.option("--out", "name", required=True, metavar="NAME", help="Name of the dataset to make.")
JSON = click.option("--json", "as_json", is_flag=True, help="Print JSON.")
SEED = click.option("--seed", default=0, show_default=True, help="Another seed, another sample.")
CONCURRENCY = click.option(
    "--concurrency", type=click.IntRange(1, 256), default=8, show_default=True, help="Questions in flight."
)


def scaled(command: Command) -> Command:
    """Adds --workers and --ray: where a command's shards are computed. The output is the same."""

    @click.option("--workers", type=click.IntRange(min=1), help="Processes; one a core by default.")
    @click.option("--ray", default="", metavar="ADDRESS", help="A Ray cluster to run on, as auto or HOST:6379.")
    @functools.wraps(command)
    def run(*args: Any, workers: int | None, ray: str, **kwargs: Any) -> Any:
        from training.data.shards import use_workers

        with use_workers(workers, ray):
            return command(*args, **kwargs)

    return run  # type: ignore[return-value]


def told(made: object, as_json: bool) -> None:
    """Prints what was made: counts by stage and reason, or that it was there already."""
    import msgspec

    from training.data.build import MadeDataset

    assert isinstance(made, MadeDataset)
    dataset = made.dataset
    if as_json:
        click.echo(msgspec.json.encode({**msgspec.to_builtins(dataset), "fresh": made.fresh}).decode())
        return
    state = "made" if made.fresh else "up to date"
    size = f"{dataset.documents:,} documents" + (f", {dataset.tokens:,} tokens" if dataset.tokens else "")
    click.echo(f"{dataset.name}: {state}, {size}, digest {dataset.digest[:12]}")
    for stage in dataset.stages if made.fresh else ():
        lost = ", ".join(f"{reason} {number:,}" for reason, number in stage.dropped.items())
        click.echo(f"  {stage.name}: {stage.entered:,} entered, {stage.kept:,} kept" + (f"; {lost}" if lost else ""))
