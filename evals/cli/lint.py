"""`phizoo eval lint`: a task checked before it is used."""

import contextlib
from pathlib import Path

import click

from zoo.cli.completion import A_TASK
from zoo.errors import CheckFailed, ZooError

GOLDEN = Path(__file__).parents[2] / "tests" / "golden" / "prompts.json"


@click.command()
@click.argument("task", shell_complete=A_TASK)
@click.option("--json", "as_json", is_flag=True, help="Print as JSON.")
def lint(task: str, as_json: bool) -> None:
    """Check a task, all its protocols or one: prompts, gold, empty, leaks, shots, chance.

    \b
    phizoo eval lint gsm8k
    phizoo eval lint humaneval@evalplus
    """
    import msgspec

    from evals.checks.task_lint import lint as check
    from evals.sandbox import open_sandbox
    from evals.tasks import protocols
    from evals.tasks import task as find

    chosen = [find(task)] if "@" in task else list(protocols(task).values())
    golden = msgspec.json.decode(GOLDEN.read_bytes()) if GOLDEN.is_file() else {}
    rows = []
    with contextlib.ExitStack() as stack:
        sandbox = None
        if any(one.kind == "code" for one in chosen):
            with contextlib.suppress(ZooError):
                sandbox = stack.enter_context(open_sandbox())
        for one in chosen:
            spec = f"{one.name}@{one.protocol}"
            rows += [{"task": spec, **msgspec.to_builtins(found)} for found in check(one, golden.get(spec), sandbox)]
    if as_json:
        click.echo(msgspec.json.format(msgspec.json.encode(rows), indent=2))
    else:
        for row in rows:
            mark = {True: "ok", False: "FAIL", None: "-"}[row["ok"]]
            click.echo(f"{mark:<4}  {row['task']:<24}  {row['check']:<32}  {row['detail']}")
    if bad := sum(row["ok"] is False for row in rows):
        raise CheckFailed(f"{bad} of {len(rows)} checks of {task} failed")
