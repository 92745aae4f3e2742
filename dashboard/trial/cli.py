"""`phizoo try MODEL`: adds a model, evaluates it on a suite, and shows where it stands."""

import contextlib
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from zoo.cli.completion import A_FOLDER, AN_ENGINE
from zoo.cli.options import AS_JSON, open_registry
from zoo.cli.output import emit_json, table
from zoo.errors import ZooError

if TYPE_CHECKING:
    from dashboard.trial.standing import TrialResult
    from evals.checks.candidate import AskedForm, Candidate
    from evals.checks.diagnosis import Diagnosis
    from evals.task import Task
    from zoo.records import Checkpoint

NOTE = "† published by others, each under its own protocol: beside it for orientation, not the same measurement."


@click.command("try")
@click.argument("source", metavar="MODEL", shell_complete=A_FOLDER)
@click.option("--suite", default="suite:small", show_default=True, help="A suite, or tasks with commas between.")
@click.option("--name", help="Name in the zoo (default: of the folder, file or repository).")
@click.option("--engine", shell_complete=AN_ENGINE, help="The engine (default: chosen, and the reason is said).")
@click.option("--chat/--plain", "chat", default=None, help="Ask by chat or as completions (default: by what it is).")
@click.option("--dry-run", is_flag=True, help="Say what would be done, with time and memory; fetch and run nothing.")
@AS_JSON
def try_model(
    source: str, suite: str, name: str | None, engine: str | None, chat: bool | None, dry_run: bool, as_json: bool
) -> int:
    """Try a model: add it, evaluate it on a suite, and see where it stands.

    MODEL is all that `phizoo models add` takes: a folder, a GGUF file, a repository of the hub or its page, an
    address; or a name of the zoo. Weights enter by the same door. It is then run by ordinary commands, which are
    shown; if it is killed, the same command continues.

    \b
    phizoo try ./my-model
    phizoo try ./smollm2.Q4_1.gguf --name smollm2
    phizoo try microsoft/phi-1 --suite suite:quick
    phizoo try ./my-model --dry-run
    """
    from dashboard.trial.steps import suite_tasks
    from evals.checks.fitness import diagnose
    from evals.cli.engine_options import check_engine

    if engine:
        check_engine(engine)
    tasks = suite_tasks(suite)
    if dry_run:
        return _plan(source, suite, name, tasks, engine or "", chat, as_json)
    _check_before(source, engine or "", chat)
    checkpoint = _add(source, name)
    candidate = _look(checkpoint, source)
    form = _form(candidate, chat)
    for finding in diagnose(candidate, suite, tasks, engine or "", form):
        _refuse_wrong(checkpoint.label, finding)
        if finding.name != "model":
            click.echo(f"{finding.name}: {finding.detail}", err=True)
    if code := _run(checkpoint, tasks, form, engine or _engine_of(candidate), as_json):
        return code
    _show(checkpoint, tasks, form, as_json)
    return 0


def _check_before(source: str, engine: str, chat: bool | None) -> None:
    """Refuses a folder or file that cannot be run before it is added; the reason for a bad one is left to `_add`."""
    from evals.checks.candidate import find_candidate
    from evals.checks.fitness import diagnose

    if not Path(source).expanduser().exists():
        return
    try:
        candidate = find_candidate(source)
    except ZooError:
        return
    for finding in diagnose(candidate, "", (), engine, _form(candidate, chat)):
        _refuse_wrong(candidate.planned.label, finding)


def _refuse_wrong(label: str, finding: "Diagnosis") -> None:
    if finding.state == "wrong":
        raise ZooError(f"{label} cannot be run here: {finding.detail}; {finding.remedy}".rstrip("; "))


def _add(source: str, name: str | None) -> "Checkpoint":
    """The checkpoint of a source, added if its bytes are not here yet."""
    from zoo.exchange.sources import import_source
    from zoo.records import About

    with open_registry() as registry:
        if not Path(source).expanduser().exists():
            with contextlib.suppress(ZooError):
                return registry.get(source)
        checkpoint = import_source(registry, source, name, About(once=True))
    click.echo(f"{checkpoint.label}: {checkpoint.parameters:,} parameters, {checkpoint.digest[:12]}", err=True)
    return checkpoint


def _look(checkpoint: "Checkpoint", source: str) -> "Candidate":
    from evals.checks.candidate import of_checkpoint

    with open_registry(readonly=True) as registry:
        return of_checkpoint(checkpoint, registry, Path(source).name)


