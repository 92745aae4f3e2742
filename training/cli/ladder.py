"""`phizoo train ladder`: runs the ladder study and writes its report."""

import shlex
import sys
from pathlib import Path

import click


@click.command()
@click.option("--scale", type=click.Choice(["full", "quick", "smoke", "rephrase"]), default="full", show_default=True,
              help="Size of the study.")  # fmt: skip
@click.option("--out", type=click.Path(path_type=Path), default=Path("ladder"), show_default=True,
              help="Folder of the report.")  # fmt: skip
@click.option("--report-only", is_flag=True, help="Train nothing; write the report of the runs in the zoo.")
@click.option("--no-data", is_flag=True, help="Use the datasets of the zoo; make none.")
@click.option("--jobs", type=click.IntRange(1), default=1, show_default=True,
              help="Runs at a time; they share the cores.")  # fmt: skip
def ladder(scale: str, out: Path, report_only: bool, no_data: bool, jobs: int) -> None:
    """Run three studies of data and weight reuse, and write their report.

    Makes the quickstart's data, trains every variant with several seeds, scores each, and writes the report.
    If it is stopped, the same command continues it.

    \b
    phizoo train ladder --scale quick
    phizoo train ladder --scale quick --report-only --out report
    """
    from training.ladder.page import write
    from training.ladder.report import gather
    from training.ladder.rungs import DATA_LINES, SCALES, climb
    from zoo.cli.quickstart import STEPS
    from zoo.cli.root import run
    from zoo.registry import open_registry

    if not (no_data or report_only):
        steps = [*(line for line in STEPS if line.startswith("data ")), *DATA_LINES, *SCALES[scale].more_lines]
        for line in steps:
            click.secho(f"$ phizoo {line}", fg="cyan")
            if code := run(shlex.split(line)):
                sys.exit(code)
    with open_registry(readonly=report_only) as registry:
        if not report_only:
            climb(registry, SCALES[scale], click.echo, jobs)
        pages = write(gather(registry, SCALES[scale]), out)
    click.echo(f"wrote {' and '.join(str(page) for page in pages)}")
