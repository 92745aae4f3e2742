"""`phizoo eval tasks | data | runs | show`: what there is to look at."""

from collections.abc import Sequence
from typing import Any

import click

from zoo.cli.completion import A_RUN
from zoo.errors import ZooError, nearest


def _json(value: Any) -> None:
    import msgspec

    click.echo(msgspec.json.format(msgspec.json.encode(value), indent=2))


def _table(rows: Sequence[tuple[str, ...]]) -> None:
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    for row in rows:
        click.echo("  ".join(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True)).rstrip())


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print as JSON.")
def tasks(as_json: bool) -> None:
    """List the tasks and their protocols; the first protocol of a task is its default.

    \b
    phizoo eval tasks
    phizoo eval run NAME --tasks humaneval@healed
    """
    from evals.tasks import every

    found: list[dict[str, Any]] = [
        {
            "task": task.name,
            "protocol": task.protocol,
            "version": task.version,
            "kind": task.kind,
            "samples": task.size,
            "shots": task.shots,
            "metrics": task.metrics,
            "chance": task.chance,
            "licence": task.licence,
            "paper": task.paper,
            "about": task.about,
        }
        for task in every()
    ]
    if as_json:
        _json(found)
        return
    rows = [("TASK", "SAMPLES", "SHOTS", "METRICS", "ABOUT")]
    for one in found:
        name = f"{one['task']}@{one['protocol']}"
        rows.append((name, str(one["samples"]), str(one["shots"]), ",".join(one["metrics"]), str(one["about"])))
    _table(rows)


@click.command()
@click.argument("names", nargs=-1, metavar="[SET]...")
@click.option("--fetch", is_flag=True, help="Fetch from the hub what is not on this machine.")
@click.option("--json", "as_json", is_flag=True, help="Print as JSON.")
def data(names: tuple[str, ...], fetch: bool, as_json: bool) -> None:
    """List the evaluation sets: where each comes from here, rows, sha256, licence.

    Every set that is at hand is read and its content checked against the pinned sha256; files that did
    not change since are not read again.

    \b
    phizoo eval data
    phizoo eval data gsm8k --fetch
    PHIZOO_DATA=~/evals phizoo eval data
    """
    from evals.datasets import load
    from evals.datasets.catalog import SETS

    for name in names:
        load.entry(name, next((split for known, split in SETS if known == name), "test"))
    found: list[dict[str, Any]] = []
    for (name, split), wanted in SETS.items():
        if names and name not in names:
            continue
        told: dict[str, Any] = {
            "set": name,
            "split": split,
            "rows": wanted.rows,
            "source": "",
            "licence": wanted.licence,
        }
        try:
            told["source"] = load.source(name, split, fetch)
        except ZooError as error:
            if "not at hand" not in str(error):
                told["source"] = f"refused: {error}"
            elif wanted.hub is not None and not fetch:
                told["source"] = f"on the hub (--fetch): {wanted.hub.repo}"
            else:
                told["source"] = "not at hand"
        found.append({**told, "sha256": wanted.digest, "partial": wanted.partial})
    if as_json:
        _json(found)
        return
    rows = [("SET", "SPLIT", "ROWS", "SHA256", "LICENCE", "SOURCE")]
    for one in found:
        tail = f" (partial: {one['partial']})" if one["partial"] else ""
        sha = str(one["sha256"])[:12]
        cells = (str(one["set"]), str(one["split"]), str(one["rows"]), sha, str(one["licence"]))
        rows.append((*cells, f"{one['source']}{tail}"))
    _table(rows)


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print as JSON.")
def runs(as_json: bool) -> None:
    """List the runs on this machine, newest first.

    \b
    phizoo eval runs
    """
    from evals.run_folder import read_header, read_results
    from zoo import settings

    root = settings.runs_dir()
    found = []
    for header in sorted(root.glob("*/header.json")) if root.is_dir() else ():
        told = read_header(header.parent)
        done = len(read_results(header.parent / "results.jsonl"))
        asked = told.samples * told.draws
        one = {"run": told.id, "checkpoint": told.checkpoint_label, "task": told.task, "done": done, "asked": asked}
        found.append({**one, "started": told.started, "engine": told.backend.engine, "sandbox": told.sandbox})
    found.sort(key=lambda one: str(one["started"]), reverse=True)
    if as_json:
        _json(found)
        return
    if not found:
        click.echo("No runs yet. Make one: phizoo eval run NAME --tasks humaneval")
        return
    rows = [("RUN", "CHECKPOINT", "TASK", "DONE", "ENGINE", "STARTED")]
    for one in found:
        done_of = f"{one['done']}/{one['asked']}"
        told_ = (str(one["run"])[:12], str(one["checkpoint"]), str(one["task"]), done_of)
        rows.append((*told_, str(one["engine"]), str(one["started"])))
    _table(rows)