def _engine_of(candidate: "Candidate") -> str:
    from evals.engines.fastest import usual_engine

    return usual_engine(candidate.family(), candidate.file)[0]


def _form(candidate: "Candidate", chat: bool | None) -> "AskedForm":
    from evals.checks.candidate import AskedForm, asked_form

    return asked_form(candidate.has_template, candidate.names) if chat is None else AskedForm(chat, "as asked")


def _run(checkpoint: "Checkpoint", tasks: "list[Task]", form: "AskedForm", engine: str, quiet: bool) -> int:
    """Runs the commands, each shown before it begins; the first exit code that is not 0."""
    from dashboard.trial.steps import run_commands
    from zoo.cli.root import run

    for arguments in run_commands(checkpoint.label, tasks, form, engine):
        click.secho(f"$ phizoo {shlex.join(arguments)}", fg="cyan", err=True)
        with contextlib.redirect_stdout(sys.stderr) if quiet else contextlib.nullcontext():
            if code := run(arguments):
                return code
    return 0


def _show(checkpoint: "Checkpoint", tasks: "list[Task]", form: "AskedForm", as_json: bool) -> None:
    """Prints the standing and the next commands."""
    from dashboard.data.source import load_board
    from dashboard.trial.standing import find_standing, next_commands, table_rows
    from dashboard.trial.steps import asked_protocols

    with open_registry(readonly=True) as registry:
        board = load_board(registry, all_versions=True)
    standing = find_standing(board, checkpoint.label, asked_protocols(tasks, form))
    commands = next_commands(standing)
    if as_json:
        emit_json(_as_data(standing, form) | {"next": [command for command, _ in commands]})
        return
    rows, titles = table_rows(standing)
    click.echo()
    table(rows, titles, optional=titles[:2:-1])
    if standing.neighbours:
        click.echo(NOTE)
    click.echo("\nNext:")
    width = max(len(command) for command, _ in commands)
    for command, about in commands:  # no table, which would break a command that is to be copied
        click.echo(f"  {command:<{width}}  {about}")


def _as_data(standing: "TrialResult", form: "AskedForm") -> dict[str, Any]:
    return {
        "checkpoint": standing.row.label,
        "by_chat": form.by_chat,
        "reason": form.reason,
        "cells": [
            {"benchmark": line.benchmark, "column": line.column.key, "protocol": line.column.title, "cell": line.cell,
             "reported": line.reported}
            for line in standing.lines
        ],
        "neighbours": [
            {"key": row.key, "model": row.label, "parameters": row.parameters} for row in standing.neighbours
        ],
    }  # fmt: skip


def _plan(
    source: str, suite: str, name: str | None, tasks: "list[Task]", engine: str, chat: bool | None, as_json: bool
) -> int:
    """Prints what would be done; 1 where something is wrong, as `phizoo doctor` does."""
    from dashboard.trial.steps import run_commands
    from evals.checks.candidate import find_candidate
    from evals.checks.diagnosis import Diagnosis
    from evals.checks.fitness import diagnose
    from evals.cli.doctor import print_findings
    from zoo.exchange.huggingface import plan_import
    from zoo.exchange.sources import resolve_source
    from zoo.exchange.wheel import SCHEME

    resolved, revision = resolve_source(source)
    here = Path(resolved).expanduser().exists()
    try:
        candidate = find_candidate(resolved)
    except ZooError:
        if here or resolved.startswith(("/", ".", "~")) or not ("/" in resolved or resolved.startswith(SCHEME)):
            raise
        candidate = None
    findings, label = [], name or (candidate.planned.label if candidate else "NAME")
    if here or candidate is None:
        lines, missing = plan_import(resolved, name, revision)
        label = lines[0].partition(":")[0]
        findings += [Diagnosis("add", "ok", line.strip()) for line in lines]
        findings += [Diagnosis("add", "wrong", what, f"then: phizoo doctor {label}") for what in missing]
    if candidate is not None:
        form = _form(candidate, chat)
        findings += diagnose(candidate, suite, tasks, engine, form)
    if candidate is not None and all(finding.state != "wrong" for finding in findings):
        commands = run_commands(label, tasks, form, engine or _engine_of(candidate))
        findings += [Diagnosis("then", "ok", f"phizoo {shlex.join(arguments)}") for arguments in commands]
    return print_findings(findings, as_json)
