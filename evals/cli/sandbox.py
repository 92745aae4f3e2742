"""`phizoo eval programs` (the sandbox as a filter) and `phizoo eval selftest` (it proves itself).

programs: JSON lines {id, prompt, completion, test, entry_point, timeout?, form?} in, JSON lines
{id, verdict, detail, seconds, runs} out, in any order, to the end of the input.
"""

import json
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import click

from zoo.errors import CheckFailed, ZooError

if TYPE_CHECKING:
    from evals.sandbox import Program

TEXTS = ("prompt", "completion", "test", "entry_point")


def _program(number: int, line: str) -> "Program":
    """The program of one line; raises ZooError naming the line and the field."""
    from evals.sandbox import Program

    try:
        row: Any = json.loads(line)
    except ValueError as error:
        raise ZooError(f"line {number} is not JSON ({error}). Expected: phizoo eval programs --help") from None
    if not isinstance(row, dict) or "id" not in row:
        raise ZooError(f"line {number} is no object with an id. Expected: phizoo eval programs --help")
    for name in TEXTS:
        if not isinstance(row.get(name), str):
            raise ZooError(f'line {number}: "{name}" is not a text. Expected: phizoo eval programs --help')
    form, seconds = row.get("form", "humaneval"), row.get("timeout", 3.0)
    if form not in ("humaneval", "asserts", "evalplus"):
        raise ZooError(f'line {number}: form "{form}" is none of humaneval, asserts, evalplus')
    if isinstance(seconds, bool) or not isinstance(seconds, int | float) or not 0 < seconds <= 3600:
        raise ZooError(f"line {number}: timeout {seconds!r} is no number of seconds in 0..3600")
    texts = {name: row[name] for name in TEXTS}
    return Program(id=str(row["id"]), timeout_seconds=float(seconds), form=form, **texts)


def _programs() -> "Iterator[Program]":
    for number, line in enumerate(sys.stdin, 1):
        if line.strip():
            yield _program(number, line)


@click.command()
@click.option("--workers", "-j", type=click.IntRange(1, 256), help="Programs at a time (default: one a core).")
@click.option("--tier", help="Isolation: namespaces, bubblewrap, container, process (default: the best here).")
@click.option("--allow-weak-isolation", is_flag=True, help="Allow the tier process, which contains nothing.")
def programs(workers: int | None, tier: str | None, allow_weak_isolation: bool) -> None:
    """Run model-written programs from standard input, one verdict line each.

    \b
    In:   {"id", "prompt", "completion", "test", "entry_point", "timeout"?, "form"?}
    Out:  {"id", "verdict": passed|failed|timeout|error|unscored, "detail", "seconds", "runs"}
    Example:  phizoo eval programs < programs.jsonl > verdicts.jsonl
    """
    from evals.sandbox import open_sandbox

    with open_sandbox(workers, tier, allow_weak_isolation) as sandbox:
        for verdict in sandbox.run(_programs()):
            row = {name: getattr(verdict, name) for name in ("id", "verdict", "detail", "seconds", "runs")}
            sys.stdout.write(json.dumps(row) + "\n")
            sys.stdout.flush()


@click.command()
@click.option("--workers", "-j", type=click.IntRange(1, 256), help="Programs at a time (default: one a core).")
@click.option("--tier", help="Isolation to test (default: the best here).")
@click.option("--thorough", is_flag=True, help="Every endless cheat too: some minutes.")
@click.option("--json", "as_json", is_flag=True, help="The outcome as JSON.")
def selftest(workers: int | None, tier: str | None, thorough: bool, as_json: bool) -> None:
    """Prove the sandbox on this machine: right solutions pass, cheats do not.

    \b
    Runs HumanEval's 164 canonical solutions, unusual honest ones and our catalogue of cheats. A run of code tasks does
    this by itself the first time on a machine, and is refused where it fails.
    Example:  phizoo eval selftest
    """
    from evals.sandbox.selftest import check

    outcome = check(workers, tier, thorough)
    if as_json:
        click.echo(json.dumps(outcome.as_dict()))
    else:
        for problem in outcome.problems:
            click.echo(problem)
        click.echo(outcome.summary())
    if outcome.problems:
        raise CheckFailed(f"the sandbox misjudged {len(outcome.problems)} programs here. Explain: phizoo doctor")
