"""Prints `phizoo eval compare --matrix`: all pairs of a task at a glance."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from zoo.cli.output import cell, table
from zoo.metrics import metric_of

if TYPE_CHECKING:
    from evals.decisions.matrix import Matrix


def print_matrices(matrices: "Sequence[Matrix]") -> None:
    """Prints a table a task: row minus column in points, a star where it holds after Holm over all pairs."""
    from evals.decisions.matrix import summary

    for matrix in matrices:
        metric = metric_of(matrix.metric)
        click.echo(f"{matrix.column}{metric.mark}: row minus column, in {metric.unit or metric.title}")
        rows = []
        for number, (row, cells) in enumerate(zip(matrix.rows, matrix.table, strict=True)):
            differences = (matrix.cell(number, other, pair) for other, pair in enumerate(cells))
            score = cell(metric.shown(row.value), metric.shown(row.low), metric.shown(row.high), row.n, metric.digits)
            rows.append((str(number + 1), row.label, score, row.letters, *differences))
        table(rows, (">", "checkpoint", "score [95%]", "same", *(f">{n + 1}" for n in range(len(matrix.rows)))))
        click.echo(f"* {summary(matrix)}")
        if matrix.left_out:
            click.echo(f"left out: {', '.join(matrix.left_out[:10])}{' …' if len(matrix.left_out) > 10 else ''}")
        click.echo()
