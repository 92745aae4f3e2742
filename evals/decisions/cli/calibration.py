"""`phizoo eval calibration`: scores measured here beside what others published of the same models."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from zoo.cli.completion import A_CHECKPOINT
from zoo.cli.options import AS_JSON, open_registry
from zoo.cli.output import emit_json, table, wrapped
from zoo.errors import ZooError

if TYPE_CHECKING:
    from evals.decisions.calibration import Calibration
    from zoo.registry import Registry


@click.command()
@click.argument("names", nargs=-1, shell_complete=A_CHECKPOINT, metavar="[NAME]...")
@click.option(
    "--model", default="", metavar="PUBLISHED", help="The published model that NAME is, if its name hides it."
)
@click.option("--out", type=click.Path(dir_okay=False, path_type=Path), metavar="FILE.md", help="Write the page too.")
@AS_JSON
def calibration(names: tuple[str, ...], model: str, out: Path | None, as_json: bool) -> None:
    """Hold scores of published models against their published numbers.

    \b
    phizoo eval calibration
    phizoo eval calibration smollm2 --out docs/calibration.md
    phizoo eval calibration my-phi --model phi-2

    Over the checkpoints named, or all that are published models. Ours with its interval, theirs, and AGREES, NOT
    RESOLVED or DIFFERS where tool, shots, metric and set are the same; every other number is of another protocol, with
    what differs, and gets no verdict.
    """
    from evals.decisions import calibration_page as page

    if model and len(names) != 1:
        raise ZooError("--model names one checkpoint's model: phizoo eval calibration NAME --model PUBLISHED")
    with open_registry(readonly=True) as registry:
        calibrations = _calibrate(registry, names, model)
    if out:
        out.write_text(page.markdown(calibrations), encoding="utf-8")
        click.echo(f"wrote {out}", err=True)
    if as_json:
        emit_json(calibrations)
        return
    for one in calibrations:
        click.echo(page.identity(one))
        table([page.fields(row) for row in one.rows], page.COLUMNS, optional=("SOURCE",))
        if text := page.unmeasured(one):
            click.echo(wrapped(text, sys.stdout))
        click.echo()
    click.echo(page.summary(calibrations))


def _calibrate(registry: "Registry", names: tuple[str, ...], model: str) -> "list[Calibration]":
    """The calibrations of checkpoints, or of all that have one. Raises ZooError where there is nothing to hold."""
    from evals.decisions.calibration import calibrate, calibrate_all

    if not names:
        if calibrations := calibrate_all(registry):
            return calibrations
        raise ZooError("no scored checkpoint here is a published model. Next: phizoo quickstart --only real")
    calibrations = []
    for checkpoint in map(registry.get, names):
        one = calibrate(registry, checkpoint, model)
        if one is None:
            raise ZooError(
                f"{checkpoint.label} is no published model by its source, file, name and size. "
                f"Name it: phizoo eval calibration {checkpoint.label} --model NAME, of phizoo leaderboard --suite all"
            )
        if not one.rows:
            raise ZooError(
                f"{checkpoint.label} has no score on a benchmark that is published of {one.model}: "
                f"{', '.join(one.unmeasured)}. Next: phizoo eval run {checkpoint.label} --task suite:small"
            )
        calibrations.append(one)
    return calibrations
