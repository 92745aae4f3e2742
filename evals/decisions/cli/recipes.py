"""Prints `phizoo eval compare recipe:A recipe:B`."""

from typing import TYPE_CHECKING

import click

from evals.decisions.cli.comparing import points
from zoo.cli.output import p_text, table
from zoo.metrics import Metric, metric_of

if TYPE_CHECKING:
    from evals.decisions.recipes import RecipeComparison, RecipeRow
    from evals.stats.recipes import RecipeDifference

COLUMNS = ("task [protocol] metric", ">A", ">B", ">A - B [95%]", ">seeds", ">p", ">p Holm")


def print_recipes(comparison: "RecipeComparison") -> None:
    """Prints the table, and for each row where its uncertainty comes from and what would decide."""
    for side, name, labels in zip("AB", (comparison.first, comparison.second), comparison.checkpoints, strict=True):
        click.echo(f"{side} recipe {name}: {', '.join(labels)}")
    click.echo()
    table([_cells(row) for row in comparison.rows], COLUMNS)
    click.echo()
    for row in comparison.rows:
        if row.over_seeds is not None:
            click.echo(f"{row.column}: {_uncertainty(row.over_seeds, metric_of(row.metric))}")
            if row.difference.p > 0.05:
                click.echo(f"  to find a true difference as large, four times in five: {_needs(row.over_seeds)}")
            if min(row.over_seeds.seeds) == 2:
                click.echo("  two seeds show too little of how much a seed moves a score; use three or more")
        if row.note:
            click.echo(f"{row.column}: {row.note}")


def _cells(row: "RecipeRow") -> tuple[str, ...]:
    metric = metric_of(row.metric)
    paired = row.over_seeds is not None and row.over_seeds.paired
    seeds = f"{row.seeds[0]}, paired" if paired else f"{row.seeds[0]}, {row.seeds[1]}"
    return (
        row.column, metric.text(row.first), metric.text(row.second), points(row.difference, metric), seeds,
        p_text(row.difference.p), p_text(row.p_holm) if row.p_holm is not None else "unadjusted",
    )  # fmt: skip


def _uncertainty(over: "RecipeDifference", metric: Metric) -> str:
    each = (("seeds", over.seed_share), ("samples", over.sample_share), ("both", over.rest_share))
    shares = ", ".join(f"{100 * share:.0f}% {name}" for name, share in each)
    first, second = map(metric.text, over.spread)
    return f"its variance is {shares}; a seed moves A by {first} and B by {second} {metric.unit} (standard deviation)"


def _needs(over: "RecipeDifference") -> str:
    seeds = f"{over.seeds_needed:,} seeds of each" if over.seeds_needed else "no number of seeds up to 1,000"
    samples = f"{over.samples_needed:,} samples" if over.samples_needed else "no number of samples"
    return f"{seeds} with these {over.difference.n:,} samples, or {samples} with these seeds"
