"""`phizoo eval rescore`: scores a run's saved texts under another protocol."""

import shlex
import sys

import click

from zoo.cli.completion import A_RUN


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

    from evals.results import publish as results
    from evals.results.rescore import rescore as rescore_run
    from evals.run import RunOptions
    from evals.run_folder import find_run
    from zoo import settings
    from zoo.registry import open_registry

    runs = settings.runs_dir()
    options = RunOptions(tier=tier, allow_weak=weak, command=shlex.join(["phizoo", *sys.argv[1:]]))
    rescored = rescore_run(find_run(runs, run), protocol, runs, options)
    if wanted:
        with open_registry() as registry:
            scores = results.publish(registry, rescored)
    else:
        scores = [score for _, score in results.scores(rescored)]
    if as_json:
        click.echo(msgspec.json.format(msgspec.json.encode(scores), indent=2))
        return
    label = rescored.header.checkpoint_label
    columns = {protocol.fingerprint: protocol.column for protocol in rescored.protocols}
    for score in scores:
        cell = f"{100 * score.value:.1f} [{100 * score.low:.1f}–{100 * score.high:.1f}] n={score.n}"
        note = "" if wanted else "  (not published)"
        click.echo(f"{label}  {columns[score.protocol]}  {cell}  run {score.run[:12]}{note}")
