"""`phizoo data recipe`: the commands that make the token datasets of the training recipes, run one after the other."""

import shlex
import sys

import click

from zoo.cli.options import AS_JSON
from zoo.cli.output import emit_json, table


@click.command()
@click.argument("name", required=False)
@click.option("--smoke", is_flag=True, help="Small sizes, a minute or two of work: to try it.")
@click.option("--dry-run", is_flag=True, help="Print the commands without running them.")
@AS_JSON
def recipe(name: str | None, smoke: bool, dry_run: bool, as_json: bool) -> None:
    """Make a training recipe's data by its commands.

    NAME is a token dataset, such as web-tokens, or a training recipe, such as phi-1.5-web-mini: then all its
    datasets. Without NAME it lists them. Datasets that exist are not made again. The commands of the real models'
    data name their published sources; they are printed and not run, since they need the sources, a teacher and weeks.

    \b
    phizoo data recipe web-tokens
    phizoo data recipe phi-1.5-web-mini --dry-run
    """
    from training.data.plan import TABLE, is_real, models_of, plan

    if name is None:
        rows = [(one, made.about) for one, made in TABLE.datasets.items() if made.about]
        if as_json:
            emit_json([{"name": one, "about": about, "real": TABLE.datasets[one].real} for one, about in rows])
        else:
            table(rows, ("NAME", "DATA"))
        return
    lines = plan(name, smoke)
    if as_json:
        emit_json(lines)
        return
    real = is_real(name)
    if not (dry_run or real):
        _check_models(models_of(name))
    for line in lines:
        click.secho(f"$ phizoo {line}", fg="cyan")
        sys.stdout.flush()
        if not (dry_run or real):
            _run(line)
    if real:
        click.echo("Not run: put your values for the words in capitals, and run them where the sources can be reached.")


def _check_models(names: list[str]) -> None:
    """Raises ZooError, before hours of other data, where the zoo has no checkpoint of a name that writes some."""
    from zoo.cli.options import open_registry

    with open_registry(readonly=True) as registry:
        for name in names:
            registry.get(name)


def _run(line: str) -> None:
    from zoo.cli.root import run

    if code := run(shlex.split(line)):
        sys.exit(code)
