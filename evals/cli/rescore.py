"""`phizoo eval rescore`: scores a run's saved texts under another protocol."""

import click

from zoo.cli.completion import A_RUN
from zoo.cli.options import ALLOW_WEAK, AS_JSON, TIER, check_writable, open_registry
from zoo.cli.output import command_line, emit_json, share_cell, table


@click.command()
@click.argument("run", shell_complete=A_RUN)
@click.option("--protocol", required=True, help="The protocol whose extraction, sanitising and metrics to use.")
@TIER
@ALLOW_WEAK
@click.option("--publish", is_flag=True, help="Write the scores to the registry, in a column FROM>TO.")
@AS_JSON
def rescore(run: str, protocol: str, tier: str | None, allow_weak: bool, publish: bool, as_json: bool) -> None:
    """Score a run's saved texts under another protocol of its task.

    Nothing is generated. The prompts stay the run's own, so the result is named FROM>TO.

    \b
    phizoo eval rescore 3f2a9c41d0aa --protocol evalplus
    """
    from evals.results import publish as results
    from evals.results.rescore import rescore as rescore_run
    from evals.run import RunOptions
    from evals.run_folder import find_run
    from zoo import settings

    if publish:
        check_writable()
    runs = settings.runs_dir()
    options = RunOptions(tier=tier, allow_weak=allow_weak, command=command_line())
    rescored = rescore_run(find_run(runs, run), protocol, runs, options)
    if publish:
        with open_registry() as registry:
            scores = results.publish(registry, rescored)
    else:
        scores = results.scores(rescored)
    if as_json:
        emit_json(scores)
        return
    label = rescored.header.checkpoint_label
    columns = {protocol.fingerprint: protocol.column for protocol in rescored.protocols}
    note = "" if publish else "(not published)"
    table(
        [
            (label, columns[score.protocol], share_cell(score.value, score.low, score.high, score.n, score.metric),
             f"run {score.run[:12]}", note + ("" if score.subset == "all" else f"({score.subset} samples)"))
            for score in scores
        ]
    )  # fmt: skip
