"""`phizoo quickstart`: a real model on the board first, then data, training and evaluation, as anyone would type them.

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
REAL, PHI = "real", "phi"  # the parts: sections whose title begins with "Real", and the others
FETCH = "models add pip:"  # the one step that needs a network; without one, the Phi part still runs


def sections(only: str | None = None) -> dict[str, tuple[str, ...]]:
    """title -> its command lines, of one part or of both."""
    starts = [place for place, line in enumerate(LINES) if line not in STEPS]
    ends = [*starts[1:], len(LINES)]
    parts = {LINES[a].removeprefix("# "): tuple(LINES[a + 1 : b]) for a, b in zip(starts, ends, strict=True)}
    return {title: steps for title, steps in parts.items() if only in (None, part_of(title))}


def part_of(title: str) -> str:
    """The part of a section."""
    return REAL if title.startswith("Real ") else PHI


@click.command()
@click.option("--only", type=click.Choice([REAL, PHI]), help="Run one part: the real model, or the Phi models.")
@click.option("--dry-run", is_flag=True, help="Print the commands without running them.")
def quickstart(only: str | None, dry_run: bool) -> None:
    """Score a real model, then make, train and compare Phi models, on two CPU cores.

    The real model (SmolLM2-135M-Instruct, 93 MB by pip) stands beside published numbers after about a minute, with
    all of suite:small after four to six; the Phi part takes ten to fifteen more and needs no network. If interrupted,
    run it again: finished steps are skipped.

    \b
    phizoo quickstart
    phizoo quickstart --only real
    phizoo quickstart --only phi
    phizoo quickstart --dry-run
    """
    import msgspec

    from zoo import settings
    from zoo.digest import write_json
    from zoo.progress import seconds_text

    began = time.monotonic()
    seconds: dict[str, float] = {}
    unreachable = False
    for title, steps in sections(only).items():
        if unreachable and part_of(title) == REAL:
            continue
        click.secho(f"\n{title}", bold=True)
        started = time.monotonic()
        unreachable |= not _run_section(steps, dry_run, may_skip=only is None)
        seconds[title.partition(":")[0]] = round(time.monotonic() - started, 1)
    if dry_run:
        return
    times = settings.home() / "quickstart.json"  # read by docs/numbers/write.py; another part's times stay
    known = msgspec.json.decode(times.read_bytes(), type=dict[str, float]) if times.is_file() else {}
    write_json(times, known | seconds)
    # `make` calls it by its path in .venv, which is not on the PATH of the shell
    program = "phizoo" if shutil.which("phizoo") else sys.argv[0]
    click.echo(f"\nDone in {seconds_text(time.monotonic() - began)}. Open the leaderboard: {program} leaderboard")


def _run_section(steps: tuple[str, ...], dry_run: bool, may_skip: bool) -> bool:
    """Runs the commands of a section and exits with the code of one that fails; False: there is nothing to fetch from.

    may_skip  go on without what cannot be fetched
    """
    from zoo.cli.root import run

    for line in steps:
        click.secho(f"$ phizoo {line}", fg="cyan")
        sys.stdout.flush()
        if dry_run or not (code := run(shlex.split(line))):
            continue
        if not (may_skip and line.startswith(FETCH) and code == 2):
            sys.exit(code)
        click.echo("The real model is left out; later: phizoo quickstart --only real. The Phi part goes on.", err=True)
        return False
    return True
