"""`phizoo eval rescore`: a run's saved texts under another protocol's extraction."""

import shlex
import sys

import click

from zoo.cli.completion import A_RUN
from zoo.errors import ZooError, nearest


@click.command()
@click.argument("run", shell_complete=A_RUN)
@click.option("--protocol", required=True, help="Whose extraction, sanitising and metrics to use.")
@click.option("--tier", help="Sandbox tier instead of the best one.")
@click.option("--allow-weak-isolation", "weak", is_flag=True, help="Run code with resource limits only. Dangerous.")
@click.option("--publish", "wanted", is_flag=True, help="Write the scores to the registry, in a column FROM>TO.")
@click.option("--json", "as_json", is_flag=True, help="Print the scores as JSON.")
def rescore(run: str, protocol: str, tier: str | None, weak: bool, wanted: bool, as_json: bool) -> None:
    """Score a run's saved generations again, under another protocol of the same task.

    Nothing is generated. The prompts stay the run's own, so the result is named FROM>TO.

    \b
    phizoo eval rescore 3f2a9c41d0aa --protocol evalplus
    """
    import msgspec

    from evals.results.publish import publish, scores
    from evals.results.rescore import rescore as again
    from evals.run import Asked
    from zoo import settings
    from zoo.registry import open_registry

    runs = settings.runs_dir()
    names = [path.name for path in runs.iterdir() if path.is_dir()] if runs.is_dir() else []
    found = [name for name in names if name.startswith(run)]
    if len(found) != 1:
        what = "no run" if not found else f"{len(found)} runs"
        raise ZooError(f'{what} with id "{run}"{nearest(run, names)}. All runs: phizoo eval runs')
    asked = Asked(tier=tier, allow_weak=weak, command=shlex.join(["phizoo", *sys.argv[1:]]))
    done = again(runs / found[0], protocol, runs, asked)
    if wanted:
        with open_registry() as registry:
            told = publish(registry, done)
    else:
        told = [score for _, score in scores(done)]
    if as_json:
        click.echo(msgspec.json.format(msgspec.json.encode(told), indent=2))
        return
    columns = {one.fingerprint: one.column for one in done.protocols}
    for score in told:
        cell = f"{100 * score.value:.1f} [{100 * score.low:.1f}–{100 * score.high:.1f}] n={score.n}"
        note = "" if wanted else "  (not published)"
        click.echo(f"{done.header.checkpoint_label}  {columns[score.protocol]}  {cell}  run {score.run[:12]}{note}")
