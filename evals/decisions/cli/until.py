"""Prints `phizoo eval run A B --until-resolved --margin 2`."""

from typing import TYPE_CHECKING, Any

import click

from zoo.cli.output import emit_json
from zoo.errors import NotResolvedError, ZooError

if TYPE_CHECKING:
    from collections.abc import Callable

    from evals.decisions.until import Resolved
    from evals.run import RunOptions
    from evals.stats.sequential import Look
    from evals.subjects import Subject
    from evals.task import Task
    from zoo.registry import Registry


def check_until(names: tuple[str, ...], options: dict[str, Any]) -> bool:
    """Whether the run stops when resolved. Raises ZooError if it should and cannot."""
    if not options["until_resolved"]:
        if options["margin"] is not None:
            raise ZooError(
                "--margin is for --until-resolved; for runs made already: phizoo eval compare A B --margin 1"
            )
        return False
    if len(names) != 2 or options["margin"] is None:
        raise ZooError("--until-resolved takes two names and a margin: phizoo eval run A B --until-resolved --margin 2")
    wrong = next((flag for flag in ("ids", "limit", "ray", "data_parallel", "overlap", "dry_run") if options[flag]), "")
    if wrong:
        flag = "samples" if wrong == "ids" else wrong.replace("_", "-")
        raise ZooError(f"--until-resolved chooses the samples itself, in this process; leave out --{flag}")
    return True


def resolve_pair(
    registry: "Registry", subjects: "list[Subject]", tasks: "list[Task]", options: "RunOptions", margin: float,
    open_subject: "Callable[[Registry, Subject, str], Subject]", as_json: bool,
) -> None:  # fmt: skip
    """Runs both models task by task until each is resolved. Raises NotResolvedError (exit code 3) if one is not."""
    from evals.decisions.until import run_until_resolved
    from zoo import settings

    opened = [each if each.model else open_subject(registry, each, options.engine) for each in subjects]
    runs = settings.home() / "until-resolved"
    done = [run_until_resolved(opened, task, options, margin / 100, runs, _progress) for task in tasks]
    if as_json:
        emit_json(done)
    else:
        for resolved in done:
            click.echo("\n".join(_lines(resolved)))
    if open_ones := [resolved.task for resolved in done if resolved.look.verdict == "NOT RESOLVED"]:
        raise NotResolvedError(f"not resolved after every sample: {', '.join(open_ones)}; a wider --margin would be")


def _progress(look: "Look", asked: int) -> None:
    click.echo(f"{asked:,} samples: A - B {_points(look)}, {look.verdict}", err=True)


def _points(look: "Look") -> str:
    return f"{100 * look.value:+.1f} [{100 * look.low:+.1f} to {100 * look.high:+.1f}]"


def _lines(resolved: "Resolved") -> list[str]:
    look = resolved.look
    unscored = f", {resolved.unscored} of them unscored" if resolved.unscored else ""
    return [
        f"{resolved.task} {resolved.metric}: {look.verdict}, margin {100 * resolved.margin:g} points",
        f"  A {resolved.first} - B {resolved.second}: {_points(look)}, an interval that holds at each of "
        f"{resolved.looks} looks with 95%",
        f"  asked {resolved.asked:,} of {resolved.samples:,} samples of each{unscored}: "
        f"{100 * resolved.saved:.0f}% saved. Not a score, and not published.",
    ]
