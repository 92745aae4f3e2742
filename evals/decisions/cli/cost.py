"""`phizoo eval cost`: what the scores of a task cost, and which of them pay for it."""

from typing import TYPE_CHECKING, get_args

import click

from zoo.cli.completion import A_CHECKPOINT, A_TASK
from zoo.cli.options import AS_JSON, open_registry
from zoo.cli.output import NONE, bytes_text, cell, emit_json, known_count, table
from zoo.metrics import metric_of
from zoo.protocol_names import current_spec

if TYPE_CHECKING:
    from evals.decisions.cost import CostRow, RunCost

COLUMNS = (
    "checkpoint", ">score [95%]", ">tokens read", ">written", ">s/answer", ">peak memory", "engine", "machine", "front",
)  # fmt: skip


@click.command()
@click.argument("task", metavar="TASK", shell_complete=A_TASK)
@click.argument("names", nargs=-1, shell_complete=A_CHECKPOINT, metavar="[NAME]...")
@click.option("--against", type=click.Choice(("seconds", "tokens", "memory")), default="seconds", show_default=True,
              help="The cost of the front: no other score is as good for less.")  # fmt: skip
@AS_JSON
def cost(task: str, names: tuple[str, ...], against: str, as_json: bool) -> None:
    """Show what the scores of a task cost, and the Pareto front.

    \b
    phizoo eval cost arc_easy
    phizoo eval cost humaneval phi-1-small-mini phi-1-mini --against tokens

    Tokens are those of the result lines; seconds, peak memory and machine stand in the headers of runs. A front of
    seconds or memory is drawn inside one machine only. It goes by the scores' values: two with overlapping intervals
    may belong the other way round (phizoo eval compare).
    """
    from evals.decisions.cost import Measure, cost_rows

    measure: Measure = next(name for name in get_args(Measure) if name == against)
    with open_registry(readonly=True) as registry:
        rows = cost_rows(registry, current_spec(task), names, measure)
    if as_json:
        emit_json(rows)
        return
    click.echo(f"{rows[0].column}; front by {'peak memory' if against == 'memory' else f'{against} an answer'}")
    table([_fields(row) for row in rows], COLUMNS, [number for number, row in enumerate(rows) if row.front])


def _fields(row: "CostRow") -> tuple[str, ...]:
    metric, spent = metric_of(row.metric), row.cost
    score = cell(metric.shown(row.value), metric.shown(row.low), metric.shown(row.high), row.n, metric.digits)
    tokens = (NONE if count is None else known_count(count) for count in (spent.tokens_read, spent.tokens_written))
    front = NONE if row.front is None else "yes" if row.front else ""
    engine = f"{spent.engine} {spent.dtype}".strip()
    return row.checkpoint, score, *tokens, *_measured(spent), engine, spent.machine or NONE, front


def _measured(spent: "RunCost") -> tuple[str, str]:
    seconds = NONE if spent.seconds is None else f"{spent.seconds:.3g}"
    return seconds, NONE if spent.peak_memory_bytes is None else bytes_text(spent.peak_memory_bytes)
