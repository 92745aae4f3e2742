"""`phizoo eval lint`: checks a task before it is used."""

import contextlib
from pathlib import Path

import click

from zoo.cli.completion import A_TASK
from zoo.cli.options import AS_JSON
from zoo.cli.output import emit_json, table
from zoo.errors import CheckFailed, ZooError

GOLDEN = Path(__file__).parents[2] / "tests" / "golden" / "prompts.json"


@click.command()
@click.argument("task", shell_complete=A_TASK)
@AS_JSON
def lint(task: str, as_json: bool) -> None:
    """Check a task: prompts, reference answers, leaks, shots, chance level.

    TASK alone checks all its protocols.

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
        if any(protocol.kind == "code" for protocol in chosen):
            with contextlib.suppress(ZooError):
                sandbox = stack.enter_context(open_sandbox())
        for protocol in chosen:
            spec = f"{protocol.name}@{protocol.protocol}"
            outcomes = check(protocol, golden.get(spec), sandbox)
            rows += [{"task": spec, **msgspec.to_builtins(outcome)} for outcome in outcomes]
    if as_json:
        emit_json(rows)
    else:
        marks = {True: "ok", False: "FAIL", None: "-"}
        table(
            [("warn" if row["warning"] else marks[row["ok"]], row["task"], row["check"], row["detail"]) for row in rows]
        )
    if failed := sum(row["ok"] is False for row in rows):
        raise CheckFailed(f"{failed} of {len(rows)} checks of {task} failed (listed above)")
