"""Prints `phizoo eval compare recipe:A recipe:B`."""

from typing import TYPE_CHECKING

import click

from evals.decisions.cli.comparing import points
from zoo.cli.output import p_text, table
from zoo.metrics import metric_of

if TYPE_CHECKING:
    from evals.decisions.recipes import RecipeComparison, RecipeRow
    from evals.stats.recipes import RecipeDifference

VARIANCE = (
    "variance of A - B",
    ">seeds",
    ">samples",
    ">both",
    ">a seed moves A",
    ">B",
    ">seeds needed",
    ">samples needed",
)
NEEDED = (
    "A seed moves a score by so much (standard deviation). Needed: seeds of each with these samples, or samples with "
    "these seeds,\nto find a true difference as large in four of five cases; - where it was found."
)
COLUMNS = ("task [protocol] metric", ">A", ">B", ">A - B [95%]", ">seeds", ">p", ">p Holm")


def print_recipes(comparison: "RecipeComparison") -> None:
    """Prints the table, where the uncertainty of each main metric comes from, what would decide, and each note once."""
    for side, name, labels in zip("AB", (comparison.first, comparison.second), comparison.checkpoints, strict=True):
        click.echo(f"{side} recipe {name}: {', '.join(labels)}")
    click.echo()
    table([_cells(row) for row in comparison.rows], COLUMNS)
    click.echo()
    over = [(row, row.over_seeds) for row in comparison.rows if row.over_seeds and row.p_holm is not None]
    if over:
        table([_variance(row, found) for row, found in over], VARIANCE)
        click.echo(NEEDED)
    if any(min(found.seeds) == 2 for _, found in over):
        click.echo("Two seeds show too little of how much a seed moves a score; use three or more.")
    for note in dict.fromkeys(row.note for row in comparison.rows if row.note):
        said = [row.column for row in comparison.rows if row.note == note]
        click.echo(f"{'all' if len(said) == len(comparison.rows) else ', '.join(said)}: {note}")


def _cells(row: "RecipeRow") -> tuple[str, ...]:
    metric = metric_of(row.metric)
    paired = row.over_seeds is not None and row.over_seeds.paired
    seeds = f"{row.seeds[0]}, paired" if paired else f"{row.seeds[0]}, {row.seeds[1]}"
    return (
        row.column + metric.mark, metric.text(row.first), metric.text(row.second), points(row.difference, metric),
        seeds, p_text(row.difference.p), p_text(row.p_holm) if row.p_holm is not None else "unadjusted",
    )  # fmt: skip


def _variance(row: "RecipeRow", over: "RecipeDifference") -> tuple[str, ...]:
    metric = metric_of(row.metric)
    shares = (f"{100 * share:.0f}%" for share in (over.seed_share, over.sample_share, over.rest_share))
    needs = ("-", "-")
    if row.difference.p > 0.05:
        needs = (
            f"{over.seeds_needed:,}" if over.seeds_needed else "over 1,000",
            f"{over.samples_needed:,}" if over.samples_needed else "no number",
        )
    return row.column, *shares, *map(metric.text, over.spread), *needs
