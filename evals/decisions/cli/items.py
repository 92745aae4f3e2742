"""`phizoo eval items`: the samples of a task that decide between models, and those that look mislabelled."""

import click

from zoo.cli.completion import A_CHECKPOINT, A_TASK
from zoo.cli.options import AS_JSON, open_registry
from zoo.cli.output import NONE, emit_json, table
from zoo.protocol_names import current_spec

KINDS = ("decides", "all-pass", "none-pass", "suspect")


@click.command()
@click.argument("task", metavar="TASK", shell_complete=A_TASK)
@click.argument("names", nargs=-1, shell_complete=A_CHECKPOINT, metavar="[NAME]...")
@click.option("--kind", type=click.Choice(KINDS), help="List only samples of this kind.")
@click.option("--limit", type=click.IntRange(0), default=20, show_default=True, help="Samples listed; JSON has all.")
@AS_JSON
def items(task: str, names: tuple[str, ...], kind: str | None, limit: int, as_json: bool) -> None:
    """Show which samples of a task decide, and which look mislabelled.

    \b
    phizoo eval items arc_easy
    phizoo eval items humaneval phi-1-small-mini phi-1-small-mini-base --kind decides
    phizoo eval items arc_easy --kind suspect --json

    Over all models with their samples here, or those named. A sample decides if some models pass it and some do not.
    It looks mislabelled (suspect) if weaker models do better on it, at a false discovery rate of 10%, or if most of
    the better half give the same wrong answer: read it with phizoo eval show RUN SAMPLE.
    """
    from evals.decisions.items import find_items

    with open_registry(readonly=True) as registry:
        found = find_items(registry, current_spec(task), names)
    chosen = [item for item in found.items if kind is None or item.kind == kind.replace("-", " ")]
    if as_json:
        emit_json({"column": found.column, "models": found.models, "left_out": found.left_out,
                   "counts": found.counts, "items": chosen})  # fmt: skip
        return
    counts = ", ".join(f"{count:,} {name}" for name, count in found.counts.items())
    click.echo(f"{found.column}, {len(found.models)} models, {len(found.items):,} samples: {counts}")
    if found.left_out:
        click.echo(f"{found.left_out:,} samples that not all models have scored are left out")
    order = {"suspect": 0, "decides": 1, "none pass": 2, "all pass": 3}
    chosen.sort(key=lambda item: (order[item.kind], item.discrimination is None, item.discrimination or 0.0))
    rows = [
        (item.sample, item.kind, f"{item.passed}/{len(found.models)}",
         NONE if item.discrimination is None else f"{item.discrimination:+.2f}", "; ".join(item.reasons))
        for item in chosen[:limit]
    ]  # fmt: skip
    if rows:
        click.echo()
        table(rows, ("sample", "kind", ">passed", ">discrimination", "why"))
    if len(chosen) > limit:
        click.echo(f"and {len(chosen) - limit:,} more: --limit, or --json for all")
