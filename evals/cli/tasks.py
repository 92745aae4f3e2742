"""`phizoo eval tasks`: lists tasks, suites, evaluation sets, and the differences that a task can resolve."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import click

from zoo.cli.completion import A_TASK
from zoo.cli.options import AS_JSON, open_registry
from zoo.cli.output import emit_json, share_cell, table, unscored_text
from zoo.errors import ZooError

if TYPE_CHECKING:
    from evals.task import Task


@click.command()
@click.argument("names", shell_complete=A_TASK, nargs=-1, metavar="[NAME]...")
@click.option("--suites", "listing", flag_value="suites", help="List the suites and the averages over their tasks.")
@click.option("--data", "listing", flag_value="data", help="List the evaluation sets: rows, sha256, licence, source.")
@click.option("--power", "listing", flag_value="power", help="Print the smallest differences that tasks can resolve.")
@click.option("--of", "checkpoint", metavar="NAME", help="With --suites: this checkpoint's averages.")
@click.option("--fetch", is_flag=True, help="With --data: fetch missing sets from the hub.")
@click.option("--difference", type=click.FloatRange(0, 100, min_open=True), help="With --power: points to detect.")
@click.option("--score", type=click.FloatRange(0, 100),
              help="With --power: the expected score in %; 50 by default.")  # fmt: skip
@click.option("--pair", nargs=2, help="With --power: two scored checkpoints, whose samples give the spread.")
@AS_JSON
def tasks(
    names: tuple[str, ...], listing: str | None, checkpoint: str | None, fetch: bool, difference: float | None,
    score: float | None, pair: tuple[str, str] | None, as_json: bool,
) -> None:  # fmt: skip
    """List the tasks, or their suites, data and statistical power.

    The first protocol of a task is its default. --data reads every set on this machine and checks it against its
    pinned sha256; unchanged files are not read again. --power is for a two-sided test at 5% with 80% power.

    \b
    phizoo eval tasks
    phizoo eval tasks --suites --of phi-1-small-mini
    phizoo eval tasks --data gsm8k --fetch
    phizoo eval tasks --power humaneval suite:phi-2
    phizoo eval tasks --power humaneval --difference 3 --pair phi-1-small-mini phi-1-small-mini-base
    """
    owners = {"--of": ("suites", checkpoint), "--fetch": ("data", fetch), "--difference": ("power", difference),
              "--pair": ("power", pair), "--score": ("power", score is not None)}  # fmt: skip
    for option, (owner, value) in owners.items():
        if value and listing != owner:
            raise ZooError(f"{option} is an option of --{owner}. Example: phizoo eval tasks --help")
    if listing == "suites":
        if names:
            raise ZooError("--suites takes no names; the averages of a checkpoint: --suites --of NAME")
        _list_suites(checkpoint, as_json)
    elif listing == "data":
        _list_data(names, fetch, as_json)
    elif listing == "power":
        from evals.cli.power import show_power

        show_power(names, difference, 50 if score is None else score, pair, as_json)
    else:
        _list_tasks(names, as_json)


def _list_tasks(names: Sequence[str], as_json: bool) -> None:
    fields = ("protocol", "version", "kind", "shots", "metrics", "chance", "licence", "paper", "about")
    rows = [
        {"task": task.name, "samples": task.size, **{field: getattr(task, field) for field in fields}}
        for task in _named(names)
    ]
    if as_json:
        emit_json(rows)
        return
    table(
        [
            (f"{row['task']}@{row['protocol']}", str(row["samples"]), str(row["shots"]), ",".join(row["metrics"]),
             str(row["about"]))
            for row in rows
        ],
        ("TASK", "SAMPLES", "SHOTS", "METRICS", "ABOUT"),
    )  # fmt: skip


def _named(names: Sequence[str]) -> "Iterator[Task]":
    """Every task and protocol; of some names, all protocols of a bare task."""
    from evals.suites import find_tasks
    from evals.tasks import TASKS, every, protocols

    if not names:
        yield from every()
    for name in names:
        yield from protocols(name).values() if name in TASKS else find_tasks(name)


def _list_data(names: Sequence[str], fetch: bool, as_json: bool) -> None:
    from evals.datasets import load
    from evals.datasets.catalog import sets
    from evals.datasets.forms import MissingSetError

    for name in names:
        load.entry(name, next((split for known, split in sets() if known == name), "test"))
    rows: list[dict[str, Any]] = []
    for (name, split), entry in sets().items():
        if names and name not in names:
            continue
        try:
            source = load.source(name, split, fetch)
        except MissingSetError:
            hub = None if fetch else entry.hub
            source = f"on the hub (--fetch): {hub.repo}" if hub else "not on this machine"
        except ZooError as error:
            source = f"refused: {error}"
        row = {"set": name, "split": split, "rows": entry.rows, "source": source, "licence": entry.licence}
        rows.append({**row, "sha256": entry.digest, "partial": entry.partial})
    if as_json:
        emit_json(rows)
        return
    table(
        [
            (row["set"], row["split"], str(row["rows"]), row["sha256"][:12], row["licence"],
             row["source"] + (f" (partial: {row['partial']})" if row["partial"] else ""))
            for row in rows
        ],
        ("SET", "SPLIT", "ROWS", "SHA256", "LICENCE", "SOURCE"),
    )  # fmt: skip


def _list_suites(checkpoint: str | None, as_json: bool) -> None:
    from evals.suites import AGGREGATES, SUITES, task_names

    suites = {name: list(task_names(name)) for name in SUITES}
    rows: list[dict[str, Any]] = [
        {"name": average.name, "version": average.version, "fingerprint": average.fingerprint, "about": average.about,
         "metric": average.parts[0].metric,
         "parts": [" or ".join(f"{form.task} {form.metric}" for form in part.forms) for part in average.parts]}
        for average in AGGREGATES
    ]  # fmt: skip
    if checkpoint:
        _add_values(rows, checkpoint)
    if as_json:
        emit_json({"suites": suites, "averages": rows})
        return
    for name, parts in suites.items():
        click.echo(f"suite:{name:<10} {len(parts):>2} tasks  {', '.join(parts)}")
    for row in rows:
        text = _value_text(row) if checkpoint else ", ".join(row["parts"])
        click.echo(f"average {row['name']} v{row['version']}  {text}")


def _add_values(rows: list[dict[str, Any]], checkpoint: str) -> None:
    """Adds a checkpoint's value of each average, with the scores of its parts."""
    import msgspec

    from evals.results.choice import chosen_scores
    from evals.suites import averages

    with open_registry(readonly=True) as registry:
        protocols = registry.protocols()
        values = averages(chosen_scores(registry, registry.get(checkpoint).digest), protocols)
        for row, value in zip(rows, values, strict=True):
            fields = msgspec.to_builtins(value)
            row |= {key: fields[key] for key in ("value", "low", "high", "n", "unscored", "worst", "best", "missing")}
            row["partial"] = [f"{part.task}: {part.partial}" for part in value.parts if part.partial]
            row["scores"] = fields["parts"]


def _value_text(row: dict[str, Any]) -> str:
    """An average with its n, unscored samples and task versions; or its parts that are there and those that are not."""
    present = [part for part in row["scores"] if part["score"]]
    versions = ", ".join(
        f"{part['task']} v{part['version']} n={part['score']['n']}"
        + (f" measured elsewhere: {place}" if (place := part["score"]["measured_at"]) else "")
        for part in present
    )
    if row["value"] is None:
        absent = [part for part in row["scores"] if not part["score"]]
        missing = ", ".join(f"{part['task']} v{part['version']} ({part['reason']})" for part in absent)
        return f"missing {missing}" + (f"; has {versions}" if present else "")
    text = share_cell(row["value"], row["low"], row["high"], row["n"], row["metric"])
    text += f" ({unscored_text(row['unscored'], row['worst'], row['best'], row['metric'])})" if row["unscored"] else ""
    text += f"  of {versions}"
    return text + (f"  (partial: {'; '.join(row['partial'])})" if row["partial"] else "")
