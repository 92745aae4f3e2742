"""`phizoo eval sandbox run` (a filter for programs) and `phizoo eval sandbox test` (the self-test).

run: JSON lines {id, prompt, completion, test, entry_point, timeout?, form?} in, JSON lines
{id, verdict, detail, seconds, runs, disputed} out, in any order, to the end of the input.
"""

import json
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import click

from zoo.cli.options import ALLOW_WEAK, AS_JSON, TIER
from zoo.cli.output import emit_json
from zoo.errors import CheckFailed, ZooError
from zoo.jsonl import parse_json

if TYPE_CHECKING:
    from evals.sandbox import Program

HELP = "Expected: phizoo eval sandbox run --help"
TEXTS = ("prompt", "completion", "test", "entry_point")


def _program(number: int, line: str) -> "Program":
    """Reads the program of one line. ZooError names the line and the field."""
    from evals.sandbox import Program

    try:
        row: Any = parse_json(line, repair=True)
    except ValueError as error:
        raise ZooError(f"line {number} is not JSON ({error}). {HELP}") from None
    if not isinstance(row, dict) or "id" not in row:
        raise ZooError(f"line {number} is not an object with an id. {HELP}")
    for name in TEXTS:
        if not isinstance(row.get(name), str):
            raise ZooError(f'line {number}: "{name}" is not a text. {HELP}')
    form, seconds = row.get("form", "humaneval"), row.get("timeout", 3.0)
    if form not in ("humaneval", "asserts", "evalplus"):
        raise ZooError(f'line {number}: form "{form}" is not one of humaneval, asserts, evalplus. {HELP}')
    if isinstance(seconds, bool) or not isinstance(seconds, int | float) or not 0 < seconds <= 3600:
        raise ZooError(f"line {number}: timeout {seconds!r} is not a number of seconds in 0..3600. {HELP}")
    texts = {name: row[name] for name in TEXTS}
    return Program(id=str(row["id"]), timeout_seconds=float(seconds), form=form, **texts)


def _programs() -> "Iterator[Program]":
    for number, line in enumerate(sys.stdin.buffer, 1):
        if line.strip():
            yield _program(number, line)


WORKERS = click.option("--workers", "-j", type=click.IntRange(1, 256), help="Programs at a time (default: one a core).")


@click.command()
@WORKERS
@TIER
@ALLOW_WEAK
def run(workers: int | None, tier: str | None, allow_weak: bool) -> None:
    """Run model-written programs from standard input, one verdict a line.

    \b
    In:   {"id", "prompt", "completion", "test", "entry_point", "timeout"?, "form"?}
    Out:  {"id", "verdict": passed|failed|timeout|error|unscored, "detail", "seconds", "runs", "disputed"}
    Tiers: namespaces, bubblewrap, container, process (which isolates nothing)
    Example:  phizoo eval sandbox run < programs.jsonl > verdicts.jsonl
    """
    from evals.sandbox import open_sandbox

    with open_sandbox(workers, tier, allow_weak) as sandbox:
        for verdict in sandbox.run(_programs()):
            row = {name: getattr(verdict, name) for name in ("id", "verdict", "detail", "seconds", "runs", "disputed")}
            sys.stdout.write(json.dumps(row) + "\n")
            sys.stdout.flush()


@click.command()
@WORKERS
@TIER
@click.option("--thorough", is_flag=True, help="Run every endless cheat too (some minutes).")
@AS_JSON
def test(workers: int | None, tier: str | None, thorough: bool, as_json: bool) -> None:
    """Test the sandbox on this machine: correct solutions pass, cheats fail.

    Runs HumanEval's 164 canonical solutions, unusual but correct ones, and our catalogue of cheats. A run of code
    tasks does this once on each machine, and is refused if the test fails.

    \b
    phizoo eval sandbox test
    """
    from evals.sandbox.selftest import check

    outcome = check(workers, tier, thorough)
    if as_json:
        emit_json(outcome.as_dict())
    else:
        for problem in outcome.problems:
            click.echo(problem)
        click.echo(outcome.summary())
    if outcome.problems:
        raise CheckFailed(
            f"the sandbox misjudged {len(outcome.problems)} programs on this machine. Next: phizoo doctor"
        )