@click.command()
@click.argument("run", shell_complete=A_RUN)
@click.option("--sample", "sample_id", help="One sample by its id: exact prompt, text, answer, score.")
@click.option("--json", "as_json", is_flag=True, help="Print as JSON.")
def show(run: str, sample_id: str | None, as_json: bool) -> None:
    """Show a run (its id or the first characters of it), or one of its samples to the byte.

    \b
    phizoo eval show 3f2a9c41d0aa
    phizoo eval show 3f2a9c41d0aa --sample HumanEval/0
    """
    import msgspec

    from evals.run_folder import find_run, read_header, read_results
    from zoo import settings

    folder = find_run(settings.runs_dir(), run)
    header = read_header(folder)
    results = read_results(folder / "results.jsonl")
    if sample_id is None:
        _show_run(msgspec.to_builtins(header), results, as_json)
        return
    mine = [result for result in results if result.sample == sample_id]
    if not mine:
        ids = {result.sample for result in results}
        raise ZooError(f'run {folder.name[:12]} has no sample "{sample_id}"{nearest(sample_id, ids)}')
    from evals.results.sample import view_sample

    seen = view_sample(header, sample_id)
    if as_json:
        told = {"prompt": seen.prompt, "prompt_tokens_fed": seen.tokens, "choices": seen.choices}
        _json([{**told, **msgspec.to_builtins(result)} for result in mine])
        return
    click.echo(f"prompt ({len(seen.prompt.encode())} bytes): {seen.prompt!r}")
    click.echo(f"tokens fed ({len(seen.tokens)}): {' '.join(map(str, seen.tokens))}" if seen.tokens else seen.why)
    for result in mine:
        click.echo(f"draw {result.draw}: {result.verdict}, score {result.score}, {result.detail}")
        click.echo(f"  tokens {result.prompt_tokens} + {result.tokens}, truncated {result.truncated}, {result.finish}")
        if not result.logprobs:
            click.echo(f"  text:   {result.text!r}")
            click.echo(f"  answer: {result.answer!r}")
        for one, logprob in zip(seen.choices, result.logprobs, strict=True):
            click.echo(f"  choice {one.text!r} ({len(one.text.encode())} bytes): log-probability {logprob:.4f}")
            if one.tokens:
                click.echo(f"    its tokens: {' '.join(map(str, one.tokens))}")


def _show_run(header: dict[str, Any], results: list[Any], as_json: bool) -> None:
    from collections import Counter

    verdicts = dict(Counter(result.verdict for result in results))
    if as_json:
        _json({**header, "verdicts": verdicts})
        return
    for key in ("id", "checkpoint_label", "checkpoint", "task", "fingerprint", "seed", "draws", "samples", "sandbox"):
        click.echo(f"{key:<17} {header[key]}")
    backend = header["backend"]
    click.echo(f"{'engine':<17} {backend['engine']} {backend['version']}, {backend['dtype']} on {backend['device']}")
    click.echo(f"{'verdicts':<17} " + ", ".join(f"{count} {verdict}" for verdict, count in sorted(verdicts.items())))
    cut = [result.sample for result in results if result.truncated]
    if cut:
        first = ", ".join(dict.fromkeys(cut[:5])) + (", …" if len(cut) > 5 else "")
        click.echo(f"{'truncated':<17} {len(cut)} prompts cut from the left to the context: {first}")
    for name, told in _groups(header["task"], header["protocol"]["metric"], results):
        click.echo(f"{name:<17} {told}")
    click.echo(f"{'command':<17} {header['command']}")


def _groups(task_name: str, metric: str, results: list[Any]) -> list[tuple[str, str]]:
    """The groups of subjects that a task names (MMLU's four), each with its value and interval."""
    import importlib

    from evals.stats.summary import summarise
    from evals.tasks import TASKS

    found = []
    for group, subjects in getattr(importlib.import_module(TASKS[task_name]), "GROUPS", {}).items():
        mine = [result for result in results if result.cluster in subjects.split()]
        if any(result.score is not None for result in mine):
            told = summarise(mine, metric)
            found.append((group, f"{100 * told.value:.1f} [{100 * told.low:.1f}–{100 * told.high:.1f}] n={told.n}"))
    return found
