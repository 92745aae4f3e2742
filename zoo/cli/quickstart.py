"""`phizoo quickstart`: data, training, evaluation and leaderboard, as the commands that anyone would type.

The command lines of quickstart.txt, run one after the other in this process. Each command skips work whose output
exists already (by digest), so an interrupted quickstart continues where it stopped.
"""

import shlex
import shutil
import sys
import time
from pathlib import Path

import click

LINES = Path(__file__).with_name("quickstart.txt").read_text(encoding="utf-8").splitlines()  # "# " begins a title
STEPS = tuple(line for line in LINES if not line.startswith("# "))


@click.command()
@click.option("--dry-run", is_flag=True, help="Print the commands without running them.")
def quickstart(dry_run: bool) -> None:
    """Run data, training, evaluation and leaderboard on two CPU cores.

    Takes ten to fifteen minutes. If interrupted, run it again: finished steps are skipped.

    \b
    phizoo quickstart
    phizoo quickstart --dry-run
    """
    from zoo import settings
    from zoo.cli.root import run
    from zoo.digest import write_json
    from zoo.progress import seconds_text

    began, section = time.monotonic(), ""
    seconds: dict[str, float] = {}
    for line in LINES:
        if line not in STEPS:
            click.secho(f"\n{line.removeprefix('# ')}", bold=True)
            section = line.removeprefix("# ").partition(":")[0]
            continue
        click.secho(f"$ phizoo {line}", fg="cyan")
        sys.stdout.flush()
        started = time.monotonic()
        if not dry_run and (code := run(shlex.split(line))):
            sys.exit(code)
        seconds[section] = round(seconds.get(section, 0.0) + time.monotonic() - started, 1)
    if not dry_run:
        write_json(settings.home() / "quickstart.json", seconds)  # read by docs/numbers/write.py
        # `make` calls it by its path in .venv, which is not on the PATH of the shell
        program = "phizoo" if shutil.which("phizoo") else sys.argv[0]
        click.echo(f"\nDone in {seconds_text(time.monotonic() - began)}. Open the leaderboard: {program} leaderboard")
